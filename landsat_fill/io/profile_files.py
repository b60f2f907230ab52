"""Reads the profile of an open raster, and creates a GeoTIFF with a profile.

By default, GDAL labels the fourth of four plain 8-bit bands as alpha. Many stacks of blue, green, red and
near infrared therefore have an "alpha" band that is full of measurements.
"""

from __future__ import annotations

import logging
import math
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.errors import UsageError
from landsat_fill.io.gdal import gdal_session
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
"""Numbers for opaque in files of different data types; 0 is transparent."""

LEAST_OPAQUE = 0.5
"""Smallest share of opaque pixels among those that aren't transparent, in the windows read."""

SOFT_EDGE_PX = 3
"""Distance from opaque pixels within which others may be half transparent, because warping blends them."""

LEAST_EXPLAINED = 0.98
"""Smallest share of pixels that are transparent, opaque or in such an edge, in the windows read."""

TIFF_DRIVERS = ("GTiff", "COG")

_WINDOW_PX = 128
_WINDOWS_ACROSS = 3


def opacity_band(dataset: DatasetReader) -> int | None:
    """Return the number of the opacity band, which is labelled alpha and has such values, or None."""
    alpha = next((i for i, colour in enumerate(dataset.colorinterp, 1) if colour.name == "alpha"), None)
    return alpha if alpha is not None and _looks_like_opacity(dataset, alpha) else None


def _looks_like_opacity(dataset: DatasetReader, index: int) -> bool:
    from rasterio.windows import Window

    height, width = min(dataset.height, _WINDOW_PX), min(dataset.width, _WINDOW_PX)
    rows = np.linspace(0, dataset.height - height, _WINDOWS_ACROSS).astype(int)
    cols = np.linspace(0, dataset.width - width, _WINDOWS_ACROSS).astype(int)
    seen = [dataset.read(index, window=Window(c, r, width, height)) for r in set(rows) for c in set(cols)]
    most = max(float(window.max()) for window in seen)
    return most == 0 or (most in OPAQUE and _is_opaque_except_edges(seen, most))


def _is_opaque_except_edges(seen: Sequence[NDArray[np.generic]], most: float) -> bool:
    """Return whether all pixels in windows of a band are opaque or transparent, except at edges."""
    import cv2

    reach = np.ones((2 * SOFT_EDGE_PX + 1,) * 2, np.uint8)
    opaque = [window == most for window in seen]
    explained = [
        (window == 0) | (cv2.dilate(full.view(np.uint8), reach) > 0) for window, full in zip(seen, opaque, strict=True)
    ]
    opaque_px, explained_px, visible_px = (sum(map(np.count_nonzero, each)) for each in (opaque, explained, seen))
    read_px = sum(window.size for window in seen)
    return bool(opaque_px >= LEAST_OPAQUE * visible_px and explained_px >= LEAST_EXPLAINED * read_px)


LOSSY = ("JPEG", "YCBCR JPEG", "JXL", "JPEG2000", "WEBP")
"""Compressions that may change pixel values. WEBP and JXL don't in their lossless modes."""

PREDICTING = ("DEFLATE", "LZW", "ZSTD")
"""The compressions of GDAL's GTiff driver that have the option PREDICTOR."""

YES = ("YES", "TRUE", "ON", "1")
"""Texts that GDAL reads as true, in capitals."""

COG_BLOCK_PX = 512
"""Block side of cloud optimized files, the COG driver's own default."""

LEAST_COG_BLOCK_PX = 128
"""Smallest block side of the COG driver."""


def gtiff_options(profile: RasterProfile, extra: Mapping[str, str]) -> dict[str, str]:
    """Return the options with which GDAL's GTiff driver creates a file with this profile.

    Args:
        profile: The profile.
        extra: The user's options by their names in capitals, which take precedence.

    Raises:
        UsageError: If they may change observed pixels.
    """
    options = {
        **_common_options(profile, extra),
        "INTERLEAVE": profile.interleave,
        "PHOTOMETRIC": profile.photometric,
        # From threads of its own, GDAL 3.10 prints errors about ExtraSamples when it compresses the mask.
        "NUM_THREADS": "1" if profile.masked and profile.count > 1 else "ALL_CPUS",
        **profile.colour_profile,
    }
    if "TILED" not in extra:
        # The block size of strips doesn't suit tiles, and vice versa.
        options |= {"TILED": "YES" if profile.tiled else "NO", "BLOCKYSIZE": str(profile.block_height)}
        if profile.tiled:
            options["BLOCKXSIZE"] = str(profile.block_width)
    if "COMPRESS" not in extra and profile.compression:
        options |= {"COMPRESS": profile.compression, **profile.compression_options}
    if profile.bits:
        options["NBITS"] = str(profile.bits)
    return options | dict(extra)


