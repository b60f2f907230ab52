"""Test data: the one place that writes rasters, scenes with gaps, products and archives."""

from __future__ import annotations

import tarfile
import warnings
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import rasterio
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.transform import Affine

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

UTM = CRS.from_epsg(32637)
NORTH_UP = Affine(30.0, 0.0, 500_000.0, 0.0, -30.0, 1_200_000.0)
LEVELS = {"uint8": (20, 220), "uint16": (7000, 30000), "int16": (-300, 9000)}
"""The range that scenes of a data type have."""


@dataclass(frozen=True)
class Made:
    """A scene with gaps: its file, and `(band, row, col)` what it was before and where it was lost."""

    path: Path
    clean: NDArray[np.generic]
    missing: NDArray[np.bool_]

    @property
    def observed(self) -> NDArray[np.bool_]:
        return ~self.missing


def write_geotiff(
    path: Path,
    pixels: NDArray[np.generic],
    *,
    georeferenced: bool = True,
    valid: NDArray[np.bool_] | None = None,
    describe: Callable[[rasterio.io.DatasetWriter], object] | None = None,
    **options: object,
) -> Path:
    """Write a GeoTIFF with plain rasterio, and return its path.

    Args:
        path: Its file; folders are made.
        pixels: `(band, row, col)`.
        georeferenced: Whether it has the CRS and the transform of all test data, or those of `options`.
        valid: `(row, col)`, the mask that is written into the file.
        describe: Called with the open dataset before the pixels are written, to write metadata.
        options: Creation options of rasterio.
    """
    count, height, width = pixels.shape
    profile = {"driver": "GTiff", "count": count, "height": height, "width": width, "dtype": pixels.dtype}
    if georeferenced:
        profile |= {"crs": UTM, "transform": NORTH_UP}
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings(), rasterio.Env(GDAL_TIFF_INTERNAL_MASK="YES"):
        warnings.simplefilter("ignore")  # of files without georeferencing, and of types that GDAL casts
        with rasterio.open(path, "w", **(profile | options)) as dataset:
            if describe is not None:
                describe(dataset)
            dataset.write(pixels)
            if valid is not None:
                dataset.write_mask(valid)
    return path


def landscape(shape: tuple[int, int, int], dtype: str = "uint8", seed: int = 0) -> NDArray[np.generic]:
    """Return hills with noise, in the range of scenes of the data type; none of its numbers is 0 or -999."""
    rows, cols = np.mgrid[: shape[1], : shape[2]]
    hills = 0.5 + 0.3 * np.sin(rows / 9 + seed) * np.cos(cols / 13)
    noise = np.random.default_rng(seed).normal(0, 0.03, shape)
    cube = hills + noise + 0.02 * (np.arange(shape[0]) % 8)[:, None, None]
    low, high = LEVELS.get(dtype, (0.05, 0.6))
    return (low + (high - low) * np.clip(cube, 0.01, 1)).astype(dtype)


def stripes(shape: tuple[int, int, int], width_px: float = 6, *, apart_px: int = 1) -> NDArray[np.bool_]:
    """Return SLC-off stripes, each band's `apart_px` rows below the other's, three bands in turn."""
    rows, cols = np.mgrid[: shape[1], : shape[2]]
    shifts = [apart_px * (band % 3) for band in range(shape[0])]
    return np.stack([(rows + 0.17 * cols - shift) % 33 < width_px for shift in shifts])


def write_scene(
    path: Path,
    *,
    count: int = 3,
    height: int = 80,
    width: int = 100,
    dtype: str = "uint8",
    told_by: str = "tag",
    nodata: float | None = None,
    describe: Callable[[rasterio.io.DatasetWriter], object] | None = None,
    georeferenced: bool = True,
    gaps: bool = True,
    seed: int = 3,
    **options: object,
) -> Made:
    """Write a scene with SLC-off stripes, and return it.

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
        seed: Another number gives another landscape.
        options: Creation options of rasterio.
    """
    clean = landscape((count, height, width), dtype, seed)
    missing = stripes(clean.shape, apart_px=0 if told_by in ("mask", "alpha") else 1)
    missing &= gaps
    if nodata is None:
        nodata = float("nan") if told_by == "nan" else 0
    stored = np.where(missing, np.array(nodata, dtype), clean)
    if told_by == "tag":
        options["nodata"] = nodata
    valid = ~missing[0] if told_by == "mask" else None
    if told_by == "alpha":
        most = 1 if clean.dtype.kind == "f" else np.iinfo(dtype).max
        stored = np.concatenate([stored, np.where(missing[:1], 0, most).astype(dtype)])
        colours = [ColorInterp.gray, *[ColorInterp.undefined] * (count - 1), ColorInterp.alpha]

    def described(dataset: rasterio.io.DatasetWriter) -> None:
        if told_by == "alpha":
            dataset.colorinterp = colours
        if describe is not None:
            describe(dataset)

    write_geotiff(path, stored, georeferenced=georeferenced, valid=valid, describe=described, **options)
    return Made(path, clean, missing)


def packed(folder: Path, archive: Path, prefix: str = "") -> Path:
    """Pack a product's folder into an archive, as its name ends, and return that."""
    files = {prefix + file.relative_to(folder).as_posix(): file for file in sorted(folder.rglob("*")) if file.is_file()}
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
            for name, file in files.items():
                zipped.write(file, name)
    else:
        compression = archive.suffix[1:] if archive.suffix in (".gz", ".bz2", ".xz") else ""
        with tarfile.open(archive, f"w:{compression}") as tar:
            for name, file in files.items():
                tar.add(file, name)
    return archive
