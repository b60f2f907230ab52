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
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import Affine
from typer.testing import CliRunner

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

UTM = CRS.from_epsg(32637)
NORTH_UP = Affine(30.0, 0.0, 500000.0, 0.0, -30.0, 1200000.0)
STRIPE_PERIOD_PX, STRIPE_WIDTH_PX, STRIPE_SLOPE = 33, 6, 0.17


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


@dataclass(frozen=True)
class Made:
    """A scene with gaps: its file, and `(band, row, col)` what it was before and where it was lost."""

    path: Path
    clean: NDArray[np.generic]
    missing: NDArray[np.bool_]

    @property
    def observed(self) -> NDArray[np.bool_]:
        return ~self.missing


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
            profile, stored = dataset.profile, dataset.read()
        profile.update(dtype="float32", nodata=np.nan)
        with rasterio.open(reflectance, "w", **profile) as dataset:
            dataset.write(np.where(made.missing, np.float32(np.nan), stored * gain + offset))
        assert run(made.path, reflectance, *options).code == 0
        found = opened(reflectance.with_name("reflectance_filled.tif")).read()
        assert found.dtype == np.float32
        return opened(made.path.with_name("scene_filled.tif")).read(), (found - offset) / gain

    return fill


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Made]:
    """Return a function that writes a scene with SLC-off stripes; see `make_scene`."""

    def make_here(name: str = "scene.tif", **options: object) -> Made:
        return make_scene(tmp_path / name, **options)

    return make_here


def make_scene(
    path: Path,
    *,
    count: int = 3,
    height: int = 80,
    width: int = 100,
    dtype: str = "uint8",
    told_by: str = "tag",
    nodata: float | None = None,
    describe: Callable[[rasterio.io.DatasetWriter], None] | None = None,
    georeferenced: bool = True,
    gaps: bool = True,
    **options: object,
) -> Made:
    """Write a scene and return it.

    Args:
        path: Its file.
        count: Bands, alpha not counted.
        height: Rows.
        width: Columns.
        dtype: Data type.
        told_by: What says that pixels are missing: `tag`, `mask`, `alpha`, `nan`, or `name` (a number only).
        nodata: The number at missing pixels.
        describe: Called with the open dataset, to write metadata.
        georeferenced: Whether it has CRS and transform.
        gaps: Whether it has stripes at all.
        options: Creation options of rasterio.
    """
    clean = painted(count, height, width, dtype)
    missing = stripes(count, height, width, alike=told_by in ("mask", "alpha"))
    missing &= gaps
    if nodata is None:
        nodata = {"nan": float("nan")}.get(told_by, 0)
    stored = clean.copy()
    stored[missing] = nodata
    most = 1 if clean.dtype.kind == "f" else np.iinfo(dtype).max
    if told_by == "tag":
        options["nodata"] = nodata
    if georeferenced:
        options = {"crs": UTM, "transform": NORTH_UP, **options}
    shape = {"count": count + (told_by == "alpha"), "height": height, "width": width}
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings(), rasterio.Env(GDAL_TIFF_INTERNAL_MASK="YES"):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", driver="GTiff", dtype=dtype, **shape, **options) as dataset:
            if told_by == "alpha":
                dataset.colorinterp = [
                    ColorInterp.gray,
                    *[ColorInterp.undefined] * (count - 1),
                    ColorInterp.alpha,
                ]
            if describe is not None:
                describe(dataset)
            dataset.write(stored, list(range(1, count + 1)))
            if told_by == "alpha":
                dataset.write(np.where(missing[0], 0, most).astype(dtype), count + 1)
            if told_by == "mask":
                dataset.write_mask(~missing[0])
    return Made(path, clean, missing)


def painted(count: int, height: int, width: int, dtype: str) -> NDArray[np.generic]:
    """Return a smooth landscape without zeros, in the range that scenes of the data type have."""
    row, col = np.mgrid[0:height, 0:width]
    planes = [0.5 + 0.3 * np.sin(row / (9 + band % 7)) * np.cos(col / 11 + band % 5) for band in range(count)]
    noise = np.random.default_rng(3).normal(0, 0.01, (count, height, width))
    low, high = {"uint8": (20, 220), "uint16": (7000, 30000), "int16": (-300, 9000)}.get(dtype, (0.01, 0.6))
    return (low + (high - low) * (np.stack(planes) + noise)).astype(dtype)


def stripes(count: int, height: int, width: int, *, alike: bool) -> NDArray[np.bool_]:
    """Return SLC-off stripes, each band's a row below the other's unless `alike`."""
    row, col = np.mgrid[0:height, 0:width]
    shifts = [0 if alike else band % 3 for band in range(count)]
    return np.stack(
        [(row + STRIPE_SLOPE * col - shift) % STRIPE_PERIOD_PX < STRIPE_WIDTH_PX for shift in shifts]
    )


@pytest.fixture
def opened() -> Callable[..., rasterio.DatasetReader]:
    """Return a function that opens a raster with plain rasterio, which warns of missing georeferencing."""

    def open_quietly(path: Path) -> rasterio.DatasetReader:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            return rasterio.open(path)

    return open_quietly
