"""Reads windows of a scene (values, and which are observations) and of a raster as it is stored."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Self

import numpy as np

from landsat_fill.errors import InputError
from landsat_fill.io.gdal import gdal_errors, gdal_session, open_dataset
from landsat_fill.io.profile_files import TIFF_DRIVERS, has_dataset_mask, opacity_band, profile_of
from landsat_fill.io.tiff_structure import TiffBlocks, tiff_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from numpy.typing import NDArray
    from rasterio.crs import CRS
    from rasterio.io import DatasetReader

    from landsat_fill.io.raster_profile import RasterProfile
    from landsat_fill.scene import Scene, SceneBand, Window


class SceneReader:
    """An open scene. A context manager; to be used by one thread at a time, but by any thread.

    Bands may lie in one dataset or in one each; each dataset is opened once, and the bands of one are read in
    one call, so that no block is decompressed twice.
    """

    def __init__(self, scene: Scene, rasters: Rasters | None = None) -> None:
        """Prepare; nothing is opened yet.

        Args:
            scene: The scene.
            rasters: What to take its rasters from; they stay open then.
        """
        self._scene = scene
        self._rasters = Rasters() if rasters is None else rasters
        self._closes = rasters is None
        self._dtype = np.result_type(*(band.dtype for band in scene.bands))

    def __enter__(self) -> Self:
        """Open every dataset of the scene.

        Raises:
            InputError: If one can't be read or hasn't the scene's size, or a gap_mask hasn't its CRS.
        """
        try:
            for band in self._scene.bands:
                self._open(band.dataset, f"band {band.name}")
            for band in self._scene.bands:
                if band.gap_mask is not None:
                    self._open(band.gap_mask, f"the gap_mask of band {band.name}")
            for quality in self._scene.quality:
                self._open(quality.dataset, quality.kind)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._closes:
            self._rasters.close()

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """The data type of the values that `read` returns: the one that holds those of all bands."""
        return self._dtype

    @property
    def tells_missing(self) -> bool:
        """Whether anything can say that a pixel wasn't observed: nodata, a mask, alpha, gap_mask, NaN.

        Where nothing can, every pixel counts as observed and there is nothing to fill: the user has to name
        the number that means "no observation".
        """
        return any(
            band.nodata is not None
            or band.gap_mask is not None
            or band.dtype.startswith("float")
            or self._rasters[band.dataset].alpha is not None
            or _is_masked(self._rasters[band.dataset].dataset)
            for band in self._scene.bands
        )

    def read(self, window: Window) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
        """Return the stored numbers of a window, and which of them are observations, `(band, row, col)`.

        A number is an observation unless it is its band's nodata number, isn't finite, or a dataset mask or
        an alpha band says otherwise.

        Raises:
            InputError: If the file can't be read there.
        """
        bands = self._scene.bands
        values = np.empty((len(bands), window.height, window.width), dtype=self._dtype)
        observed = np.empty(values.shape, dtype=bool)
        for source in dict.fromkeys(band.dataset for band in bands):
            places = [place for place, band in enumerate(bands) if band.dataset == source]
            indexes = [bands[place].index for place in places]
            raster = self._rasters[source]
            with raster.reading(window) as where:
                stored = _read_bands(raster.dataset, indexes, where, self._dtype)
                masked = _masked_out(raster.dataset, indexes, raster.alpha, where)
            if len(places) == len(bands):
                values = stored
            else:
                values[places] = stored
            for place in places:
                observed[place] = _is_observation(values[place], bands[place])
            if masked is not None:
                observed[places] &= ~masked
        return values, observed

    def read_gap_masks(self, window: Window) -> NDArray[np.bool_] | None:
        """Return where the USGS gap_mask files say that there is no observation, `(band, row, col)`.

        False throughout for a band without such a file; None for a scene without any. True in the gaps and
        outside the footprint alike.

        Raises:
            InputError: If a file can't be read there.
        """
        bands = self._scene.bands
        if all(band.gap_mask is None for band in bands):
            return None
        missing = np.zeros((len(bands), window.height, window.width), dtype=bool)
        for gaps, band in zip(missing, bands, strict=True):
            if band.gap_mask is not None:
                # In these files 1 is observed and 0 missing.
                np.equal(self._read_band(band.gap_mask, window), 0, out=gaps)
        return missing

    def read_quality(self, window: Window) -> dict[str, NDArray[np.generic]]:
        """Return the numbers of each quality band, `(row, col)`, by kind.

        Raises:
            InputError: If a file can't be read there.
        """
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
                f"expected {role} to have the scene's CRS {_named(grid.crs)}, but {source} has {_named(dataset.crs)}",
                hint="Use a file of the same product, or warp it onto the scene's grid.",
            )

    def _read_band(self, source: str, window: Window) -> NDArray[np.generic]:
        raster = self._rasters[source]
        with raster.reading(window) as where:
            values: NDArray[np.generic] = raster.dataset.read(1, window=where)
        return values


def _is_observation(stored: NDArray[np.generic], band: SceneBand) -> NDArray[np.bool_]:
    """Return which stored numbers are finite and not the band's nodata number, compared as GDAL does."""
    kind = np.dtype(band.dtype)
    if kind.kind == "f":
        observed: NDArray[np.bool_] = np.isfinite(stored)
        if band.nodata is not None and not np.isnan(band.nodata):
            observed &= ~is_float_nodata(stored, band.nodata, kind)
        return observed
    limits = np.iinfo(kind)
    whole = band.nodata is not None and float(band.nodata).is_integer()
    if band.nodata is None or not whole or not limits.min <= band.nodata <= limits.max:
        return np.ones(stored.shape, dtype=bool)
    unequal: NDArray[np.bool_] = stored != kind.type(int(band.nodata))
    return unequal


