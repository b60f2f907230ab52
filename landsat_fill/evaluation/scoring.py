"""Scores a filled trial: each band, and all of them together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.evaluation import metrics
from landsat_fill.evaluation.metrics import (
    NOMINAL_PCT,
    multi_scale_similarity,
    similarity_map,
    spectral_angle_deg,
    stripe_visibility,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from landsat_fill.evaluation.trials import Trial
    from landsat_fill.scene import Filled


NOTHING = float("nan")
"""The value of a score that doesn't apply; an empty cell in a table."""

SCORES = {
    "hidden": "number of hidden pixels",
    "range": "range of the band's observed pixels, between their 0.1 and 99.9 percentiles; not of all bands",
    "unfilled_pct": "percentage of the hidden pixels that the method left unfilled",
    "rmse": "root mean square error",
    "mae": "mean absolute error",
    "bias": "mean of fill minus truth",
    "r2": "coefficient of determination",
    "pearson_r2": "squared correlation",
    "psnr_db": "peak signal-to-noise ratio of the hidden pixels; the peak is `range`",
    "ssim": "structural similarity of the composite, mean over all observed pixels",
    "ssim_hidden": "the same, mean over the hidden pixels",
    "ms_ssim": "multi-scale structural similarity of the composite",
    "border_step": "steps across the borders of the gaps; see `stripe_visibility`",
    "inner_step": "steps inside the gaps",
    "stripe_index": "visibility of the gaps",
    "spectral_angle_deg": "mean angle between true and filled spectra; of all bands only",
    "crps": "continuous ranked probability score",
    "seconds": "wall-clock time of the fill; of all bands only",
    **{f"coverage_{pct}": f"share of the truth inside the central {pct} % interval" for pct in NOMINAL_PCT},
}
"""The scores of a fill, for one band or all bands, in the order of the columns; NaN if they don't apply.

RMSE, MAE, bias, CRPS and range are in stored numbers. Errors use hidden pixels only. A hidden pixel that a
method doesn't fill counts as the mean of the usable pixels, so that all methods have the same scored pixels.

For all bands together, RMSE, MAE, bias and CRPS pool the hidden pixels, and the others are means over bands,
because r² of pooled pixels would count differences between bands as explained.
"""

Scores = dict[str, float]
"""The scores of one fill by name; those that don't apply are missing or NaN."""

_POOLED = frozenset({"mae", "bias", "crps", "unfilled_pct"})


def score_bands(trial: Trial, filled: Filled) -> tuple[Scores | None, ...]:
    """Return the scores of each band, None for a band without a hidden pixel."""
    return tuple(_score_band(trial, filled, band) for band in range(trial.truth.shape[0]))


def score_together(trial: Trial, filled: Filled, bands: Sequence[Scores | None], *, seconds: float = NOTHING) -> Scores:
    """Return the scores of all bands together, from those of `score_bands` and the duration of the fill."""
    scored = [scores for scores in bands if scores is not None]
    weights = np.array([scores["hidden"] for scores in scored], dtype=np.float64)

    def over_bands(name: str) -> float:
        values = np.array([scores.get(name, NOTHING) for scores in scored], dtype=np.float64)
        if name == "rmse":
            return float(np.sqrt(_mean_of_known(values**2, weights)))
        return _mean_of_known(values, weights if name in _POOLED else None)

    composite = np.stack([_composite(trial, filled, band) for band in range(trial.truth.shape[0])])
    return {name: over_bands(name) for name in SCORES} | {
        "hidden": int(weights.sum()),
        "range": NOTHING,
        "spectral_angle_deg": spectral_angle_deg(trial.truth, composite, trial.hidden),
        "seconds": seconds,
    }


def _mean_of_known(values: NDArray[np.floating], weights: NDArray[np.floating] | None = None) -> float:
    """Return the mean, by weight if given, of the values that aren't NaN; NaN if all are."""
    known = ~np.isnan(values)
    if not known.any():
        return NOTHING
    return float(np.average(values[known], weights=None if weights is None else weights[known]))


def _score_band(trial: Trial, filled: Filled, band: int) -> Scores | None:
    hidden, usable = trial.hidden[band], trial.gaps.usable[band]
    if not hidden.any():
        return None
    count = int(np.count_nonzero(hidden))
    unfilled_pct = 100 * np.count_nonzero(~np.isfinite(filled.mean[band][hidden])) / count
    if not usable.any():
        return {"hidden": count, "unfilled_pct": unfilled_pct}

    composite = _composite(trial, filled, band)
    truth, fill = trial.truth[band][hidden], composite[hidden]
    limits = metrics.data_limits(trial.truth[band])
    return {
        "hidden": count,
        "range": limits[1] - limits[0],
        "unfilled_pct": unfilled_pct,
        **metrics.error_scores(truth, fill, limits[1] - limits[0]),
        **stripe_visibility(composite, hidden, usable),
        **_similarity(trial.truth[band], composite, hidden, limits),
        **_forecast(trial, filled, band),
    }


def _composite(trial: Trial, filled: Filled, band: int) -> NDArray[np.floating]:
    """Return the band with its hidden pixels as filled: `(row, col)`, NaN where nothing was observed."""
    hidden, usable = trial.hidden[band], trial.gaps.usable[band]
    composite: NDArray[np.floating] = trial.truth[band].copy()
    if hidden.any():
        fill = filled.mean[band][hidden]
        no_skill = np.mean(composite[usable], dtype=np.float64) if usable.any() else NOTHING
        composite[hidden] = np.where(np.isfinite(fill), fill, no_skill)
    return composite


def _similarity(
    truth: NDArray[np.floating], composite: NDArray[np.floating], hidden: NDArray[np.bool_], limits: tuple[float, float]
) -> Scores:
    """Return SSIM over the observed pixels, SSIM over the hidden ones, and MS-SSIM, by name."""
    low, high = limits
    observed = np.isfinite(truth)
    # Pixels that were never observed have the same grey in both images.
    true_unit, fill_unit = (np.where(observed, (values - low) / (high - low), 0.5) for values in (truth, composite))
    similarity = similarity_map(true_unit, fill_unit)
    return {
        "ssim": float(np.mean(similarity[observed])),
        "ssim_hidden": float(np.mean(similarity[hidden])),
        "ms_ssim": multi_scale_similarity(true_unit, fill_unit),
    }


def _forecast(trial: Trial, filled: Filled, band: int) -> Scores:
    """Return CRPS and coverages over the hidden pixels that have a mean and a standard deviation, by name."""
    if filled.std is None:
        return {}
    hidden = trial.hidden[band]
    truth, mean, std = trial.truth[band][hidden], filled.mean[band][hidden], filled.std[band][hidden]
    known = np.isfinite(mean) & np.isfinite(std)
    if not known.any():
        return {}
    forecast = truth[known], mean[known], std[known]
    scores = {f"coverage_{pct}": share for pct, share in metrics.coverages(*forecast).items()}
    return {"crps": metrics.ranked_probability_score(*forecast), **scores}
