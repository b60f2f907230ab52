"""The standard deviation as it is kept in a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

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
