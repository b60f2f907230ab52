"""Finds the layout of an open dataset."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from landsat_fill.io.blocks import tiff_blocks
from landsat_fill.io.creation_options import LOSSY
from landsat_fill.io.layout import (
    BandLayout,
    GroundControlPoint,
    Layout,
    Tags,
    best_predictor,
    photometric_of,
)
from landsat_fill.io.opacity import opacity_band

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rasterio.io import DatasetReader

DERIVED_DOMAINS = frozenset(
    (
        "",
        "IMAGE_STRUCTURE",
        "DERIVED_SUBDATASETS",
        "SUBDATASETS",
        "COLOR_PROFILE",
        "RPC",
        "TIFF",
        "IMD",
        "IMAGERY",
    )
)
"""Domains that GDAL makes up, that have a field of their own in Layout, or that it read from a sensor's side
file (IMD and IMAGERY): those aren't the raster's own, and written back would become side files again."""

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


def layout_of(dataset: DatasetReader) -> Layout:
    """Return the layout of an open dataset, as a GeoTIFF would keep it. Run it in a GDAL session."""
    import numpy as np

    notes: list[str] = []
    structure = dataset.tags(ns="IMAGE_STRUCTURE")
    dtype = str(np.result_type(*dataset.dtypes))
    if len(set(dataset.dtypes)) > 1:
        notes.append(f"bands of {', '.join(sorted(set(dataset.dtypes)))} are all stored as {dtype}")
    bands = tuple(_band(dataset, index, notes) for index in dataset.indexes)
    compression, options, predictor = _compression(dataset, structure, dtype, notes)
    tiled, block_height, block_width = _blocks(dataset, dtype, notes)
    is_tiff = dataset.driver in ("GTiff", "COG")
    if not is_tiff:
        notes.append(f"the {dataset.driver} file is written as a GeoTIFF")
    blocks = tiff_blocks(Path(dataset.name)) if is_tiff else None
    gcps, gcp_crs = dataset.gcps
    fallback = "MINISWHITE" if structure.get("MINISWHITE") == "YES" else "MINISBLACK"
    bits = dataset.tags(1, ns="IMAGE_STRUCTURE").get("NBITS")
    return Layout(
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
        misnamed_alpha=any(band.colour == "alpha" for band in bands) and opacity_band(dataset) is None,
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
        cloud_optimized=structure.get("LAYOUT") == "COG",
        notes=tuple(dict.fromkeys(notes)),
    )


def has_dataset_mask(dataset: DatasetReader) -> bool:
    """Return whether a mask of its own, inside the file or beside it, says where the dataset has data."""
    from rasterio.enums import MaskFlags

    flags = dataset.mask_flag_enums[0]
    return MaskFlags.per_dataset in flags and not {MaskFlags.alpha, MaskFlags.nodata} & set(flags)


def _band(dataset: DatasetReader, index: int, notes: list[str]) -> BandLayout:
    colour = dataset.colorinterp[index - 1].name
    return BandLayout(
        description=dataset.descriptions[index - 1] or None,
        scale=dataset.scales[index - 1],
        offset=dataset.offsets[index - 1],
        unit=dataset.units[index - 1] or None,
        colour=colour,
        colour_table=dict(dataset.colormap(index)) if colour == "palette" else None,
        tags=_tags(dataset, index, notes),
    )


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
        # One object, so that two layouts with NaN compare equal.
        return math.nan if dtype.startswith("float") else None
    return value


def _compression(
    dataset: DatasetReader, structure: dict[str, str], dtype: str, notes: list[str]
) -> tuple[str | None, dict[str, str], int]:
    """Return the compression to write with, its creation options, and the predictor."""
    told = structure.get("COMPRESSION")
    if dataset.driver not in ("GTiff", "COG"):
        return "DEFLATE", {}, best_predictor(dtype)
    if told is None:
        return None, {}, 1
    name = told.upper()
    lossy = structure.get("COMPRESSION_REVERSIBILITY", "").startswith("LOSSY")
    if name in ("WEBP", "JXL"):
        # Where GDAL doesn't say, the file may be lossy; the lossless mode costs a larger file at worst.
        lossy = structure.get("COMPRESSION_REVERSIBILITY") != "LOSSLESS"
    lossy = (
        lossy or float(structure.get("MAX_Z_ERROR", 0)) > 0 or (name in LOSSY and name not in ("WEBP", "JXL"))
    )
    if lossy or name not in KNOWN_COMPRESSIONS:
        kind = "loses detail" if lossy else "can't be written"
        notes.append(
            f"{told} compression {kind}; DEFLATE takes its place to keep observed pixels as they are"
        )
        return "DEFLATE", {}, best_predictor(dtype)
    options = {"WEBP": {"WEBP_LOSSLESS": "YES"}, "JXL": {"JXL_LOSSLESS": "YES"}}.get(name, {})
    return name, options, int(structure.get("PREDICTOR", 1))


def _blocks(dataset: DatasetReader, dtype: str, notes: list[str]) -> tuple[bool, int, int]:
    """Return whether blocks are tiles, and their rows and columns."""
    import numpy as np

    height, width = dataset.block_shapes[0]
    # The TIFF specification (6.0, section 15) wants the sides of tiles to be multiples of 16.
    like_tiles = not (height % 16 or width % 16)
    # A tile may be taller than a low image, a strip never is.
    told = dataset.profile.get("tiled") or height > dataset.height
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