def cog_options(profile: RasterProfile, extra: Mapping[str, str]) -> dict[str, str]:
    """Return the options with which GDAL's COG driver creates a file; see `gtiff_options`."""
    options = {
        **_common_options(profile, extra),
        "COMPRESS": profile.compression or "NONE",
        "OVERVIEW_RESAMPLING": profile.overview_resampling.upper().replace("_", ""),
        "NUM_THREADS": "ALL_CPUS",
        "BLOCKSIZE": str(max(profile.block_width, LEAST_COG_BLOCK_PX) if profile.cloud_optimized else COG_BLOCK_PX),
    }
    if "PREDICTOR" in options:
        options["PREDICTOR"] = "YES"
    if profile.compression == "WEBP":
        options["QUALITY"] = "100"  # lossless
    return options | dict(extra)


def _common_options(profile: RasterProfile, extra: Mapping[str, str]) -> dict[str, str]:
    """Return the options of both drivers, or raise UsageError for user's options that may change pixels."""
    _refuse_lossy(profile, extra)
    options = {"BIGTIFF": "YES" if profile.big else "IF_SAFER"}
    if profile.predictor > 1 and extra.get("COMPRESS", profile.compression or "NONE").upper() in PREDICTING:
        options["PREDICTOR"] = str(profile.predictor)
    if profile.sparse:
        options["SPARSE_OK"] = "TRUE"
    return options


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
"""Domains that aren't copied: GDAL computes them, RasterProfile has a field for them, or they come from a
sensor's side file (IMD and IMAGERY) and would create such a file beside the copy."""

STRIP_BYTES = 16 << 20
"""Largest size of a strip over all bands. A file with a single strip could only be written as a whole."""

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
"""Lossless values of GDAL's COMPRESS. WEBP, JXL and LERC are lossless in one mode."""


def profile_of(
    dataset: DatasetReader, colours: Sequence[str], alpha: int | None, blocks: TiffBlocks | None
) -> RasterProfile:
    """Return the profile of an open dataset as a GeoTIFF can store it. Call it in a GDAL session.

    Args:
        dataset: The dataset.
        colours: The colour interpretation of each band.
        alpha: The result of `opacity_band`.
        blocks: Its blocks, if it is a local TIFF.
    """
    notes: list[str] = []
    structure = dataset.tags(ns="IMAGE_STRUCTURE")
    dtype = str(np.result_type(*dataset.dtypes))
    if len(set(dataset.dtypes)) > 1:
        notes.append(f"bands of {', '.join(sorted(set(dataset.dtypes)))} are all stored as {dtype}")
    bands = tuple(_band(dataset, index, colour, notes) for index, colour in enumerate(colours, 1))
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
        overviews=tuple(factor for factor in dataset.overviews(1) if factor > 1),  # a damaged file may say 0
        overview_resampling=_overview_resampling(dataset, structure),
        cloud_optimized=cloud_optimized,
        notes=tuple(dict.fromkeys(notes)),
    )


def has_dataset_mask(dataset: DatasetReader) -> bool:
    """Return whether the dataset has a mask, inside the file or beside it."""
    from rasterio.enums import MaskFlags

    flags = dataset.mask_flag_enums[0]
    return MaskFlags.per_dataset in flags and not {MaskFlags.alpha, MaskFlags.nodata} & set(flags)


def _band(dataset: DatasetReader, index: int, colour: str, notes: list[str]) -> BandProfile:
    table = colour_table(dataset, index, colour)
    if colour == "palette" and table is None:  # a GeoTIFF needs a table for this
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


def colour_table(dataset: DatasetReader, index: int, colour: str) -> ColourTable | None:
    """Return the colour table of a band with this label, or None. A band labelled palette may have none."""
    if colour != "palette":
        return None
    try:
        return dict(dataset.colormap(index))
    except ValueError:  # there is no table
        return None


def _tags(dataset: DatasetReader, index: int, notes: list[str]) -> Tags:
    """Return the tags of a band, or of the dataset for index 0, by domain."""
    found = {"": dict(dataset.tags(index))}
    # This tag refers to a sensor's side file.
    found[""].pop("METADATATYPE", None)
    for domain in dataset.tag_namespaces(index):
        if domain in DERIVED_DOMAINS:
            continue
        items = dict(dataset.tags(index, ns=domain))
        if domain.startswith(("xml:", "json:")):
            # Such a domain is one text, but rasterio writes pairs: the text is split at its first equals sign.
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
        # The same object, so that two profiles with NaN compare equal.
        return math.nan if dtype.startswith("float") else None
    return value


def _compression(
    dataset: DatasetReader, structure: dict[str, str], dtype: str, notes: list[str]
) -> tuple[str | None, dict[str, str], int]:
    """Return the compression of the copy, its creation options, and the predictor."""
    stored = structure.get("COMPRESSION")
    if dataset.driver not in TIFF_DRIVERS:
        return "DEFLATE", {}, best_predictor(dtype)
    if stored is None:
        return None, {}, 1
    name = stored.upper()
    reversibility = structure.get("COMPRESSION_REVERSIBILITY", "")
    if name in ("WEBP", "JXL"):  # either mode; unknown counts as lossy
        lossy = reversibility != "LOSSLESS"
    else:
        lossy = name in LOSSY or reversibility.startswith("LOSSY")
    lossy = lossy or float(structure.get("MAX_Z_ERROR", 0)) > 0
    if lossy or name not in KNOWN_COMPRESSIONS:
        kind = "loses detail" if lossy else "can't be written"
        notes.append(f"{stored} compression {kind}; DEFLATE takes its place to keep observed pixels as they are")
        return "DEFLATE", {}, best_predictor(dtype)
    return name, {f"{name}_LOSSLESS": "YES"} if name in ("WEBP", "JXL") else {}, int(structure.get("PREDICTOR", 1))


