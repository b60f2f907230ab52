"""Reads windows of a scene (values, and which of them are observed) and of a raster as it is stored."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from landsat_fill.errors import InputError
from landsat_fill.io.gdal import gdal_errors, gdal_session, open_dataset
from landsat_fill.io.profile_files import TIFF_DRIVERS, has_dataset_mask, opacity_band, profile_of
from landsat_fill.io.regridding import Regridding
from landsat_fill.io.tiff_structure import TiffBlocks, tiff_blocks
from landsat_fill.scene import Grid, MaskKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from rasterio.crs import CRS
    from rasterio.io import DatasetReader

    from landsat_fill.io.raster_profile import RasterProfile
    from landsat_fill.scene import Scene, SceneBand, Window


LARGEST_EXACT = 2**53 - 1
"""Largest whole number that, like all smaller ones, float64 distinguishes from its neighbours. Methods work in it."""


class SceneReader:
    """An open scene, as a context manager. Any thread may read, one at a time.

    Each dataset is opened once, and its bands are read in one call, so that no block is decompressed twice.
    """

    def __init__(self, scene: Scene, rasters: Rasters | None = None) -> None:
        """Prepare; nothing is opened yet.

        Args:
            scene: The scene.
            rasters: The open rasters, kept for later readers; None closes them.
        """
        self._scene = scene
        self._rasters = Rasters() if rasters is None else rasters
        self._closes = rasters is None
        self._masks: list[DatasetReader] = []
        self.dtype = np.result_type(*(band.dtype for band in scene.bands))
        """The data type of the values that `read` returns: it holds the values of all bands."""

    def __enter__(self) -> Self:
        """Open every dataset of the scene.

        Raises:
            InputError: If one can't be read, or its size or CRS differs from the scene's.
        """
        try:
            for band in self._scene.bands:
                self._open(band.dataset, f"band {band.name}")
            for band in self._scene.bands:
                if band.gap_mask is not None:
                    self._open(band.gap_mask, f"the gap_mask of band {band.name}")
            for quality in self._scene.quality:
                self._open(quality.dataset, quality.kind)
            for mask in self._scene.masks:
                self._masks.append(self._on_grid(self._rasters[mask.dataset]))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        with gdal_session():
            for mask, warped in zip(self._scene.masks, self._masks, strict=False):
                if warped is not self._rasters[mask.dataset].dataset:
                    warped.close()
        self._masks.clear()
        if self._closes:
            self._rasters.close()

    @property
    def can_mark_missing(self) -> bool:
        """Whether the scene has any mark for missing pixels: nodata, a mask, alpha, a gap_mask or NaN.

        Without any, every pixel counts as observed, and the user has to give the nodata number.
        """
        return any(
            self._scene.masks
            or band.nodata is not None
            or band.also_missing
            or band.gap_mask is not None
            or band.dtype.startswith("float")
            or self._rasters[band.dataset].alpha is not None
            or _has_band_masks(self._rasters[band.dataset].dataset)
            or _has_common_mask(self._rasters[band.dataset].dataset)
            for band in self._scene.bands
        )

    def read(self, window: Window) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
        """Return the stored numbers of a window, and which of them are observed, `(band, row, col)`.

        A pixel is observed unless it is nodata or not finite, or a dataset mask, an alpha band or a mask of the user
        excludes it.

        Raises:
            InputError: If the file can't be read there, or an observed 64-bit integer doesn't fit float64 exactly.
        """
        bands = self._scene.bands
        values = np.empty((len(bands), window.height, window.width), dtype=self.dtype)
        for source, places in self._sources():
            raster = self._rasters[source]
            with raster.reading(window) as where:
                stored = _read_bands(raster.dataset, [bands[place].index for place in places], where, self.dtype)
            if len(places) == len(bands):
                values = stored
            else:
                values[places] = stored
        observed = self._holds(values, window)
        if self._masks:
            observed &= ~self._masked(window)
        for place, band in enumerate(bands):
            if "int64" in band.dtype:
                _refuse_inexact(values[place][observed[place]], band)
        return values, observed

    def masked_numbers(self, values: NDArray[np.generic], window: Window) -> NDArray[np.bool_] | None:
        """Return the pixels that hold an observation, but are missing in a mask of the user; None without a mask.

        Args:
            values: The stored numbers of the window, `(band, row, col)`.
            window: The window.

        Raises:
            InputError: If a mask can't be read there.
        """
        return self._masked(window) & self._holds(values, window) if self._masks else None

    def _sources(self) -> list[tuple[str, list[int]]]:
        """Return each file with the numbers of its bands."""
        bands = self._scene.bands
        return [
            (source, [place for place, band in enumerate(bands) if band.dataset == source])
            for source in dict.fromkeys(band.dataset for band in bands)
        ]

    def _holds(self, values: NDArray[np.generic], window: Window) -> NDArray[np.bool_]:
        """Return which stored numbers are observations as far as the scene's own files say."""
        bands = self._scene.bands
        observed = np.empty(values.shape, dtype=bool)
        for place, band in enumerate(bands):
            observed[place] = _is_observed(values[place], band)
        for source, places in self._sources():
            raster = self._rasters[source]
            with raster.reading(window) as where:
                masked = _masked_out(raster.dataset, [bands[place].index for place in places], raster.alpha, where)
            if masked is not None:
                observed[places] &= ~masked
        return observed

    def _masked(self, window: Window) -> NDArray[np.bool_]:
        """Return the pixels that are missing in a mask of the user, `(band, row, col)`."""
        missing = np.zeros((len(self._scene.bands), window.height, window.width), dtype=bool)
        for mask, dataset in zip(self._scene.masks, self._masks, strict=True):
            with self._rasters[mask.dataset].reading(window) as where:
                numbers = dataset.read(mask.index, window=where)
            if mask.kind is MaskKind.ZERO:
                marked = numbers == 0
            else:
                marked = (numbers != 0) if mask.kind is MaskKind.NONZERO else (numbers >= 2)
                nodata = dataset.nodatavals[mask.index - 1]
                marked &= ~np.isnan(numbers) & (numbers != (0 if nodata is None else nodata))
            missing[list(mask.bands)] |= marked
        return missing

    def _on_grid(self, mask: StoredReader) -> DatasetReader:
        """Return a mask on the scene's grid: as it is, or warped to the nearest pixel."""
        from rasterio.enums import Resampling
        from rasterio.vrt import WarpedVRT

        grid = self._scene.grid
        if mask.dataset.shape == (grid.height, grid.width):
            is_placed = mask.grid.crs is not None and grid.crs is not None
            if not is_placed or Regridding(mask.grid, grid).offset_px == (0, 0):
                return mask.dataset
        with gdal_session():
            return WarpedVRT(
                mask.dataset,
                crs=grid.crs,
                transform=grid.transform,
                height=grid.height,
                width=grid.width,
                resampling=Resampling.nearest,
                tolerance=0.001,  # in pixels, so that the position of a pixel doesn't depend on its neighbours
            )

    def read_gap_masks(self, window: Window) -> NDArray[np.bool_] | None:
        """Return the pixels that the USGS gap_mask files mark as not observed, `(band, row, col)`.

        They are gaps and pixels outside the footprint. None means that the scene has no such file; a band
        without one is false.

        Raises:
            InputError: If a file can't be read there.
        """
        bands = self._scene.bands
        if all(band.gap_mask is None for band in bands):
            return None
        missing = np.zeros((len(bands), window.height, window.width), dtype=bool)
        for gaps, band in zip(missing, bands, strict=True):
            if band.gap_mask is not None:
                # In these files, 1 is observed and 0 is missing.
                np.equal(self._read_band(band.gap_mask, window), 0, out=gaps)
        return missing

    def read_quality(self, window: Window) -> dict[str, NDArray[np.generic]]:
        """Return the numbers of each quality band, `(row, col)`, by kind; or raise InputError."""
        return {quality.kind: self._read_band(quality.dataset, window) for quality in self._scene.quality}

    def _open(self, source: str, role: str) -> None:
        dataset = self._rasters[source].dataset
        grid = self._scene.grid
        if dataset.shape != (grid.height, grid.width):
            raise InputError(
                f"expected {role} to have the scene's {grid.height} × {grid.width} pixels, "
                f"but {source} has {dataset.height} × {dataset.width}",
                hint="Use a file of the same product.",
            )
        if dataset.crs and grid.crs and dataset.crs != grid.crs:
            raise InputError(
                f"expected {role} to have the scene's CRS {_code(grid.crs)}, but {source} has {_code(dataset.crs)}",
                hint="Use a file of the same product, or warp it onto the scene's grid.",
            )

    def _read_band(self, source: str, window: Window) -> NDArray[np.generic]:
        raster = self._rasters[source]
        with raster.reading(window) as where:
            values: NDArray[np.generic] = raster.dataset.read(1, window=where)
        return values


