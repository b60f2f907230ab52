"""Loops of CLEAR, GNSPI and the time series: residuals of similar pixels, and regressions on the season."""

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
        slopes: Slopes of the regression, `(band, class, date)`; 0 where there is no channel.
        intercepts: Intercepts of the regression, `(band, class)`.
        together: Channels in which pixels are compared.
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
