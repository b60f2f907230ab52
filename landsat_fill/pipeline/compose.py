"""Puts filled values among observed ones: the only place that decides what is written.

Here alone it is guaranteed that observed pixels come back bit-identical in stored numbers, and that a
filled value is in its band's valid range and never equals nodata.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from landsat_fill.scene import Filled, SceneBand


def compose(
    stored: NDArray[np.generic],
    missing: NDArray[np.bool_],
    filled: Filled,
    bands: Sequence[SceneBand],
) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
    """Return the stored numbers with the missing pixels filled, and which pixels were.

    Args:
        stored: `(band, row, col)` as read.
        missing: The pixels to fill; all others are returned as they are.
        filled: The method's answer, NaN where it has none; those stay as they are.
        bands: Valid range and nodata of each band.
    """
    values = stored.copy()
    done = missing & np.isfinite(filled.mean)
    for number, band in enumerate(bands):
        where = done[number]
        if where.any():
            values[number][where] = to_stored(filled.mean[number][where], stored.dtype, band)
    return values, done


def to_stored(
    values: NDArray[np.floating], dtype: np.dtype[np.generic], band: SceneBand
) -> NDArray[np.generic]:
    """Return finite values as stored numbers of `dtype`: rounded, in the valid range, never nodata."""
    low, high = band.valid_range
    integer = np.issubdtype(dtype, np.integer)
    stored: NDArray[np.generic] = np.clip(np.rint(values) if integer else values, low, high).astype(dtype)
    nodata = _as_stored(band.nodata, dtype)
    if nodata is None or not low <= nodata <= high:
        return stored
    upward = nodata < high
    if integer:
        neighbour = nodata + dtype.type(1) if upward else nodata - dtype.type(1)
    else:
        neighbour = np.nextafter(nodata, dtype.type(np.inf if upward else -np.inf))
    stored[stored == nodata] = neighbour
    return stored


def _as_stored(nodata: float | None, dtype: np.dtype[np.generic]) -> Any:
    """Return the nodata number as `dtype` holds it, or None where no stored number can be it."""
    if nodata is None or math.isnan(nodata):
        return None
    if np.issubdtype(dtype, np.integer):
        limits: np.iinfo[Any] | np.finfo[Any] = np.iinfo(dtype.name)
        if not float(nodata).is_integer():
            return None
    else:
        limits = np.finfo(dtype.name)
    return dtype.type(nodata) if float(limits.min) <= nodata <= float(limits.max) else None
