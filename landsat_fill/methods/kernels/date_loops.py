"""Loops of the methods that fill from other dates: regressions by class, of residuals and of the season."""

from __future__ import annotations

import math
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


@compiled
def compensate_residuals(
    image: NDArray[np.floating],
    usable: NDArray[np.bool_],
    values: NDArray[np.float32],
    classes: NDArray[np.int8],
    targets: NDArray[np.int64],
    offsets: NDArray[np.int64],
    bands: NDArray[np.int64],
    channels: NDArray[np.int64],
    slopes: NDArray[np.float64],
    intercepts: NDArray[np.float64],
    together: NDArray[np.int64],
    importance: NDArray[np.float64],
    most_near: int,
    most: int,
    mean: NDArray[np.floating],
) -> None:
    """Fill pixels by a regression and the weighted residual of similar pixels.

    Args:
        image: `(row, col, band)`.
        usable: Pixels that are usable in all `bands`, `(row, col)`.
        values: The references, `(row, col, channel)`.
        classes: Class of each pixel, -1 for none, `(row, col)`.
        targets: Rows and columns of the pixels to fill, `(target, 2)`; each has a class.
        offsets: Rows and columns to other pixels, the nearest first, `(offset, 2)`.
        bands: Bands of the image to fill.
        channels: The channels that match each of them, `(band, date)`; -1 for none.
        slopes: Of the regression, `(band, class, date)`; 0 where there is no channel.
        intercepts: `(band, class)`.
        together: Channels that are compared.
        importance: Factors of their differences, `(class, channel)`.
        most_near: Largest number of pixels of the class to compare.
        most: Largest number of similar pixels among them.
        mean: Output, `(target, band)`.
    """
    height, width = usable.shape
    dates = channels.shape[1]
    near = np.empty((most_near, 2), np.int64)
    away = np.empty(most_near, np.float64)  # squared
    unlike = np.empty(most_near, np.float64)
    order = np.empty(most_near, np.int64)
    for target in range(len(targets)):
        row, col = targets[target]
        own = classes[row, col]
        count = 0
        for number in range(len(offsets)):
            down, right = offsets[number]
            r, c = row + down, col + right
            if 0 <= r < height and 0 <= c < width and usable[r, c] and classes[r, c] == own:
                near[count] = r, c
                away[count] = down * down + right * right
                count += 1
                if count == most_near:
                    break
        chosen = min(count, most)
        for one in range(count):
            r, c = near[one]
            total = 0.0
            for number in range(len(together)):
                channel = together[number]
                difference = np.float64(values[r, c, channel]) - values[row, col, channel]
                total += importance[own, number] * abs(difference)
            unlike[one] = total
            order[one] = one
        # The most similar pixels come first; of equally similar ones the nearest.
        for first in range(chosen):
            least = first
            for one in range(first + 1, count):
                a, b = order[one], order[least]
                if unlike[a] < unlike[b] or (unlike[a] == unlike[b] and a < b):
                    least = one
            order[first], order[least] = order[least], order[first]
        for place in range(len(bands)):
            band = bands[place]
            predicted = intercepts[place, own]
            for date in range(dates):
                if channels[place, date] >= 0:
                    predicted += slopes[place, own, date] * values[row, col, channels[place, date]]
            mean[target, place] = predicted
            if count == 0:
                continue
            alike, apart = unlike[order[0]], unlike[order[chosen - 1]]
            weights, weighted = 0.0, 0.0
            for first in range(chosen):
                one = order[first]
                # The difference counts 1 for the most similar pixel and 2 for the least similar one.
                scaled = away[one]
                if apart > alike:
                    scaled *= 1.0 + (unlike[one] - alike) / (apart - alike)
                r, c = near[one]
                residual = image[r, c, band] - intercepts[place, own]
                for date in range(dates):
                    if channels[place, date] >= 0:
                        residual -= slopes[place, own, date] * values[r, c, channels[place, date]]
                weights += 1.0 / scaled
                weighted += residual / scaled
            mean[target, place] = predicted + weighted / weights


MOST_TIES = 32
"""More pixels than have the same distance from one pixel within a window of radius 12."""


