"""Writes the sample files the way USGS stores its own: DEFLATE, tiled, fill 0, pixels as points."""

from __future__ import annotations

from typing import TYPE_CHECKING

import rasterio
from affine import Affine

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

CRS = "EPSG:32626"
"""UTM zone 26 north: the scene lies in the middle of the Atlantic, where there is no land."""

WEST_M, NORTH_M = 399_885.0, 5_200_215.0
"""Upper left corner of the upper left pixel."""

PIXEL_M = 30.0
_BLOCK_PX = 256


def grid_transform(pixel_m: float = PIXEL_M, *, row: int = 0, col: int = 0) -> Affine:
    """Return the transform of a grid that starts at a row and column of the 30 m grid."""
    return Affine(pixel_m, 0, WEST_M + col * PIXEL_M, 0, -pixel_m, NORTH_M - row * PIXEL_M)


def write_geotiff(
    path: Path,
    image: NDArray[np.integer],
    transform: Affine,
    *,
    descriptions: Sequence[str] = (),
    tags: Mapping[str, str] | None = None,
    nodata: int | None = None,
) -> None:
    """Write an image `(band, row, col)` or `(row, col)` as a GeoTIFF."""
    cube = image if image.ndim == 3 else image[None]
    tiled = min(cube.shape[1:]) >= _BLOCK_PX
    blocks = {"tiled": True, "blockxsize": _BLOCK_PX, "blockysize": _BLOCK_PX} if tiled else {}
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=cube.shape[0],
        height=cube.shape[1],
        width=cube.shape[2],
        dtype=cube.dtype.name,
        crs=CRS,
        transform=transform,
        nodata=nodata,
        compress="deflate",
        predictor=2,
        zlevel=9,
        interleave="band",
        **blocks,
    ) as dataset:
        dataset.write(cube)
        dataset.update_tags(AREA_OR_POINT="Point", **(tags or {}))
        for index, description in enumerate(descriptions, start=1):
            dataset.set_band_description(index, description)
