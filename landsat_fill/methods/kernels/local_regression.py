"""The loops of methods that fit a line between two dates around each missing pixel."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.methods.kernels import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Image = NDArray[np.floating]
    Flags = NDArray[np.bool_]


NO_SPREAD = 1e-9
"""A variance below this share of the mean square is a rounding error: the reference is constant there."""


@compiled
def match_histograms(
    filled: Image,
    asked: Flags,
    values: Image,
    usable: Flags,
    reference: Image,
    reference_usable: Flags,
    levels: tuple[float, float],
    radius_px: int,
    least: int,
    steepest: float,
) -> None:
    """Fill each asked pixel with gain × reference + offset, fitted to the common pixels of a square around it.

    The gain is the slope of a regression, the ratio of standard deviations or 1: the first that lies between
    1 / steepest and steepest. The offset makes the means agree. Pixels stay as they are where fewer than
    `least` pixels are common or the reference is constant.

    Args:
        filled: `(row, col)`; written to.
        asked: Pixels to fill; the reference is usable there.
        values: The image.
        usable: Pixels of the image that may be used.
        reference: The other date.
        reference_usable: Pixels of the other date that may be used.
        levels: Numbers subtracted from the image and the reference, so that sums of squares stay exact.
        radius_px: The square's side is twice this, plus 1.
        least: Smallest number of common pixels.
        steepest: Largest gain.
    """
    height, width = values.shape
    level, reference_level = levels
    # The sums of each column over the rows of the square: number, x, y, xx, xy, yy; x is the reference.
    columns = np.zeros((6, width))
    entered = 0
    for row in range(height):
        for place in range(entered, min(row + radius_px + 1, height)):
            _add_row(columns, values[place], usable[place], reference[place], reference_usable[place], levels, 1.0)
        entered = max(entered, min(row + radius_px + 1, height))
        leaving = row - radius_px - 1
        if leaving >= 0:
            _add_row(
                columns, values[leaving], usable[leaving], reference[leaving], reference_usable[leaving], levels, -1.0
            )
        first, end = 0, 0  # the columns that are in the sums below
        count, x, y, xx, xy, yy = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for col in range(width):
            if not asked[row, col]:
                continue
            left, right = max(col - radius_px, 0), min(col + radius_px + 1, width)
            if left >= end or left - first > radius_px:  # far from the pixel before: add up anew
                first, end = left, left
                count, x, y, xx, xy, yy = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
            while end < right:
                count += columns[0, end]
                x += columns[1, end]
                y += columns[2, end]
                xx += columns[3, end]
                xy += columns[4, end]
                yy += columns[5, end]
                end += 1
            while first < left:
                count -= columns[0, first]
                x -= columns[1, first]
                y -= columns[2, first]
                xx -= columns[3, first]
                xy -= columns[4, first]
                yy -= columns[5, first]
                first += 1
            if count < least:
                continue
            mean_x, mean_y = x / count, y / count
            variance = xx / count - mean_x * mean_x
            if not variance > NO_SPREAD * xx / count:
                continue
            gain = (xy / count - mean_x * mean_y) / variance
            if not 1 / steepest <= gain <= steepest:
                gain = math.sqrt(max(yy / count - mean_y * mean_y, 0.0) / variance)
            if not 1 / steepest <= gain <= steepest:
                gain = 1.0
            filled[row, col] = level + mean_y + gain * (float(reference[row, col]) - reference_level - mean_x)


@compiled
def _add_row(
    columns: NDArray[np.float64],
    values: Image,
    usable: Flags,
    reference: Image,
    reference_usable: Flags,
    levels: tuple[float, float],
    sign: float,
) -> None:
    """Add a row of pixels to the sums of the columns, or with the sign -1 subtract it."""
    for col in range(len(values)):
        common = usable[col] & reference_usable[col]
        x = float(reference[col]) - levels[1] if common else 0.0
        y = float(values[col]) - levels[0] if common else 0.0
        columns[0, col] += sign if common else 0.0
        columns[1, col] += sign * x
        columns[2, col] += sign * y
        columns[3, col] += sign * (x * x)
        columns[4, col] += sign * (x * y)
        columns[5, col] += sign * (y * y)


ALPHA = 0.001
"""Keeps the weight of a pixel with the same reference value finite; in shares of the similarity threshold."""


@compiled
def regress_on_similar(
    filled: Image,
    asked: Flags,
    values: Image,
    usable: Flags,
    reference: Image,
    reference_usable: Flags,
    level: float,
    smallest_radius_px: int,
    largest_radius_px: int,
    least: int,
) -> None:
    """Fill each asked pixel by a weighted regression on the pixels around it that are similar in the reference.

    The square around a pixel grows until it holds `least` similar pixels. If the last one holds fewer, all of
    its common pixels are taken. Pixels stay as they are where the reference is constant.

    Args:
        filled: `(row, col)`; written to.
        asked: Pixels to fill; the reference is usable there.
        values: The image.
        usable: Pixels of the image that may be used.
        reference: The other date.
        reference_usable: Pixels of the other date that may be used.
        level: Number subtracted from the image, so that sums of products stay exact.
        smallest_radius_px: The first square's side is twice this, plus 1.
        largest_radius_px: That of the last square.
        least: Number of similar pixels that ends the search.
    """
    height, width = values.shape
    for row in range(height):
        for col in range(width):
            if not asked[row, col]:
                continue
            here = float(reference[row, col])
            top, bottom, left, right = row, row + 1, col, col + 1
            threshold = 0.0
            similar = 0
            for radius in range(smallest_radius_px, largest_radius_px + 1):
                top, bottom = max(row - radius, 0), min(row + radius + 1, height)
                left, right = max(col - radius, 0), min(col + radius + 1, width)
                common = 0
                for r in range(top, bottom):
                    for c in range(left, right):
                        common += usable[r, c] & reference_usable[r, c]
                if common < least and radius < largest_radius_px:
                    continue
                threshold = _mean_absolute_deviation(
                    reference[top:bottom, left:right], reference_usable[top:bottom, left:right], here
                )
                similar = 0
                for r in range(top, bottom):
                    for c in range(left, right):
                        if usable[r, c] and reference_usable[r, c]:
                            similar += abs(float(reference[r, c]) - here) <= threshold
                if similar >= least:
                    break
            if not threshold > 0:
                continue
            within = threshold if similar >= least else np.inf
            count = 0
            total, sum_x, sum_y, sum_xx, sum_xy = 0.0, 0.0, 0.0, 0.0, 0.0
            for r in range(top, bottom):
                for c in range(left, right):
                    if usable[r, c] and reference_usable[r, c]:
                        x = float(reference[r, c]) - here
                        if abs(x) <= within:
                            far = (r - row) ** 2 + (c - col) ** 2
                            weight = 1 / ((abs(x) / threshold + ALPHA) * far)
                            y = float(values[r, c]) - level
                            count += 1
                            total += weight
                            sum_x += weight * x
                            sum_y += weight * y
                            sum_xx += weight * x * x
                            sum_xy += weight * x * y
            if count < 2:
                continue
            mean_x, mean_y = sum_x / total, sum_y / total
            variance = sum_xx / total - mean_x * mean_x
            if variance > NO_SPREAD * sum_xx / total:
                slope = (sum_xy / total - mean_x * mean_y) / variance
                filled[row, col] = level + mean_y - slope * mean_x


@compiled
def _mean_absolute_deviation(plane: Image, usable: Flags, around: float) -> float:
    """Return the mean absolute difference of the usable pixels from their mean."""
    height, width = plane.shape
    count, mean = 0, 0.0
    for row in range(height):
        for col in range(width):
            if usable[row, col]:
                count += 1
                mean += float(plane[row, col]) - around
    if count == 0:
        return 0.0
    mean = around + mean / count
    total = 0.0
    for row in range(height):
        for col in range(width):
            if usable[row, col]:
                total += abs(float(plane[row, col]) - mean)
    return total / count
