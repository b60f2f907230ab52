"""How far filled numbers lie from the true ones: scores of one band's hidden pixels, as flat arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

RANGE_PERCENTILES = (0.1, 99.9)
"""What counts as a band's range of numbers: a bright roof or a dead pixel must not stretch it."""


def root_mean_square_error(truth: NDArray[np.floating], fill: NDArray[np.floating]) -> float:
    """Return the root of the mean squared difference, in the units of the band."""
    return float(np.sqrt(np.mean(np.square(_difference(truth, fill)))))


def mean_absolute_error(truth: NDArray[np.floating], fill: NDArray[np.floating]) -> float:
    """Return the mean absolute difference, in the units of the band."""
    return float(np.mean(np.abs(_difference(truth, fill))))


def bias(truth: NDArray[np.floating], fill: NDArray[np.floating]) -> float:
    """Return the mean of fill minus truth, in the units of the band: positive where a fill is too bright."""
    return float(np.mean(_difference(truth, fill)))


def determination(truth: NDArray[np.floating], fill: NDArray[np.floating]) -> float:
    """Return the coefficient of determination r² = 1 − Σ(fill − truth)² / Σ(truth − mean truth)².

    1 is perfect, 0 is as good as the mean of the hidden pixels themselves, and there is no lower bound. NaN
    where the hidden pixels are all alike.
    """
    spread = np.sum(np.square(truth - np.mean(truth, dtype=np.float64)))
    if spread == 0:
        return float("nan")
    return float(1 - np.sum(np.square(_difference(truth, fill))) / spread)


def squared_correlation(truth: NDArray[np.floating], fill: NDArray[np.floating]) -> float:
    """Return the square of Pearson's correlation, which forgives bias and gain.

    NaN where either side is constant. Never below `determination`. Both stand here because both go by the
    name of r²: the deep image prior paper (table 1) names the other, but reports a higher r² with a higher
    RMSE of the same band, which only this one allows.
    """
    true_part = truth - np.mean(truth, dtype=np.float64)
    fill_part = fill - np.mean(fill, dtype=np.float64)
    spread = np.sum(np.square(true_part)) * np.sum(np.square(fill_part))
    if spread == 0:
        return float("nan")
    return float(np.sum(true_part * fill_part) ** 2 / spread)


def peak_signal_to_noise_db(rmse: float, data_range: float) -> float:
    """Return 20·log10(data range / RMSE) in decibels; infinite for a perfect fill."""
    return float("inf") if rmse == 0 else float(20 * np.log10(data_range / rmse))


def data_limits(truth: NDArray[np.floating]) -> tuple[float, float]:
    """Return the low and the high end of a band's observed numbers: their 0.1 and 99.9 percentiles.

    Taken from the pixels and not from the data type, so that 8-bit, 16-bit and float versions of one scene
    get the same scores. The high end is above the low one also for a constant band.
    """
    low, high = np.percentile(truth[np.isfinite(truth)], RANGE_PERCENTILES)
    return float(low), float(high) if high > low else float(low) + 1.0


def _difference(truth: NDArray[np.floating], fill: NDArray[np.floating]) -> NDArray[np.float64]:
    difference: NDArray[np.float64] = np.subtract(fill, truth, dtype=np.float64)
    return difference
