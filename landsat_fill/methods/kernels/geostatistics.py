"""Loops of the geostatistical methods: increments, and the nearest usable pixels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.methods.kernels import compiled

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


@compiled
def nearest_usable(
    usable: NDArray[np.bool_],
    targets: NDArray[np.int64],
    offsets: NDArray[np.int64],
    quadrants: NDArray[np.int64],
    most: int,
    most_a_quadrant: int,
) -> tuple[NDArray[np.int32], NDArray[np.uint64]]:
    """Return which offsets of each target lead to its nearest usable pixels, and a hash of them.

    Args:
        usable: `(row, col)`.
        targets: Rows and columns, `(target, 2)`.
        offsets: Rows and columns from a target to a pixel around it, `(offset, 2)`, the nearest first.
        quadrants: The quadrant of each offset, 0 to 3.
        most: Pixels wanted.
        most_a_quadrant: Pixels wanted in one quadrant at most.

    Returns:
        Numbers of offsets, `(target, most)`, -1 where there are no more; and a number that is equal for
        targets whose offsets are the same.
    """
    height, width = usable.shape
    found = np.full((len(targets), most), -1, np.int32)
    hashes = np.zeros(len(targets), np.uint64)
    counts = np.zeros(4, np.int64)
    for target in range(len(targets)):
        counts[:] = 0
        total = 0
        code = np.uint64(14695981039346656037)  # FNV-1a
        for number in range(len(offsets)):
            quadrant = quadrants[number]
            if counts[quadrant] == most_a_quadrant:
                continue
            row = targets[target, 0] + offsets[number, 0]
            col = targets[target, 1] + offsets[number, 1]
            if 0 <= row < height and 0 <= col < width and usable[row, col]:
                found[target, total] = number
                code = (code ^ np.uint64(number)) * np.uint64(1099511628211)
                counts[quadrant] += 1
                total += 1
                if total == most:
                    break
        hashes[target] = code
    return found, hashes


@compiled
def weighted_sums(
    values: NDArray[np.floating],
    targets: NDArray[np.int64],
    offsets: NDArray[np.int64],
    found: NDArray[np.int32],
    kind: NDArray[np.int64],
    weights: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the weighted sum of the usable pixels around each target.

    Args:
        values: `(row, col)`.
        targets: Rows and columns, `(target, 2)`.
        offsets: `(offset, 2)`.
        found: Numbers of offsets by kind of neighbourhood, `(kind, most)`, -1 for none.
        kind: The kind of each target's neighbourhood.
        weights: `(kind, most)`.
    """
    sums = np.zeros(len(targets), np.float64)
    for target in range(len(targets)):
        of = kind[target]
        total = 0.0
        for place in range(found.shape[1]):
            number = found[of, place]
            if number < 0:
                break
            row = targets[target, 0] + offsets[number, 0]
            col = targets[target, 1] + offsets[number, 1]
            total += weights[of, place] * float(values[row, col])
        sums[target] = total
    return sums
