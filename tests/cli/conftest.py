"""Scenes whose truth is known, and two ways to run the command line: in this process, or apart."""

from __future__ import annotations

import subprocess
import sys
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
from making import write_geotiff, write_scene
from rasterio.errors import NotGeoreferencedWarning
from typer.testing import CliRunner

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from making import Made
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Ended:
    """How a call of the command line ended."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        return self.out + self.err

    @property
    def err_in_a_line(self) -> str:
        """Standard error without the box that Typer draws, which breaks lines."""
        return " ".join(self.err.replace("│", " ").split())


@pytest.fixture
def run() -> Callable[..., Ended]:
    """Return a function that runs a command in this process."""
    from landsat_fill.cli.app import app

    def run_here(*arguments: object) -> Ended:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        ended = Ended(result.exit_code, result.stdout, result.stderr)
        assert "Traceback" not in ended.said or "--debug" in arguments
        return ended

    return run_here


@pytest.fixture
def spawn() -> Callable[..., Ended]:
    """Return a function that runs a command in a process of its own."""

    def run_apart(*arguments: object, **options: object) -> Ended:
        command = [sys.executable, "-m", "landsat_fill", *map(str, arguments)]
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, **options)
        ended = Ended(result.returncode, result.stdout, result.stderr)
        assert "Traceback" not in ended.said or "--debug" in arguments
        return ended

    return run_apart


@pytest.fixture
def fill_in_both_units(
    run: Callable[..., Ended], opened: Callable[..., rasterio.DatasetReader]
) -> Callable[..., tuple[NDArray[np.generic], NDArray[np.floating]]]:
    """Return a function that fills a picture and its reflectance; both come back in the picture's numbers."""
    gain, offset = np.float32(0.0025), np.float32(-0.01)

    def fill(made: Made, *options: object) -> tuple[NDArray[np.generic], NDArray[np.floating]]:
        reflectance = made.path.with_name("reflectance.tif")
        with opened(made.path) as dataset:
            stored = dataset.read()
        write_geotiff(
            reflectance, np.where(made.missing, np.float32(np.nan), stored * gain + offset), nodata=np.nan
        )
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
