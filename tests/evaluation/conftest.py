"""Small scenes that were fully observed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from affine import Affine
from making import write_geotiff

from landsat_fill.io.geotiff import open_geotiff

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import rasterio

    from landsat_fill.scene import Scene

    MakeScene = Callable[..., Scene]


def texture(shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    """Return smooth hills with some noise, 60 to 190, alike but not the same in each band."""
    bands, height, width = shape
    rows, cols = np.mgrid[:height, :width]
    hills = 120 + 40 * np.sin(rows / 17) * np.cos(cols / 23)
    noise = np.random.default_rng(seed).normal(0, 3, shape)
    return np.stack([hills + 5 * band for band in range(bands)]) + noise


@pytest.fixture
def make_scene(tmp_path: Path) -> MakeScene:
    """Return a function that writes a GeoTIFF and opens it."""

    def make(
        name: str = "clean",
        shape: tuple[int, int, int] = (3, 96, 100),
        *,
        values: np.ndarray | None = None,
        nodata: float | None = None,
        scale: float | None = None,
    ) -> Scene:
        values = texture(shape).round().astype(np.uint8) if values is None else values
        path = tmp_path / f"{name}.tif"

        def describe(target: rasterio.io.DatasetWriter) -> None:
            for band, colour in enumerate(("blue", "green", "red", "nir")[: values.shape[0]], start=1):
                target.set_band_description(band, colour)
            if scale is not None:
                target.scales = (scale,) * values.shape[0]

        corner = Affine(30, 0, 500_000, 0, -30, 4_000_000)
        write_geotiff(path, values, describe=describe, nodata=nodata, crs="EPSG:32650", transform=corner)
        return open_geotiff(str(path))

    return make
