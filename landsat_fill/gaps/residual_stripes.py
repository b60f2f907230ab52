"""Finds residual stripes: SLC-off gaps that a resampling without a nodata tag mixed with observed pixels.

In such a scene, gaps are dark lines of various numbers, and pixels beside gaps contain part of the fill
value. Neither equals nodata, so both would pass for observations and spread into the gaps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.gaps.run_lengths import scan_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray


FAINT_SHARE = 0.35
"""Smallest share of the fill value in a pixel of a faint stripe."""

MIXED_SHARE = 0.1
"""The same for the pixels beside a faint stripe."""

LEAST_DEPTH = 0.15
"""Smallest depth of a faint stripe, as a share of the image's median. It excludes noise over water."""

HEIGHTS_PX = (6, 18)
"""Largest heights of faint stripes, in rows. The lower limit, for stripes near nadir, excludes dark fields.
The higher limit applies only to stripes that exceed the lower one, at the swath's edge."""

LINE_PX = 41
"""Smallest length of a stripe along the scan, in columns. Hardly any clean scene has a dark line this long in
such a direction."""

SHORT_LINE_PX = 13
"""The same where the distances of other stripes predict one."""

TILTS_DEG = np.arange(-16.0, 17.0, 2.0)
"""Tilts searched. A line of 41 columns and 3 rows tolerates 2.8°."""

LEAST_LINES = 4
"""Smallest number of stripes at equal distances in a window. Three can be chance."""

LEAST_AGREEING = 0.75
"""Smallest share of the distances that are multiples of the period."""

DISTANCE_TOLERANCE_PX = 1.5

BAND_OFFSET_PX = 3
"""Largest offset between the stripes of two bands."""

WIDTH_PX = 512
"""Columns searched together; more would contain stripes of both sides of the swath."""

PERIODS_PX = (16, 70)
"""Scan periods searched: 990 m with pixels of 14 to 62 m."""

RINGS_PX = 12
"""Largest border of a gap that resampling can mix. Lanczos reaches 3 input pixels on each side of a gap's
edge, or 12 output pixels if the pixel size is halved."""

LEAST_STEP = 0.25
"""Smallest mean step between a mixed row and the next one away from the gap, relative to steps of clean land.
Without chance, it is below 0.1 in all bands of clean SLC-off scenes."""

LEAST_LARGEST_STEP = 1.0
"""The same for the largest step of the first rows. Below it, no row counts as mixed, because the effect is
small and the borders of cloud masks reach 0.4."""

LEAST_ROWS = 200
"""Smallest number of pixels beside gaps to decide from; fewer can be a shore or a cloud."""

FIRST_RINGS = 3
"""Number of first rows that must include the largest step."""

CHANCE = 4.0
"""Standard deviations of a mean step that are attributed to chance; for `n` pixels it is about 1 / √n."""

LARGEST_STEP = 3.0
"""Limit of a step relative to clean land; fields and shores have larger ones."""


def find_faint_stripes(
    values: NDArray[np.generic], observed: NDArray[np.bool_], fill_value: float = 0.0
) -> NDArray[np.bool_] | None:
    """Return the observed pixels in faint stripes, or None if there is no reliable stripe.

    A stripe is a long line along the scan that is darker than the rows above and below it. Some band must
    have at least four such lines at equal distances. Shorter lines count, in any band, where these distances
    predict a stripe. Windows of about 512 pixels are best: larger ones contain stripes of both sides of the
    swath, and smaller ones too few stripes.

    Args:
        values: `(band, row, col)`, in stored numbers.
        observed: Of the same shape.
        fill_value: The number mixed into the stripes; not above any observed value.
    """
    import cv2

    found = np.zeros(observed.shape, dtype=bool)
    least_height_px = 0
    for height_px in HEIGHTS_PX:
        shares, darks = zip(
            *(_darkness(values[band], observed[band], fill_value, height_px) for band in range(len(observed))),
            strict=True,
        )
        lattices = [_find_lattice(dark) for dark in darks]
        high = [each for each in lattices if each is not None and each.height_px >= least_height_px]
        least_height_px = height_px
        if not high:
            continue
        lattice = max(high, key=lambda each: each.line_count)
        for band, (share, dark) in enumerate(zip(shares, darks, strict=True)):
            near = lattice.near(dark.shape, lattice.height_px / 2 + BAND_OFFSET_PX)
            lines = _along(dark & near, SHORT_LINE_PX, lattice.tilt_deg)
            beside = cv2.dilate(lines.view(np.uint8), np.ones((3, 1), dtype=np.uint8)) > 0
            found[band] |= lines | (beside & observed[band] & (share >= MIXED_SHARE))
    return found if found.any() else None


