"""Creates a GeoTIFF that follows a layout."""

from __future__ import annotations

import logging
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

from landsat_fill.errors import UsageError
from landsat_fill.io.creation_options import cog_options
from landsat_fill.io.gdal_session import gdal_session

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from rasterio.io import DatasetWriter

    from landsat_fill.io.layout import Layout

OVERVIEW_BLOCKS_PX = (64, 128, 256, 512, 1024, 2048, 4096)
"""Block sides that GDAL_TIFF_OVR_BLOCKSIZE takes."""


def create_dataset(path: Path, layout: Layout, options: Mapping[str, str]) -> DatasetWriter:
    """Return a new GeoTIFF, open for writing, with everything the layout says but overviews and mask.

    All of it is said before the first pixel is written, so that the file's directory is written once.

    Args:
        path: The file to create.
        layout: What it is to be like.
        options: GDAL's creation options.

    Raises:
        UsageError: If GDAL's driver doesn't take the options.
        rasterio.errors.RasterioError: If the file can't be created.
    """
    import rasterio
    from rasterio.control import GroundControlPoint
    from rasterio.errors import NotGeoreferencedWarning, RasterBlockError

    gcps = [GroundControlPoint(row=p.row, col=p.col, x=p.x, y=p.y, z=p.z) for p in layout.gcps]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with _option_complaints() as complaints:
            try:
                dataset = rasterio.open(
                    path,
                    "w",
                    driver="GTiff",
                    height=layout.height,
                    width=layout.width,
                    count=layout.count,
                    dtype=layout.dtype,
                    nodata=layout.nodata,
                    crs=layout.gcp_crs if gcps else layout.crs,
                    transform=layout.transform,
                    gcps=gcps or None,
                    rpcs=layout.rpcs,
                    **options,
                )
            except RasterBlockError as error:
                raise _wrong_options(f"{error}, but got {_blocks_of(options)}") from error
    try:
        if complaints:
            raise _wrong_options(complaints[0])
        _describe(dataset, layout)
    except BaseException:
        dataset.close()
        raise
    return dataset


def _describe(dataset: DatasetWriter, layout: Layout) -> None:
    from rasterio.enums import ColorInterp

    bands = layout.bands
    colours = tuple(ColorInterp[band.colour] for band in bands)
    if dataset.colorinterp != colours:
        dataset.colorinterp = colours
    for domain, items in layout.tags.items():
        dataset.update_tags(ns=domain or None, **items)
    if any(band.description for band in bands):
        dataset.descriptions = tuple(band.description or "" for band in bands)
    if any(band.scale != 1.0 for band in bands):
        dataset.scales = tuple(band.scale for band in bands)
    if any(band.offset != 0.0 for band in bands):
        dataset.offsets = tuple(band.offset for band in bands)
    if any(band.unit for band in bands):
        dataset.units = tuple(band.unit or "" for band in bands)
    for index, band in enumerate(bands, 1):
        if band.colour_table is not None:
            dataset.write_colormap(index, band.colour_table)
        for domain, items in band.tags.items():
            dataset.update_tags(index, ns=domain or None, **items)


def build_overviews(path: Path, layout: Layout) -> None:
    """Add overviews to a finished file, as the layout has them.

    Raises:
        rasterio.errors.RasterioError: If they can't be written.
    """
    import rasterio
    from rasterio.enums import Resampling
    from rasterio.errors import NotGeoreferencedWarning

    block = layout.block_height if layout.tiled and layout.block_height == layout.block_width else 0
    options = {"GDAL_TIFF_OVR_BLOCKSIZE": str(block)} if block in OVERVIEW_BLOCKS_PX else {}
    # With several threads, GDAL 3.10 prints errors about ExtraSamples when it compresses overviews.
    with gdal_session(**options, GDAL_NUM_THREADS="1"), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "r+") as dataset:
            dataset.build_overviews(list(layout.overviews), Resampling[layout.overview_resampling])


def copy_cloud_optimized(source: Path, target: Path, layout: Layout, extra: Mapping[str, str]) -> None:
    """Copy a finished file into a cloud optimized one.

    Args:
        source: The file.
        target: The file to create.
        layout: Whose compression, predictor and overview resampling it is to have.
        extra: The user's creation options for GDAL's COG driver, which win.

    Raises:
        UsageError: If they ask for a compression that may change observed pixels.
        rasterio.errors.RasterioError: If the copy can't be written.
    """
    from rasterio.shutil import copy

    options = cog_options(layout, extra)
    with _option_complaints() as complaints:
        copy(str(source), str(target), driver="COG", **options)
    if complaints:
        raise _wrong_options(complaints[0])


@contextmanager
def _option_complaints() -> Iterator[list[str]]:
    """Yield a list that gathers what GDAL warns of about creation options; it ignores unknown ones."""
    complaints: list[str] = []

    def gather(record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if "creation option" in text:
            complaints.append(text.partition(" in ")[2] or text)
        return True

    logger = logging.getLogger("rasterio._env")
    logger.addFilter(gather)
    try:
        yield complaints
    finally:
        logger.removeFilter(gather)


def _wrong_options(reason: str) -> UsageError:
    return UsageError(
        f"expected creation options that GDAL's driver takes, but it says: {reason}",
        hint="See the driver's page: https://gdal.org/drivers/raster/gtiff.html#creation-options",
    )


def _blocks_of(options: Mapping[str, str]) -> str:
    return f"{options.get('BLOCKXSIZE', '-')} × {options.get('BLOCKYSIZE', '-')}"
