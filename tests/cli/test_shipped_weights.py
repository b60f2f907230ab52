"""The weights that are shipped, each run from the command line as its users would."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from landsat_fill.networks.weights import shipped_folder

SHIPPED = {
    "band-unet": ("band-unet", "--uncertainty"),
    "convcnp": ("convcnp", "--uncertainty"),
    "convlnp-64": ("convlnp", "--samples", 2, "--uncertainty", "--draw", 1),
    "convlnp-128": ("convlnp", "--variant", 128, "--samples", 2, "--uncertainty", "--draw", 1),
    "partialconv": ("partialconv",),
    "unet": ("unet",),
}
"""By the name of their file: the method and its options."""


def test_all_that_is_shipped_is_run_here() -> None:
    assert {path.stem for path in shipped_folder().glob("*.safetensors")} == set(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_weights_fill_a_scene_the_same_way_every_time(make, run, opened, name):
    made = make(count=4, dtype="uint16")
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