def mixed_border_px(
    windows: Iterable[tuple[NDArray[np.generic], NDArray[np.bool_]]], widest_px: int, *, steep: bool = False
) -> int:
    """Return how many observed rows beside a gap are mixed with the fill value; 0 in a clean scene.

    On clean land, steps up and down are equally frequent. Beside a resampled gap, values rise from the fill
    value to the land, or oscillate around it.

    Args:
        windows: Stored numbers and observed pixels, `(band, row, col)`, of windows of one scene.
        widest_px: The widest possible gap; wider holes are ignored.
        steep: Whether stripes are closer to the columns than to the rows.
    """
    steps = []  # by window, band and row
    for values, observed in windows:
        if steep:
            values, observed = values.swapaxes(1, 2), observed.swapaxes(1, 2)
        steps.append([_border_steps(levels, seen, widest_px) for levels, seen in zip(values, observed, strict=True)])
    rows_by_band = ([np.concatenate(row) for row in zip(*band, strict=True)] for band in zip(*steps, strict=True))
    return max(map(_mixed_rings, rows_by_band), default=0)


def mixed_pixels(observed: NDArray[np.bool_], border_px: int) -> NDArray[np.bool_]:
    """Return the observed pixels `(band, row, col)` within `border_px` of unobserved ones."""
    import cv2

    square = np.ones((2 * border_px + 1, 2 * border_px + 1), dtype=np.uint8)
    return np.stack([seen & (cv2.dilate((~seen).view(np.uint8), square) != 0) for seen in observed])


def _border_steps(
    values: NDArray[np.generic], observed: NDArray[np.bool_], widest_px: int
) -> list[NDArray[np.floating]]:
    """Return, for each row beside narrow gaps, the steps to the next row, relative to steps of clean land."""
    found: list[list[NDArray[np.floating]]] = [[np.zeros(0, dtype=np.float32)] for _ in range(RINGS_PX)]
    levels = np.where(observed, values, 0).astype(np.float32)
    both = observed[1:] & observed[:-1]
    sizes = np.abs(np.diff(levels, axis=0))[both]
    scale = float(np.median(sizes) or sizes.mean()) if sizes.size else 0.0
    for direction in (1, -1) if scale else ():
        seen, level = observed[::direction], levels[::direction]
        since = _rows_since(seen)  # distance from each pixel to the last observed one above it
        at_gap = (since[:-1] > 0) & (since[:-1] <= widest_px) & seen[1:]
        complete = at_gap
        for ring in range(RINGS_PX):
            rows = len(seen) - ring - 2
            if rows < 1:
                break
            complete = complete[:rows] & seen[ring + 2 :]
            step = (level[ring + 1 : rows + ring + 1] - level[ring + 2 :])[complete]
            found[ring].append(np.clip(step / (1.5 * scale), -LARGEST_STEP, LARGEST_STEP))
    return [np.concatenate(several) for several in found]


