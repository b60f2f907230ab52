"""Writes a small Collection 2 Level 1 product: bands, quality bands, gap_mask files and MTL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from geotiff import PIXEL_M, grid_transform, write_geotiff
from metadata import PRODUCT_ID, metadata_text
from sensor import HIGHEST

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

QA_FILL, QA_CLEAR, QA_WATER, QA_CLOUD, QA_SHADOW, QA_DILATED = 1, 5440, 5504, 5896, 7440, 5442
"""Values of QA_PIXEL as found in Landsat 7 products. Source: USGS LSDS-1618."""

RADSAT_BITS = {"1": 0, "2": 1, "3": 2, "4": 3, "5": 4, "6_VCID_1": 5, "7": 6, "6_VCID_2": 8}

DILATED_PX = 3
"""How far QA_PIXEL reaches beyond a cloud."""


@dataclass(frozen=True)
class Acquisition:
    """What the sensor saw and what it missed.

    Attributes:
        bands: Stored numbers `(row, col)` by band, without gaps: `1`, `6_VCID_1`, `8`.
        inside: Where the footprint is, by band.
        missing: Where the scan line corrector's failure left no observation, by band.
        cloud: Clouds, at 30 m.
        shadow: Their shadows.
        water: Water.
        row: First row in the sample scene.
        col: First column in it.
    """

    bands: dict[str, NDArray[np.uint8]]
    inside: dict[str, NDArray[np.bool_]]
    missing: dict[str, NDArray[np.bool_]]
    cloud: NDArray[np.bool_]
    shadow: NDArray[np.bool_]
    water: NDArray[np.bool_]
    row: int
    col: int


def write_product(folder: Path, acquisition: Acquisition) -> Path:
    """Write the product into a folder of its own name and return that."""
    product = folder / PRODUCT_ID
    (product / "gap_mask").mkdir(parents=True, exist_ok=True)
    stored: dict[str, NDArray[np.uint8]] = {}
    for name, values in acquisition.bands.items():
        pan = name == "8"
        transform = grid_transform(PIXEL_M / 2 if pan else PIXEL_M, row=acquisition.row, col=acquisition.col)
        observed = acquisition.inside[name] & ~acquisition.missing[name]
        stored[name] = interpolated_edges(values, observed, acquisition.inside[name], reach_px=2 if pan else 1)
        write_geotiff(product / f"{PRODUCT_ID}_B{name}.TIF", stored[name], transform)
        write_geotiff(product / "gap_mask" / f"{PRODUCT_ID}_GM_B{name}.TIF", observed.astype(np.uint8), transform)
    transform = grid_transform(row=acquisition.row, col=acquisition.col)
    write_geotiff(product / f"{PRODUCT_ID}_QA_PIXEL.TIF", _pixel_quality(acquisition, stored), transform, nodata=1)
    write_geotiff(product / f"{PRODUCT_ID}_QA_RADSAT.TIF", _saturation(stored), transform)
    (product / f"{PRODUCT_ID}_MTL.txt").write_text(metadata_text(stored), encoding="ascii")
    return product


def interpolated_edges(
    values: NDArray[np.uint8], observed: NDArray[np.bool_], inside: NDArray[np.bool_], *, reach_px: int
) -> NDArray[np.uint8]:
    """Return a band as USGS stores it: 0 where nothing is known, its values spread a little into each gap.

    Args:
        values: The band without gaps, `(row, col)`.
        observed: Where it was observed.
        inside: Where the footprint is.
        reach_px: Rows that are spread from each side, so that a gap loses twice as many.
    """
    stored = np.where(observed, values, 0).astype(np.uint8)
    for _ in range(reach_px):
        above, below = np.zeros_like(stored), np.zeros_like(stored)
        above[1:], below[:-1] = stored[:-1], stored[1:]
        both = (above.astype(np.uint16) + below + 1) // 2
        spread = np.where((above > 0) & (below > 0), both, np.maximum(above, below))
        stored = np.where((stored == 0) & inside, spread, stored).astype(np.uint8)
    return stored


def _pixel_quality(acquisition: Acquisition, stored: dict[str, NDArray[np.uint8]]) -> NDArray[np.uint16]:
    from scipy.ndimage import binary_dilation

    quality = np.full(acquisition.cloud.shape, QA_CLEAR, np.uint16)
    quality[acquisition.water] = QA_WATER
    quality[acquisition.shadow] = QA_SHADOW
    quality[binary_dilation(acquisition.cloud, iterations=DILATED_PX)] = QA_DILATED
    quality[acquisition.cloud] = QA_CLOUD
    anywhere_missing = np.zeros(quality.shape, np.bool_)
    for name, values in stored.items():
        if name != "8":
            anywhere_missing |= values == 0
    quality[anywhere_missing] = QA_FILL
    return quality


def _saturation(stored: dict[str, NDArray[np.uint8]]) -> NDArray[np.uint16]:
    saturation = np.zeros(stored["1"].shape, np.uint16)
    for name, bit in RADSAT_BITS.items():
        saturation |= (stored[name] == HIGHEST).astype(np.uint16) << np.uint16(bit)
    return saturation
