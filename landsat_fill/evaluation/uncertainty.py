"""Whether a method's standard deviation can be believed: scores of a Gaussian forecast, as flat arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

HALF_WIDTH_90 = 1.6448536269514722
"""Half the width of the central 90 % interval of a Gaussian, in standard deviations: its 95 % quantile."""


def coverage_90(truth: NDArray[np.floating], mean: NDArray[np.floating], std: NDArray[np.floating]) -> float:
    """Return the share of true numbers inside the 90 % interval: 0.9 is honest, less is overconfident."""
    return float(np.mean(np.abs(truth - mean) <= HALF_WIDTH_90 * std))


def ranked_probability_score(
    truth: NDArray[np.floating], mean: NDArray[np.floating], std: NDArray[np.floating]
) -> float:
    """Return the mean continuous ranked probability score of a Gaussian forecast, in the units of the band.

    Small is good. It is the absolute error where the std is 0, so it compares with the mean absolute error of
    a method that has none.

    Source: Gneiting & Raftery 2007, "Strictly Proper Scoring Rules, Prediction, and Estimation", eq. 21,
    https://doi.org/10.1198/016214506000001437
    """
    from scipy.special import ndtr

    error = np.abs(np.subtract(truth, mean, dtype=np.float64))
    spread = np.asarray(std, dtype=np.float64)
    certain = spread == 0
    z = error / np.where(certain, 1.0, spread)
    density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    score = spread * (z * (2 * ndtr(z) - 1) + 2 * density - 1 / np.sqrt(np.pi))
    return float(np.mean(np.where(certain, error, score)))