def _refuse_inexact(observed: NDArray[Any], band: SceneBand) -> None:
    """Raise InputError if a 64-bit integer is too large for float64."""
    for number in (observed.min(), observed.max()) if observed.size else ():
        if abs(int(number)) > LARGEST_EXACT:
            raise InputError(
                f"expected numbers up to 2^53 in {band.name} of {band.dtype}, which float64 holds exactly, "
                f"but got {int(number)}",
                hint="Give the number with --nodata if it means 'no observation'; otherwise scale the band first.",
            )


def _is_observed(stored: NDArray[Any], band: SceneBand) -> NDArray[np.bool_]:
    """Return which stored numbers are finite and no number of missing pixels, compared as GDAL does."""
    kind = np.dtype(band.dtype)
    spans = band.also_missing if band.nodata is None else ((band.nodata, band.nodata), *band.also_missing)
    if kind.kind == "f":
        observed: NDArray[np.bool_] = np.isfinite(stored)
        for low, high in spans:
            if low == high:
                observed &= ~is_float_nodata(stored, low, kind)
            elif low < high:
                observed &= (stored < low) | (stored > high)
        return observed
    limits = np.iinfo(kind)
    observed = np.ones(stored.shape, dtype=bool)
    for low, high in spans:
        if not (low <= limits.max and high >= limits.min):  # or NaN
            continue
        first, last = math.ceil(max(low, limits.min)), math.floor(min(high, limits.max))
        if first == last:
            observed &= stored != kind.type(first)
        elif first < last:
            observed &= (stored < kind.type(first)) | (stored > kind.type(last))
    return observed


