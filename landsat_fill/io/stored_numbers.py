"""Which stored numbers of a product's band mean fill, and which may be given to a filled pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from landsat_fill.io.geotiff import value_range
from landsat_fill.io.naming import FileFacts, Quantity
from landsat_fill.scene import BandRole

if TYPE_CHECKING:
    from landsat_fill.io.mtl import Mtl

LEVEL_FILL = 0.0
"""Fill of Level 1 and Collection 2 Level 2, tagged or not. Source: USGS LSDS-1414 and LSDS-1618."""
ESPA_FILL = -9999.0
ESPA_REFLECTANCE_RANGE = (-2000.0, 16000.0)
"""Fill and valid range of ESPA's int16 reflectance. Source: USGS LSDS-1370, Product Guide, table 3-2."""


class StoredNumbers(NamedTuple):
    """Fill, and the smallest and largest number a filled pixel may have."""

    nodata: float
    valid_range: tuple[float, float]


def stored_numbers(
    facts: FileFacts, dtype: str, tag: float | None, mtl: Mtl | None, nodata: float | None
) -> StoredNumbers:
    """Return what a band's stored numbers mean.

    Args:
        facts: What the band's file name says.
        dtype: numpy name of the band's data type.
        tag: The file's own nodata number, or None. Where Landsat's fill is 0 it can't override that: files
            that went through other software carry 255 or 65535 there, and their gaps are 0 all the same.
        mtl: The product's metadata, or None.
        nodata: The number the user gave, or None. It goes before all else.
    """
    low, high = value_range(dtype)
    is_counted = facts.quantity is Quantity.DIGITAL_NUMBER
    if dtype.startswith("float"):
        fill = LEVEL_FILL if tag is None else tag
    elif dtype == "int16":
        fill = ESPA_FILL if tag is None else tag
        if not is_counted and facts.band is not None and facts.band.role is not BandRole.THERMAL:
            low, high = ESPA_REFLECTANCE_RANGE
    else:
        fill = LEVEL_FILL
        quantized = mtl.quantize_range(facts.band) if mtl is not None and facts.band is not None else None
        if is_counted and quantized is not None:
            low, high = max(low, quantized[0]), min(high, quantized[1])
    fill = fill if nodata is None else nodata
    return StoredNumbers(fill, _without_ends(low, high, {fill, tag}))


def _without_ends(low: float, high: float, numbers: set[float | None]) -> tuple[float, float]:
    """Return the range of whole numbers without those of `numbers` that lie at its ends."""
    while low in numbers and low < high:
        low += 1.0
    while high in numbers and low < high:
        high -= 1.0
    return low, high
