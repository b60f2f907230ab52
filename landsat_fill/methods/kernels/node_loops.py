"""Loops of the regressions on other dates: by class, in blocks, and the mean of pixels that look alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.methods.kernels import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Cube = NDArray[np.floating]
    Flags = NDArray[np.bool_]


@compiled
def predict_by_class(
    values: NDArray[np.float32],
    patterns: NDArray[np.uint8],
    place: NDArray[np.int64],
    spacing_px: int,
    stand_ins: NDArray[np.uint8],
    scales: NDArray[np.float64],
    centres: NDArray[np.float64],
    first_bands: NDArray[np.int64],
    coefficients: NDArray[np.float64],
    predicted: NDArray[np.float64],
) -> None:
    """Predict each pixel by the regressions of the four nodes around it, blended bilinearly.

    Args:
        values: Reference bands `(band, row, col)`, 0 where not usable.
        patterns: Bit d is set where reference d is usable, `(row, col)`.
        place: Row and column of the array's corner in the scene.
        spacing_px: Distance of the nodes; the first one lies half of it from the scene's corner.
        stand_ins: For each node and pattern the pattern whose regression is used, 0 for none,
            `(row, col, pattern)`.
        scales: What a reference band is divided by before distances are measured, `(row, col, band)`.
        centres: Centres of the classes in divided bands, `(row, col, class, band)`.
        first_bands: First band of each reference, and the number of all bands.
        coefficients: `(row, col, pattern, class, predicted band, band + 1)`; the last is the constant.
        predicted: `(predicted band, row, col)`; written to, NaN where no node has a regression.
    """
    rows, cols = stand_ins.shape[:2]
    classes, bands = centres.shape[2:]
    outputs = len(predicted)
    references = len(first_bands) - 1
    total = np.empty(outputs)
    for row in range(values.shape[1]):
        down = (place[0] + row + 0.5) / spacing_px - 0.5
        above = int(np.floor(down))
        for col in range(values.shape[2]):
            right = (place[1] + col + 0.5) / spacing_px - 0.5
            left = int(np.floor(right))
            pattern = patterns[row, col]
            weight = 0.0
            total[:] = 0.0
            for corner in range(4):
                i, j = above + corner // 2, left + corner % 2
                share = (1.0 - abs(down - i)) * (1.0 - abs(right - j))
                i, j = min(max(i, 0), rows - 1), min(max(j, 0), cols - 1)
                used = stand_ins[i, j, pattern]
                if used == 0 or share <= 0.0:
                    continue
                nearest, least = 0, np.inf
                for number in range(classes):
                    distance = 0.0
                    for reference in range(references):
                        if (used >> reference) & 1:
                            for band in range(first_bands[reference], first_bands[reference + 1]):
                                apart = values[band, row, col] / scales[i, j, band] - centres[i, j, number, band]
                                distance += apart * apart
                    if distance < least:
                        nearest, least = number, distance
                weight += share
                for output in range(outputs):
                    value = coefficients[i, j, used, nearest, output, bands]
                    for band in range(bands):
                        value += coefficients[i, j, used, nearest, output, band] * values[band, row, col]
                    total[output] += share * value
            for output in range(outputs):
                predicted[output, row, col] = total[output] / weight if weight > 0.0 else np.nan


@compiled
def fit_around(
    features: NDArray[np.float64],
    residuals: NDArray[np.float64],
    known: Flags,
    wanted: Flags,
    first: NDArray[np.int64],
    block_px: int,
    reach: int,
    penalty: float,
    least: int,
    corrected: NDArray[np.float64],
) -> None:
    """Predict residuals by a ridge regression on all features in the surroundings of each wanted pixel.

    The image is divided into blocks. Each block has a regression, fitted to the pixels of the blocks around it, and
    a pixel gets the mean of the four nearest ones, weighted bilinearly. Features and residuals must be multiples of a
    power of two, small enough for sums of their products to be exact. Then no result depends on where an array begins.

    Args:
        features: `(feature, row, col)`.
        residuals: `(band, row, col)`.
        known: Pixels to fit to, `(row, col)`.
        wanted: Pixels to predict.
        first: Row and column of the first pixel within its block.
        block_px: Side of a block.
        reach: A regression is fitted to the square of blocks up to this many away.
        penalty: Added to the features' sums of squares.
        least: Fewest known pixels of a fit.
        corrected: `(band, row, col)`: the prediction; written to at the wanted pixels with enough known ones.
    """
    count, height, width = features.shape
    bands = len(residuals)
    rows, cols = (first[0] + height - 1) // block_px + 1, (first[1] + width - 1) // block_px + 1
    sums = np.zeros((rows, cols, 1 + count + bands + count * (count + 1) // 2 + count * bands))
    for row in range(height):
        for col in range(width):
            if known[row, col]:
                block = sums[(first[0] + row) // block_px, (first[1] + col) // block_px]
                _add_products(features, residuals, row, col, block)
    sums = _summed_along(_summed_along(sums, reach).transpose(1, 0, 2), reach).transpose(1, 0, 2)
    lines = np.full((rows, cols, bands, count + 1), np.nan)
    matrix, sides = np.empty((count, count)), np.empty((count, bands))
    for row in range(rows):
        for col in range(cols):
            window = sums[row, col]
            if window[0] < least:
                continue
            _solve_window(window, penalty, matrix, sides)
            for band in range(bands):
                level = window[1 + count + band]
                for feature in range(count):
                    lines[row, col, band, feature] = sides[feature, band]
                    level -= sides[feature, band] * window[1 + feature]
                lines[row, col, band, count] = level / window[0]
    for row in range(height):
        down = (first[0] + row + 0.5) / block_px - 0.5
        for col in range(width):
            if not wanted[row, col]:
                continue
            right = (first[1] + col + 0.5) / block_px - 0.5
            weight = 0.0
            for band in range(bands):
                corrected[band, row, col] = 0.0
            for corner in range(4):
                i, j = int(np.floor(down)) + corner // 2, int(np.floor(right)) + corner % 2
                share = (1.0 - abs(down - i)) * (1.0 - abs(right - j))
                i, j = min(max(i, 0), rows - 1), min(max(j, 0), cols - 1)
                if sums[i, j, 0] < least or share <= 0.0:
                    continue
                weight += share
                for band in range(bands):
                    value = lines[i, j, band, count]
                    for feature in range(count):
                        value += lines[i, j, band, feature] * features[feature, row, col]
                    corrected[band, row, col] += share * value
            if weight > 0.0:
                for band in range(bands):
                    corrected[band, row, col] /= weight


@compiled
def average_alike(
    values: NDArray[np.float32],
    patterns: NDArray[np.uint8],
    place: NDArray[np.int64],
    spacing_px: int,
    scales: NDArray[np.float64],
    first_bands: NDArray[np.int64],
    residuals: NDArray[np.float64],
    known: Flags,
    wanted: Flags,
    radius_px: int,
    step_px: int,
    most: int,
    averaged: NDArray[np.float64],
) -> None:
    """Write the mean residual of the pixels around each wanted pixel that look most alike in the references.

    Args:
        values: Reference bands `(band, row, col)`, 0 where not usable.
        patterns: Bit d is set where reference d is usable, `(row, col)`.
        place: Row and column of the array's corner in the scene.
        spacing_px: Side of the square of a node.
        scales: What a reference band is divided by before differences are measured, `(row, col, band)` of the nodes.
        first_bands: First band of each reference, and the number of all bands.
        residuals: `(band, row, col)`.
        known: Pixels with residuals, `(row, col)`.
        wanted: Pixels to write.
        radius_px: Largest distance along rows and columns.
        step_px: Every so many rows and columns are looked at.
        most: Number of pixels in a mean.
        averaged: `(band, row, col)`; written to at the wanted pixels, NaN without a known pixel around.
    """
    bands, height, width = residuals.shape
    references = len(first_bands) - 1
    rows, cols = scales.shape[:2]
    score, found_row, found_col = np.empty(most), np.empty(most, np.int64), np.empty(most, np.int64)
    for row in range(height):
        i = min((place[0] + row) // spacing_px, rows - 1)
        for col in range(width):
            if not wanted[row, col]:
                continue
            j = min((place[1] + col) // spacing_px, cols - 1)
            count = 0
            for down in range(-radius_px, radius_px + 1, step_px):
                y = row + down
                if y < 0 or y >= height:
                    continue
                for right in range(-radius_px, radius_px + 1, step_px):
                    x = col + right
                    if x < 0 or x >= width or not known[y, x]:
                        continue
                    both = patterns[row, col] & patterns[y, x]
                    if both == 0:
                        continue
                    apart, used = 0.0, 0
                    for reference in range(references):
                        if (both >> reference) & 1:
                            for band in range(first_bands[reference], first_bands[reference + 1]):
                                difference = (values[band, y, x] - values[band, row, col]) / scales[i, j, band]
                                apart += difference * difference
                                used += 1
                    unlike = (apart / used + 1e-4) * (1.0 + (down * down + right * right) / 100.0)
                    if count < most:
                        at = count
                        count += 1
                    elif unlike < score[most - 1]:
                        at = most - 1
                    else:
                        continue
                    while at > 0 and score[at - 1] > unlike:
                        score[at], found_row[at], found_col[at] = score[at - 1], found_row[at - 1], found_col[at - 1]
                        at -= 1
                    score[at], found_row[at], found_col[at] = unlike, y, x
            for band in range(bands):
                total, weights = 0.0, 0.0
                for number in range(count):
                    weight = 1.0 / np.sqrt(score[number])
                    total += weight * residuals[band, found_row[number], found_col[number]]
                    weights += weight
                averaged[band, row, col] = total / weights if count > 0 else np.nan


@compiled
def _summed_along(sums: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """Return sums over `2·reach + 1` neighbours along the first axis."""
    summed = np.zeros(sums.shape)
    for row in range(len(sums)):
        for near in range(max(row - reach, 0), min(row + reach + 1, len(sums))):
            summed[row] += sums[near]
    return summed


@compiled
def _add_products(features: Cube, residuals: Cube, row: int, col: int, sums: NDArray[np.float64]) -> None:
    """Add 1, the features, the residuals, and all products that a regression needs."""
    count, bands = len(features), len(residuals)
    sums[0] += 1.0
    at = 1 + count + bands
    for one in range(count):
        value = features[one, row, col]
        sums[1 + one] += value
        for other in range(one, count):
            sums[at] += value * features[other, row, col]
            at += 1
        for band in range(bands):
            sums[at] += value * residuals[band, row, col]
            at += 1
    for band in range(bands):
        sums[1 + count + band] += residuals[band, row, col]


@compiled
def _solve_window(
    window: NDArray[np.float64], penalty: float, matrix: NDArray[np.float64], sides: NDArray[np.float64]
) -> None:
    """Solve the normal equations of a window by Cholesky's method; the slopes replace the right sides."""
    count, bands = sides.shape
    at = 1 + count + bands
    for one in range(count):
        for other in range(one, count):
            matrix[other, one] = window[at] - window[1 + one] * window[1 + other] / window[0]
            at += 1
        matrix[one, one] += penalty
        for band in range(bands):
            sides[one, band] = window[at] - window[1 + one] * window[1 + count + band] / window[0]
            at += 1
    for one in range(count):
        for before in range(one):
            matrix[one, one] -= matrix[one, before] ** 2
        matrix[one, one] = np.sqrt(max(matrix[one, one], penalty))
        for other in range(one + 1, count):
            for before in range(one):
                matrix[other, one] -= matrix[other, before] * matrix[one, before]
            matrix[other, one] /= matrix[one, one]
    for band in range(bands):
        for one in range(count):
            for before in range(one):
                sides[one, band] -= matrix[one, before] * sides[before, band]
            sides[one, band] /= matrix[one, one]
        for one in range(count - 1, -1, -1):
            for after in range(one + 1, count):
                sides[one, band] -= matrix[after, one] * sides[after, band]
            sides[one, band] /= matrix[one, one]