def is_float_nodata(stored: NDArray[np.generic], nodata: float, dtype: np.dtype[np.generic]) -> NDArray[np.bool_]:
    """Return where numbers of a float type are nodata for GDAL, which tolerates other last digits.

    A tag may therefore be rounded to seven digits, as float32 numbers often are.

    Source: GDAL, gcore/gdal_priv_templates and gdal_priv.h, ARE_REAL_EQUAL with its default of 2 ulp.
    """
    limits = np.finfo(dtype.name)
    number = limits.dtype.type(min(max(nodata, float(limits.min)), float(limits.max)))
    tolerance = limits.dtype.type(float_nodata_tolerance(float(number), dtype))
    with np.errstate(over="ignore", invalid="ignore"):
        near: NDArray[np.bool_] = np.abs(np.subtract(stored, number)) <= tolerance
    return near


def float_nodata_tolerance(nodata: float, dtype: np.dtype[np.generic]) -> float:
    """Return the largest difference from nodata at which GDAL takes a number of a float type for nodata."""
    limits = np.finfo(dtype.name)
    return min(4 * float(limits.eps) * abs(nodata), float(limits.max))


def _has_common_mask(dataset: DatasetReader) -> bool:
    """Return whether all bands share a mask, or the tag NODATA_VALUES lists their numbers at missing pixels.

    Source: GDAL raster data model, "NODATA_VALUES".
    """
    from rasterio.enums import MaskFlags

    has_nodata_values = {MaskFlags.per_dataset, MaskFlags.nodata} <= set(dataset.mask_flag_enums[0])
    return has_nodata_values or has_dataset_mask(dataset)


def _has_band_masks(dataset: DatasetReader) -> bool:
    """Return whether bands have a mask each, as in some HDF and VRT files; GDAL sets no flag for these."""
    return any(not flags for flags in dataset.mask_flag_enums)


def _masked_out(
    dataset: DatasetReader, indexes: list[int], alpha: int | None, where: object
) -> NDArray[np.bool_] | None:
    """Return the pixels that a mask or alpha excludes, `(band or 1, row, col)`, or None without one."""
    out: NDArray[np.bool_] | None = None
    if _has_band_masks(dataset):
        out = dataset.read_masks(indexes, window=where) == 0
    elif _has_common_mask(dataset):
        out = dataset.read_masks([1], window=where) == 0
    if alpha is not None:
        transparent = dataset.read([alpha], window=where) == 0
        out = transparent if out is None else out | transparent
    return out


def _code(crs: CRS) -> str:
    code = crs.to_epsg()
    return f"EPSG:{code}" if code else str(crs.to_wkt())[:60]


@dataclass(frozen=True, slots=True)
class Opacity:
    """Alpha band and dataset mask of a window, `(row, col)`; None if the file has none."""

    alpha: NDArray[np.generic] | None = None
    valid: NDArray[np.bool_] | None = None


