"""Loops of the splines and the geostatistical methods."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.methods.kernels import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Image = NDArray[np.floating]


FRAME_PX = 2
"""Width of the mirrored frame around a tile: the radius of the stencil."""


@compiled
def sweep_plate(new: Image, old: Image, runs: NDArray[np.int64], numbers: Image) -> Image:
    """Return the surface after Chebyshev sweeps of the equation of a plate under tension.

    A sweep is `u + step·(stretching·∇²u - bending·∇⁴u)`, combined with the previous surface. Sums use
    differences to the pixel itself, which cancel exactly on a level surface. The surface is mirrored at the
    edge of the tile.

    Args:
        new: The surface with its frame, `(row, col)`; written to.
        old: The previous surface, initially a copy; written to.
        runs: Row, first column and end of each horizontal run of missing pixels, frame included, `(run, 3)`.
        numbers: Steps of stretching and bending and the weight of each sweep, `(sweep, 3)`, in the surface's
            type.
    """
    for sweep in range(len(numbers)):
        stretching, bending, share = numbers[sweep, 0], numbers[sweep, 1], numbers[sweep, 2]
        for run in range(len(runs)):
            row, first, end = runs[run]
            _sweep_plate_run(
                new[row - 2, first:end],
                new[row - 1, first - 1 : end + 1],
                new[row, first - 2 : end + 2],
                new[row + 1, first - 1 : end + 1],
                new[row + 2, first:end],
                old[row, first:end],
                stretching,
                bending,
                share,
            )
        _mirror(old)
        old, new = new, old
    return new


@compiled
def _sweep_plate_run(
    above2: Image,
    above: Image,
    here: Image,
    below: Image,
    below2: Image,
    before: Image,
    stretching: float,
    bending: float,
    share: float,
) -> None:
    """Sweep a run of pixels. Slices that start at 0 let the compiler vectorise the loop."""
    for col in range(len(before)):
        value = here[col + 2]
        twice = value + value
        middle = twice + twice
        near = ((above[col + 1] + below[col + 1]) + (here[col + 1] + here[col + 3])) - middle
        aslant = ((above[col] + above[col + 2]) + (below[col] + below[col + 2])) - middle
        far = ((above2[col] + below2[col]) + (here[col] + here[col + 4])) - middle
        near2 = near + near
        near4 = near2 + near2
        bent = far + ((aslant + aslant) - (near4 + near4))
        now = value + (stretching * near - bending * bent)
        before[col] += share * (now - before[col])


@compiled
def _mirror(framed: Image) -> None:
    """Write the mirror image of the tile into its frame; the outermost pixels are repeated."""
    height, width = framed.shape
    for away in range(FRAME_PX):
        inside = FRAME_PX + min(away, width - 2 * FRAME_PX - 1)
        outside = FRAME_PX - 1 - away
        for row in range(FRAME_PX, height - FRAME_PX):
            framed[row, outside] = framed[row, inside]
            framed[row, width - 1 - outside] = framed[row, width - 1 - inside]
    for away in range(FRAME_PX):
        inside = FRAME_PX + min(away, height - 2 * FRAME_PX - 1)
        outside = FRAME_PX - 1 - away
        for col in range(width):
            framed[outside, col] = framed[inside, col]
            framed[height - 1 - outside, col] = framed[height - 1 - inside, col]


@compiled
def sweep_membrane(
    new: Image, old: Image, runs: NDArray[np.int64], weights: Image, shares: NDArray[np.floating]
) -> Image:
    """Return the surface after Chebyshev sweeps that replace each missing pixel by its neighbours' mean.

    Args:
        new: The surface in a frame of zeros, `(row, col)`; written to.
        old: The previous surface, initially a copy; written to.
        runs: As in `sweep_plate`.
        weights: Factor of the sum of each pixel's neighbours, of the same shape.
        shares: Weight of each sweep, in the surface's type.
    """
    for sweep in range(len(shares)):
        for run in range(len(runs)):
            row, first, end = runs[run]
            _sweep_membrane_run(
                new[row - 1, first:end],
                new[row, first - 1 : end + 1],
                new[row + 1, first:end],
                weights[row, first:end],
                old[row, first:end],
                shares[sweep],
            )
        old, new = new, old
    return new


@compiled
def _sweep_membrane_run(above: Image, here: Image, below: Image, weights: Image, before: Image, share: float) -> None:
    for col in range(len(before)):
        now = weights[col] * ((above[col] + below[col]) + (here[col] + here[col + 2]))
        before[col] += share * (now - before[col])


@compiled
def increment_sums(
    values: NDArray[np.floating], weights: NDArray[np.floating], lags: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Return sums of roots and squares of absolute differences, and the number of pairs, for each lag.

    Args:
        values: `(window, row, col)`, NaN where not usable.
        weights: Factors of each pixel's differences, of the same shape.
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
                    difference = float(values[window, row + down, col + right]) - float(values[window, row, col])
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
    """Return the nearest usable pixels of each target; see `find_neighbourhoods`.

    The first array has the indexes of their offsets, `(target, most)`, -1 for none. The second has a hash of
    these indexes for each target. The offsets `(offset, 2)` are ordered by distance, and each has a quadrant
    from 0 to 3.
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
    """Return the weighted sum of the usable pixels around each target, within their range; see `Neighbourhoods`."""
    sums = np.zeros(len(targets), np.float64)
    for target in range(len(targets)):
        of = kind[target]
        total, low, high = 0.0, np.inf, -np.inf
        for place in range(found.shape[1]):
            number = found[of, place]
            if number < 0:
                break
            row = targets[target, 0] + offsets[number, 0]
            col = targets[target, 1] + offsets[number, 1]
            value = float(values[row, col])
            total += weights[of, place] * value
            low, high = min(low, value), max(high, value)
        sums[target] = min(max(total, low), high)
    return sums