def is_float_nodata(stored: NDArray[np.generic], nodata: float, dtype: np.dtype[np.generic]) -> NDArray[np.bool_]:
    """Return where numbers of a float type are nodata for GDAL, which lets the last digits differ.

    So a tag may have been rounded to the seven digits that a float32 number has.

    Source: GDAL, gcore/gdal_priv_templates and gdal_priv.h, ARE_REAL_EQUAL with its default of 2 ulp.
    """
    limits = np.finfo(dtype.name)
    number = limits.dtype.type(min(max(nodata, float(limits.min)), float(limits.max)))
    tolerance = limits.dtype.type(float_nodata_tolerance(float(number), dtype))
    with np.errstate(over="ignore", invalid="ignore"):
        near: NDArray[np.bool_] = np.abs(np.subtract(stored, number)) <= tolerance
    return near


def float_nodata_tolerance(nodata: float, dtype: np.dtype[np.generic]) -> float:
    """Return how far a number of a float type may be from nodata to count as it for GDAL."""
    return min(4 * float(np.finfo(dtype.name).eps) * abs(nodata), float(np.finfo(dtype.name).max))


def _is_masked(dataset: DatasetReader) -> bool:
    """Return whether a mask, rather than a number, can say what is missing."""
    return has_dataset_mask(dataset) or _has_band_masks(dataset) or _has_common_nodata(dataset)


def _has_common_nodata(dataset: DatasetReader) -> bool:
    """Return whether a pixel is missing where all bands have certain numbers, as the tag NODATA_VALUES says.

    Source: GDAL raster data model, "NODATA_VALUES".
    """
    from rasterio.enums import MaskFlags

    return {MaskFlags.per_dataset, MaskFlags.nodata} <= set(dataset.mask_flag_enums[0])


def _has_band_masks(dataset: DatasetReader) -> bool:
    """Return whether each band has a mask of its own, as bands of HDF or VRT files may: GDAL sets no flag."""
    return any(not flags for flags in dataset.mask_flag_enums)


def _masked_out(
    dataset: DatasetReader, indexes: list[int], alpha: int | None, where: object
) -> NDArray[np.bool_] | None:
    """Return where a mask or alpha says there is nothing, `(band or 1, row, col)`, or None without one."""
    out: NDArray[np.bool_] | None = None
    if _has_band_masks(dataset):
        out = dataset.read_masks(indexes, window=where) == 0
    elif has_dataset_mask(dataset) or _has_common_nodata(dataset):
        out = dataset.read_masks([1], window=where) == 0
    if alpha is not None:
        transparent = dataset.read([alpha], window=where) == 0
        out = transparent if out is None else out | transparent
    return out


def _named(crs: CRS) -> str:
    code = crs.to_epsg()
    return f"EPSG:{code}" if code else str(crs.to_wkt())[:60]


@dataclass(frozen=True, slots=True)
class Opacity:
    """What a file says of the opacity of pixels, apart from their numbers.

    Attributes:
        alpha: Numbers of the alpha band, `(row, col)`, or None without one.
        valid: The dataset mask, `(row, col)`, or None without one.
    """

    alpha: NDArray[np.generic] | None = None
    valid: NDArray[np.bool_] | None = None


