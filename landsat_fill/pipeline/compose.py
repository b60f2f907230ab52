"""Puts filled values among observed ones and records what was filled: it alone decides what is written.

Here alone it is guaranteed that observed pixels come back bit-identical in stored numbers, and that a
filled value is in its band's valid range and never equals nodata.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from landsat_fill.io.reader import float_nodata_tolerance, is_float_nodata

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from landsat_fill.scene import Filled, SceneBand


class FillCode(IntEnum):
    """What the fill layer says of a pixel. Of a pixel's bands the highest code counts."""

    OUTSIDE = 0
    OBSERVED = 1
    LEFT = 2
    REPLACED = 3
    FILLED = 4


MEANINGS: dict[FillCode, str] = {
    FillCode.OUTSIDE: "outside the footprint",
    FillCode.OBSERVED: "observed",
    FillCode.LEFT: "missing, left unfilled",
    FillCode.REPLACED: "observed, replaced on request",
    FillCode.FILLED: "missing, filled",
}

COLOURS: dict[FillCode, tuple[int, int, int, int]] = {
    FillCode.OUTSIDE: (0, 0, 0, 0),
    FillCode.OBSERVED: (222, 222, 222, 255),
    FillCode.LEFT: (215, 48, 39, 255),
    FillCode.REPLACED: (253, 174, 97, 255),
    FillCode.FILLED: (33, 102, 172, 255),
}


def fill_codes(
    observed: NDArray[np.bool_],
    inside: NDArray[np.bool_],
    done: NDArray[np.bool_],
) -> NDArray[np.uint8]:
    """Return the code of every pixel and band.

    Args:
        observed: What is observed, `(band, row, col)`.
        inside: What lies in the footprint.
        done: What was filled.
    """
    codes = np.full(observed.shape, FillCode.OUTSIDE, np.uint8)
    codes[inside & ~observed] = FillCode.LEFT
    codes[observed] = FillCode.OBSERVED
    codes[done] = FillCode.FILLED
    codes[done & observed] = FillCode.REPLACED
    return codes


SIGNIFICANT_BITS = 8
"""Kept of each deviation, which is to 0.4 %: nobody knows an error better, and files are a third as large."""


def kept_deviation(
    std: NDArray[np.floating], done: NDArray[np.bool_], observed: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return the deviation of filled pixels, rounded to `SIGNIFICANT_BITS`, 0 of observed ones, else NaN.

    Args:
        std: In stored numbers, finite where filled.
        done: Where pixels were filled, of the same shape.
        observed: Where they are observations, of the same shape.
    """
    kept = np.where(done, std, np.float32(0)).astype(np.float32, copy=False)
    dropped = np.finfo(np.float32).nmant + 1 - SIGNIFICANT_BITS
    # In place: strips are large. Half of what is dropped rounds to the nearest; it may carry on upwards.
    bits = kept.view(np.int32)
    bits += 1 << (dropped - 1)
    bits &= -(1 << dropped)
    np.copyto(kept, np.nan, where=~(observed | done))
    return kept


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
    integer = np.issubdtype(band.dtype, np.integer)  # in a file of several types it may be stored as a float
    stored: NDArray[np.generic] = np.clip(np.rint(values) if integer else values, low, high).astype(dtype)
    nodata = _as_stored(band.nodata, dtype)
    if nodata is None or not low <= nodata <= high:
        return stored
    upward = nodata < high
    if integer:
        stored[stored == nodata] = nodata + dtype.type(1) if upward else nodata - dtype.type(1)
        return stored
    step = dtype.type(2 * float_nodata_tolerance(float(nodata), dtype))
    beyond = np.nextafter(
        nodata + step if upward else nodata - step, dtype.type(np.inf if upward else -np.inf)
    )
    stored[is_float_nodata(stored, float(nodata), dtype)] = beyond
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
