"""A dataset holds its scenes bit by bit, keeps places together, and is there whole or not at all."""

from __future__ import annotations

import json

import numpy as np
import pytest

from landsat_fill.errors import InputError, OutputError, UsageError
from landsat_fill.training.dataset import open_samples
from landsat_fill.training.dataset_manifest import read_manifest
from landsat_fill.training.dataset_writing import Cutting, write_dataset
from landsat_fill.training.pixels_and_gaps import grid_starts, unpacked

SMALL = Cutting(size_px=64, stride_px=64, max_missing=0.1)


def expected_patches(values, size_px, stride_px):
    _, height, width = values.shape
    return np.stack(
        [
            values[:, row : row + size_px, col : col + size_px]
            for row in grid_starts(height, size_px, stride_px)
            for col in grid_starts(width, size_px, stride_px)
        ]
    )


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32", "float64"])
def test_patches_are_the_scene_bit_by_bit(write, tmp_path, dtype):
    made = write(dtype=dtype)
    cutting = Cutting(size_px=48, stride_px=32, max_missing=0.0)
    manifest, failures = write_dataset([made.scene], [], tmp_path / "data", cutting)
    assert not failures
    stored = np.load(tmp_path / "data" / manifest.scenes[0].values)
    assert stored.dtype == dtype
    np.testing.assert_array_equal(stored, expected_patches(made.values, 48, 32))
    assert manifest.scenes[0].observed is None


def test_every_pixel_of_a_scene_is_in_a_patch():
    covered = {start + at for start in grid_starts(100, 64, 64) for at in range(64)}
    assert covered == set(range(100))
    assert grid_starts(63, 64, 64) == []


def test_unobserved_pixels_are_stored_as_bits(write, tmp_path):
    missing = np.zeros((3, 130, 130), bool)
    missing[1, 10:20, 40:50] = True
    made = write(shape=missing.shape, dtype="int16", missing=missing, nodata=-999)
    manifest, _ = write_dataset([made.scene], [], tmp_path / "data", SMALL)
    facts = manifest.scenes[0]
    bits = np.load(tmp_path / "data" / facts.observed)
    np.testing.assert_array_equal(unpacked(bits, 64), expected_patches(~missing, 64, 64))
    assert facts.bands[1].min > -999


def test_patches_with_too_little_observed_are_left_out(write, tmp_path):
    missing = np.zeros((2, 64, 128), bool)
    missing[1, :, :20] = True  # 31 % of the left patch, in one band only
    made = write(shape=missing.shape, missing=missing, nodata=0)
    manifest, _ = write_dataset([made.scene], [], tmp_path / "data", SMALL)
    stored = np.load(tmp_path / "data" / manifest.scenes[0].values)
    np.testing.assert_array_equal(stored, made.values[None, :, :, 64:])
    _, failures = write_dataset([made.scene], [], tmp_path / "more", Cutting(size_px=64, stride_px=64, max_missing=0.4))
    assert not failures
    assert read_manifest(tmp_path / "more").scenes[0].patches == 2


def test_statistics_are_those_of_the_observed_pixels(write, tmp_path):
    missing = np.zeros((2, 64, 192), bool)
    missing[:, 5:9] = True
    made = write(shape=missing.shape, dtype="uint16", missing=missing, nodata=0)
    manifest, _ = write_dataset([made.scene], [], tmp_path / "data", SMALL)
    for band, facts in enumerate(manifest.scenes[0].bands):
        seen = made.values[band][~missing[band]].astype(float)
        np.testing.assert_allclose(
            [facts.mean, facts.std, facts.min, facts.max], [seen.mean(), seen.std(), seen.min(), seen.max()]
        )


