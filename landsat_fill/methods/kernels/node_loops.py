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
    importance: NDArray[np.float64],
    centres: NDArray[np.float64],
    first_bands: NDArray[np.int64],
    coefficients: NDArray[np.float64],
    ranges: NDArray[np.float64],
    predicted: NDArray[np.float64],
    known: Flags,
) -> None:
    """Predict each pixel by the regressions of the four nodes around it, blended bilinearly.

    Args:
        values: Reference bands `(band, row, col)`, 0 where not usable.
        patterns: Bit d is set where reference d is usable, `(row, col)`.
        place: Row and column of the array's corner in the scene.
        spacing_px: Distance of the nodes; the first one lies half of it from the scene's corner.
        stand_ins: For each node and pattern the pattern whose regression is used, 0 for none,
            `(row, col, pattern)`.
        importance: What squared differences from a centre are multiplied by, `(row, col, band)`.
        centres: Centres of the classes, `(row, col, band, class)`.
        first_bands: First band of each reference, and the number of all bands.
        coefficients: `(row, col, pattern, class, band + 1, predicted band)`; the last band is the constant.
        ranges: Level, spread, smallest and largest value around a node, `(row, col, 4, predicted band)`.
        predicted: `(predicted band, row, col)`, within the range; written to.
        known: `(row, col)`; written to, whether a node has a regression. Other predictions mean nothing.
    """
    rows, cols = stand_ins.shape[:2]
    bands, classes = centres.shape[2:]
    outputs = len(predicted)
    references = len(first_bands) - 1
    here, apart, value = np.empty(bands), np.empty(classes), np.empty(outputs)
    total, lowest, highest = np.empty(outputs), np.empty(outputs), np.empty(outputs)
    down = _between(place[0], values.shape[1], spacing_px, rows)
    across = _between(place[1], values.shape[2], spacing_px, cols)
    for row in range(values.shape[1]):
        for col in range(values.shape[2]):
            pattern = patterns[row, col]
            weight = 0.0
            total[:], lowest[:], highest[:] = 0.0, 0.0, 0.0
            for band in range(bands):
                here[band] = values[band, row, col]
            for corner in range(4):
                i, j, share = _corner(down, across, row, col, corner)
                for output in range(outputs):
                    lowest[output] += share * ranges[i, j, 2, output]
                    highest[output] += share * ranges[i, j, 3, output]
                used = stand_ins[i, j, pattern]
                if used == 0 or share <= 0.0:
                    continue
                apart[:] = 0.0
                for reference in range(references):
                    if (used >> reference) & 1:
                        for band in range(first_bands[reference], first_bands[reference + 1]):
                            for number in range(classes):
                                difference = here[band] - centres[i, j, band, number]
                                apart[number] += importance[i, j, band] * (difference * difference)
                nearest = 0
                for number in range(1, classes):
                    if apart[number] < apart[nearest]:
                        nearest = number
                weight += share
                for output in range(outputs):
                    value[output] = coefficients[i, j, used, nearest, bands, output]
                for band in range(bands):
                    for output in range(outputs):
                        value[output] += coefficients[i, j, used, nearest, band, output] * here[band]
                for output in range(outputs):
                    total[output] += share * value[output]
            known[row, col] = weight > 0.0
            for output in range(outputs):
                blended = total[output] / weight if weight > 0.0 else 0.0
                predicted[output, row, col] = min(max(blended, lowest[output]), highest[output])


@compiled
def standardise_around(
    image: Cube,
    usable: Flags,
    known: Flags,
    predicted: NDArray[np.float64],
    place: NDArray[np.int64],
    spacing_px: int,
    ranges: NDArray[np.float64],
    step: float,
    largest: float,
    features: NDArray[np.float32],
    residuals: NDArray[np.float32],
) -> None:
    """Write predictions and what they leave of the image, in standard deviations around the level of the nodes.

    Args:
        image: `(band, row, col)`.
        usable: Pixels whose residuals are known, `(band, row, col)`.
        known: Pixels with a prediction, `(row, col)`.
        predicted: See `predict_by_class`, like `place`, `spacing_px` and `ranges`.
        place: Row and column of the array's corner in the scene.
        spacing_px: Distance of the nodes.
        ranges: Level and spread around a node.
        step: Numbers are rounded to multiples of it.
        largest: And clipped to this.
        features: `(band, row, col)`; written to.
        residuals: `(band, row, col)`; written to, 0 where unknown.
    """
    bands, height, width = image.shape
    rows, cols = ranges.shape[:2]
    level, spread = np.empty(bands), np.empty(bands)
    down = _between(place[0], height, spacing_px, rows)
    across = _between(place[1], width, spacing_px, cols)
    for row in range(height):
        for col in range(width):
            level[:], spread[:] = 0.0, 0.0
            for corner in range(4):
                i, j, share = _corner(down, across, row, col, corner)
                for band in range(bands):
                    level[band] += share * ranges[i, j, 0, band]
                    spread[band] += share * ranges[i, j, 1, band]
            for band in range(bands):
                value = (predicted[band, row, col] - level[band]) / spread[band]
                features[band, row, col] = min(max(np.rint(value / step) * step, -largest), largest)
                value = 0.0
                if known[row, col] and usable[band, row, col]:
                    value = (image[band, row, col] - predicted[band, row, col]) / spread[band]
                residuals[band, row, col] = min(max(np.rint(value / step) * step, -largest), largest)


