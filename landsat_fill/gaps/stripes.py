"""Estimates the geometry of a scene's SLC-off stripes (tilt, period and width) from its gaps."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import repeat
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.scene import Window

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray


WINDOW_PX = 512
"""Side of a window: large enough to estimate the tilt to a tenth of a degree, and small enough to exclude the
taper of stripes and the other half of the swath, where stripes are offset by half a period."""

WINDOWS_ACROSS = 4
"""Number of windows in each direction of a scene."""

LARGEST_TILT_DEG = 45
"""Steeper stripes are analysed in the transposed window. The orbit causes a tilt of 10°, and map projections,
above all polar ones, rotate scenes by any angle."""

PERIODS_PX = (10, 140)
"""Scan periods searched: 990 m with pixels of 7 to 99 m."""

LEAST_EXPLAINED = 0.25
"""Smallest share of the variance of `missing` that lines along the scan explain. Real stripes reach 0.5 to
0.9, and less where clouds are cut out too. Clouds alone stay below 0.2, unless they form a line."""

LEAST_REPETITION = 0.4
"""Smallest autocorrelation at a lag of one period. Stripes reach 0.6 to 1; chance lines don't repeat."""

LEAST_STRIPES = 2.5
"""Smallest number of periods in a window."""

TAPER = 14 / 3083
"""Increase of the gap width per pixel of distance from nadir, for any pixel size: 0 at nadir, and 14 px at
the swath's edge, 3,083 px of 30 m away. Source: measured on real scenes."""

_LEAST_CONSTANT_SHARE = 0.02  # of a window, covered by stripes of one number
_MOST_CONSTANT_SHARE = 0.6  # a larger share is the image between gaps
_LEAST_COHERENCE = 0.3  # water, snow and saturated roofs have edges in all directions
_LEAST_QUARTERS = 2  # a single one can be chance
_BLOCK_PX = 128  # columns over which the width of stripes hardly changes
_LEAST_RUNS = 100  # in a block, to estimate the width of its stripes
_COLUMNS = 64  # columns used in a window; more only take time
_SMOOTHING_PX = 2.0  # removes the stair steps of a tilted edge
_COARSE_ERROR_DEG = 8.0  # clouds and the footprint's border change the coarse tilt by a few degrees
_TILT_STEPS_DEG = (1.0, 0.2, 0.04)  # each search covers one step of the previous one on each side
_HARMONICS = np.arange(1, 7)
_PERIOD_STEPS = np.linspace(0.95, 1.05, 101)
_SAME_PERIOD = 0.05  # relative difference between two windows of one scene
_WIDEST_PERCENT = 90  # of the widths at one place along the scan, because borders are ragged
_UPPER_WIDTH_PERCENT = 80  # higher percentiles include clouds that a stripe meets


