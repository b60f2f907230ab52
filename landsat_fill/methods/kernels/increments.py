"""Sums of the differences between pixels a lag apart."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.methods.kernels.compiled import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray


@compiled
def increment_sums(
    values: NDArray[np.floating], weights: NDArray[np.floating], lags: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Return for each lag the sum of roots of absolute differences, that of squares, and the pairs counted.

    Args:
        values: `(window, row, col)`, NaN where not usable.
        weights: What a difference is multiplied by, once for each of its pixels; of the same shape.
        lags: Rows (>= 0) and columns, `(lag, 2)`.
    """
    roots = np.zeros(len(lags), np.float64)
    squares = np.zeros(len(lags), np.float64)
    counts = np.zeros(len(lags), np.int64)
    windows, height, width = values.shape
    for lag in range(len(lags)):
        down, right = lags[lag]
        first, end = max(0, -right), min(width, width - right)
        for window in range(windows):
            for row in range(height - down):
                root, square, count = 0.0, 0.0, 0
                for col in range(first, end):
                    difference = float(values[window, row + down, col + right]) - float(
                        values[window, row, col]
                    )
                    if difference == difference:
                        difference *= weights[window, row + down, col + right] * weights[window, row, col]
                        size = abs(difference)
                        root += math.sqrt(size)
                        square += size * size
                        count += 1
                roots[lag] += root
                squares[lag] += square
                counts[lag] += count
    return roots, squares, counts
