"""Learned methods from the command line: weights, draws, deviation, provenance."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
import torch

from landsat_fill.networks import weights

pytestmark = pytest.mark.usefixtures("tiny_models")


@pytest.mark.parametrize(
    ("name", "count", "dtype"),
    [
        *(("band-unet", *kind) for kind in ((1, "uint8"), (4, "uint16"), (6, "float32"), (8, "int16"))),
        ("convcnp", 8, "int16"), ("convlnp", 3, "uint8"),
        ("partialconv", 6, "float32"), ("unet", 4, "uint16"),
    ],
)  # fmt: skip
def test_any_scene_is_filled_and_observed_pixels_are_kept(make, run, opened, tiny_models, name, count, dtype):
    made = make(count=count, dtype=dtype)
    quick = ("--samples", 2) if name == "convlnp" else ()
    assert run(made.path, "-m", name, "--device", "cpu", *quick).code == 0
    with opened(made.path.with_name("scene_filled.tif")) as dataset:
        filled = dataset.read()
        tags = dataset.tags()
    np.testing.assert_array_equal(filled[made.observed], made.clean[made.observed])
    assert (filled[made.missing] != 0).all()
    weights = tiny_models / f"{'convlnp-64' if name == 'convlnp' else name}.safetensors"
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert tags["LANDSAT_FILL_WEIGHTS"] == f"{weights.name} sha256:{sha256}"


def test_the_same_scene_gives_the_same_file_again(make, run, opened):
    made = make(height=150)
    images = []
    for _ in range(2):
        assert run(made.path, "-m", "convlnp", "--uncertainty", "--realizations", 1, "--overwrite").code == 0
        files = [made.path.with_name(f"scene_{end}.tif") for end in ("filled", "std", "draw1")]
        images.append([opened(file).read() for file in files])
    for first, second in zip(*images, strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.slow
def test_other_processes_write_the_same_pixels(make, run, spawn, opened, tiny_models):
    made = make(count=2, height=150)
    weights = tiny_models / "convlnp-64.safetensors"
    options = ("-m", "convlnp", "--weights", weights, "--samples", 2, "--realizations", 2, "--uncertainty")
    files = [made.path.with_name(f"scene_{end}.tif") for end in ("filled", "std", "draw1", "draw2")]
    assert run(made.path, *options, "--device", "cpu").code == 0
    here = [opened(file).read() for file in files]
    # Two scenes at once have half of the threads each.
    ended = spawn(made.path, *options, "--device", "cpu", "--overwrite", "--jobs", 2)
    assert ended.code == 0, ended.said
    for file, expected in zip(files, here, strict=True):
        np.testing.assert_array_equal(opened(file).read(), expected)


@pytest.mark.parametrize("name", ["band-unet", "convcnp"])
def test_a_picture_and_its_reflectance_are_filled_alike(make, fill_in_both_units, name):
    options = ("-m", name, "--precision", "float32", "--device", "cpu")
    picture, reflectance = fill_in_both_units(make(count=3, dtype="uint8"), *options)
    # The picture's numbers are rounded; and 0, which says that a pixel is missing, is none of them.
    np.testing.assert_allclose(reflectance, picture, atol=0.501)


def test_draws_are_written_beside_the_fill(make, run, opened):
    made = make(count=2, dtype="uint16")
    ended = run(made.path, "-m", "convlnp", "--samples", 4, "--realizations", 3, "--json")
    assert ended.code == 0
    drawn = []
    for number in (1, 2, 3):
        path = made.path.with_name(f"scene_draw{number}.tif")
        assert str(path) in json.loads(ended.out)["files"]
        with opened(path) as dataset:
            drawn.append(dataset.read())
            assert dataset.tags()["LANDSAT_FILL_DRAW"] == f"{number} of 3"
            assert dataset.nodata == 0
            assert dataset.crs.to_epsg() == 32637
        np.testing.assert_array_equal(drawn[-1][made.observed], made.clean[made.observed])
    assert (drawn[0] != drawn[1]).any()
    assert "LANDSAT_FILL_DRAW" not in opened(made.path.with_name("scene_filled.tif")).tags()


def test_draws_of_a_product_are_a_file_each(samples, run, tmp_path, opened):
    product = next(samples.glob("LE07_*"))
    ended = run(product, "-m", "convlnp", "--samples", 1, "--realizations", 2, "-o", tmp_path, "--bands", "B3,B4")
    assert ended.code == 0, ended.said
    found = sorted(path.name for path in tmp_path.rglob("*_draw*.tif"))
    assert found == [f"{product.name}_draw1.tif", f"{product.name}_draw2.tif"]
    with opened(next(tmp_path.rglob("*_draw2.tif"))) as dataset:
        assert dataset.count == 2


def test_draws_are_protected_like_other_outputs(make, run):
    made = make(count=1)
    (made.path.parent / "scene_draw1.tif").write_bytes(b"mine")
    ended = run(made.path, "-m", "convlnp", "--samples", 1, "--realizations", 1)
    assert ended.code == 1
    assert (made.path.parent / "scene_draw1.tif").read_bytes() == b"mine"
    assert {path.name for path in made.path.parent.glob("*.tif")} == {"scene.tif", "scene_draw1.tif"}


def test_a_method_without_draws_says_so(make, run):
    ended = run(make(count=1).path, "-m", "harmonic", "--realizations", 2)
    assert ended.code == 2
    assert "expected --realizations to be 0 for harmonic, but got" in ended.err_in_a_line


def test_own_weights(make, run, opened, tiny_models):
    made = make(count=1)
    weights = tiny_models / "unet.safetensors"
    assert run(made.path, "-m", "unet", "--weights", weights).code == 0
    with opened(made.path.with_name("scene_filled.tif")) as dataset:
        assert json.loads(dataset.tags()["LANDSAT_FILL_METHOD_OPTIONS"])["weights"] == str(weights)
    ended = run(made.path, "-m", "convcnp", "--weights", weights, "--overwrite")
    assert ended.code == 2
    assert "holds unet" in ended.err_in_a_line
    ended = run(made.path, "-m", "unet", "--weights", made.path, "--overwrite")
    assert ended.code == 1
    assert "it isn't a safetensors file" in ended.err_in_a_line


def test_weights_that_are_not_shipped_stop_before_the_first_scene(make, run, tiny_folder, tmp_path, monkeypatch):

    monkeypatch.setattr(weights, "shipped_folder", lambda: tmp_path / "none")
    ended = run(make(count=1).path, "-m", "unet")
    assert ended.code == 1
    assert "expected the weights unet.safetensors in" in ended.err_in_a_line
    assert "train your own" in ended.err_in_a_line


def test_a_card_that_is_not_there_is_an_error(make, run, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    ended = run(make(count=1).path, "-m", "unet", "--device", "cuda")
    assert ended.code == 1
    assert "expected the device cuda to work" in ended.err_in_a_line


@pytest.mark.parametrize("name", ["band-unet", "convcnp", "convlnp"])
def test_the_deviation_is_written(make, run, opened, name):
    made = make(count=2)
    assert run(made.path, "-m", name, "--uncertainty").code == 0
    with opened(made.path.with_name("scene_std.tif")) as dataset:
        std = dataset.read()
    assert (std[made.observed] == 0).all()
    assert (std[made.missing] > 0).all()


@pytest.mark.parametrize("name", ["partialconv", "unet"])
def test_a_method_without_deviation_says_so(make, run, name):
    ended = run(make(count=1).path, "-m", name, "--uncertainty")
    assert ended.code == 2
    assert name in ended.err_in_a_line
