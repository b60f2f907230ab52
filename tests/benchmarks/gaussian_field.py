"""Gaussian random fields whose covariance is known, and the least error with which they can be guessed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Covariance = Callable[[NDArray[np.float64]], NDArray[np.float64]]

NEAREST = 200
"""Observed pixels behind the least error; more change nothing in its fourth digit."""


def gaussian_field(covariance: Covariance, side_px: int, seed: int) -> NDArray[np.float64]:
    """Return a field `(row, col)`, cut from one of four times its size on a torus.

    Source: Dietrich and Newsam 1997, Fast and exact simulation of stationary Gaussian processes through
    circulant embedding, doi:10.1137/S1064827592240555.
    """
    size = 2 * side_px
    lags = np.minimum(np.arange(size), size - np.arange(size)).astype(float)
    power = np.maximum(np.fft.fft2(covariance(np.hypot(*np.meshgrid(lags, lags)))).real, 0)
    noise = np.random.default_rng(seed).standard_normal((2, size, size))
    return np.fft.fft2(np.sqrt(power) * (noise[0] + 1j * noise[1])).real[:side_px, :side_px] / size


def least_variance(covariance: Covariance, missing: NDArray[np.bool_], pixel: NDArray[np.int64]) -> float:
    """Return the variance of ordinary kriging at a missing pixel under the true covariance."""
    places = np.argwhere(~missing)
    places = places[np.argsort(((places - pixel) ** 2).sum(1), kind="stable")[:NEAREST]]
    matrix = np.ones((NEAREST + 1, NEAREST + 1))
    matrix[:-1, :-1] = covariance(np.hypot(*(places[:, None] - places[None]).astype(float).transpose(2, 0, 1)))
    matrix[-1, -1] = 0
    right = np.ones(NEAREST + 1)
    right[:-1] = covariance(np.hypot(*(places - pixel).astype(float).T))
    sill = float(covariance(np.zeros(1))[0])
    return sill - float(np.linalg.solve(matrix, right) @ right)
