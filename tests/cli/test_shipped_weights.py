"""The weights that are shipped, each run from the command line as its users would."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import rasterio

from landsat_fill.networks.shipped import shipped_folder

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


def test_the_default_fills_a_picture_and_its_reflectance_alike(make, run, opened):
    """In the precision that this machine is fastest with, and without an option."""
    made = make(count=3, dtype="uint8")
    gain, offset = np.float32(0.0025), np.float32(-0.01)
    reflectance = made.path.with_name("reflectance.tif")
    with opened(made.path) as dataset:
        profile, stored = dataset.profile, dataset.read()
    profile.update(dtype="float32", nodata=np.nan)
    with rasterio.open(reflectance, "w", **profile) as dataset:
        dataset.write(np.where(made.missing, np.float32(np.nan), stored * gain + offset))

    assert run(made.path, reflectance).code == 0

    filled = opened(made.path.with_name("scene_filled.tif")).read()
    found = (opened(reflectance.with_name("reflectance_filled.tif")).read() - offset) / gain
    np.testing.assert_allclose(found, filled, atol=1)
