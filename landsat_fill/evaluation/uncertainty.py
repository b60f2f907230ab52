"""Whether a method's standard deviation can be believed: scores of a Gaussian forecast, as flat arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

NOMINAL_PCT = (10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 99)
"""The central intervals that are looked at: what percentage of the truth each ought to hold."""


def coverages(
    truth: NDArray[np.floating], mean: NDArray[np.floating], std: NDArray[np.floating]
) -> dict[int, float]:
    """Return, for each of `NOMINAL_PCT`, the share of true numbers inside the central interval of a Gaussian.

    A share equal to the nominal one is honest, less is overconfident, more is too modest. Numbers that are
    rounded, as stored ones are, hit a mean exactly more often than a Gaussian would: where the std is below
    about 1 in stored numbers, the narrow intervals hold more than they ought to.
    """
    from scipy.special import ndtri

    error = np.abs(np.subtract(truth, mean, dtype=np.float64))
    return {
        pct: float(np.mean(error <= float(ndtri(0.5 + pct / 200)) * np.asarray(std, dtype=np.float64)))
        for pct in NOMINAL_PCT
    }


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
