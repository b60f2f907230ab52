"""Finds the profile of an open raster, and creates a GeoTIFF that follows one.

GDAL calls the fourth of four plain 8-bit bands alpha unless told otherwise, so that most stacks of blue,
green, red and near infrared have an "alpha" band full of measurements.
"""

from __future__ import annotations

import logging
import math
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.errors import InputError, UsageError
from landsat_fill.io.gdal import gdal_errors, gdal_session
from landsat_fill.io.raster_profile import (
    BandProfile,
    ColourTable,
    GroundControlPoint,
    RasterProfile,
    Tags,
    best_predictor,
    photometric_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from rasterio.io import DatasetReader, DatasetWriter

    from landsat_fill.io.tiff_structure import TiffBlocks


OPAQUE = (1, 255, 32767, 65535)
"""What files of different types take for opaque; 0 is transparent."""

LEAST_OPAQUE = 0.5
"""Share of the pixels looked at that must be opaque, of those that aren't transparent."""

SOFT_EDGE_PX = 3
"""Pixels around opaque ones in which others may be half transparent: as far as warping blends them."""

LEAST_EXPLAINED = 0.98
"""Share of the pixels looked at that must be transparent, opaque or in such an edge."""

TIFF_DRIVERS = ("GTiff", "COG")

_WINDOW_PX = 128
_WINDOWS_ACROSS = 3


def opacity_band(dataset: DatasetReader) -> int | None:
    """Return the number of the band that tells opacity: called alpha, and looking like it; or None.

    Raises:
        InputError: If that band can't be read.
    """
    alpha = next((i for i, colour in enumerate(dataset.colorinterp, 1) if colour.name == "alpha"), None)
    return alpha if alpha is not None and _looks_like_opacity(dataset, alpha) else None


def _looks_like_opacity(dataset: DatasetReader, index: int) -> bool:
    from rasterio.windows import Window

    height, width = min(dataset.height, _WINDOW_PX), min(dataset.width, _WINDOW_PX)
    rows = np.linspace(0, dataset.height - height, _WINDOWS_ACROSS).astype(int)
    cols = np.linspace(0, dataset.width - width, _WINDOWS_ACROSS).astype(int)
    try:
        seen = [dataset.read(index, window=Window(c, r, width, height)) for r in set(rows) for c in set(cols)]
    except gdal_errors() as error:
        raise InputError(
            f"expected to read band {index} of {dataset.name}, but got an error: {error.__cause__ or error}",
            hint="The file may be cut off or damaged: download or copy it again.",
        ) from error
    most = max(float(window.max()) for window in seen)
    if most == 0:
        return True
    return most in OPAQUE and _opaque_but_for_edges(seen, most)


def _opaque_but_for_edges(seen: Sequence[NDArray[np.generic]], most: float) -> bool:
    """Return whether windows of a band are opaque or transparent, with half transparent edges at most."""
    import cv2

    reach = np.ones((2 * SOFT_EDGE_PX + 1,) * 2, np.uint8)
    opaque = [window == most for window in seen]
    explained = [
        (window == 0) | (cv2.dilate(full.view(np.uint8), reach) > 0) for window, full in zip(seen, opaque, strict=True)
    ]
    opaque_px, explained_px = (sum(int(full.sum()) for full in opaque), sum(int(one.sum()) for one in explained))
    visible_px = sum(np.count_nonzero(window) for window in seen)
    looked_at_px = sum(window.size for window in seen)
    return opaque_px >= LEAST_OPAQUE * visible_px and explained_px >= LEAST_EXPLAINED * looked_at_px


LOSSY = ("JPEG", "YCBCR JPEG", "JXL", "JPEG2000", "WEBP")
"""Compressions that may change a pixel value. WEBP and JXL count only where they aren't in lossless mode."""

PREDICTING = ("DEFLATE", "LZW", "ZSTD")
"""The compressions of GDAL's GTiff driver that know the PREDICTOR option."""

YES = ("YES", "TRUE", "ON", "1")
"""What GDAL takes for true, in capitals."""


COG_BLOCK_PX = 512
"""Block side of cloud optimized files, the COG driver's own default."""

LEAST_COG_BLOCK_PX = 128
"""The smallest block side that the COG driver takes."""


def gtiff_options(profile: RasterProfile, extra: Mapping[str, str]) -> dict[str, str]:
    """Return the options with which GDAL's GTiff driver creates a file of this profile.

    Args:
        profile: What the file is to be like.
        extra: The user's own options, by names in capitals, which win.

    Raises:
        UsageError: If they may change observed pixels.
    """
    _refuse_lossy(profile, extra)
    options = {
        "INTERLEAVE": profile.interleave,
        "BIGTIFF": "YES" if profile.big else "IF_SAFER",
        "PHOTOMETRIC": profile.photometric,
        # From threads of its own, GDAL 3.10 prints errors about ExtraSamples when it compresses the mask.
        "NUM_THREADS": "1" if profile.masked and profile.count > 1 else "ALL_CPUS",
        **profile.colour_profile,
    }
    if "TILED" not in extra:
        # The blocks of strips don't suit tiles, nor the other way round.
        options |= {"TILED": "YES" if profile.tiled else "NO", "BLOCKYSIZE": str(profile.block_height)}
        if profile.tiled:
            options["BLOCKXSIZE"] = str(profile.block_width)
    compression = extra.get("COMPRESS", profile.compression or "NONE").upper()
    if "COMPRESS" not in extra and profile.compression:
        options |= {"COMPRESS": profile.compression, **profile.compression_options}
    if profile.predictor > 1 and compression in PREDICTING:
        options["PREDICTOR"] = str(profile.predictor)
    if profile.sparse:
        options["SPARSE_OK"] = "TRUE"
    if profile.bits:
        options["NBITS"] = str(profile.bits)
    return options | dict(extra)


def cog_options(profile: RasterProfile, extra: Mapping[str, str]) -> dict[str, str]:
    """Return the options with which GDAL's COG driver creates a file of this profile.

    Args:
        profile: What the file is to be like.
        extra: The user's own options, by names in capitals, which win.

    Raises:
        UsageError: If they may change observed pixels.
    """
    _refuse_lossy(profile, extra)
    options = {
        "COMPRESS": profile.compression or "NONE",
        "OVERVIEW_RESAMPLING": profile.overview_resampling.upper().replace("_", ""),
        "BIGTIFF": "YES" if profile.big else "IF_SAFER",
        "NUM_THREADS": "ALL_CPUS",
        "BLOCKSIZE": str(max(profile.block_width, LEAST_COG_BLOCK_PX) if profile.cloud_optimized else COG_BLOCK_PX),
    }
    if profile.predictor > 1 and extra.get("COMPRESS", options["COMPRESS"]).upper() in PREDICTING:
        options["PREDICTOR"] = "YES"
    if profile.compression == "WEBP":
        # The COG driver knows lossless WEBP by its quality.
        options["QUALITY"] = "100"
    if profile.sparse:
        options["SPARSE_OK"] = "TRUE"
    return options | dict(extra)


def _refuse_lossy(profile: RasterProfile, options: Mapping[str, str]) -> None:
    """Raise UsageError for creation options that may change observed pixels."""
    compression = options.get("COMPRESS", "").upper()
    lossless_mode = {
        "WEBP": options.get("WEBP_LOSSLESS", "").upper() in YES or options.get("QUALITY") == "100",
        "JXL": options.get("JXL_LOSSLESS", "YES").upper() in YES,
    }
    reasons = {
        f"COMPRESS={compression}": compression in LOSSY and not lossless_mode.get(compression, False),
        "MAX_Z_ERROR": options.get("MAX_Z_ERROR", "0").strip("0.") != "",
        "DISCARD_LSB": options.get("DISCARD_LSB", "0").strip("0,") != "",
        "NBITS": options.get("NBITS", str(profile.bits)) != str(profile.bits),
    }
    for reason, applies in reasons.items():
        if applies:
            raise UsageError(
                f"expected creation options that keep every number, but got {reason}, which changes observed pixels",
                hint="For smaller files, use a lossless compression: COMPRESS=DEFLATE, ZSTD or LZW.",
            )


DERIVED_DOMAINS = frozenset(
    ("", "IMAGE_STRUCTURE", "DERIVED_SUBDATASETS", "SUBDATASETS", "COLOR_PROFILE", "RPC", "TIFF", "IMD", "IMAGERY")
)
"""Domains that GDAL makes up, that have a field of their own in RasterProfile, or that read from a sensor's
side file (IMD and IMAGERY): those aren't the raster's own, and written back would become side files again."""

STRIP_BYTES = 16 << 20
"""Largest strip, over all bands, that is copied from an example: a file in a single strip would have to be
held in memory as a whole to be written."""

KNOWN_COMPRESSIONS = frozenset(
    [
        "DEFLATE",
        "LZW",
        "ZSTD",
        "LZMA",
        "PACKBITS",
        "LERC",
        "LERC_DEFLATE",
        "LERC_ZSTD",
        "WEBP",
        "JXL",
        "CCITTRLE",
        "CCITTFAX3",
        "CCITTFAX4",
    ]
)
"""The lossless ones among the values of GDAL's COMPRESS (WEBP, JXL and LERC in their lossless modes)."""


def profile_of(dataset: DatasetReader, alpha: int | None, blocks: TiffBlocks | None) -> RasterProfile:
    """Return the profile of an open dataset, as a GeoTIFF would keep it. Run it in a GDAL session.

    Args:
        dataset: The dataset.
        alpha: What `opacity_band` says of it.
        blocks: Its blocks, if it is a TIFF on a disk.
    """
    notes: list[str] = []
    structure = dataset.tags(ns="IMAGE_STRUCTURE")
    dtype = str(np.result_type(*dataset.dtypes))
    if len(set(dataset.dtypes)) > 1:
        notes.append(f"bands of {', '.join(sorted(set(dataset.dtypes)))} are all stored as {dtype}")
    bands = tuple(_band(dataset, index, notes) for index in dataset.indexes)
    compression, options, predictor = _compression(dataset, structure, dtype, notes)
    tiled, block_height, block_width = _blocks(dataset, dtype, notes)
    if dataset.driver not in TIFF_DRIVERS:
        notes.append(f"the {dataset.driver} file is written as a GeoTIFF")
    cloud_optimized = structure.get("LAYOUT") == "COG"
    if cloud_optimized and block_width < LEAST_COG_BLOCK_PX:
        notes.append(
            f"blocks of {block_width} pixels are written as blocks of {LEAST_COG_BLOCK_PX}, "
            "the smallest that GDAL writes into a cloud optimized GeoTIFF"
        )
    gcps, gcp_crs = dataset.gcps
    fallback = "MINISWHITE" if structure.get("MINISWHITE") == "YES" else "MINISBLACK"
    bits = dataset.tags(1, ns="IMAGE_STRUCTURE").get("NBITS")
    return RasterProfile(
        height=dataset.height,
        width=dataset.width,
        dtype=dtype,
        bands=bands,
        nodata=_nodata(dataset, dtype, notes),
        crs=dataset.crs,
        transform=None if dataset.transform.is_identity else dataset.transform,
        gcps=tuple(GroundControlPoint(p.row, p.col, p.x, p.y, p.z or 0.0) for p in gcps),
        gcp_crs=gcp_crs if gcps else None,
        rpcs=dataset.rpcs,
        tags=_tags(dataset, 0, notes),
        masked=has_dataset_mask(dataset),
        misnamed_alpha=alpha is None and any(band.colour == "alpha" for band in bands),
        photometric=photometric_of(bands, fallback),
        colour_profile=dict(dataset.tags(ns="COLOR_PROFILE")),
        compression=compression,
        compression_options=options,
        predictor=predictor,
        interleave="PIXEL" if structure.get("INTERLEAVE") == "PIXEL" and dataset.count > 1 else "BAND",
        tiled=tiled,
        block_height=block_height,
        block_width=block_width,
        big=blocks is not None and blocks.big,
        sparse=blocks is not None and blocks.sparse,
        bits=int(bits) if bits and int(bits) < np.dtype(dtype).itemsize * 8 else None,
        overviews=tuple(dataset.overviews(1)),
        overview_resampling=_overview_resampling(dataset, structure),
        cloud_optimized=cloud_optimized,
        notes=tuple(dict.fromkeys(notes)),
    )


def has_dataset_mask(dataset: DatasetReader) -> bool:
    """Return whether a mask of its own, inside the file or beside it, says where the dataset has data."""
    from rasterio.enums import MaskFlags

    flags = dataset.mask_flag_enums[0]
    return MaskFlags.per_dataset in flags and not {MaskFlags.alpha, MaskFlags.nodata} & set(flags)


def _band(dataset: DatasetReader, index: int, notes: list[str]) -> BandProfile:
    colour = dataset.colorinterp[index - 1].name
    table = colour_table(dataset, index)
    if colour == "palette" and table is None:  # a GeoTIFF can't say so without a table
        colour = "gray" if index == 1 else "undefined"
    return BandProfile(
        description=dataset.descriptions[index - 1] or None,
        scale=dataset.scales[index - 1],
        offset=dataset.offsets[index - 1],
        unit=dataset.units[index - 1] or None,
        colour=colour,
        colour_table=table,
        tags=_tags(dataset, index, notes),
    )


def colour_table(dataset: DatasetReader, index: int) -> ColourTable | None:
    """Return the colour table of a band, or None where it has none, whatever its colour interpretation."""
    if dataset.colorinterp[index - 1].name != "palette":
        return None
    try:
        return dict(dataset.colormap(index))
    except ValueError:  # rasterio's way to say that there is none
        return None


def _tags(dataset: DatasetReader, index: int, notes: list[str]) -> Tags:
    """Return the tags of a band, or of the dataset for index 0, by domain."""
    found = {"": dict(dataset.tags(index))}
    # A sensor's side file is announced by this tag, which is as little part of the raster as the side file.
    found[""].pop("METADATATYPE", None)
    for domain in dataset.tag_namespaces(index):
        if domain in DERIVED_DOMAINS:
            continue
        items = dict(dataset.tags(index, ns=domain))
        if domain.startswith(("xml:", "json:")):
            # Such a domain is one text; rasterio writes `key=value` pairs only, so the text goes in cut at
            # its first equals sign.
            key, equals, value = items.get(domain, "").partition("=")
            if not equals:
                notes.append(f"the tags of domain {domain} can't be written")
                continue
            items = {key: value}
        found[domain] = items
    return {domain: items for domain, items in found.items() if items}


def _nodata(dataset: DatasetReader, dtype: str, notes: list[str]) -> float | None:
    stated = [value for value in dataset.nodatavals if value is not None]
    if not stated:
        return None
    distinct = {repr(float(value)): float(value) for value in stated}
    if len(distinct) > 1:
        notes.append(f"a GeoTIFF has one nodata value: {stated[0]:g} is kept of {', '.join(distinct)}")
    value = float(stated[0])
    if math.isnan(value):
        # One object, so that two profiles with NaN compare equal.
        return math.nan if dtype.startswith("float") else None
    return value


def _compression(
    dataset: DatasetReader, structure: dict[str, str], dtype: str, notes: list[str]
) -> tuple[str | None, dict[str, str], int]:
    """Return the compression to write with, its creation options, and the predictor."""
    told = structure.get("COMPRESSION")
    if dataset.driver not in TIFF_DRIVERS:
        return "DEFLATE", {}, best_predictor(dtype)
    if told is None:
        return None, {}, 1
    name = told.upper()
    lossy = structure.get("COMPRESSION_REVERSIBILITY", "").startswith("LOSSY")
    if name in ("WEBP", "JXL"):
        # Where GDAL doesn't say, the file may be lossy; the lossless mode costs a larger file at worst.
        lossy = structure.get("COMPRESSION_REVERSIBILITY") != "LOSSLESS"
    lossy = lossy or float(structure.get("MAX_Z_ERROR", 0)) > 0 or (name in LOSSY and name not in ("WEBP", "JXL"))
    if lossy or name not in KNOWN_COMPRESSIONS:
        kind = "loses detail" if lossy else "can't be written"
        notes.append(f"{told} compression {kind}; DEFLATE takes its place to keep observed pixels as they are")
        return "DEFLATE", {}, best_predictor(dtype)
    options = {"WEBP": {"WEBP_LOSSLESS": "YES"}, "JXL": {"JXL_LOSSLESS": "YES"}}.get(name, {})
    return name, options, int(structure.get("PREDICTOR", 1))


def _blocks(dataset: DatasetReader, dtype: str, notes: list[str]) -> tuple[bool, int, int]:
    """Return whether blocks are tiles, and their rows and columns."""
    height, width = dataset.block_shapes[0]
    # The TIFF specification (6.0, section 15) wants the sides of tiles to be multiples of 16.
    like_tiles = not (height % 16 or width % 16)
    # A tile may be taller than a low image, a strip never is.
    told = height > dataset.height
    if width != dataset.width or (told and like_tiles):
        if height % 16 or width % 16:
            return True, 256, 256
        return True, height, width
    row_bytes = dataset.width * dataset.count * np.dtype(dtype).itemsize
    most = max(STRIP_BYTES // row_bytes, 1)
    if height > most:
        notes.append(f"strips of {height} rows are written as strips of {most}")
    return False, min(height, most), width


def _overview_resampling(dataset: DatasetReader, structure: dict[str, str]) -> str:
    """Return how the overviews were computed: as the file tells, else nearest, which is GDAL's default."""
    from rasterio.enums import Resampling

    if not dataset.overviews(1):
        return "nearest"
    told = structure.get("OVERVIEW_RESAMPLING") or dataset.get_tag_item("RESAMPLING", "", 1, 0) or "nearest"
    name = told.lower().replace("cubicspline", "cubic_spline")
    known: Sequence[str] = tuple(Resampling.__members__)
    return name if name in known else "nearest"


OVERVIEW_BLOCKS_PX = (64, 128, 256, 512, 1024, 2048, 4096)
"""Block sides that GDAL_TIFF_OVR_BLOCKSIZE takes."""


def create_dataset(path: Path, profile: RasterProfile, options: Mapping[str, str]) -> DatasetWriter:
    """Return a new GeoTIFF, open for writing, with everything the profile says but overviews and mask.

    All of it is said before the first pixel is written, so that the file's directory is written once.

    Args:
        path: The file to create.
        profile: What it is to be like.
        options: GDAL's creation options.

    Raises:
        UsageError: If GDAL's driver doesn't take the options.
        rasterio.errors.RasterioError: If the file can't be created.
    """
    import rasterio
    from rasterio.control import GroundControlPoint
    from rasterio.errors import NotGeoreferencedWarning, RasterBlockError

    gcps = [GroundControlPoint(row=p.row, col=p.col, x=p.x, y=p.y, z=p.z) for p in profile.gcps]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with _option_complaints() as complaints:
            try:
                dataset = rasterio.open(
                    path,
                    "w",
                    driver="GTiff",
                    height=profile.height,
                    width=profile.width,
                    count=profile.count,
                    dtype=profile.dtype,
                    nodata=profile.nodata,
                    crs=profile.gcp_crs if gcps else profile.crs,
                    transform=profile.transform,
                    gcps=gcps or None,
                    rpcs=profile.rpcs,
                    **options,
                )
            except RasterBlockError as error:
                raise _wrong_options(f"{error}, but got {_blocks_of(options)}") from error
    try:
        if complaints:
            raise _wrong_options(complaints[0])
        _describe(dataset, profile)
    except BaseException:
        dataset.close()
        raise
    return dataset


def _describe(dataset: DatasetWriter, profile: RasterProfile) -> None:
    from rasterio.enums import ColorInterp

    bands = profile.bands
    colours = tuple(ColorInterp[band.colour] for band in bands)
    if dataset.colorinterp != colours:
        dataset.colorinterp = colours
    for domain, items in profile.tags.items():
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


def build_overviews(path: Path, profile: RasterProfile) -> None:
    """Add overviews to a finished file, as the profile has them.

    Raises:
        rasterio.errors.RasterioError: If they can't be written.
    """
    import rasterio
    from rasterio.enums import Resampling
    from rasterio.errors import NotGeoreferencedWarning

    block = profile.block_height if profile.tiled and profile.block_height == profile.block_width else 0
    options = {"GDAL_TIFF_OVR_BLOCKSIZE": str(block)} if block in OVERVIEW_BLOCKS_PX else {}
    # With several threads, GDAL 3.10 prints errors about ExtraSamples when it compresses overviews.
    with gdal_session(**options, GDAL_NUM_THREADS="1"), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "r+") as dataset:
            dataset.build_overviews(list(profile.overviews), Resampling[profile.overview_resampling])


def copy_cloud_optimized(source: Path, target: Path, profile: RasterProfile, extra: Mapping[str, str]) -> None:
    """Copy a finished file into a cloud optimized one.

    Args:
        source: The file.
        target: The file to create.
        profile: Whose compression, predictor and overview resampling it is to have.
        extra: The user's creation options for GDAL's COG driver, which win.

    Raises:
        UsageError: If they ask for a compression that may change observed pixels.
        rasterio.errors.RasterioError: If the copy can't be written.
    """
    from rasterio.shutil import copy

    options = cog_options(profile, extra)
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
        hint="See the driver's page: https://gdal.org/drivers/raster/gtiff.html#creation-options.",
    )


def _blocks_of(options: Mapping[str, str]) -> str:
    return f"{options.get('BLOCKXSIZE', '-')} × {options.get('BLOCKYSIZE', '-')}"