def test_gaps_are_those_of_the_scene(write, slc_off, tmp_path):
    manifest, failures = write_dataset([write().scene], [slc_off.scene], tmp_path / "data", SMALL)
    assert not failures
    gaps = manifest.gaps[0]
    crops = unpacked(np.load(tmp_path / "data" / gaps.file), 64)
    # Inside the footprint a pixel is missing where it is nodata; what opens into the border may lie outside.
    truth = expected_patches(slc_off.values == 0, 64, 64)
    inner = [np.array_equal(crop, real) for crop, real in zip(crops, truth, strict=True)]
    assert np.mean(inner) >= 0.5
    assert not (crops & ~truth).any()
    assert gaps.missing_share == pytest.approx(crops.mean())
    assert gaps.bands == 3


def test_places_share_a_fold(write, tmp_path):
    scenes = [
        write("a_20010610", east_km=0, seed=1),
        write("b_20010813", east_km=40, seed=2),  # 40 km from a
        write("c_20010813", east_km=80, seed=3),  # 80 km from a, 40 from b
        write("d_20010813", east_km=300, seed=4),
        write("lost_20010813", east_km=None, seed=5),
        write("lost_20010829", east_km=None, seed=6),
    ]
    manifest, _ = write_dataset([one.scene for one in scenes], [], tmp_path / "data", SMALL, folds=3)
    fold = {facts.name: facts.fold for facts in manifest.scenes}
    assert fold["a_20010610"] == fold["b_20010813"] == fold["c_20010813"]
    assert fold["lost_20010813"] == fold["lost_20010829"]
    assert len({fold["a_20010610"], fold["lost_20010813"], fold["d_20010813"]}) == 3
    chosen, others = (
        open_samples(tmp_path / "data", size_px=64, fold=fold["d_20010813"], training=training)
        for training in (False, True)
    )
    assert chosen.scenes == ("d_20010813",)
    assert set(others.scenes) == set(fold) - {"d_20010813"}
    # Scenes that are read as they are fall into the same folds.
    live = open_samples([one.scene for one in scenes], size_px=64, fold=fold["d_20010813"], folds=3, training=False)
    assert live.scenes == chosen.scenes


def test_there_are_no_more_folds_than_places(write, tmp_path):
    scenes = [write(name, east_km=east_km) for name, east_km in (("a", 0), ("b", 10), ("c", 300))]
    manifest, _ = write_dataset([one.scene for one in scenes], [], tmp_path / "data", SMALL, folds=9)
    assert manifest.folds == 2
    assert sorted(facts.fold for facts in manifest.scenes) == [0, 0, 1]


def test_a_fold_that_leaves_nothing_is_explained(write, tmp_path):
    scenes = [write("a", east_km=0).scene, write("b", east_km=10).scene]
    write_dataset(scenes, [], tmp_path / "data", SMALL)
    for source in (tmp_path / "data", scenes):
        with pytest.raises(UsageError, match=r"to train on outside fold 0, .* but all lie in it") as caught:
            open_samples(source, size_px=64, fold=0)
        assert "--validation" in (caught.value.hint or "")
    with pytest.raises(UsageError, match="for validation in fold 4, but it is empty") as caught:
        open_samples(scenes, size_px=64, fold=4, training=False)
    assert "has scenes (0)" in (caught.value.hint or "")


