"""Scores a filled trial: each band, and all of them together."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.evaluation import metrics
from landsat_fill.evaluation.metrics import (
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
"""The score of what a method, a band or an image doesn't have; an empty cell in a table."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What is known about one fill of one band, or of all bands; NaN where a score doesn't apply.

    RMSE, MAE, bias and CRPS are in stored numbers. Errors count hidden pixels alone; a hidden pixel that a
    method leaves unfilled counts as the mean of the usable pixels, so that all methods are scored on the
    same pixels and giving up never pays.

    Of all bands together, RMSE, MAE, bias and CRPS are those of all hidden pixels in one heap, and the rest
    means over the bands: an r² of the heap would count the differences between the bands as explained.

    Attributes:
        hidden: Number of hidden pixels.
        unfilled_pct: Percentage of them that the method left unfilled.
        rmse: Root mean square error.
        mae: Mean absolute error.
        bias: Mean of fill minus truth.
        r2: Coefficient of determination.
        pearson_r2: Squared correlation.
        psnr_db: Peak signal-to-noise ratio of the hidden pixels; the peak is the range of the band's observed
            pixels between their 0.1 and 99.9 percentiles.
        ssim: Structural similarity of the composite, mean over all observed pixels.
        ssim_hidden: The same, mean over the hidden pixels.
        ms_ssim: Multi-scale structural similarity of the composite.
        border_step: See `StripeVisibility`.
        inner_step: See `StripeVisibility`.
        stripe_index: See `StripeVisibility`.
        spectral_angle_deg: Mean angle between true and filled spectra; of all bands only.
        crps: Continuous ranked probability score.
        seconds: Wall-clock time of the fill; of all bands only.
        coverage_10: Share of the truth inside the central 10 % interval, as the others of `NOMINAL_PCT` are.
        coverage_20: Inside the 20 % interval.
        coverage_30: Inside the 30 % interval.
        coverage_40: Inside the 40 % interval.
        coverage_50: Inside the 50 % interval.
        coverage_60: Inside the 60 % interval.
        coverage_70: Inside the 70 % interval.
        coverage_80: Inside the 80 % interval.
        coverage_90: Inside the 90 % interval.
        coverage_95: Inside the 95 % interval.
        coverage_99: Inside the 99 % interval.
    """

    hidden: int
    unfilled_pct: float = NOTHING
    rmse: float = NOTHING
    mae: float = NOTHING
    bias: float = NOTHING
    r2: float = NOTHING
    pearson_r2: float = NOTHING
    psnr_db: float = NOTHING
    ssim: float = NOTHING
    ssim_hidden: float = NOTHING
    ms_ssim: float = NOTHING
    border_step: float = NOTHING
    inner_step: float = NOTHING
    stripe_index: float = NOTHING
    spectral_angle_deg: float = NOTHING
    crps: float = NOTHING
    seconds: float = NOTHING
    coverage_10: float = NOTHING
    coverage_20: float = NOTHING
    coverage_30: float = NOTHING
    coverage_40: float = NOTHING
    coverage_50: float = NOTHING
    coverage_60: float = NOTHING
    coverage_70: float = NOTHING
    coverage_80: float = NOTHING
    coverage_90: float = NOTHING
    coverage_95: float = NOTHING
    coverage_99: float = NOTHING


SCORE_NAMES: tuple[str, ...] = tuple(f.name for f in fields(Scores))
"""The scores in the order of their columns."""

_POOLED = frozenset({"mae", "bias", "crps", "unfilled_pct"})


def score_bands(trial: Trial, filled: Filled) -> tuple[Scores | None, ...]:
    """Return the scores of each band, None for a band without a hidden pixel.

    Args:
        trial: What was hidden.
        filled: What a method made of `trial.image`; only its hidden pixels are looked at.
    """
    return tuple(_score_band(trial, filled, band) for band in range(trial.truth.shape[0]))


def score_together(
    trial: Trial, filled: Filled, bands: Sequence[Scores | None], *, seconds: float = NOTHING
) -> Scores:
    """Return the scores of all bands together.

    Args:
        trial: What was hidden.
        filled: What a method made of it.
        bands: The scores of its bands, from `score_bands`.
        seconds: How long the fill took.
    """
    scored = [scores for scores in bands if scores is not None]
    weights = np.array([scores.hidden for scores in scored], dtype=np.float64)

    def over_bands(name: str) -> float:
        values = np.array([getattr(scores, name) for scores in scored], dtype=np.float64)
        if name == "rmse":
            return float(np.sqrt(mean_of_known(values**2, weights)))
        return mean_of_known(values, weights if name in _POOLED else None)

    composite = np.stack([_composite(trial, filled, band) for band in range(trial.truth.shape[0])])
    together = {name: over_bands(name) for name in SCORE_NAMES}
    together["spectral_angle_deg"] = spectral_angle_deg(trial.truth, composite, trial.hidden)
    together["seconds"] = seconds
    del together["hidden"]
    return Scores(hidden=int(weights.sum()), **together)


def mean_of_known(values: NDArray[np.floating], weights: NDArray[np.floating] | None = None) -> float:
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
        return Scores(count, unfilled_pct)

    composite = _composite(trial, filled, band)
    truth, fill = trial.truth[band][hidden], composite[hidden]
    limits = metrics.data_limits(trial.truth[band])
    rmse = metrics.root_mean_square_error(truth, fill)
    similarity = _similarity(trial.truth[band], composite, hidden, limits)
    visibility = stripe_visibility(composite, hidden, usable)
    return Scores(
        hidden=count,
        unfilled_pct=unfilled_pct,
        rmse=rmse,
        mae=metrics.mean_absolute_error(truth, fill),
        bias=metrics.bias(truth, fill),
        r2=metrics.determination(truth, fill),
        pearson_r2=metrics.squared_correlation(truth, fill),
        psnr_db=metrics.peak_signal_to_noise_db(rmse, limits[1] - limits[0]),
        ssim=similarity[0],
        ssim_hidden=similarity[1],
        ms_ssim=similarity[2],
        border_step=visibility.border_step,
        inner_step=visibility.inner_step,
        stripe_index=visibility.stripe_index,
        **_forecast(trial, filled, band),
    )


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
    truth: NDArray[np.floating],
    composite: NDArray[np.floating],
    hidden: NDArray[np.bool_],
    limits: tuple[float, float],
) -> tuple[float, float, float]:
    """Return SSIM over the observed pixels, SSIM over the hidden ones, and MS-SSIM."""
    low, high = limits
    observed = np.isfinite(truth)
    # What was never observed is made the same grey in both, so that it tells for no method and against none.
    true_unit, fill_unit = (
        np.where(observed, (values - low) / (high - low), 0.5) for values in (truth, composite)
    )
    similarity = similarity_map(true_unit, fill_unit)
    return (
        float(np.mean(similarity[observed])),
        float(np.mean(similarity[hidden])),
        multi_scale_similarity(true_unit, fill_unit),
    )


def _forecast(trial: Trial, filled: Filled, band: int) -> dict[str, float]:
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