class StoredReader:
    """An open raster, and what was found out about it. A context manager; one thread reads at a time.

    Attributes:
        source: What GDAL opened.
        dataset: The open dataset.
    """

    def __init__(self, source: str) -> None:
        """Open it.

        Raises:
            InputError: If it can't be read.
        """
        self.source = source
        self._lock = RLock()
        self.dataset: DatasetReader = open_dataset(source)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with gdal_session():
            self.dataset.close()

    @cached_property
    def alpha(self) -> int | None:
        """The number of the band that gives the opacity, or None.

        Raises:
            InputError: If that band can't be read.
        """
        with self._in_gdal("the alpha band"):
            return opacity_band(self.dataset)

    @cached_property
    def blocks(self) -> TiffBlocks | None:
        """The blocks of a TIFF on a disk, or None for any other raster."""
        return tiff_blocks(Path(self.dataset.name)) if self.dataset.driver in TIFF_DRIVERS else None

    @cached_property
    def profile(self) -> RasterProfile:
        """Its profile, as a GeoTIFF would keep it.

        Raises:
            InputError: If it can't be read.
        """
        with self._in_gdal("the metadata"):
            return profile_of(self.dataset, self.alpha, self.blocks)

    @contextmanager
    def reading(self, window: Window) -> Iterator[object]:
        """Yield a window as rasterio has it, while no other thread reads.

        Raises:
            InputError: For what GDAL raises, with the file and the rows.
        """
        from rasterio.windows import Window as RasterioWindow

        with self._in_gdal(f"rows {window.row} to {window.row + window.height - 1}"):
            yield RasterioWindow(window.col, window.row, window.width, window.height)

    @contextmanager
    def _in_gdal(self, part: str) -> Iterator[None]:
        """Let one thread call GDAL; what it raises becomes an InputError that names the part being read."""
        try:
            with self._lock, gdal_session():
                yield
        except gdal_errors() as error:
            raise InputError(
                f"expected to read {part} of {self.source}, but got an error: {error.__cause__ or error}",
                hint="The file may be cut off or damaged: download or copy it again.",
            ) from error

    def read(self, window: Window) -> NDArray[np.generic]:
        """Return the stored numbers of a window, `(band, row, col)`, of all bands but alpha.

        Raises:
            InputError: If the file can't be read there.
        """
        indexes = [i for i in range(1, self.profile.count + 1) if i != self.profile.alpha]
        return self._read(indexes, window)

    def read_opacity(self, window: Window) -> Opacity:
        """Return alpha and dataset mask of a window.

        Raises:
            InputError: If the file can't be read there.
        """
        alpha = None if self.profile.alpha is None else self._read([self.profile.alpha], window)[0]
        if not self.profile.masked:
            return Opacity(alpha)
        with self.reading(window) as where:
            return Opacity(alpha, self.dataset.read_masks(1, window=where) != 0)

    def _read(self, indexes: list[int], window: Window) -> NDArray[np.generic]:
        with self.reading(window) as where:
            return _read_bands(self.dataset, indexes, where, np.dtype(self.profile.dtype))


def read_profile(source: str | Path) -> RasterProfile:
    """Return the profile of the raster that GDAL opens by `source`, as a GeoTIFF would keep it.

    Raises:
        InputError: If it can't be read.
    """
    with StoredReader(str(source)) as raster:
        return raster.profile


class Rasters(dict[str, StoredReader]):
    """Open rasters by what GDAL opens: each is opened once, when it is first asked for. A context manager."""

    def __missing__(self, source: str) -> StoredReader:
        """Open it.

        Raises:
            InputError: If it can't be read.
        """
        raster = self[source] = StoredReader(source)
        return raster

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all that are open."""
        with gdal_session():
            while self:
                self.popitem()[1].dataset.close()


@contextmanager
def opened(source: str, rasters: Rasters | None) -> Iterator[StoredReader]:
    """Yield an open raster: one of `rasters`, where it stays open, or without these one that is closed again.

    Raises:
        InputError: If it can't be read.
    """
    if rasters is not None:
        yield rasters[source]
    else:
        with StoredReader(source) as raster:
            yield raster


def _read_bands(
    dataset: DatasetReader, indexes: list[int], where: object, dtype: np.dtype[np.generic]
) -> NDArray[np.generic]:
    """Return bands of a window as `dtype`, in one call where their types let rasterio do so."""
    if len({dataset.dtypes[index - 1] for index in indexes}) <= 1:
        values: NDArray[np.generic] = dataset.read(indexes, window=where, out_dtype=dtype)
        return values
    return np.stack([dataset.read(index, window=where, out_dtype=dtype) for index in indexes])
