"""The names of outputs, and how an output is recognised: by its name, or by a tag in the file."""

from __future__ import annotations

import re
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
    if metadata is not None and not path.with_name(path.name + GDAL_SIDE_SUFFIX).exists():
        return False
    try:
        with open_dataset(str(path)) as dataset:
            return VERSION_TAG in dataset.tags()
    except gdal_errors(InputError):
        return False