@compiled
def weigh(
    predicted: NDArray[np.float64],
    corrections: NDArray[np.float32],
    known: Flags,
    place: NDArray[np.int64],
    spacing_px: int,
    nodes: NDArray[np.float64],
    expected: NDArray[np.float64],
    total_weight: NDArray[np.float32],
) -> None:
    """Write the weighted sum of the candidates around the level of the image.

    Args:
        predicted: The prediction by class, `(band, row, col)`.
        corrections: What the local regression adds, in standard deviations around the nodes, `(band, row, col)`.
        known: Pixels with a prediction, `(row, col)`.
        place: Row and column of the array's corner in the scene.
        spacing_px: Distance of the nodes.
        nodes: Level, spread, smallest and largest value around a node, and the weight of each candidate,
            `(row, col, 6, band)`.
        expected: `(band, row, col)`; written to, 0 where unknown.
        total_weight: Sum of the weights, `(band, row, col)`; written to.
    """
    bands, height, width = expected.shape
    rows, cols = nodes.shape[:2]
    blended = np.empty((6, bands))
    down = _between(place[0], height, spacing_px, rows)
    across = _between(place[1], width, spacing_px, cols)
    for row in range(height):
        for col in range(width):
            blended[:] = 0.0
            for corner in range(4):
                i, j, share = _corner(down, across, row, col, corner)
                for number in range(6):
                    for band in range(bands):
                        blended[number, band] += share * nodes[i, j, number, band]
            for band in range(bands):
                level, spread, lowest, highest = blended[0, band], blended[1, band], blended[2, band], blended[3, band]
                first = predicted[band, row, col]
                second = min(max(first + spread * corrections[band, row, col], lowest), highest)
                value = level + blended[4, band] * (first - level) + blended[5, band] * (second - level)
                expected[band, row, col] = value if known[row, col] else 0.0
                total_weight[band, row, col] = blended[4, band] + blended[5, band]