@compiled
def krige_residuals(
    image: NDArray[np.floating],
    usable: NDArray[np.bool_],
    values: NDArray[np.float32],
    valid: NDArray[np.bool_],
    classes: NDArray[np.int8],
    targets: NDArray[np.int64],
    offsets: NDArray[np.int64],
    starts: NDArray[np.int64],
    limits: NDArray[np.float64],
    bands: NDArray[np.int64],
    channels: NDArray[np.int64],
    slopes: NDArray[np.float64],
    intercepts: NDArray[np.float64],
    sills: NDArray[np.float64],
    nuggets: NDArray[np.float64],
    covariances: NDArray[np.float64],
    most: int,
    mean: NDArray[np.floating],
    variance: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Fill pixels from a reference, and return the number of similar pixels of each.

    Args:
        image: `(row, col, band)`.
        usable: Pixels that are usable in all `bands`, `(row, col)`.
        values: The references, `(row, col, channel)`.
        valid: `(row, col, reference)`.
        classes: Class of each pixel in the reference, -1 for none, `(row, col)`.
        targets: Rows and columns of the pixels to fill, `(target, 2)`; each has a class.
        offsets: Rows and columns to the pixels of the window, the nearest first, `(offset, 2)`.
        starts: First channel of each reference, and the number of channels.
        limits: Largest sum of squared differences of a similar pixel, by reference.
        bands: Bands of the image to fill.
        channels: The channel that matches each of them.
        slopes: Of the regression on the reference, `(band, class)`.
        intercepts: `(band, class)`.
        sills: Sill of the residuals, `(band, class)`.
        nuggets: Nugget of the residuals, `(band, class)`.
        covariances: Covariance by squared distance in pixels, 0 and up, as a share of the sill,
            `(band, class, squared distance)`.
        most: Largest number of similar pixels to use.
        mean: Output, `(target, band)`.
        variance: Output, `(target, band)`; NaN without similar pixels.
    """
    height, width = usable.shape
    references = len(limits)
    near = np.empty((most, 2), np.int64)
    ties = np.empty((MOST_TIES, 2), np.int64)
    squared = np.empty((most, most), np.int64)
    lower = np.empty((most, most), np.float64)
    towards = np.empty(most, np.float64)
    ones = np.empty(most, np.float64)
    counts = np.zeros(len(targets), np.int64)
    for target in range(len(targets)):
        row, col = targets[target]
        own = classes[row, col]
        count, tied, tied_at = 0, 0, -1
        for number in range(len(offsets)):
            down, right = offsets[number]
            r, c = row + down, col + right
            if r < 0 or r >= height or c < 0 or c >= width or not usable[r, c] or classes[r, c] != own:
                continue
            distance = down * down + right * right
            if tied_at < 0 or distance == tied_at:
                tied_at = distance
                ties[tied] = r, c
                tied += 1
            similar = True
            for reference in range(references):
                if not (valid[row, col, reference] and valid[r, c, reference]):
                    continue
                total = 0.0
                for channel in range(starts[reference], starts[reference + 1]):
                    difference = np.float64(values[r, c, channel]) - values[row, col, channel]
                    total += difference * difference
                if not total < limits[reference]:
                    similar = False
                    break
            if similar:
                near[count] = r, c
                count += 1
                if count == most:
                    break
        counts[target] = count
        for one in range(count):
            for other in range(one):
                down, right = near[one, 0] - near[other, 0], near[one, 1] - near[other, 1]
                squared[one, other] = down * down + right * right
        for place in range(len(bands)):
            band, channel = bands[place], channels[place]
            slope, intercept = slopes[place, own], intercepts[place, own]
            predicted = intercept + slope * values[row, col, channel]
            sill, nugget = sills[place, own], nuggets[place, own]
            if count == 0:
                if tied and sill > 0:
                    total = 0.0
                    for one in range(tied):
                        total += image[ties[one, 0], ties[one, 1], band]
                    predicted = (predicted + total / tied) / 2
                mean[target, place] = predicted
                variance[target, place] = np.nan
                continue
            weighted, spread = 0.0, 0.0
            if sill <= 0:
                for one in range(count):
                    towards[one] = 1.0 / count
            else:
                shares = covariances[place, own]
                diagonal = 1.0 + nugget / sill
                # The Cholesky factor of the covariances, and two solutions with it.
                for one in range(count):
                    down, right = near[one, 0] - row, near[one, 1] - col
                    towards[one], ones[one] = shares[down * down + right * right], 1.0
                    for other in range(one + 1):
                        total = diagonal if other == one else shares[squared[one, other]]
                        for inner in range(other):
                            total -= lower[one, inner] * lower[other, inner]
                        lower[one, other] = math.sqrt(total) if other == one else total / lower[other, other]
                    for other in range(one):
                        towards[one] -= lower[one, other] * towards[other]
                        ones[one] -= lower[one, other] * ones[other]
                    towards[one] /= lower[one, one]
                    ones[one] /= lower[one, one]
                explained, shared, unit = 0.0, 0.0, 0.0
                for one in range(count):
                    explained += towards[one] * towards[one]
                    shared += towards[one] * ones[one]
                    unit += ones[one] * ones[one]
                multiplier = (shared - 1.0) / unit
                spread = sill * (1.0 - explained + (shared - 1.0) * multiplier)
                for one in range(count):
                    towards[one] -= multiplier * ones[one]
                for one in range(count - 1, -1, -1):
                    for other in range(one + 1, count):
                        towards[one] -= lower[other, one] * towards[other]
                    towards[one] /= lower[one, one]
            for one in range(count):
                r, c = near[one]
                residual = image[r, c, band] - (intercept + slope * values[r, c, channel])
                weighted += towards[one] * residual
            mean[target, place] = predicted + weighted
            variance[target, place] = max(spread, 0.0)
    return counts


ROUNDS = 5
"""Rounds of reweighting, as many as in continuous change detection (Zhu and Woodcock 2014)."""

BIWEIGHT = 4.685
"""Tukey's constant: residuals above this multiple of the standard deviation have no weight."""

NORMAL_MAD = 1.4826
"""Ratio of the standard deviation to the median absolute residual of a normal distribution."""

TINY = 1e-9
"""This share of the dates is added to the diagonal, so that dates of one season have a solution."""


@compiled
def seasonal_coefficients(
    values: NDArray[np.float32], usable: NDArray[np.bool_], design: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the coefficients of each pixel's curve, `(pixel, coefficient)`.

    Args:
        values: `(pixel, date)`.
        usable: Of the same shape; at least one date of each pixel.
        design: Terms of the curve on each date, `(date, coefficient)`; the first one is 1.
    """
    pixels, dates = values.shape
    terms = design.shape[1]
    found = np.zeros((pixels, terms), np.float64)
    weights = np.empty(dates, np.float64)
    sizes = np.empty(dates, np.float64)
    matrix = np.empty((terms, terms), np.float64)
    right = np.empty(terms, np.float64)
    for pixel in range(pixels):
        level, count = 0.0, 0
        for date in range(dates):
            weights[date] = 0.0
            if usable[pixel, date]:
                weights[date] = 1.0
                level += values[pixel, date]
                count += 1
        level /= count
        for turn in range(ROUNDS + 1):
            matrix[:] = 0.0
            right[:] = 0.0
            for date in range(dates):
                if weights[date] > 0:
                    for one in range(terms):
                        part = weights[date] * design[date, one]
                        right[one] += part * (values[pixel, date] - level)
                        for other in range(terms):
                            matrix[one, other] += part * design[date, other]
            for one in range(1, terms):
                matrix[one, one] += TINY * count
            found[pixel] = np.linalg.solve(matrix, right)
            if turn == ROUNDS:
                break
            place = 0
            for date in range(dates):
                if usable[pixel, date]:
                    error = values[pixel, date] - level
                    for one in range(terms):
                        error -= found[pixel, one] * design[date, one]
                    sizes[place] = abs(error)
                    place += 1
            limit = BIWEIGHT * NORMAL_MAD * np.median(sizes[:count])
            if limit <= 0:
                break
            place = 0
            for date in range(dates):
                if usable[pixel, date]:
                    share = min(sizes[place] / limit, 1.0)
                    weights[date] = (1.0 - share * share) ** 2
                    place += 1
        found[pixel, 0] += level
    return found
