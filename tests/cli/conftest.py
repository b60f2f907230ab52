"""Scenes whose truth is known."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
from making import write_geotiff, write_scene
from rasterio.errors import NotGeoreferencedWarning

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from making import Made
    from numpy.typing import NDArray


@pytest.fixture(autouse=True)
def small_weights(tiny_models: Path) -> None:
    """Fill by tiny networks, which take a tenth of the time. A file that needs the shipped weights overrides this."""


@pytest.fixture
def fill_in_both_units(
    run: Callable[..., Any], opened: Callable[..., rasterio.DatasetReader]
) -> Callable[..., tuple[NDArray[np.generic], NDArray[np.floating]]]:
    """Return a function that fills a picture and its reflectance; both come back in the picture's numbers."""
    gain, offset = np.float32(0.0025), np.float32(-0.01)

    def fill(made: Made, *options: object) -> tuple[NDArray[np.generic], NDArray[np.floating]]:
        reflectance = made.path.with_name("reflectance.tif")
        with opened(made.path) as dataset:
            stored = dataset.read()
        write_geotiff(reflectance, np.where(made.missing, np.float32(np.nan), stored * gain + offset), nodata=np.nan)
        assert run(made.path, reflectance, *options).code == 0
        found = opened(reflectance.with_name("reflectance_filled.tif")).read()
        assert found.dtype == np.float32
        return opened(made.path.with_name("scene_filled.tif")).read(), (found - offset) / gain

    return fill


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Made]:
    """Return a function that writes a scene with SLC-off stripes; see `making.write_scene`."""

    def make_here(name: str = "scene.tif", **options: object) -> Made:
        return write_scene(tmp_path / name, **options)

    return make_here


@pytest.fixture
def opened() -> Callable[..., rasterio.DatasetReader]:
    """Return a function that opens a raster with plain rasterio, which warns of missing georeferencing."""

    def open_quietly(path: Path) -> rasterio.DatasetReader:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            return rasterio.open(path)

    return open_quietly
