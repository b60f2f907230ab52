"""Scores of filled values against the true ones: of each band, and of all bands together.

Errors use hidden pixels only. Similarities use the composite of observed and filled pixels; because observed
pixels are always right, a mean over the whole image is higher than a mean over the hidden pixels.

The similarities equal those of scikit-image to 1e-12 and of `pytorch-msssim` to 2e-6. scikit-image doesn't
return the two terms of the multi-scale similarity separately, and `pytorch-msssim` takes 14 times as long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from landsat_fill.evaluation.trials import Trial
    from landsat_fill.scene import Filled


RANGE_PERCENTILES = (0.1, 99.9)
"""Percentiles that limit a band's range, so that a bright roof or a dead pixel doesn't stretch it."""


def error_scores(truth: NDArray[np.floating], fill: NDArray[np.floating], data_range: float) -> dict[str, float]:
    """Return the errors of the filled values of a band.

    `rmse`, `mae` and `bias` are in the units of the band; the bias is positive where a fill is too bright.
    `r2` is the coefficient of determination 1 − Σ(fill − truth)² / Σ(truth − mean truth)²: 1 is perfect, 0 is as
    good as the mean of the hidden pixels, and there is no lower bound. `pearson_r2` is the square of Pearson's
    correlation, which ignores bias and gain, and is never below `r2`. Both are called r² in the literature:
    Petrovskaia et al. 2020 (table 1) define the former, but report a higher r² with a higher RMSE of the same
    band, which is only possible for the latter. Either is NaN if the truth is constant, and `pearson_r2` also if
    the fill is. `psnr_db` is 20·log10(data range / RMSE), infinite for a perfect fill.
    """
    difference = np.subtract(fill, truth, dtype=np.float64)
    true_part = truth - np.mean(truth, dtype=np.float64)
    fill_part = fill - np.mean(fill, dtype=np.float64)
    squares = np.square(difference)
    spread = np.sum(np.square(true_part))
    both = spread * np.sum(np.square(fill_part))
    rmse = float(np.sqrt(np.mean(squares)))
    return {
        "rmse": rmse,
        "mae": float(np.mean(np.abs(difference))),
        "bias": float(np.mean(difference)),
        "r2": float(1 - np.sum(squares) / spread) if spread else float("nan"),
        "pearson_r2": float(np.sum(true_part * fill_part) ** 2 / both) if both else float("nan"),
        "psnr_db": float(20 * np.log10(data_range / rmse)) if rmse else float("inf"),
    }


def data_limits(truth: NDArray[np.floating]) -> tuple[float, float]:
    """Return the 0.1 and 99.9 percentiles of a band's observed values.

    They don't depend on the data type, so 8-bit, 16-bit and float versions of a scene get the same scores.
    The upper limit exceeds the lower one even in a constant band.
    """
    low, high = np.percentile(truth[np.isfinite(truth)], RANGE_PERCENTILES)
    return float(low), float(high) if high > low else float(low) + 1.0


WINDOW_SIGMA_PX = 1.5
WINDOW_PX = 11
"""The Gaussian window: Wang et al. 2004, section III-C, https://doi.org/10.1109/TIP.2003.819861"""

LUMINANCE_CONSTANT = 0.01**2
CONTRAST_CONSTANT = 0.03**2
"""(K1·L)² and (K2·L)² for a data range L of 1; Wang et al. 2004, section III-C."""

SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents from the finest scale on: Wang et al. 2003, https://doi.org/10.1109/ACSSC.2003.1292216"""

SMALLEST_WINDOW_PX = 3