def _rows_since(seen: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return the rows from each pixel to the last observed one at or above it; a large number if none is."""
    rows = np.arange(len(seen))[:, None]
    last = np.maximum.accumulate(np.where(seen, rows, -(1 << 30)), axis=0)
    return np.asarray(rows - last)


def _mixed_rings(rings: Sequence[NDArray[np.floating]]) -> int:
    """Return the number of mixed rows, given the steps from each row; it may skip one clean row."""
    largest = max(abs(float(steps.mean())) if steps.size else 0.0 for steps in rings[:FIRST_RINGS])
    if rings[0].size < LEAST_ROWS or largest < LEAST_LARGEST_STEP:
        return 0
    mixed = 0
    for number, steps in enumerate(rings, 1):
        if steps.size == 0 or number > mixed + 2:
            break
        if abs(float(steps.mean())) > LEAST_STEP + CHANCE / math.sqrt(steps.size):
            mixed = number
    return mixed


@dataclass(frozen=True, slots=True)
class _Lattice:
    """Regular stripes: they cross column 0 every `period_px` rows, and have the angle `tilt_deg`."""

    tilt_deg: float
    period_px: float
    first_px: float
    height_px: float
    line_count: int

    def near(self, shape: tuple[int, ...], distance_px: float) -> NDArray[np.bool_]:
        """Return the pixels of a `(row, col)` image within `distance_px` rows of a stripe."""
        rows, cols = np.ogrid[: shape[0], : shape[1]]
        places = (rows - cols * math.tan(math.radians(self.tilt_deg)) - self.first_px) / self.period_px
        off_px: NDArray[np.floating] = np.abs(places - np.rint(places)) * self.period_px
        near: NDArray[np.bool_] = off_px <= distance_px
        return near


def _darkness(
    values: NDArray[np.generic], observed: NDArray[np.bool_], fill_value: float, height_px: int
) -> tuple[NDArray[np.floating], NDArray[np.bool_]]:
    """Return each pixel's share of fill, estimated from the pixels above and below, and the dark pixels."""
    import cv2

    signal = np.where(observed, values, fill_value).astype(np.float32) - np.float32(fill_value)
    if not observed.any():
        return np.zeros_like(signal), np.zeros_like(observed)
    framed = cv2.copyMakeBorder(signal, height_px, height_px, 0, 0, cv2.BORDER_REPLICATE)
    closed = cv2.morphologyEx(framed, cv2.MORPH_CLOSE, np.ones((height_px + 1, 1), dtype=np.uint8))
    around = closed[height_px:-height_px]
    depth = around - signal
    share = np.divide(depth, around, out=np.zeros_like(depth), where=around > 0)
    dark = observed & (share >= FAINT_SHARE) & (depth >= LEAST_DEPTH * float(np.median(signal[observed])))
    return share, dark


def _along(pixels: NDArray[np.bool_], length_px: int, tilt_deg: float) -> NDArray[np.bool_]:
    """Return the pixels on lines of this length and tilt, with a tolerance of a row."""
    import cv2

    thick = cv2.dilate(pixels.view(np.uint8), np.ones((3, 1), dtype=np.uint8))
    lines = cv2.morphologyEx(thick, cv2.MORPH_OPEN, scan_line(length_px, tilt_deg))
    return np.logical_and(pixels, lines)


def _find_lattice(dark: NDArray[np.bool_]) -> _Lattice | None:
    """Return the lattice of the long dark lines in an image, or None unless they have equal distances."""
    candidates = [_along(dark, LINE_PX, float(tilt)) for tilt in TILTS_DEG]
    best = int(np.argmax([np.count_nonzero(lines) for lines in candidates]))
    rows, cols = np.nonzero(candidates[best])
    if rows.size < LEAST_LINES * LINE_PX:
        return None
    # Lines of many tilts fit into a tall stripe. The right tilt puts its pixels on the fewest lines.
    coarse = _best_tilt(rows, cols, TILTS_DEG)
    tilt_deg = _best_tilt(rows, cols, coarse + np.linspace(-2, 2, 41))
    places, heights = _line_places(_crossings(rows, cols, tilt_deg), cols)
    if places.size < LEAST_LINES:
        return None
    distances = np.diff(places)
    period_px = float(np.median(distances))
    if not PERIODS_PX[0] <= period_px <= PERIODS_PX[1]:
        return None
    numbers = np.maximum(np.rint(distances / period_px), 1)
    agrees = np.abs(distances - numbers * period_px) <= DISTANCE_TOLERANCE_PX
    if agrees.mean() < LEAST_AGREEING:
        return None
    period_px = float(distances[agrees].sum() / numbers[agrees].sum())
    regular = np.concatenate([agrees[:1], agrees])
    # The circular mean of the places modulo the period.
    mean = np.exp(2j * math.pi * places[regular] / period_px).mean()
    first_px = float(np.angle(mean) / (2 * math.pi) * period_px)
    return _Lattice(tilt_deg, period_px, first_px, float(np.median(heights[regular])), int(regular.sum()))


def _crossings(rows: NDArray[np.intp], cols: NDArray[np.intp], tilt_deg: float) -> NDArray[np.floating]:
    """Return the rows where the scan lines of pixels cross column 0."""
    return rows - cols * math.tan(math.radians(tilt_deg))


def _best_tilt(rows: NDArray[np.intp], cols: NDArray[np.intp], tilts_deg: NDArray[np.floating]) -> float:
    """Return the tilt at which pixels lie on the fewest scan lines."""
    scores = []
    for tilt_deg in tilts_deg:
        crossings = _crossings(rows, cols, float(tilt_deg))
        on_line = np.bincount((crossings - crossings.min()).astype(np.intp))
        scores.append(float((on_line.astype(np.float64) ** 2).sum()))
    return float(tilts_deg[int(np.argmax(scores))])


def _line_places(
    crossing: NDArray[np.floating], cols: NDArray[np.intp]
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Return the rows where lines cross column 0 and their heights in rows, from the pixels' crossings."""
    order = np.argsort(crossing)
    # A larger step between sorted crossings begins the next line.
    numbers = np.concatenate([[0], np.cumsum(np.diff(crossing[order]) > DISTANCE_TOLERANCE_PX)])
    sizes = np.bincount(numbers)
    places = np.bincount(numbers, weights=crossing[order]) / sizes
    columns = np.unique(np.stack([numbers, cols[order]]), axis=1)[0]
    heights = sizes / np.bincount(columns)
    long = sizes >= LINE_PX
    return places[long], heights[long]


def faint_stripes_across(
    values: NDArray[np.generic], observed: NDArray[np.bool_], fill_value: float = 0.0
) -> NDArray[np.bool_]:
    """Return the observed pixels in faint stripes of an image of any width; see `find_faint_stripes`."""
    found = np.zeros(observed.shape, dtype=bool)
    for col in range(0, observed.shape[2], WIDTH_PX):
        # The margin lets a window detect lines at its sides as well as in its middle.
        first, end = max(col - LINE_PX, 0), col + WIDTH_PX + LINE_PX
        stripes = find_faint_stripes(values[..., first:end], observed[..., first:end], fill_value)
        if stripes is not None:
            found[..., col : col + WIDTH_PX] = stripes[..., col - first : col - first + WIDTH_PX]
    return found
