"""A scene cut into patches and put together again is the scene, bit by bit and tag by tag."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import rasterio
from rasterio.enums import Resampling

from landsat_fill.io import read_profile

PRODUCT = "LE07_L1TP_299299_20050704_20200914_02_T1"


def described(dataset):
    dataset.descriptions = ("blue", "green", "red")
    dataset.update_tags(SENSOR="ETM+", note="ü")
    dataset.update_tags(2, BAND="green")
    dataset.scales, dataset.offsets, dataset.units = (2.75e-5, 1, 2), (-0.2, 0, 1), ("m", "", "K")


def assert_same(before, after, opened):
    with opened(before) as source, opened(after) as target:
        np.testing.assert_array_equal(target.read(), source.read())
        np.testing.assert_array_equal(target.dataset_mask(), source.dataset_mask())
        assert target.tags() == source.tags()
    assert read_profile(after) == read_profile(before)


@pytest.mark.parametrize("size", [64, 100, 128])
@pytest.mark.parametrize(
    "options",
    [
        {"describe": described, "tiled": True, "blockxsize": 64, "blockysize": 32, "compress": "deflate"},
        {"told_by": "mask", "dtype": "uint16", "interleave": "pixel"},
        {"told_by": "alpha", "count": 2},
        {"told_by": "nan", "dtype": "float32", "compress": "deflate", "predictor": 3},
        {"georeferenced": False, "count": 1},
    ],
    ids=["described", "mask", "alpha", "nan", "no georeference"],
)
def test_stitch_undoes_tile(make, run, tmp_path, opened, size, options):
    made = make(height=230, width=170, **options)
    assert run("tile", made.path, "-o", tmp_path / "patches", "--size", size).code == 0
    ended = run("stitch", tmp_path / "patches", "-o", tmp_path / "again.tif")
    assert ended.code == 0, ended.said
    assert_same(made.path, tmp_path / "again.tif", opened)


def test_overviews_come_back(make, run, tmp_path, opened):
    made = make(height=256, width=256, tiled=True, blockxsize=64, blockysize=64)
    with rasterio.open(made.path, "r+") as dataset:
        dataset.build_overviews([2, 4], Resampling.nearest)
    assert run("tile", made.path, "-o", tmp_path / "patches", "--size", 100).code == 0
    assert run("stitch", tmp_path / "patches", "-o", tmp_path / "again.tif").code == 0
    with opened(tmp_path / "again.tif") as dataset:
        assert dataset.overviews(1) == [2, 4]
    assert_same(made.path, tmp_path / "again.tif", opened)


def test_patches_are_scenes_of_their_own(make, run, tmp_path, opened):
    made = make(height=130, width=170)
    assert run("tile", made.path, "-o", tmp_path / "patches", "--size", 64).code == 0
    with opened(made.path) as whole:
        expected = whole.read(window=rasterio.windows.Window(128, 64, 42, 64))
    with opened(tmp_path / "patches" / "scene_r00064_c00128.tif") as patch:
        np.testing.assert_array_equal(patch.read(), expected)
        assert patch.nodata == 0
        assert patch.crs.to_epsg() == 32637
        assert (patch.transform.c, patch.transform.f) == (500000 + 128 * 30, 1200000 - 64 * 30)
    manifest = json.loads((tmp_path / "patches" / "patches.json").read_text())
    assert len(manifest["patches"]) == 9


def test_what_was_done_to_patches_is_in_the_scene(make, run, tmp_path):
    made = make(height=130, width=130, count=1)
    assert run("tile", made.path, "-o", tmp_path / "patches", "--size", 64).code == 0
    with rasterio.open(tmp_path / "patches" / "scene_r00064_c00000.tif", "r+") as patch:
        patch.write(np.full((1, 64, 64), 99, np.uint8))
    assert run("stitch", tmp_path / "patches", "-o", tmp_path / "again.tif").code == 0
    with rasterio.open(tmp_path / "again.tif") as dataset:
        assert (dataset.read(1)[64:128, :64] == 99).all()


def test_the_grids_of_a_product_go_to_folders(samples, run, tmp_path):
    assert run("tile", samples / PRODUCT, "-o", tmp_path, "--size", 128, "-q").code == 0
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"thermal", "panchromatic"}
    assert run("stitch", tmp_path, "-o", tmp_path / "again.tif").code == 0
    with rasterio.open(tmp_path / "again.tif") as dataset:
        assert dataset.descriptions == ("B1", "B2", "B3", "B4", "B5", "B7")
        with rasterio.open(samples / PRODUCT / f"{PRODUCT}_B4.TIF") as band:
            np.testing.assert_array_equal(dataset.read(4), band.read(1))
    assert run("stitch", tmp_path / "panchromatic", "-o", tmp_path / "pan.tif").code == 0


def test_a_missing_patch_is_named(make, run, tmp_path):
    made = make(height=130, width=130, count=1)
    assert run("tile", made.path, "-o", tmp_path / "patches", "--size", 64).code == 0
    (tmp_path / "patches" / "scene_r00064_c00064.tif").unlink()
    ended = run("stitch", tmp_path / "patches", "-o", tmp_path / "again.tif")
    assert ended.code == 1
    assert "row 64, column 64" in ended.err
    assert not (tmp_path / "again.tif").exists()


def test_a_patch_of_another_size_is_refused(make, run, tmp_path):
    made = make(height=130, width=130, count=1)
    assert run("tile", made.path, "-o", tmp_path / "patches", "--size", 64).code == 0
    make("patches/scene_r00064_c00064.tif", height=30, width=30, count=1)
    ended = run("stitch", tmp_path / "patches", "-o", tmp_path / "again.tif")
    assert ended.code == 1
    assert "rows, columns and type" in ended.err


@pytest.mark.parametrize("manifest", [None, "", "{}", "[]", '{"size_px": 64, "profile": {}, "patches": [1]}'])
def test_a_folder_without_patches_is_refused(run, tmp_path, manifest):
    if manifest is not None:
        (tmp_path / "patches.json").write_text(manifest)
    ended = run("stitch", tmp_path, "-o", tmp_path / "again.tif")
    assert ended.code == 1
    assert "expected a folder of patches" in ended.err


def test_patches_are_not_overwritten_unasked(make, run, tmp_path):
    made = make(count=1)
    assert run("tile", made.path, "-o", tmp_path / "patches").code == 0
    assert run("tile", made.path, "-o", tmp_path / "patches").code == 1
    assert run("tile", made.path, "-o", tmp_path / "patches", "--overwrite").code == 0


def test_it_tells_of_each_band(make, run):
    made = make()
    ended = run("variogram", made.path, "--json")
    assert ended.code == 0, ended.said
    told = json.loads(ended.out)
    with rasterio.open(made.path) as dataset:
        assert len(told) == dataset.count
    for band in told:
        semivariance = [band["semivariance"][px] for px in ("1", "4", "16")]
        assert 0 <= band["nugget"] <= semivariance[0] < semivariance[1] < semivariance[2] <= band["sill"]
        assert band["ratio"] == 1
        sills = [one["sill"] for one in band["structures"]]
        assert band["nugget"] + sum(sills) == pytest.approx(band["sill"])
        assert all(one["range_m"] == pytest.approx(30 * one["range_px"]) for one in band["structures"])
    table = run("variogram", made.path, "--bands", "2")
    assert table.code == 0
    assert table.out.count("all directions") == 1  # one band, not three
    assert re.search(r"\d (exp|mat) \d+ m", table.out)


def test_roughness_is_that_of_the_observed_pixels(make, run):
    """The root mean square difference between neighbours; nodata is no neighbour."""
    made = make(count=1, height=120)
    (told,) = json.loads(run("variogram", made.path, "--json").out)
    clean, known = made.clean[0].astype(float), made.observed[0]
    squares = [
        np.diff(clean, axis=axis)[(known & np.roll(known, -1, axis=axis)).take(range(size - 1), axis=axis)] ** 2
        for axis, size in enumerate(clean.shape)
    ]
    assert told["roughness"] == pytest.approx(np.sqrt(np.concatenate(squares).mean()), rel=1e-6)


def test_options_of_kriging_change_it(make, run):
    made = make(count=1)
    plain, robust = (
        json.loads(run("variogram", made.path, "--json", *options).out)[0]
        for options in ((), ("-O", "estimator=cressie-hawkins", "-O", "local=false"))
    )
    assert robust["semivariance"] != plain["semivariance"]
    assert robust["roughness"] == 0


def test_a_plot_is_drawn(make, run, opened, tmp_path):
    made = make(count=2)
    target = tmp_path / "variogram.png"
    assert run("variogram", made.path, "--plot", target).code == 0
    with opened(target) as picture:
        pixels = picture.read()
    assert min(pixels.shape[1:]) > 200
    assert len(np.unique(pixels)) > 10
    before = target.read_bytes()
    again = run("variogram", made.path, "--plot", target)
    assert again.code != 0
    assert "already exists" in again.said
    assert target.read_bytes() == before
    assert run("variogram", made.path, "--plot", target, "--overwrite").code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-O", "estimator=median"), "one of matheron, cressie-hawkins, but got 'median'"),
        (("-O", "range=3"), "expected an option of kriging, but got 'range'"),
        (("-O", "robust"), "expected -O NAME=VALUE"),
        (("--bands", "9"), "expected bands of scene, but got '9'"),
        (("--plot", "variogram.docx"), "expected a figure to end in"),
    ],
)
def test_what_cannot_be_meant_is_refused(make, run, tmp_path, monkeypatch, arguments, said):
    made = make()
    monkeypatch.chdir(tmp_path)
    ended = run("variogram", made.path, *arguments)
    assert ended.code in (1, 2)
    assert said in ended.err_in_a_line
    assert [path.name for path in tmp_path.iterdir()] == ["scene.tif"]


def test_a_scene_that_is_none_is_refused(make, run, tmp_path):
    missing = run("variogram", tmp_path / "nowhere.tif")
    assert missing.code == 1
    assert "but got nothing there" in missing.err_in_a_line
    text = tmp_path / "text.tif"
    text.write_text("no raster")
    assert run("variogram", text).code == 1
    made = make()
    ended = run("variogram", made.path, "--plot", made.path, "--overwrite")
    assert ended.code != 0
    assert "is the input itself" in ended.err_in_a_line


def test_bands_of_one_value_and_of_none(make, run):
    def constant(dataset):
        dataset.update_tags(1, note="one value")

    made = make("flat.tif", count=1, describe=constant)
    with rasterio.open(made.path, "r+") as dataset:
        stored = dataset.read(1)
        dataset.write(np.where(stored == 0, 0, 77).astype("uint8"), 1)
    (told,) = json.loads(run("variogram", made.path, "--json").out)
    assert told["sill"] == 0
    with rasterio.open(made.path, "r+") as dataset:
        dataset.write(np.zeros_like(stored), 1)
    empty = run("variogram", made.path)
    assert empty.code == 1
    assert "expected" in empty.err_in_a_line
