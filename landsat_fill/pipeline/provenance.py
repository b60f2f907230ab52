"""Which tool, method and options made a file: written into its tags, and read back."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from landsat_fill.io import tiff_metadata
from landsat_fill.version import __version__

if TYPE_CHECKING:
    from landsat_fill.pipeline.request import FillRequest


VERSION_TAG = "LANDSAT_FILL_VERSION"
GDAL_SIDE_SUFFIX = ".aux.xml"
"""Where GDAL keeps tags that it can't put into the file, those of `--co PROFILE=BASELINE` for one."""
DRAW_TAG = "LANDSAT_FILL_DRAW"


def provenance_tags(request: FillRequest, source: str) -> dict[str, str]:
    """Return the tags that say how a file was made, as text by tag name."""
    options = {
        "holes": request.holes.value,
        "largest_gap_px": request.largest_gap_px,
        "distrusted": sorted(flag.value for flag in request.distrusted),
        "refilled": sorted(flag.value for flag in request.refilled),
        "nodata": request.nodata,
        "seed": request.seed,
    }
    tags = {
        VERSION_TAG: __version__,
        "LANDSAT_FILL_METHOD": request.method.info.name,
        "LANDSAT_FILL_METHOD_OPTIONS": json.dumps(method_options_of(request), sort_keys=True),
        "LANDSAT_FILL_OPTIONS": json.dumps(options, sort_keys=True),
        "LANDSAT_FILL_SOURCE": Path(source).name,
    }
    if request.method.info.weights is not None:
        tags["LANDSAT_FILL_WEIGHTS"] = request.method.info.weights
    return tags


def method_options_of(request: FillRequest) -> dict[str, object]:
    """Return the options of the request's method by name."""
    return asdict(request.method)  # type: ignore[call-overload, no-any-return]


def is_ours(path: Path) -> bool:
    """Return whether landsat-fill wrote the file, or the GeoTIFFs in the folder."""
    if path.is_dir():
        return any(
            is_ours(file) for file in sorted(path.iterdir()) if file.suffix.lower() in (".tif", ".tiff")
        )
    # Told without GDAL where that can be: a batch asks it of thousands of files before it begins.
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