@compiled
def _between(
    start: int, size: int, spacing_px: int, count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return the nodes before and after each pixel along an axis, and the bilinear weight of the second one."""
    before, after, share = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size)
    for pixel in range(size):
        at = (start + pixel + 0.5) / spacing_px - 0.5
        first = int(np.floor(at))
        share[pixel] = at - first
        before[pixel], after[pixel] = min(max(first, 0), count - 1), min(max(first + 1, 0), count - 1)
    return before, after, share


@compiled
def _corner(
    down: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]],
    across: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]],
    row: int,
    col: int,
    corner: int,
) -> tuple[int, int, float]:
    """Return row, column and bilinear weight of one of the four nodes around a pixel, from `_between` of both axes."""
    above, below, share_below = down
    left, right, share_right = across
    i, vertical = (above[row], 1.0 - share_below[row]) if corner < 2 else (below[row], share_below[row])
    j, horizontal = (left[col], 1.0 - share_right[col]) if corner % 2 == 0 else (right[col], share_right[col])
    return i, j, vertical * horizontal


@compiled
def fit_around(
    features: NDArray[np.float32],
    residuals: NDArray[np.float32],
    known: Flags,
    wanted: Flags,
    first: NDArray[np.int64],
    block_px: int,
    reach: int,
    penalty: float,
    least: int,
    corrected: NDArray[np.float32],
) -> None:
    """Predict residuals by a ridge regression on all features in the surroundings of each wanted pixel.

    The slopes are fitted to differences of adjacent pixels, so changes over kilometres don't disturb them. The
    prediction is 0 where the features have the mean of the surroundings: the level of the residuals is left to a
    method that fills images.

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
        penalty: Added to the sums of squared differences of each feature.
        least: Fewest known pixels of a fit.
        corrected: `(band, row, col)`: the prediction; written to at the wanted pixels with enough known ones.
    """
    count, height, width = features.shape
    bands = len(residuals)
    rows, cols = (first[0] + height - 1) // block_px + 1, (first[1] + width - 1) // block_px + 1
    sums = np.zeros((rows, cols, 1 + count + count * (count + 1) // 2 + count * bands))
    step, change = np.empty(count), np.empty(bands)
    for row in range(height):
        for col in range(width):
            if not known[row, col]:
                continue
            block = sums[(first[0] + row) // block_px, (first[1] + col) // block_px]
            block[0] += 1.0
            for feature in range(count):
                block[1 + feature] += features[feature, row, col]
            for down in range(2):
                y, x = row + down, col + 1 - down
                if y < height and x < width and known[y, x]:
                    for feature in range(count):
                        step[feature] = features[feature, y, x] - features[feature, row, col]
                    for band in range(bands):
                        change[band] = residuals[band, y, x] - residuals[band, row, col]
                    _add_products(step, change, block[1 + count :])
    sums = _summed_around(sums, reach)
    lines = np.zeros((rows, cols, count + 1, bands))
    matrix, sides = np.empty((count, count)), np.empty((count, bands))
    for row in range(rows):
        for col in range(cols):
            window = sums[row, col]
            if window[0] < least:
                continue
            _solve(window[1 + count :], penalty, matrix, sides)
            for band in range(bands):
                for feature in range(count):
                    slope = sides[feature, band]
                    lines[row, col, feature, band] = slope
                    lines[row, col, count, band] -= slope * window[1 + feature] / window[0]
    here, value, total = np.empty(count), np.empty(bands), np.empty(bands)
    down_nodes = _between(first[0], height, block_px, rows)
    across_nodes = _between(first[1], width, block_px, cols)
    for row in range(height):
        for col in range(width):
            if not wanted[row, col]:
                continue
            weight = 0.0
            total[:] = 0.0
            for feature in range(count):
                here[feature] = features[feature, row, col]
            for corner in range(4):
                i, j, share = _corner(down_nodes, across_nodes, row, col, corner)
                if sums[i, j, 0] < least or share <= 0.0:
                    continue
                weight += share
                for band in range(bands):
                    value[band] = lines[i, j, count, band]
                for feature in range(count):
                    for band in range(bands):
                        value[band] += lines[i, j, feature, band] * here[feature]
                for band in range(bands):
                    total[band] += share * value[band]
            for band in range(bands):
                corrected[band, row, col] = total[band] / weight if weight > 0.0 else 0.0


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
        averaged: Output, `(band, row, col)`: changed at the wanted pixels; NaN if no pixel around is known.
    """
    bands, height, width = residuals.shape
    references, channels = len(first_bands) - 1, len(values)
    rows, cols = scales.shape[:2]
    looks = np.empty((height, width, channels), np.float32)  # the bands of a pixel lie side by side
    for row in range(height):
        for col in range(width):
            for band in range(channels):
                looks[row, col, band] = values[band, row, col]
    importance, here = np.empty(channels), np.empty(channels)
    score, found_row, found_col = np.empty(most), np.empty(most, np.int64), np.empty(most, np.int64)
    for row in range(height):
        i = min((place[0] + row) // spacing_px, rows - 1)
        for col in range(width):
            if not wanted[row, col]:
                continue
            j = min((place[1] + col) // spacing_px, cols - 1)
            for band in range(channels):
                here[band] = looks[row, col, band]
                importance[band] = 1.0 / scales[i, j, band] ** 2
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
                                difference = looks[y, x, band] - here[band]
                                apart += importance[band] * (difference * difference)
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
def _summed_around(sums: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """Return sums over `2·reach + 1` neighbours along the first and the second axis; the sums must be exact."""
    rows, cols, numbers = sums.shape
    down, around, total = np.empty(sums.shape), np.empty(sums.shape), np.empty(numbers)
    for col in range(cols):
        total[:] = 0.0
        for row in range(-reach, rows):
            for number in range(numbers):
                if row + reach < rows:
                    total[number] += sums[row + reach, col, number]
                if row - reach - 1 >= 0:
                    total[number] -= sums[row - reach - 1, col, number]
                if row >= 0:
                    down[row, col, number] = total[number]
    for row in range(rows):
        total[:] = 0.0
        for col in range(-reach, cols):
            for number in range(numbers):
                if col + reach < cols:
                    total[number] += down[row, col + reach, number]
                if col - reach - 1 >= 0:
                    total[number] -= down[row, col - reach - 1, number]
                if col >= 0:
                    around[row, col, number] = total[number]
    return around


@compiled
def _add_products(features: NDArray[np.float64], residuals: NDArray[np.float64], sums: NDArray[np.float64]) -> None:
    """Add all products of features, and of features and residuals, that a regression needs."""
    count, bands = len(features), len(residuals)
    at = 0
    for one in range(count):
        value = features[one]
        for other in range(one, count):
            sums[at + other - one] += value * features[other]
        at += count - one
        for band in range(bands):
            sums[at + band] += value * residuals[band]
        at += bands


@compiled
def _solve(
    products: NDArray[np.float64], penalty: float, matrix: NDArray[np.float64], sides: NDArray[np.float64]
) -> None:
    """Solve normal equations, summed by `_add_products`, by Cholesky's method; the slopes replace the right sides."""
    count, bands = sides.shape
    at = 0
    for one in range(count):
        for other in range(one, count):
            matrix[other, one] = products[at]
            at += 1
        matrix[one, one] += penalty
        for band in range(bands):
            sides[one, band] = products[at]
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
