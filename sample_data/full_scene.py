"""Streams a full-size SLC-off scene for benchmarks: one landscape mirrored over the whole swath.

Brightness that drifts over the scene and fresh noise in every pixel keep it from compressing better than
a real scene does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import rasterio
from geotiff import CRS, grid_transform
from landscape import paint_landscape
from sensor import HIGHEST, LOWEST, NOISE_DN, REFLECTANCE
from swath_outline import fit_swath, frame_swath

from landsat_fill.gaps.simulation import StripeModel, lay_stripes
from landsat_fill.scene import ETM_PLUS, BandRole, strip_windows

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

BLOCK_PX = 512
LARGEST_MOTIF_PX = 1024
DRIFT_PX = 350
DRIFT = 0.10
_CACHE_MB = 256


def write_full_scene(path: Path, rows: int, cols: int, seed: int, truth: Path | None = None) -> None:
    """Write a scene of six bands, uint8, fill 0, with its border, both trains of gaps and their taper.

    Args:
        path: The GeoTIFF to write.
        rows: Its rows; memory doesn't depend on them.
        cols: Its columns.
        seed: Decides what it looks like.
        truth: A second GeoTIFF to write: 1 inside the footprint of each band, 0 outside.
    """
    generator = np.random.default_rng(seed)
    bands = [band for band in ETM_PLUS if band.role is BandRole.REFLECTIVE]
    shape = (len(bands), rows, cols)
    stripes = lay_stripes(shape, fit_swath(shape, StripeModel()), generator)
    outline = frame_swath(stripes, generator)
    motif = _motif(min(LARGEST_MOTIF_PX, max(rows, cols) // 2), seed)
    drift = _drift(rows, cols, generator)
    mirrored = _mirrored(np.arange(cols), motif.shape[2])
    with rasterio.Env(GDAL_CACHEMAX=_CACHE_MB), _create(path, shape) as scene:
        scene.update_tags(AREA_OR_POINT="Point", SYNTHETIC="YES")
        footprint = None if truth is None else _create(truth, shape)
        for index, band in enumerate(bands, start=1):
            scene.set_band_description(index, band.colour)
        for window in strip_windows(rows, cols, BLOCK_PX):
            inside = outline.inside(window)
            observed = inside & ~stripes.missing_in(window)
            strip_rows = np.arange(window.row, window.row + window.height)
            brightness = _drift_at(drift, strip_rows)
            strip = np.empty(observed.shape, np.uint8)
            for band_index in range(len(bands)):
                values = np.take(motif[band_index][_mirrored(strip_rows, motif.shape[1])], mirrored, axis=1)
                values *= brightness
                values += NOISE_DN * generator.standard_normal(values.shape, np.float32)
                np.clip(values, LOWEST, HIGHEST, out=values)
                strip[band_index] = np.where(observed[band_index], values + 0.5, 0)
            at = rasterio.windows.Window(0, window.row, cols, window.height)
            scene.write(strip, window=at)
            if footprint is not None:
                footprint.write(inside.astype(np.uint8), window=at)
        if footprint is not None:
            footprint.close()


def _create(path: Path, shape: tuple[int, int, int]) -> rasterio.io.DatasetWriter:
    return rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=shape[0],
        height=shape[1],
        width=shape[2],
        dtype="uint8",
        nodata=0,
        crs=CRS,
        transform=grid_transform(),
        compress="deflate",
        tiled=True,
        blockxsize=BLOCK_PX,
        blockysize=BLOCK_PX,
        interleave="band",
        num_threads="all_cpus",
        bigtiff="if_safer",
    )


def _motif(side_px: int, seed: int) -> NDArray[np.float32]:
    """Return a square landscape in stored numbers, not yet rounded, `(band, row, col)`."""
    landscape = paint_landscape(side_px, seed)
    names = ("1", "2", "3", "4", "5", "7")
    return np.stack(
        [
            (band - REFLECTANCE[name].add) / REFLECTANCE[name].mult
            for name, band in zip(names, landscape.reflectance, strict=True)
        ]
    ).astype(np.float32)


def _mirrored(places: NDArray[np.int64], side_px: int) -> NDArray[np.int64]:
    """Return the motif's row or column at each row or column of the scene, back and forth."""
    there = places % (2 * side_px)
    return np.minimum(there, 2 * side_px - 1 - there)


def _drift(rows: int, cols: int, generator: np.random.Generator) -> NDArray[np.float32]:
    """Return how bright the scene is, every `DRIFT_PX` rows and at every column."""
    knots = 1 + DRIFT * generator.uniform(-1, 1, (rows // DRIFT_PX + 2, cols // DRIFT_PX + 2))
    wide = cv2.resize(knots.astype(np.float32), (cols, knots.shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(wide, np.float32)


def _drift_at(drift: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the brightness of some rows, `(row, col)`."""
    above = rows // DRIFT_PX
    share = ((rows % DRIFT_PX) / DRIFT_PX).astype(np.float32)[:, None]
    return drift[above] * (1 - share) + drift[above + 1] * share