@pytest.mark.parametrize("name", ["000_a.npy", "000_a.observed.npy", "000_slc_off.npy"])
def test_an_array_that_differs_from_the_manifest_is_refused(write, slc_off, tmp_path, name):
    missing = np.zeros((3, 130, 130), bool)
    missing[1, 10:20, 40:50] = True
    made = write("a", shape=missing.shape, missing=missing, nodata=0)
    write_dataset([made.scene], [slc_off.scene], tmp_path / "data", SMALL)
    path = next((tmp_path / "data").glob(f"*/{name}"))
    content, array = path.read_bytes(), np.load(path)
    np.save(path, array[:-1])
    with pytest.raises(InputError, match=r"shape \(.*\) in .*, as manifest\.json says, but got \("):
        open_samples(tmp_path / "data", size_px=64)
    for length in (0, 20, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(InputError, match="expected an array"):
            open_samples(tmp_path / "data", size_px=64)
    path.write_bytes(content)
    assert open_samples(tmp_path / "data", size_px=64).scenes == ("a",)


def test_a_dataset_is_the_same_again(write, slc_off, tmp_path):
    scenes = [write("a", seed=1).scene, write("b", east_km=200, seed=2).scene]
    for folder in ("one", "two"):
        write_dataset(scenes, [slc_off.scene], tmp_path / folder, SMALL)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*"))
    assert files == sorted(path.relative_to(tmp_path / "two") for path in (tmp_path / "two").rglob("*"))
    for file in files:
        if (tmp_path / "one" / file).is_file():
            assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_a_bad_scene_leaves_no_trace_and_stops_nothing(write, tmp_path):
    good, cut_off = write("good", seed=1), write("cut_off", shape=(4, 400, 400), seed=2)
    cut_off.path.write_bytes(cut_off.path.read_bytes()[:200_000])
    small = write("small", shape=(4, 40, 40), seed=3)
    no_stripes = write("no_stripes", seed=4)
    manifest, failures = write_dataset(
        [cut_off.scene, good.scene, small.scene], [no_stripes.scene], tmp_path / "data", SMALL
    )
    assert [facts.name for facts in manifest.scenes] == ["good"]
    said = dict(failures)
    assert set(said) == {"cut_off", "small", "no_stripes"}
    assert "at least 64 × 64 pixels, but small has 40 × 40" in said["small"].message
    assert "--size" in (said["small"].hint or "")
    assert [path.name for path in (tmp_path / "data" / "scenes").iterdir()] == ["001_good.npy"]
    with pytest.raises(InputError, match="cut_off"):
        write_dataset([cut_off.scene], [], tmp_path / "none", SMALL)
    assert not [path for path in tmp_path.iterdir() if "none" in path.name]


def test_only_a_dataset_is_replaced(write, tmp_path):
    made = write()
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "child.jpg").write_bytes(b"dear")
    with pytest.raises(OutputError, match="something else"):
        write_dataset([made.scene], [], photos, SMALL, overwrite=True)
    assert (photos / "child.jpg").read_bytes() == b"dear"
    target = tmp_path / "data"
    write_dataset([made.scene], [], target, SMALL)
    with pytest.raises(OutputError, match="there is a dataset"):
        write_dataset([made.scene], [], target, SMALL)
    write_dataset([made.scene], [], target, Cutting(size_px=32, stride_px=32), overwrite=True)
    assert read_manifest(target).size_px == 32
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".data")]


def test_an_interrupted_run_leaves_the_old_dataset(write, tmp_path):
    made = write()
    target = tmp_path / "data"
    write_dataset([made.scene], [], target, SMALL)
    before = (target / "manifest.json").read_bytes()

    def interrupt(_share, _name):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_dataset([made.scene], [], target, SMALL, overwrite=True, on_progress=interrupt)
    assert (target / "manifest.json").read_bytes() == before
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".data")]


def test_what_cannot_be_a_dataset_is_refused(write, tmp_path):
    made = write()
    target = tmp_path / "data"
    for cutting in (Cutting(size_px=60, stride_px=60), Cutting(64, 65), Cutting(64, 0), Cutting(64, 64, 1.0)):
        with pytest.raises(UsageError):
            write_dataset([made.scene], [], target, cutting)
    with pytest.raises(InputError, match=r"manifest\.json"):
        open_samples(tmp_path, size_px=64)
    write_dataset([made.scene], [], target, SMALL)
    with pytest.raises(UsageError, match="at most 64"):
        open_samples(target, size_px=96)
    with pytest.raises(UsageError, match="from 0 to 0"):
        open_samples(target, size_px=64, fold=5)
    facts = json.loads((target / "manifest.json").read_text())
    (target / "manifest.json").write_text(json.dumps({**facts, "format": "landsat-fill-dataset/9"}))
    with pytest.raises(InputError, match="dataset/9"):
        open_samples(target, size_px=64)
