"""The loop of the time series: a robust regression on the season for each pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.methods.kernels import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray


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