def _blocks(dataset: DatasetReader, dtype: str, notes: list[str]) -> tuple[bool, int, int]:
    """Return whether blocks are tiles, and their rows and columns."""
    height, width = dataset.block_shapes[0]
    # The sides of tiles are multiples of 16 (TIFF 6.0, section 15).
    fits_tiles = not (height % 16 or width % 16)
    # A tile may be taller than the image, but a strip is not.
    if width != dataset.width or (height > dataset.height and fits_tiles):
        return (True, height, width) if fits_tiles else (True, 256, 256)
    row_bytes = dataset.width * dataset.count * np.dtype(dtype).itemsize
    most = max(STRIP_BYTES // row_bytes, 1)
    if height > most:
        notes.append(f"strips of {height} rows are written as strips of {most}")
    return False, min(height, most), width


def _overview_resampling(dataset: DatasetReader, structure: dict[str, str]) -> str:
    """Return the resampling of the overviews that the file states, or GDAL's default, nearest."""
    from rasterio.enums import Resampling

    if not dataset.overviews(1):
        return "nearest"
    stated = structure.get("OVERVIEW_RESAMPLING") or dataset.get_tag_item("RESAMPLING", "", 1, 0) or "nearest"
    name = stated.lower().replace("cubicspline", "cubic_spline")
    return name if name in Resampling.__members__ else "nearest"


OVERVIEW_BLOCKS_PX = (64, 128, 256, 512, 1024, 2048, 4096)
"""Allowed values of GDAL_TIFF_OVR_BLOCKSIZE."""


def create_dataset(path: Path, profile: RasterProfile, options: Mapping[str, str]) -> DatasetWriter:
    """Return a new GeoTIFF, open for writing, with all properties of a profile except overviews and mask.

    The properties are set before the first pixel is written, so that the file's directory is written once.

    Args:
        path: The file to create.
        profile: The profile.
        options: GDAL's creation options.

    Raises:
        UsageError: If GDAL's driver refuses the options.
        rasterio.errors.RasterioError: If the file can't be created.
    """
    import rasterio
    from rasterio.control import GroundControlPoint
    from rasterio.crs import CRS
    from rasterio.errors import NotGeoreferencedWarning, RasterBlockError

    gcps = [GroundControlPoint(row=p.row, col=p.col, x=p.x, y=p.y, z=p.z) for p in profile.gcps]
    with warnings.catch_warnings(), _option_complaints() as complaints:
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
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
                crs=profile.gcp_crs or CRS() if gcps else profile.crs,
                transform=profile.transform,
                gcps=gcps or None,
                rpcs=profile.rpcs,
                **options,
            )
        except RasterBlockError as error:
            side = f"{options.get('BLOCKXSIZE', '-')} × {options.get('BLOCKYSIZE', '-')}"
            raise _wrong_options(f"{error}, but got {side}") from error
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
    """Add the profile's overviews to a finished file, or raise RasterioError."""
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
    """Copy a finished file to a cloud optimized one.

    Args:
        source: The finished file.
        target: The file to create.
        profile: The profile of the copy.
        extra: The user's creation options for GDAL's COG driver, which take precedence.

    Raises:
        UsageError: If GDAL refuses them, or they may change observed pixels.
        rasterio.errors.RasterioError: If the copy can't be written.
    """
    from rasterio.shutil import copy

    with _option_complaints() as complaints:
        copy(str(source), str(target), driver="COG", **cog_options(profile, extra))
    if complaints:
        raise _wrong_options(complaints[0])


@contextmanager
def _option_complaints() -> Iterator[list[str]]:
    """Yield a list to which GDAL's warnings about creation options are added; GDAL ignores unknown options.

    rasterio passes them on only by logging, which the user or another library may have disabled.
    """
    complaints: list[str] = []
    logger = logging.getLogger("rasterio._env")
    level, was_disabled, below = logger.level, logger.disabled, logger.manager.disable
    is_heard = not was_disabled and logger.isEnabledFor(logging.WARNING)

    def gather(record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if "creation option" in text:
            complaints.append(text.partition(" in ")[2] or text)
        return is_heard

    logger.addFilter(gather)
    logger.disabled = False
    logging.disable(logging.NOTSET)
    logger.setLevel(logging.WARNING)
    try:
        yield complaints
    finally:
        logger.setLevel(level)
        logging.disable(below)
        logger.disabled = was_disabled
        logger.removeFilter(gather)


def _wrong_options(reason: str) -> UsageError:
    return UsageError(
        f"expected creation options that GDAL's driver takes, but it says: {reason}",
        hint="See the driver's page: https://gdal.org/drivers/raster/gtiff.html#creation-options.",
    )