class StoredReader(AbstractContextManager["StoredReader", None]):
    """An open raster and its properties, as a context manager. One thread reads at a time.

    Attributes:
        source: The name that GDAL opened.
        dataset: The open dataset.
    """

    def __init__(self, source: str) -> None:
        """Open the raster, or raise InputError."""
        self.source = source
        self._lock = RLock()
        self.dataset: DatasetReader = open_dataset(source)

    def __exit__(self, *_error: object) -> None:
        with gdal_session():
            self.dataset.close()

    @property
    def grid(self) -> Grid:
        """The raster's grid."""
        return Grid(self.dataset.height, self.dataset.width, self.dataset.transform, self.dataset.crs or None)

    @cached_property
    def alpha(self) -> int | None:
        """The number of the opacity band, or None; raises InputError if that band can't be read."""
        with self.in_gdal("the alpha band"):
            return opacity_band(self.dataset)

    @cached_property
    def colours(self) -> tuple[str, ...]:
        """The colour interpretation of each band, read once because rasterio looks at all bands for any."""
        with self.in_gdal("the colours"):
            return tuple(colour.name for colour in self.dataset.colorinterp)

    @cached_property
    def blocks(self) -> TiffBlocks | None:
        """The blocks of a local TIFF, or None for any other raster."""
        return tiff_blocks(Path(self.dataset.name)) if self.dataset.driver in TIFF_DRIVERS else None

    @cached_property
    def profile(self) -> RasterProfile:
        """The profile of the raster as a GeoTIFF can store it; raises InputError if it can't be read."""
        with self.in_gdal("the metadata"):
            return profile_of(self.dataset, self.colours, self.alpha, self.blocks)

    @contextmanager
    def reading(self, window: Window) -> Iterator[object]:
        """Yield rasterio's window while no other thread reads; errors of GDAL become an InputError."""
        from rasterio.windows import Window as RasterioWindow

        with self.in_gdal(f"rows {window.row} to {window.row + window.height - 1}"):
            yield RasterioWindow(window.col, window.row, window.width, window.height)

    @contextmanager
    def in_gdal(self, part: str) -> Iterator[None]:
        """Let one thread call GDAL. Its errors become an InputError that names the part being read."""
        try:
            with self._lock, gdal_session():
                yield
        except gdal_errors() as error:
            raise InputError(
                f"expected to read {part} of {self.source}, but got an error: {error.__cause__ or error}",
                hint="The file may be cut off or damaged: download or copy it again.",
            ) from error

    def read(self, window: Window) -> NDArray[np.generic]:
        """Return the stored numbers of a window, `(band, row, col)`, of all bands but alpha; or raise InputError."""
        return self._read([i for i in self.dataset.indexes if i != self.profile.alpha], window)

    def read_opacity(self, window: Window) -> Opacity:
        """Return alpha band and dataset mask of a window, or raise InputError."""
        alpha = None if self.profile.alpha is None else self._read([self.profile.alpha], window)[0]
        if not self.profile.masked:
            return Opacity(alpha)
        with self.reading(window) as where:
            return Opacity(alpha, self.dataset.read_masks(1, window=where) != 0)

    def _read(self, indexes: list[int], window: Window) -> NDArray[np.generic]:
        with self.reading(window) as where:
            return _read_bands(self.dataset, indexes, where, np.dtype(self.profile.dtype))


def read_profile(source: str | Path) -> RasterProfile:
    """Return the profile of a raster as a GeoTIFF can store it.

    Raises:
        InputError: If it can't be read.
    """
    with StoredReader(str(source)) as raster:
        return raster.profile


class Rasters(dict[str, StoredReader]):
    """Open rasters by the name that GDAL opens, as a context manager. Each is opened at its first use."""

    def __missing__(self, source: str) -> StoredReader:
        """Open a raster, or raise InputError."""
        raster = self[source] = StoredReader(source)
        return raster

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all rasters."""
        with gdal_session():
            while self:
                self.popitem()[1].dataset.close()


@contextmanager
def opened(source: str, rasters: Rasters | None) -> Iterator[StoredReader]:
    """Yield an open raster, which stays open in `rasters`; None closes it. Raises InputError if it can't be read."""
    with Rasters() if rasters is None else nullcontext(rasters) as kept:
        yield kept[source]


def _read_bands(
    dataset: DatasetReader, indexes: list[int], where: object, dtype: np.dtype[np.generic]
) -> NDArray[np.generic]:
    """Return bands of a window as `dtype`; rasterio reads bands of one type in one call."""
    if len({dataset.dtypes[index - 1] for index in indexes}) <= 1:
        values: NDArray[np.generic] = dataset.read(indexes, window=where, out_dtype=dtype)
        return values
    return np.stack([dataset.read(index, window=where, out_dtype=dtype) for index in indexes])
