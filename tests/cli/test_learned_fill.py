"""Learned methods from the command line: weights, draws, deviation, provenance."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("tiny_models")


@pytest.mark.parametrize("name", ["convcnp", "convlnp", "partialconv", "unet"])
@pytest.mark.parametrize(
    ("count", "dtype"), [(1, "uint8"), (3, "uint8"), (4, "uint16"), (6, "float32"), (8, "int16")]
)
def test_any_scene_is_filled_and_observed_pixels_are_kept(make, run, opened, name, count, dtype):
    made = make(count=count, dtype=dtype)
    assert run(made.path, "-m", name, "--device", "cpu").code == 0
    with opened(made.path.with_name("scene_filled.tif")) as dataset:
        filled = dataset.read()
        tags = dataset.tags()
    np.testing.assert_array_equal(filled[made.observed], made.clean[made.observed])
    assert (filled[made.missing] != 0).all()
    assert tags["LANDSAT_FILL_WEIGHTS"].partition(" sha256:")[0] in (
        f"{name}.safetensors",
        "convlnp-64.safetensors",
    )
    assert len(tags["LANDSAT_FILL_WEIGHTS"].partition(" sha256:")[2]) == 64


def test_the_same_scene_gives_the_same_file_again(make, run, opened):
    made = make(height=150)
    images = []
    for _ in range(2):
        assert run(made.path, "-m", "convlnp", "--uncertainty", "--draw", 1, "--overwrite").code == 0
        files = [made.path.with_name(f"scene_{end}.tif") for end in ("filled", "std", "draw1")]
        images.append([opened(file).read() for file in files])
    for first, second in zip(*images, strict=True):
        np.testing.assert_array_equal(first, second)


def test_draws_are_written_beside_the_fill(make, run, opened):
    made = make(count=2, dtype="uint16")
    ended = run(made.path, "-m", "convlnp", "--samples", 4, "--draw", 3, "--json")
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
    ended = run(product, "-m", "convlnp", "--samples", 1, "--draw", 2, "-o", tmp_path, "--bands", "B3,B4")
    assert ended.code == 0, ended.said
    found = sorted(path.name for path in tmp_path.rglob("*_draw*.tif"))
    assert found == [f"{product.name}_draw1.tif", f"{product.name}_draw2.tif"]
    with opened(next(tmp_path.rglob("*_draw2.tif"))) as dataset:
        assert dataset.count == 2


def test_draws_are_protected_like_other_outputs(make, run):
    made = make(count=1)
    (made.path.parent / "scene_draw1.tif").write_bytes(b"mine")
    ended = run(made.path, "-m", "convlnp", "--samples", 1, "--draw", 1)
    assert ended.code == 1
    assert (made.path.parent / "scene_draw1.tif").read_bytes() == b"mine"
    assert {path.name for path in made.path.parent.glob("*.tif")} == {"scene.tif", "scene_draw1.tif"}


def test_a_method_without_draws_says_so(make, run):
    ended = run(make(count=1).path, "-m", "harmonic", "--draw", 2)
    assert ended.code == 2
    assert "expected a method that draws for --draw, but harmonic has one answer only" in ended.err_in_a_line


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
    assert "it is no safetensors file" in ended.err_in_a_line


def test_weights_that_are_not_shipped_stop_before_the_first_scene(
    make, run, tiny_folder, tmp_path, monkeypatch
):
    from landsat_fill.networks import shipped

    monkeypatch.setattr(shipped, "shipped_folder", lambda: tmp_path / "none")
    ended = run(make(count=1).path, "-m", "unet")
    assert ended.code == 1
    assert "expected the weights unet.safetensors in" in ended.err_in_a_line
    assert "train your own" in ended.err_in_a_line


def test_a_card_that_is_not_there_is_an_error(make, run):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is one")
    ended = run(make(count=1).path, "-m", "unet", "--device", "cuda")
    assert ended.code == 1
    assert "expected the device cuda to work" in ended.err_in_a_line


def test_the_deviation_is_written(make, run, opened):
    made = make(count=2)
    assert run(made.path, "-m", "convcnp", "--uncertainty").code == 0
    with opened(made.path.with_name("scene_std.tif")) as dataset:
        std = dataset.read()
    assert (std[made.observed] == 0).all()
    assert (std[made.missing] > 0).all()
    ended = run(made.path, "-m", "unet", "--uncertainty")
    assert ended.code == 2
