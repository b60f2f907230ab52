"""How outputs are called, and how they are recognised: by name, or by the tag in the file."""

from __future__ import annotations

import re
from pathlib import Path

from landsat_fill.io.tiff_structure import tiff_metadata

FILLED, FILL, STD, PREVIEW = "_filled", "_fill.tif", "_std.tif", ".png"
"""How the names of outputs end: a filled scene unless the user names it, what was filled, the standard
deviation, the picture."""

VERSION_TAG = "LANDSAT_FILL_VERSION"
GDAL_SIDE_SUFFIX = ".aux.xml"
"""Where GDAL keeps tags that it can't put into the file, those of `--co PROFILE=BASELINE` for one."""

_OUTPUT = re.compile(r".*_(filled|fill|std|draw\d+)", re.IGNORECASE)


def draw_ending(number: int) -> str:
    """Return how the name of a realization ends; the first is number 1."""
    return f"_draw{number}.tif"


def output_stem(name: str) -> str:
    """Return what the names of the layers and the picture of a filled file begin with."""
    return Path(name).stem.removesuffix(FILLED)


def role_of(name: str) -> str:
    """Return what a file beside a filled one is: `fill`, `std`, `preview`, `draw1`, or else `data`."""
    if name.endswith(PREVIEW):
        return "preview"
    found = _OUTPUT.fullmatch(Path(name).stem)
    return "data" if found is None or found[1] == "filled" else found[1]


def is_output_name(name: str) -> bool:
    """Return whether a file is called as our outputs are; a folder that is searched may hold them."""
    return _OUTPUT.fullmatch(Path(name).stem) is not None


def is_ours(path: Path) -> bool:
    """Return whether landsat-fill wrote the file, or the GeoTIFFs in the folder."""
    if path.is_dir():
        return any(
            is_ours(file) for file in sorted(path.iterdir()) if file.suffix.lower() in (".tif", ".tiff")
        )
    # Found without GDAL where that can be: a batch asks it of thousands of files before it begins.
    metadata = tiff_metadata(path)
    if metadata is not None and f'<Item name="{VERSION_TAG}"' in metadata:
        return True
    if metadata is not None and not path.with_name(path.name + GDAL_SIDE_SUFFIX).exists():
        return False
    import rasterio
    from rasterio.errors import RasterioError

    try:
        with rasterio.open(path) as dataset:
            return VERSION_TAG in dataset.tags()
    except RasterioError:
        return False