@dataclass(frozen=True, slots=True)
class StripeGeometry:
    """The geometry of a scene's stripes. Lengths are in rows of a column, or in columns of a row if steep.

    Attributes:
        period_px: Distance from one stripe to the next.
        tilt_deg: Angle between stripes and rows, above -90 to 90; positive if they dip to the right.
        median_width_px: Median width of all stripes.
        largest_width_px: Width of the widest stripes.
        missing_share: Share of missing pixels where there are stripes.
        widths: Pairs of a place along the scan, as given by `along`, and the largest width there.
    """

    period_px: float
    tilt_deg: float
    median_width_px: float
    largest_width_px: float
    missing_share: float
    widths: tuple[tuple[float, float], ...] = ()

    @property
    def period_across_px(self) -> float:
        """Pixels from one stripe to the next, perpendicular to them."""
        off_deg = self.transposed().tilt_deg if self.is_steep else self.tilt_deg
        return self.period_px * math.cos(math.radians(off_deg))

    @property
    def is_steep(self) -> bool:
        """Whether the stripes are closer to the columns than to the rows."""
        return abs(self.tilt_deg) > LARGEST_TILT_DEG

    def transposed(self) -> StripeGeometry:
        """Return the geometry in the transposed image."""
        return replace(self, tilt_deg=math.copysign(90, self.tilt_deg) - self.tilt_deg)

    def along(self, rows: NDArray[np.number] | float, cols: NDArray[np.number] | float) -> NDArray[np.float64]:
        """Return the position of pixels along the scan, in pixels."""
        tilt = math.radians(self.tilt_deg)
        return np.asarray(cols * math.cos(tilt) + rows * math.sin(tilt), dtype=np.float64)

    def reaching(self, along: NDArray[np.float64]) -> StripeGeometry:
        """Return the geometry with its largest width extended to places along the scan."""
        return replace(self, largest_width_px=max(self.largest_width_px, *self.widest_at(along)))

    def widest_at(self, along: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the largest width at places along the scan."""
        if not self.widths:
            return np.full(along.shape, self.largest_width_px)
        bins: dict[int, list[tuple[float, float]]] = {}
        for place, width in self.widths:
            bins.setdefault(math.floor(place / _BLOCK_PX), []).append((place, width))
        known = [np.transpose(samples) for _, samples in sorted(bins.items())]
        places = np.array([places.mean() for places, _ in known])
        widths = np.array([widths.max() for _, widths in known])
        beyond = np.maximum(np.maximum(places[0] - along, along - places[-1]), 0)
        return np.asarray(np.interp(along, places, widths) + TAPER * beyond, dtype=np.float64)


def stripe_windows(height: int, width: int) -> list[Window]:
    """Return windows, spread evenly over a scene, to estimate its stripes from."""
    return [
        Window(row, col, min(WINDOW_PX, height), min(WINDOW_PX, width))
        for row in _spread(height)
        for col in _spread(width)
    ]


def estimate_stripes(
    windows: Iterable[NDArray[np.bool_]], corners: Iterable[tuple[int, int]] | None = None, widest_px: int | None = None
) -> StripeGeometry | None:
    """Return the geometry of the stripes in windows of a scene, or None if there are no stripes.

    Args:
        windows: Missing pixels `(row, col)` at full resolution; pixels outside the footprint may count.
        corners: Row and column of each window's first pixel in the scene; None means (0, 0).
        widest_px: The widest possible gap. Wider holes and the outside are ignored. With None they count as
            missing, and no stripes are found in windows that are mostly outside.
    """
    placed = list(zip(windows, repeat((0, 0)) if corners is None else corners, strict=False))
    found = _estimates(placed, widest_px)
    if not found:  # in a small scene, a window contains both trains of stripes
        quarters = [
            (window[row:, col:][: window.shape[0] // 2, : window.shape[1] // 2], (top + row, left + col))
            for window, (top, left) in placed
            for row in (0, window.shape[0] // 2)
            for col in (0, window.shape[1] // 2)
        ]
        found = _estimates(quarters, widest_px)
        if len(found) < _LEAST_QUARTERS:
            return None
    # Around 45° some windows count along columns and others along rows: the majority decides.
    steep = 2 * sum(geometry.is_steep for geometry in found) > len(found)
    found = [geometry for geometry in found if geometry.is_steep == steep]
    period_px = float(np.median([geometry.period_px for geometry in found]))
    found = [geometry for geometry in found if abs(geometry.period_px / period_px - 1) < _SAME_PERIOD]
    if not found:  # the windows contradict each other
        return None
    # Steep stripes near 90° and -90° are equivalent, and both near 0° in the transposed image.
    tilts_deg = [geometry.transposed().tilt_deg if steep else geometry.tilt_deg for geometry in found]
    middle = StripeGeometry(
        period_px=float(np.median([geometry.period_px for geometry in found])),
        tilt_deg=float(np.median(tilts_deg)),
        median_width_px=float(np.median([geometry.median_width_px for geometry in found])),
        largest_width_px=max(geometry.largest_width_px for geometry in found),
        missing_share=float(np.mean([geometry.missing_share for geometry in found])),
    )
    if steep:
        middle = middle.transposed()
    return replace(middle, widths=tuple(width for geometry in found for width in geometry.widths))


def scan_profile(
    values: NDArray[np.floating] | NDArray[np.bool_], tilt_deg: float, known: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return the mean of an image along each scan line, and its number of pixels.

    Line 0 is the first that touches the image, and lines are a row apart. The mean is NaN for lines with
    fewer pixels than a third of the columns.

    Args:
        values: `(row, col)`.
        tilt_deg: Angle between scan lines and rows; positive if they dip to the right.
        known: The pixels to use, of the same shape, or None for all.
    """
    height, width = values.shape
    first = _first_lines(width, tilt_deg)
    sums = np.zeros(height + int(first.max()))
    counts = np.zeros(sums.size, dtype=np.intp)
    if known is not None:
        values = np.where(known, values, 0)
    for number, (line, column) in enumerate(zip(first.tolist(), np.ascontiguousarray(values.T), strict=True)):
        sums[line : line + height] += column
        counts[line : line + height] += 1 if known is None else known[:, number]
    profile = np.full(sums.size, np.nan)
    np.divide(sums, counts, out=profile, where=counts >= max(width / 3, 1))
    return profile, counts


def _first_lines(width: int, tilt_deg: float) -> NDArray[np.intp]:
    """Return the scan line of each column's first pixel."""
    drop = np.rint(np.arange(width) * math.tan(math.radians(tilt_deg))).astype(np.intp)
    first: NDArray[np.intp] = drop.max() - drop
    return first


def _spread(length: int) -> list[int]:
    """Return the starts of windows spread evenly over a length."""
    room = max(length - WINDOW_PX, 0)
    count = min(WINDOWS_ACROSS, math.ceil(length / WINDOW_PX))
    return sorted({round(room * (place + 0.5) / count) if room else 0 for place in range(count)})


def _estimates(
    placed: Iterable[tuple[NDArray[np.bool_], tuple[int, int]]], widest_px: int | None
) -> list[StripeGeometry]:
    """Return the geometry in each window that has stripes."""
    estimates = (_estimate_window(window, corner, widest_px) for window, corner in placed)
    return [geometry for geometry in estimates if geometry is not None]


def _estimate_window(
    missing: NDArray[np.bool_], corner: tuple[int, int], widest_px: int | None
) -> StripeGeometry | None:
    side = min(missing.shape)
    # In a longer window, lines at 45° would leave before they cross it.
    missing = missing[:side, :side]
    if side < LEAST_STRIPES * PERIODS_PX[0]:
        return None
    known = np.ones_like(missing) if widest_px is None else ~_wide_holes(missing, widest_px)
    narrow = missing & known
    share = float(narrow.sum() / max(known.sum(), 1))
    if not 0 < share < 1:
        return None
    coarse_deg, _ = _edge_direction(narrow)
    steep = abs(coarse_deg) > LARGEST_TILT_DEG
    if steep:
        missing, known = narrow.T, known.T
        coarse_deg = math.copysign(90, coarse_deg) - coarse_deg
    else:
        missing = narrow
    tilt_deg, explained = _find_tilt(missing, known, coarse_deg)
    if explained < LEAST_EXPLAINED:
        return None
    profile, _ = scan_profile(missing, tilt_deg, known)
    period_px = find_period(profile[np.isfinite(profile)])
    if period_px is None:
        return None
    on_stripe = np.nan_to_num(profile) > 0.5
    lines = np.arange(side)[:, None] + _first_lines(side, tilt_deg)  # the scan line through each pixel
    columns, widths = _vertical_runs(missing & on_stripe[lines])
    columns, widths = columns[widths < period_px], widths[widths < period_px]
    if widths.size == 0:
        return None
    median_px, upper_px = np.percentile(widths, [50, _UPPER_WIDTH_PERCENT])
    found = StripeGeometry(period_px, tilt_deg, float(median_px), float(upper_px), share)
    if steep:
        found = found.transposed()
    samples = []
    for first in range(0, side, _BLOCK_PX):
        here = widths[(columns >= first) & (columns < first + _BLOCK_PX)]
        if here.size >= _LEAST_RUNS:
            # The width of stripes is constant along the track, so the middle of the other side is used.
            place = first + min(_BLOCK_PX, side - first) / 2, side / 2
            col, row = place[::-1] if steep else place
            along = float(found.along(corner[0] + row, corner[1] + col))
            samples.append((along, float(np.percentile(here, _WIDEST_PERCENT))))
    largest_px = max((width for _, width in samples), default=float(upper_px))
    return replace(found, largest_width_px=largest_px, widths=tuple(samples))


def _wide_holes(missing: NDArray[np.bool_], widest_px: int) -> NDArray[np.bool_]:
    """Return the parts of holes that contain a square wider than any gap."""
    import cv2

    square = np.ones((widest_px + 1, widest_px + 1), dtype=np.uint8)
    framed = np.pad(missing.view(np.uint8), widest_px, mode="edge")
    own = slice(widest_px, -widest_px)
    wide: NDArray[np.bool_] = cv2.morphologyEx(framed, cv2.MORPH_OPEN, square)[own, own] != 0
    return wide


def constant_stripes(values: NDArray[np.generic], observed: NDArray[np.bool_]) -> float | None:
    """Return the observed number whose pixels form stripes, or None.

    Args:
        values: Stored numbers of a window of one band, `(row, col)`.
        observed: Of the same shape.
    """
    level = values[1:, :-1] == values[:-1, 1:]
    level &= (values[1:, :-1] == values[:-1, :-1]) & (values[1:, :-1] == values[1:, 1:]) & observed[1:, :-1]
    numbers, counts = np.unique(values[1:, :-1][level], return_counts=True)
    # More than two thirds of a stripe are inner pixels, unless it is thin.
    numbers = numbers[counts >= _LEAST_CONSTANT_SHARE * values.size / 3]
    if numbers.size == 0:
        return None
    # A number for missing pixels lies beyond all observations.
    extremes = {values[observed].min(), values[observed].max()}
    for number in extremes.intersection(numbers.tolist()):
        pixels = observed & (values == number)
        if pixels.sum() > _MOST_CONSTANT_SHARE * values.size:
            continue
        if _edge_direction(pixels)[1] >= _LEAST_COHERENCE and estimate_stripes([pixels]) is not None:
            return float(number)
    return None


def _edge_direction(missing: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the main angle between rows and the edges of holes, -90 to 90, and its coherence, from 0 to 1.

    Both follow from the structure tensor. The coherence is 1 if all edges have one direction.
    """
    import cv2

    smooth = cv2.GaussianBlur(missing.astype(np.float32), (0, 0), _SMOOTHING_PX)
    across, down = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    upright, level = float((across * across).sum()), float((down * down).sum())
    both = 2 * float((across * down).sum())
    coherence = math.hypot(level - upright, both) / (level + upright) if level + upright > 0 else 0.0
    return math.degrees(math.atan2(-both, level - upright) / 2), coherence


def _find_tilt(missing: NDArray[np.bool_], known: NDArray[np.bool_], coarse_deg: float) -> tuple[float, float]:
    """Return the tilt near `coarse_deg` whose lines explain most variance, and the share explained."""
    step = max(missing.shape[1] // _COLUMNS, 1)
    missing, known = missing[:, ::step], known[:, ::step]
    best, explained = coarse_deg, -1.0
    reach = _COARSE_ERROR_DEG
    for fineness in _TILT_STEPS_DEG:
        steps = round(reach / fineness)
        for tilt in best + fineness * np.arange(-steps, steps + 1):
            # With every `step`-th column, the slope of lines is `step` times as large.
            sheared = math.degrees(math.atan(step * math.tan(math.radians(tilt))))
            share = _explained_share(missing, known, sheared)
            if share > explained:
                best, explained = float(tilt), share
        reach = fineness
    return best, explained


def _explained_share(missing: NDArray[np.bool_], known: NDArray[np.bool_], tilt_deg: float) -> float:
    profile, counts = scan_profile(missing, tilt_deg, None if known.all() else known)
    finite = np.isfinite(profile)
    if not finite.any():
        return 0.0
    profile, counts = profile[finite], counts[finite]
    mean = float(np.average(profile, weights=counts))
    if not 0 < mean < 1:
        return 0.0
    return float(np.average((profile - mean) ** 2, weights=counts)) / (mean * (1 - mean))


def find_period(profile: NDArray[np.floating]) -> float | None:
    """Return the period of a profile, or None if it has none."""
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
    # Multiples of the period correlate as well, so the first good peak is used.
    coarse = lags[peaks[similar[peaks] >= 0.8 * similar[peaks].max()][0]]
    misfits = [_misfit(profile, coarse * step) for step in _PERIOD_STEPS]
    return float(coarse * _PERIOD_STEPS[int(np.argmin(misfits))])


def _misfit(profile: NDArray[np.floating], period_px: float) -> float:
    """Return the sum of squares that a period and its harmonics don't explain."""
    angles = 2 * math.pi / period_px * np.multiply.outer(np.arange(profile.size), _HARMONICS)
    waves = np.hstack([np.ones((profile.size, 1)), np.cos(angles), np.sin(angles)])
    weights, *_ = np.linalg.lstsq(waves, profile, rcond=None)
    return float(((waves @ weights - profile) ** 2).sum())


def _correlation(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    scale = math.sqrt(float(one @ one) * float(other @ other))
    return float(one @ other) / scale if scale > 0 else 0.0


def _vertical_runs(pixels: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return column and length of the vertical runs that don't touch the upper or lower edge."""
    inner = pixels & ~np.logical_and.accumulate(pixels, axis=0)
    inner &= ~np.logical_and.accumulate(pixels[::-1], axis=0)[::-1]
    columns = np.pad(inner.T.astype(np.int8), ((0, 0), (1, 1)))
    changes = np.diff(columns, axis=1)
    where, starts = np.nonzero(changes == 1)
    return where, np.nonzero(changes == -1)[1] - starts
