"""The weights that are shipped, each run from the command line as its users would."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from landsat_fill.networks import weights
from landsat_fill.networks.weights import shipped_folder


@pytest.fixture(autouse=True)
def small_weights():
    """Leave the shipped weights in place."""


@pytest.fixture
def own_folder(tiny_folder, tmp_path, monkeypatch):
    """Return a copy of the tiny weights that may be spoilt."""
    for path in tiny_folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(weights, "shipped_folder", lambda: tmp_path)
    return tmp_path


def test_the_table_names_all(run, own_folder):
    ended = run("models")
    assert ended.code == 0
    for word in ("convcnp", "convlnp-64", "convlnp-128", "partialconv", "unet"):
        assert word in ended.out


def test_json_holds_everything(run, own_folder):
    found = {row["name"]: row for row in json.loads(run("models", "--json").out)}
    assert len(found["unet"]["sha256"]) == 64
    assert found["unet"]["trained_on"] == "nothing"
    assert found["unet"]["licence"] == "MIT"
    assert found["convlnp-64"]["network"] == "convlnp"
    assert found["unet"]["settings"]["channels"] == 8


def test_a_card_is_printed(run, own_folder):
    (own_folder / "unet.md").write_text("# U-Net\n\nTrained on [nothing].\n", encoding="utf-8")
    ended = run("models", "unet")
    assert ended.code == 0
    assert "Trained on [nothing]." in ended.out
    assert "trained_on: nothing" in run("models", "convcnp").out


def test_a_name_that_does_not_exist(run, own_folder):
    ended = run("models", "u-net")
    assert ended.code == 2
    assert "Did you mean 'unet'" in ended.err_in_a_line


@pytest.mark.parametrize("as_json", [False, True])
def test_damage_is_an_error_and_the_rest_is_shown(run, own_folder, as_json):
    (own_folder / "unet.safetensors").write_bytes(b"spoilt")
    ended = run("models", *(["--json"] if as_json else []))
    assert ended.code == 1
    assert "unet.safetensors to have the sha256" in ended.err_in_a_line.replace("- ", "-")
    assert "convcnp" in ended.out


def test_nothing_shipped(run, tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "shipped_folder", lambda: tmp_path)
    ended = run("models")
    assert ended.code == 0
    assert "No weights are shipped" in ended.out


def test_listing_needs_no_torch(run, own_folder, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "torch", None)
    assert run("models").code == 0
    assert run("methods").code == 0
    assert run("fill", "--help").code == 0
    assert run("methods", "convlnp").code == 0


SHIPPED = {
    "band-unet": ("band-unet", "--uncertainty"),
    "convcnp": ("convcnp", "--uncertainty"),
    "convlnp-64": ("convlnp", "--samples", 2, "--uncertainty", "--realizations", 1),
    "convlnp-128": ("convlnp", "--variant", 128, "--samples", 2, "--uncertainty", "--realizations", 1),
    "partialconv": ("partialconv",),
    "unet": ("unet",),
}
"""By the name of their file: the method and its options."""


def test_all_that_is_shipped_is_run_here() -> None:
    assert {path.stem for path in shipped_folder().glob("*.safetensors")} == set(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_weights_fill_a_scene_the_same_way_every_time(make, run, opened, name):
    made = make(count=2, dtype="uint16")
    command = [made.path, "-m", *SHIPPED[name], "--device", "cpu"]
    written = []
    for _ in range(2):
        ended = run(*command, "--overwrite")
        assert ended.code == 0, ended.said
        written.append([opened(path).read() for path in sorted(made.path.parent.glob("scene_*.tif"))])
    for first, second in zip(*written, strict=True):
        np.testing.assert_array_equal(first, second)

    with opened(made.path.with_name("scene_filled.tif")) as dataset:
        filled, tags = dataset.read(), dataset.tags()
    sha256 = hashlib.sha256((shipped_folder() / f"{name}.safetensors").read_bytes()).hexdigest()
    assert tags["LANDSAT_FILL_WEIGHTS"] == f"{name}.safetensors sha256:{sha256}"
    np.testing.assert_array_equal(filled[made.observed], made.clean[made.observed])
    for fill, truth, missing in zip(filled.astype(float), made.clean, made.missing, strict=True):
        error = np.sqrt(np.mean((fill - truth)[missing] ** 2))
        assert error < 0.75 * np.std(truth)


def test_the_default_fills_a_picture_and_its_reflectance_alike(make, fill_in_both_units):
    """In the precision that this machine is fastest with, and without an option."""
    picture, reflectance = fill_in_both_units(make(count=3, dtype="uint8"))
    np.testing.assert_allclose(reflectance, picture, atol=1)