def similarity_map(truth: NDArray[np.floating], composite: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the structural similarity of two images at each pixel, from −1 to 1.

    Args:
        truth: `(row, col)`, finite, from about 0 to 1.
        composite: The same.
    """
    luminance, structure = _terms(truth.astype(np.float64), composite.astype(np.float64), WINDOW_PX)
    return luminance * structure


def multi_scale_similarity(truth: NDArray[np.floating], composite: NDArray[np.floating]) -> float:
    """Return the multi-scale structural similarity of two images, from 0 to 1, as `pytorch-msssim` does.

    The window shrinks from 11 px to the largest odd one that five scales of the image allow (7 px for a side
    of 128 px, 3 px for one of 64 px); NaN for an image with a side of 32 px or less, which allows none.

    Args:
        truth: `(row, col)`, finite, from about 0 to 1.
        composite: The same.
    """
    window_px = multi_scale_window_px(min(truth.shape))
    if window_px is None:
        return float("nan")
    x, y = truth.astype(np.float64), composite.astype(np.float64)
    # Only windows that lie in the image.
    inner = (slice(window_px // 2, -(window_px // 2)),) * 2
    similarity = 1.0
    for scale, weight in enumerate(SCALE_WEIGHTS, start=1):
        luminance, structure = _terms(x, y, window_px)
        coarsest = scale == len(SCALE_WEIGHTS)
        term = np.mean((luminance * structure if coarsest else structure)[inner])
        similarity *= max(float(term), 0.0) ** weight
        x, y = _halved(x), _halved(y)
    return similarity


def multi_scale_window_px(side_px: int) -> int | None:
    """Return the window for an image whose shorter side is `side_px`, or None where none fits.

    The window must fit into the image halved four times; `pytorch-msssim` asks for
    side > (window − 1) · 2⁴.
    """
    widest = (side_px - 1) // 2 ** (len(SCALE_WEIGHTS) - 1) + 1
    window_px = min(WINDOW_PX, widest if widest % 2 else widest - 1)
    return window_px if window_px >= SMALLEST_WINDOW_PX else None


def _terms(
    x: NDArray[np.float64], y: NDArray[np.float64], window_px: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the luminance term at each pixel, and the product of contrast and structure."""
    import cv2

    def blurred(values: NDArray[np.float64]) -> NDArray[np.float64]:
        size = (window_px, window_px)
        return np.asarray(cv2.GaussianBlur(values, size, WINDOW_SIGMA_PX, borderType=cv2.BORDER_REFLECT), np.float64)

    mean_x, mean_y = blurred(x), blurred(y)
    variance_x = blurred(x * x) - mean_x**2
    variance_y = blurred(y * y) - mean_y**2
    covariance = blurred(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + LUMINANCE_CONSTANT) / (mean_x**2 + mean_y**2 + LUMINANCE_CONSTANT)
    structure = (2 * covariance + CONTRAST_CONSTANT) / (variance_x + variance_y + CONTRAST_CONSTANT)
    return luminance, structure


def _halved(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the means of 2 × 2 pixels; an odd side gets a first row of zeros, as in `pytorch-msssim`."""
    height, width = image.shape
    even = np.pad(image, ((height % 2, 0), (width % 2, 0)))
    rows, cols = even.shape[0] // 2, even.shape[1] // 2
    halved: NDArray[np.float64] = even.reshape(rows, 2, cols, 2).mean(axis=(1, 3))
    return halved


def spectral_angle_deg(
    truth: NDArray[np.floating], composite: NDArray[np.floating], hidden: NDArray[np.bool_]
) -> float:
    """Return the mean angle in degrees between the true and the composed spectra of the hidden pixels.

    Pixels count if they are hidden in some band, observed in all bands, and not 0 in all. The result is NaN
    with fewer than two bands, or without such a pixel.

    Source: Kruse et al. 1993, "The Spectral Image Processing System (SIPS)",
    https://doi.org/10.1016/0034-4257(93)90013-N

    Args:
        truth: `(band, row, col)`, NaN where nothing was observed.
        composite: The same with the hidden pixels as filled.
        hidden: The filled pixels.
    """
    if truth.shape[0] < 2:
        return float("nan")
    pixels = hidden.any(axis=0)
    true_spectra = truth[:, pixels].astype(np.float64)  # (B, N)
    fill_spectra = composite[:, pixels].astype(np.float64)  # (B, N)
    length = np.linalg.norm(true_spectra, axis=0) * np.linalg.norm(fill_spectra, axis=0)
    counted = np.isfinite(length) & (length > 0)
    if not counted.any():
        return float("nan")
    cosine = np.sum(true_spectra * fill_spectra, axis=0)[counted] / length[counted]
    return float(np.degrees(np.mean(np.arccos(np.clip(cosine, -1, 1)))))


NOMINAL_PCT = (10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 99)
"""The percentage of the truth that each central interval should hold."""


def coverages(truth: NDArray[np.floating], mean: NDArray[np.floating], std: NDArray[np.floating]) -> dict[int, float]:
    """Return, for each of `NOMINAL_PCT`, the share of true values inside the central interval of a Gaussian.

    A share below the nominal one means overconfidence. Stored numbers are rounded, so narrow intervals hold
    too many values if the standard deviation is below about 1 in stored numbers.
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

    Smaller is better. If the standard deviation is 0, the score is the absolute error, so it compares with
    the mean absolute error of a method without a standard deviation.

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


def stripe_visibility(
    composite: NDArray[np.floating], hidden: NDArray[np.bool_], usable: NDArray[np.bool_]
) -> dict[str, float]:
    """Return how visible the gaps of a band are, from the steps between neighbouring pixels.

    `border_step` is the mean absolute step across the borders of the gaps, relative to the steps between
    observed pixels: 1 is invisible, more is an edge. `inner_step` is the same inside the gaps: 1 has the texture
    of the surroundings, 0 is flat. `stripe_index` is the mean absolute difference of both from 1: 0 is
    invisible, 0.5 is flat without an edge. All are NaN without pixels to compare. Horizontal and vertical steps
    are compared separately, because borders and texture depend on the direction.

    Args:
        composite: `(row, col)`: observed pixels, and hidden pixels as filled.
        hidden: The filled pixels.
        usable: The observed pixels. Other pixels don't count.
    """
    border_steps = inner_steps = border_expected = inner_expected = 0.0
    values = composite.astype(np.float64)
    for first, second in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
        step = np.abs(values[second] - values[first])
        observed = usable[first] & usable[second]
        if not observed.any():
            continue
        usual = float(np.mean(step[observed]))
        at_border = (hidden[first] & usable[second]) | (usable[first] & hidden[second])
        inside = hidden[first] & hidden[second]
        border_steps += float(np.sum(step[at_border]))
        inner_steps += float(np.sum(step[inside]))
        border_expected += usual * int(np.count_nonzero(at_border))
        inner_expected += usual * int(np.count_nonzero(inside))
    border = border_steps / border_expected if border_expected > 0 else float("nan")
    inner = inner_steps / inner_expected if inner_expected > 0 else float("nan")
    return {"border_step": border, "inner_step": inner, "stripe_index": (abs(border - 1) + abs(inner - 1)) / 2}


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
    limits = data_limits(trial.truth[band])
    return {
        "hidden": count,
        "range": limits[1] - limits[0],
        "unfilled_pct": unfilled_pct,
        **error_scores(truth, fill, limits[1] - limits[0]),
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
    scores = {f"coverage_{pct}": share for pct, share in coverages(*forecast).items()}
    return {"crps": ranked_probability_score(*forecast), **scores}
