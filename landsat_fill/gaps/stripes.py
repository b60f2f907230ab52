"""The geometry of a scene's SLC-off stripes: tilt, period and width, estimated from its gaps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.scene import Window

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray


WINDOW_PX = 512
"""Side of a window to estimate from: wide enough for a tilt to a tenth of a degree, and narrow enough that
the stripes' taper and the other train, half a period off, don't disturb."""

WINDOWS_ACROSS = 4
"""Windows over a scene, in either direction."""

LARGEST_TILT_DEG = 30
"""Ten degrees are the orbit's; the rest is room for map projections that turn the scene."""

PERIODS_PX = (10, 140)
"""The scan periods looked for: 990 m with pixels of 7 to 99 m."""

LEAST_EXPLAINED = 0.25
"""Share of the variance of `missing` that lines along the scan must explain. Real stripes reach 0.5 to 0.9,
less only where clouds are cut out too; clouds alone stay below 0.2, unless they lie along a line."""

LEAST_REPETITION = 0.4
"""Autocorrelation of those lines one period away. Stripes reach 0.6 to 1; a chance line doesn't repeat."""

LEAST_STRIPES = 2.5
"""Periods that a window must show before a repetition is one."""

_COLUMNS = 64  # columns looked at in a window; more only cost time
_TILT_STEPS_DEG = (1.0, 0.2, 0.04)  # each search goes one step of the last to either side
_HARMONICS = np.arange(1, 7)
_PERIOD_STEPS = np.linspace(0.95, 1.05, 101)
_SAME_PERIOD = 0.05  # relative difference between two windows of one scene
_UPPER_WIDTH_PERCENT = 80  # higher ones are those of clouds that a stripe runs into


@dataclass(frozen=True, slots=True)
class StripeGeometry:
    """How the stripes of a scene lie.

    Attributes:
        period_px: Rows from one stripe to the next, counted along a column.
        tilt_deg: Angle between stripes and rows; positive where they dip to the right.
        median_width_px: Rows of a column that a stripe takes, over all stripes seen.
        largest_width_px: The same of the widest stripes.
        missing_share: Share of pixels missing where there are stripes.
    """

    period_px: float
    tilt_deg: float
    median_width_px: float
    largest_width_px: float
    missing_share: float


def stripe_windows(height: int, width: int) -> list[Window]:
    """Return the windows of a scene to estimate its stripes from, spread evenly over it."""
    return [
        Window(row, col, min(WINDOW_PX, height), min(WINDOW_PX, width))
        for row in _spread(height)
        for col in _spread(width)
    ]


def estimate_stripes(windows: Iterable[NDArray[np.bool_]]) -> StripeGeometry | None:
    """Return the geometry of the stripes that windows of a scene show, or None where none shows any.

    Args:
        windows: Missing pixels `(row, col)` in windows of the scene at full resolution. What is outside the
            footprint may count as missing; a window that is mostly outside shows no stripes.
    """
    found = [geometry for window in windows if (geometry := _estimate_window(window)) is not None]
    if not found:
        return None
    period_px = float(np.median([geometry.period_px for geometry in found]))
    found = [geometry for geometry in found if abs(geometry.period_px / period_px - 1) < _SAME_PERIOD]
    if not found:  # two windows that contradict each other
        return None
    return StripeGeometry(
        period_px=float(np.median([geometry.period_px for geometry in found])),
        tilt_deg=float(np.median([geometry.tilt_deg for geometry in found])),
        median_width_px=float(np.median([geometry.median_width_px for geometry in found])),
        largest_width_px=max(geometry.largest_width_px for geometry in found),
        missing_share=float(np.mean([geometry.missing_share for geometry in found])),
    )


