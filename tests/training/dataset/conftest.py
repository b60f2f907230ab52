"""Clean scenes and SLC-off scenes to make datasets of, written as GeoTIFFs and opened."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import Affine

from landsat_fill.io import find_inputs, open_input

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from landsat_fill.scene import Scene

EAST_M, NORTH_M = 500_000.0, 4_000_000.0
LEVELS = {"uint8": (20, 220), "uint16": (7000, 30000), "int16": (-300, 9000)}


@dataclass(frozen=True)
class Written:
    """A scene, its file and what it holds."""

    path: Path
    scene: Scene
    values: NDArray[np.generic]


def landscape(shape: tuple[int, int, int], dtype: str, seed: int) -> NDArray[np.generic]:
    """Return hills with noise, in the range of scenes of the data type; none of its numbers is 0 or -999."""
    rows, cols = np.mgrid[: shape[1], : shape[2]]
    hills = 0.5 + 0.3 * np.sin(rows / 9 + seed) * np.cos(cols / 13)
    cube = (
        hills + np.random.default_rng(seed).normal(0, 0.03, shape) + 0.02 * np.arange(shape[0])[:, None, None]
    )
    low, high = LEVELS.get(dtype, (0.05, 0.6))
    return (low + (high - low) * np.clip(cube, 0.01, 1)).astype(dtype)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Written]:
    """Return a function that writes a scene: `east_km` moves it, None leaves it without coordinates."""

    def write_here(
        name: str = "clean",
        shape: tuple[int, int, int] = (4, 100, 120),
        dtype: str = "uint8",
        *,
        east_km: float | None = 0.0,
        seed: int = 0,
        missing: NDArray[np.bool_] | None = None,
        nodata: float | None = None,
    ) -> Written:
        values = landscape(shape, dtype, seed)
        if missing is not None:
            values[missing] = nodata
        path = tmp_path / f"{name}.tif"
        options = {}
        if east_km is not None:
            corner = Affine(30, 0, EAST_M + 1000 * east_km, 0, -30, NORTH_M)
            options = {"crs": "EPSG:32650", "transform": corner}
        count, height, width = shape
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(
                path, "w", "GTiff", width, height, count, dtype=dtype, nodata=nodata, **options
            ) as target:
                target.write(values)
        return Written(path, reopened(path), values)

    return write_here


def reopened(path: Path) -> Scene:
    """Return a file's scene."""
    found, bad = find_inputs([str(path)])
    assert not bad
    return open_input(found[0])[0]


def stripes(shape: tuple[int, int, int], width_px: int = 7) -> NDArray[np.bool_]:
    """Return SLC-off stripes, each band's a row below the other's."""
    rows, cols = np.mgrid[: shape[1], : shape[2]]
    return np.stack([(rows + cols // 6 - band) % 33 < width_px for band in range(shape[0])])


@pytest.fixture
def slc_off(write: Callable[..., Written]) -> Written:
    """Return a scene with stripes in its three bands."""
    shape = (3, 200, 230)
    return write("slc_off", shape, missing=stripes(shape), nodata=0, east_km=900.0)
