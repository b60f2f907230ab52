"""Loops of the regressions on other dates."""

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
    predicted: NDArray[np.float32],
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
        centres: Centres of the classes in divided bands, `(row, col, class, band)`; those of reference d use its bands.
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
                reference = 0
                while reference < references - 1 and not (used >> reference) & 1:
                    reference += 1
                nearest, least = 0, np.inf
                for number in range(classes):
                    distance = 0.0
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
    radius_px: int,
    penalty: float,
    least: int,
    corrected: NDArray[np.float64],
) -> None:
    """Predict residuals by a ridge regression on all features in the square window around each wanted pixel.

    Features and residuals must be multiples of a power of two, small enough for sums of their products to be exact.
    Then running sums have no rounding error, and no result depends on where an array begins.

    Args:
        features: `(feature, row, col)`.
        residuals: `(band, row, col)`.
        known: Pixels to fit to, `(row, col)`.
        wanted: Pixels to predict.
        radius_px: The window has a side of twice this, plus 1.
        penalty: Added to the features' sums of squares.
        least: Fewest known pixels of a fit.
        corrected: `(band, row, col)`: the prediction; written to at the wanted pixels with enough known ones.
    """
    count, height, width = features.shape
    bands = len(residuals)
    sums = 1 + count + bands + count * (count + 1) // 2 + count * bands
    columns = np.zeros((width, sums))
    window = np.zeros(sums)
    terms = np.empty(sums)
    matrix = np.empty((count, count))
    sides = np.empty((count, bands))
    for row in range(-radius_px, height):
        for sign in (1, -1):
            line = row + radius_px if sign == 1 else row - radius_px - 1
            if line < 0 or line >= height:
                continue
            for col in range(width):
                if known[line, col]:
                    _products(features, residuals, line, col, terms)
                    for number in range(sums):
                        columns[col, number] += sign * terms[number]
        if row < 0:
            continue
        window[:] = 0.0
        for col in range(min(radius_px, width)):
            window += columns[col]
        for col in range(width):
            if col + radius_px < width:
                window += columns[col + radius_px]
            if col - radius_px - 1 >= 0:
                window -= columns[col - radius_px - 1]
            if not wanted[row, col] or window[0] < least:
                continue
            _solve_window(window, penalty, matrix, sides)
            for band in range(bands):
                value = window[1 + count + band] / window[0]
                for feature in range(count):
                    value += sides[feature, band] * (features[feature, row, col] - window[1 + feature] / window[0])
                corrected[band, row, col] = value


@compiled
def _products(features: Cube, residuals: Cube, row: int, col: int, terms: NDArray[np.float64]) -> None:
    """Write 1, the features, the residuals, and all products that a regression sums."""
    count, bands = len(features), len(residuals)
    terms[0] = 1.0
    at = 1 + count + bands
    for one in range(count):
        value = features[one, row, col]
        terms[1 + one] = value
        for other in range(one, count):
            terms[at] = value * features[other, row, col]
            at += 1
        for band in range(bands):
            terms[at] = value * residuals[band, row, col]
            at += 1
    for band in range(bands):
        terms[1 + count + band] = residuals[band, row, col]


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
