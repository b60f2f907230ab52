"""Bands that are called alpha: which of them are."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from affine import Affine

from landsat_fill.io import find_inputs, open_input, read_profile
from landsat_fill.io.profile_files import opacity_band

SHAPE = (300, 400)
GENERATOR = np.random.default_rng(5)
MEASURED = GENERATOR.integers(1, 200, SHAPE, dtype="uint8")
OPAQUE = np.where(np.arange(SHAPE[1]) < 90, 0, 255).astype("uint8") * np.ones((SHAPE[0], 1), "uint8")


def write(path, fourth, nodata=None):
    """Write four plain 8-bit bands, the last of which GDAL calls alpha unasked."""
    place = Affine(30, 0, 5e5, 0, -30, 1e6)
    kind = {"driver": "GTiff", "dtype": "uint8", "count": 4, "crs": "EPSG:32633", "transform": place}
    with rasterio.open(path, "w", height=SHAPE[0], width=SHAPE[1], nodata=nodata, **kind) as dataset:
        dataset.write(np.stack([MEASURED, MEASURED, MEASURED, fourth]))
        assert dataset.colorinterp[3].name == "alpha"
    return path


@pytest.mark.parametrize(
    ("fourth", "nodata", "expected"),
    [(OPAQUE, None, 4), (OPAQUE, 7, 4), (MEASURED, None, None), (MEASURED, 0, None)],
    ids=["opacity", "opacity and nodata", "measured", "measured with nodata"],
)
def test_a_band_called_alpha_is_opacity_if_it_looks_so(tmp_path, fourth, nodata, expected):
    path = write(tmp_path / "scene.tif", fourth, nodata)
    with rasterio.open(path) as dataset:
        assert opacity_band(dataset) == expected
    assert read_profile(path).alpha == expected
    (scene,) = open_input(find_inputs([str(path)])[0][0])
    assert len(scene.bands) == (4 if expected is None else 3)