def scan_profile(
    values: NDArray[np.floating] | NDArray[np.bool_], tilt_deg: float
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return the mean of an image along each scan line, and how many pixels are behind it.

    Line 0 is the first that touches the image, and lines are a row apart. Lines that run through less than
    half of the columns have no mean, but NaN.

    Args:
        values: `(row, col)`.
        tilt_deg: Angle between scan lines and rows; positive where they dip to the right.
    """
    height, width = values.shape
    first = _first_lines(width, tilt_deg)
    sums = np.zeros(height + int(first.max()))
    counts = np.zeros(sums.size, dtype=np.intp)
    for line, column in zip(first.tolist(), np.ascontiguousarray(values.T), strict=True):
        sums[line : line + height] += column
        counts[line : line + height] += 1
    profile = np.full(sums.size, np.nan)
    np.divide(sums, counts, out=profile, where=counts >= width / 2)
    return profile, counts


def scan_lines(height: int, width: int, tilt_deg: float) -> NDArray[np.intp]:
    """Return the line of `scan_profile` that each pixel `(row, col)` lies on."""
    return np.arange(height)[:, None] + _first_lines(width, tilt_deg)[None, :]


def _first_lines(width: int, tilt_deg: float) -> NDArray[np.intp]:
    """Return the scan line of each column's first pixel."""
    drop = np.rint(np.arange(width) * math.tan(math.radians(tilt_deg))).astype(np.intp)
    first: NDArray[np.intp] = drop.max() - drop
    return first


def _spread(length: int) -> list[int]:
    """Return where windows begin, so that they cover a length evenly."""
    room = max(length - WINDOW_PX, 0)
    count = min(WINDOWS_ACROSS, math.ceil(length / WINDOW_PX))
    return sorted({round(room * (place + 0.5) / count) if room else 0 for place in range(count)})


def _estimate_window(missing: NDArray[np.bool_]) -> StripeGeometry | None:
    height = missing.shape[0]
    # Steep lines leave a window that is wider than tall before they have crossed it.
    missing = missing[:, :height]
    width = missing.shape[1]
    share = float(missing.mean()) if missing.size else 0.0
    if not 0 < share < 1 or height < LEAST_STRIPES * PERIODS_PX[0]:
        return None
    step = max(width // _COLUMNS, 1)
    tilt_deg, explained = _find_tilt(missing[:, ::step], step)
    if explained < LEAST_EXPLAINED:
        return None
    profile, _ = scan_profile(missing, tilt_deg)
    period_px = find_period(profile[np.isfinite(profile)])
    if period_px is None:
        return None
    on_stripe = np.nan_to_num(profile) > 0.5
    widths = _run_lengths(missing & on_stripe[scan_lines(height, width, tilt_deg)])
    widths = widths[widths < period_px]
    if widths.size == 0:
        return None
    median_px, upper_px = np.percentile(widths, [50, _UPPER_WIDTH_PERCENT])
    return StripeGeometry(period_px, tilt_deg, float(median_px), float(upper_px), share)


def _find_tilt(missing: NDArray[np.bool_], step: int) -> tuple[float, float]:
    """Return the tilt whose lines explain most of the variance, and that share of it."""
    best, explained = 0.0, -1.0
    reach = float(LARGEST_TILT_DEG)
    for fineness in _TILT_STEPS_DEG:
        steps = round(reach / fineness)
        for tilt in best + fineness * np.arange(-steps, steps + 1):
            # Every `step`-th column: the lines drop `step` times as fast from one to the next.
            sheared = math.degrees(math.atan(step * math.tan(math.radians(tilt))))
            share = _explained_share(missing, sheared)
            if share > explained:
                best, explained = float(tilt), share
        reach = fineness
    return best, explained


def _explained_share(missing: NDArray[np.bool_], tilt_deg: float) -> float:
    profile, counts = scan_profile(missing, tilt_deg)
    whole = np.isfinite(profile)
    if not whole.any():
        return 0.0
    profile, counts = profile[whole], counts[whole]
    mean = float(np.average(profile, weights=counts))
    if not 0 < mean < 1:
        return 0.0
    return float(np.average((profile - mean) ** 2, weights=counts)) / (mean * (1 - mean))


def find_period(profile: NDArray[np.floating]) -> float | None:
    """Return the period of a profile, or None where it doesn't repeat itself."""
    centred = profile - profile.mean()
    longest = min(int(profile.size / LEAST_STRIPES), PERIODS_PX[1])
    lags = np.arange(PERIODS_PX[0], longest + 1)
    if lags.size < 3:
        return None
    similar = np.array([_correlation(centred[:-lag], centred[lag:]) for lag in lags])
    peaks = np.flatnonzero((similar[1:-1] >= similar[:-2]) & (similar[1:-1] >= similar[2:])) + 1
    peaks = peaks[similar[peaks] >= LEAST_REPETITION]
    if peaks.size == 0:
        return None
    # Two periods away the profile is as similar as one away: the first good peak is the period.
    coarse = lags[peaks[similar[peaks] >= 0.8 * similar[peaks].max()][0]]
    misfits = [_misfit(profile, coarse * step) for step in _PERIOD_STEPS]
    return float(coarse * _PERIOD_STEPS[int(np.argmin(misfits))])


def _misfit(profile: NDArray[np.floating], period_px: float) -> float:
    """Return the squares that waves of a period and its harmonics leave of a profile."""
    angles = 2 * math.pi / period_px * np.multiply.outer(np.arange(profile.size), _HARMONICS)
    waves = np.hstack([np.ones((profile.size, 1)), np.cos(angles), np.sin(angles)])
    weights, *_ = np.linalg.lstsq(waves, profile, rcond=None)
    return float(((waves @ weights - profile) ** 2).sum())


def _correlation(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    scale = math.sqrt(float(one @ one) * float(other @ other))
    return float(one @ other) / scale if scale > 0 else 0.0


def _run_lengths(pixels: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return the lengths of the vertical runs of an image that its upper and lower edge don't cut off."""
    inner = pixels & ~np.logical_and.accumulate(pixels, axis=0)
    inner &= ~np.logical_and.accumulate(pixels[::-1], axis=0)[::-1]
    columns = np.pad(inner.T.astype(np.int8), ((0, 0), (1, 1)))
    changes = np.diff(columns, axis=1)
    return np.nonzero(changes == -1)[1] - np.nonzero(changes == 1)[1]
