"""The names of outputs, and how an output is recognised: by its name, or by a tag in the file."""

from __future__ import annotations

import os
import re
from enum import IntEnum
from pathlib import Path

from landsat_fill.errors import InputError
from landsat_fill.io.gdal import gdal_errors, open_dataset
from landsat_fill.io.tiff_structure import tiff_metadata

FILLED, FILL, STD, PREVIEW = "_filled", "_fill.tif", "_std.tif", ".png"
"""Endings of outputs: filled scene (unless the user names it), fill layer, standard deviation, preview."""

VERSION_TAG = "LANDSAT_FILL_VERSION"
GDAL_SIDE_SUFFIX = ".aux.xml"
"""Ending of the side file for tags that GDAL can't store in the file, as with `--co PROFILE=BASELINE`."""

_OUTPUT = re.compile(r".*_(?:filled|fill|std|draw\d+)", re.IGNORECASE)


def realization_ending(number: int) -> str:
    """Return the ending of a realization's name; numbers start at 1."""
    return f"_draw{number}.tif"


def output_stem(name: str) -> str:
    """Return the stem that the layers and the preview of a filled file share."""
    return Path(name).stem.removesuffix(FILLED)


def is_output_name(name: str) -> bool:
    """Return whether a file is named like an output of landsat-fill."""
    return _OUTPUT.fullmatch(Path(name).stem) is not None


def is_ours(path: Path) -> bool:
    """Return whether landsat-fill wrote the file, or the GeoTIFFs in the folder."""
    if path.is_dir():
        return any(is_ours(file) for file in sorted(path.iterdir()) if file.suffix.lower() in (".tif", ".tiff"))
    # GDAL is avoided if possible, because a batch checks thousands of files before it starts.
    metadata = tiff_metadata(path)
    if metadata is not None and f'<Item name="{VERSION_TAG}"' in metadata:
        return True
    side_file = path.with_name(path.name + GDAL_SIDE_SUFFIX)
    if metadata is not None and not os.path.exists(side_file):  # noqa: PTH110 (Path.exists raises for a long name)
        return False
    try:
        with open_dataset(str(path)) as dataset:
            return VERSION_TAG in dataset.tags()
    except gdal_errors(InputError):
        return False


class FillCode(IntEnum):
    """Codes of the fill layer. A layer for all bands holds the highest code of a pixel's bands."""

    OUTSIDE = 0
    OBSERVED = 1
    LEFT = 2
    REPLACED = 3
    FILLED = 4
    FROM_REFERENCE = 5


MEANINGS: dict[FillCode, str] = {
    FillCode.OUTSIDE: "outside the footprint",
    FillCode.OBSERVED: "observed",
    FillCode.LEFT: "missing, left unfilled",
    FillCode.REPLACED: "observed, replaced on request",
    FillCode.FILLED: "missing, filled",
    FillCode.FROM_REFERENCE: "missing, filled mainly from references",
}

COLOURS: dict[FillCode, tuple[int, int, int, int]] = {
    FillCode.OUTSIDE: (0, 0, 0, 0),
    FillCode.OBSERVED: (222, 222, 222, 255),
    FillCode.LEFT: (215, 48, 39, 255),
    FillCode.REPLACED: (253, 174, 97, 255),
    FillCode.FILLED: (33, 102, 172, 255),
    FillCode.FROM_REFERENCE: (27, 120, 55, 255),
}
