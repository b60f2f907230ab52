"""The options with which GDAL creates a file as a layout says, and the user's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from landsat_fill.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from landsat_fill.io.layout import Layout

LOSSY = ("JPEG", "YCBCR JPEG", "JXL", "JPEG2000", "WEBP")
"""Compressions that may change a pixel value. WEBP and JXL count only where they aren't in lossless mode."""

PREDICTING = ("DEFLATE", "LZW", "ZSTD")
"""The compressions of GDAL's GTiff driver that know the PREDICTOR option."""

YES = ("YES", "TRUE", "ON", "1")
"""What GDAL takes for true, in capitals."""


COG_BLOCK_PX = 512
"""Block side of cloud optimized files, the COG driver's own default."""


def gtiff_options(layout: Layout, extra: Mapping[str, str]) -> dict[str, str]:
    """Return the options with which GDAL's GTiff driver creates a file of this layout.

    Args:
        layout: What the file is to be like.
        extra: The user's own options, by names in capitals, which win.

    Raises:
        UsageError: If they may change observed pixels.
    """
    _refuse_lossy(layout, extra)
    options = {
        "INTERLEAVE": layout.interleave,
        "BIGTIFF": "YES" if layout.big else "IF_SAFER",
        "PHOTOMETRIC": layout.photometric,
        # From threads of its own, GDAL 3.10 prints errors about ExtraSamples when it compresses the mask.
        "NUM_THREADS": "1" if layout.masked and layout.count > 1 else "ALL_CPUS",
        **layout.colour_profile,
    }
    if "TILED" not in extra:
        # The blocks of strips don't suit tiles, nor the other way round.
        options |= {"TILED": "YES" if layout.tiled else "NO", "BLOCKYSIZE": str(layout.block_height)}
        if layout.tiled:
            options["BLOCKXSIZE"] = str(layout.block_width)
    compression = extra.get("COMPRESS", layout.compression or "NONE").upper()
    if "COMPRESS" not in extra and layout.compression:
        options |= {"COMPRESS": layout.compression, **layout.compression_options}
    if layout.predictor > 1 and compression in PREDICTING:
        options["PREDICTOR"] = str(layout.predictor)
    if layout.sparse:
        options["SPARSE_OK"] = "TRUE"
    if layout.bits:
        options["NBITS"] = str(layout.bits)
    return options | dict(extra)


def cog_options(layout: Layout, extra: Mapping[str, str]) -> dict[str, str]:
    """Return the options with which GDAL's COG driver creates a file of this layout.

    Args:
        layout: What the file is to be like.
        extra: The user's own options, by names in capitals, which win.

    Raises:
        UsageError: If they may change observed pixels.
    """
    _refuse_lossy(layout, extra)
    options = {
        "COMPRESS": layout.compression or "NONE",
        "OVERVIEW_RESAMPLING": layout.overview_resampling.upper().replace("_", ""),
        "BIGTIFF": "YES" if layout.big else "IF_SAFER",
        "NUM_THREADS": "ALL_CPUS",
        "BLOCKSIZE": str(layout.block_width if layout.cloud_optimized else COG_BLOCK_PX),
    }
    if layout.predictor > 1 and extra.get("COMPRESS", options["COMPRESS"]).upper() in PREDICTING:
        options["PREDICTOR"] = "YES"
    if layout.compression == "WEBP":
        # The COG driver knows lossless WEBP by its quality.
        options["QUALITY"] = "100"
    if layout.sparse:
        options["SPARSE_OK"] = "TRUE"
    return options | dict(extra)


def _refuse_lossy(layout: Layout, options: Mapping[str, str]) -> None:
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
        "NBITS": options.get("NBITS", str(layout.bits)) != str(layout.bits),
    }
    for reason, applies in reasons.items():
        if applies:
            raise UsageError(
                f"expected creation options that keep every number, but got {reason}, "
                "which changes observed pixels",
                hint="For smaller files, use a lossless compression: COMPRESS=DEFLATE, ZSTD or LZW.",
            )
