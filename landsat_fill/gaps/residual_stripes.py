"""Stripes that aren't exactly nodata: what resampling, or a missing nodata tag, makes of SLC-off gaps.

A scene that was resampled without telling the resampler what nodata is shows gaps as dark lines of no one
number, and mixes the fill value into the observed pixels beside them. Neither is nodata, so both would be
kept as observations, and smeared into the gaps.
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
"""Share of the fill value in a pixel from which it may lie in a faint stripe."""

MIXED_SHARE = 0.1
"""The same for the pixels that border on one."""

LEAST_DEPTH = 0.15
"""Depth of a faint stripe, as a share of the image's median: over water, noise alone is a large share."""

HEIGHTS_PX = (6, 18)
"""Rows that a faint stripe may take: few near nadir, where the lower limit keeps dark fields out, many at the
swath's edge. The higher limit counts only for stripes that the lower one is too low for."""

LINE_PX = 41
"""Columns that a stripe must run along the scan to be taken for one. Of the clean scenes, hardly one shows a
dark line that long in a direction that stripes can have."""

SHORT_LINE_PX = 13
"""The same where other stripes tell that one must lie there."""

TILTS_DEG = np.arange(-16.0, 17.0, 2.0)
"""Tilts looked for. A line of 41 columns and 3 rows tolerates 2.8°."""

LEAST_LINES = 4
"""Stripes at equal distances that a window must show. Three can be chance."""

LEAST_AGREEING = 0.75
"""Share of the distances that must be the period, or a multiple of it."""

DISTANCE_TOLERANCE_PX = 1.5

BAND_OFFSET_PX = 3
"""How far a stripe of one band may lie off that of another."""

WIDTH_PX = 512
"""Columns looked at together: wide ones hold stripes of both sides of the swath."""

PERIODS_PX = (16, 70)
"""Scan periods looked for: 990 m with pixels of 14 to 62 m."""

RINGS_PX = 12
"""The widest border of a gap that resampling can mix. Lanczos reaches 3 pixels of the input on either side of
a gap's edge, which are 12 of the output where pixels become half as large."""

LEAST_STEP = 0.25
"""Mean step from a row to the next farther from a gap, in steps of clean land, from which the row is mixed.
It is below 0.1 in every band of clean SLC-off scenes, apart from chance."""

LEAST_LARGEST_STEP = 1.0
"""The same of the largest of the first rows, without which none is mixed: less does hardly any harm, and the
borders of cloud masks reach 0.4, up in one band and down in another."""

LEAST_ROWS = 200
"""Places beside gaps that tell; fewer can be a shore or a cloud."""

FIRST_RINGS = 3
"""Rows of which one must show the largest step."""

CHANCE = 4.0
"""How many standard deviations of such a mean are chance. That of `n` rows is about 1 / √n."""

LARGEST_STEP = 3.0
"""Larger steps, in those of clean land, count as this one: fields and shores have some, too."""


def find_faint_stripes(
    values: NDArray[np.generic], observed: NDArray[np.bool_], fill_value: float = 0.0
) -> NDArray[np.bool_] | None:
    """Return the observed pixels that lie in faint stripes, or None where none can be trusted to be some.

    A pixel does if it is darker than the rows above and below it, on a long line along the scan, and if some
    band shows at least four such lines at equal distances; where they tell that there must be a stripe, a
    shorter line does too, in any band. Windows of about 512 pixels suit: wide ones hold stripes of both sides
    of the swath, low ones too few.

    Args:
        values: `(band, row, col)`, in stored numbers.
        observed: Of the same shape.
        fill_value: What was mixed into the stripes; not above any observed value.
    """
    found = np.zeros(observed.shape, dtype=bool)
    least_height_px = 0
    for height_px in HEIGHTS_PX:
        shares, darks = zip(
            *(
                _darkness(values[band], observed[band], fill_value, height_px)
                for band in range(len(observed))
            ),
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
            found[band] |= lines | (_neighbours(lines) & observed[band] & (share >= MIXED_SHARE))
    return found if found.any() else None


def mixed_border_px(
    windows: Iterable[tuple[NDArray[np.generic], NDArray[np.bool_]]], widest_px: int, *, steep: bool = False
) -> int:
    """Return how many observed rows beside a gap are mixed with the fill value; 0 in a clean scene.

    On clean land steps up and down are as frequent. Beside a gap that was resampled, rows lead from the fill
    value up to the land, or swing around it.

    Args:
        windows: Stored numbers and what is observed, `(band, row, col)`, of windows of one scene.
        widest_px: The widest gap there can be; other holes are left aside.
        steep: Whether stripes are nearer to the columns than to the rows.
    """
    steps: dict[int, list[list[NDArray[np.floating]]]] = {}
    for values, observed in windows:
        for band, (levels, seen) in enumerate(zip(values, observed, strict=True)):
            found = (
                _border_steps(levels.T, seen.T, widest_px)
                if steep
                else _border_steps(levels, seen, widest_px)
            )
            rings = steps.setdefault(band, [[] for _ in range(RINGS_PX)])
            for ring, several in zip(rings, found, strict=True):
                ring.append(several)
    return max(
        (_mixed_rings([np.concatenate(ring) for ring in rings]) for rings in steps.values()), default=0
    )


def mixed_pixels(observed: NDArray[np.bool_], border_px: int) -> NDArray[np.bool_]:
    """Return the observed pixels `(band, row, col)` at most so many rows and columns off unobserved ones."""
    import cv2

    square = np.ones((2 * border_px + 1, 2 * border_px + 1), dtype=np.uint8)
    return np.stack([seen & (cv2.dilate((~seen).view(np.uint8), square) != 0) for seen in observed])


def _border_steps(
    values: NDArray[np.generic], observed: NDArray[np.bool_], widest_px: int
) -> list[NDArray[np.floating]]:
    """Return the steps from each row beside narrow gaps to the next farther off, in those of clean land."""
    none = [np.zeros(0, dtype=np.float32)] * RINGS_PX
    levels = np.where(observed, values, 0).astype(np.float32)
    both = observed[1:] & observed[:-1]
    sizes = np.abs(np.diff(levels, axis=0))[both]
    scale = float(np.median(sizes) or sizes.mean()) if sizes.size else 0.0
    if scale == 0:
        return none
    found: list[list[NDArray[np.floating]]] = [[] for _ in range(RINGS_PX)]
    for direction in (1, -1):
        seen, here = observed[::direction], levels[::direction]
        since = _rows_since(seen)  # of each pixel, how far above it the last observed one lies
        at_gap = (since[:-1] > 0) & (since[:-1] <= widest_px) & seen[1:]
        whole = at_gap
        for ring in range(RINGS_PX):
            rows = len(seen) - ring - 2
            if rows < 1:
                break
            whole = whole[:rows] & seen[ring + 2 :]
            step = (here[ring + 1 : rows + ring + 1] - here[ring + 2 :])[whole]
            found[ring].append(np.clip(step / (1.5 * scale), -LARGEST_STEP, LARGEST_STEP))
    return [np.concatenate(several) if several else none[0] for several in found]


def _rows_since(seen: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return how many rows above each pixel the last observed one lies; beyond the image nothing is."""
    rows = np.arange(len(seen))[:, None]
    last = np.maximum.accumulate(np.where(seen, rows, -(1 << 30)), axis=0)
    return np.asarray(rows - last)


def _mixed_rings(rings: Sequence[NDArray[np.floating]]) -> int:
    """Return the number of mixed rows, given the steps from each; one clean row may lie between."""
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
    """Where regular stripes lie: every `period_px` rows of column 0, at `tilt_deg` from there."""

    tilt_deg: float
    period_px: float
    first_px: float
    height_px: float
    line_count: int

    def near(self, shape: tuple[int, ...], distance_px: float) -> NDArray[np.bool_]:
        """Return the pixels of an image of `(row, col)` shape at most so many rows off a stripe."""
        rows, cols = np.ogrid[: shape[0], : shape[1]]
        places = (rows - cols * math.tan(math.radians(self.tilt_deg)) - self.first_px) / self.period_px
        off_px: NDArray[np.floating] = np.abs(places - np.rint(places)) * self.period_px
        near: NDArray[np.bool_] = off_px <= distance_px
        return near


def _signal(
    values: NDArray[np.generic], observed: NDArray[np.bool_], fill_value: float
) -> NDArray[np.float32]:
    """Return how far the observed values lie above fill."""
    return np.where(observed, values, fill_value).astype(np.float32) - np.float32(fill_value)


def _darkness(
    values: NDArray[np.generic], observed: NDArray[np.bool_], fill_value: float, height_px: int
) -> tuple[NDArray[np.floating], NDArray[np.bool_]]:
    """Return the share of fill in each pixel, judged by what lies above and below, and the dark pixels."""
    import cv2

    signal = _signal(values, observed, fill_value)
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
    """Return the pixels that lie on a line of a length and tilt, give or take a row."""
    import cv2

    thick = cv2.dilate(pixels.view(np.uint8), np.ones((3, 1), dtype=np.uint8))
    lines = cv2.morphologyEx(thick, cv2.MORPH_OPEN, scan_line(length_px, tilt_deg))
    return np.logical_and(pixels, lines)


def _neighbours(pixels: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels right above and below some."""
    beside = np.zeros_like(pixels)
    beside[1:] |= pixels[:-1]
    beside[:-1] |= pixels[1:]
    return beside


def _find_lattice(dark: NDArray[np.bool_]) -> _Lattice | None:
    """Return where the long dark lines of an image lie if they lie at equal distances, else None."""
    candidates = [_along(dark, LINE_PX, float(tilt)) for tilt in TILTS_DEG]
    best = int(np.argmax([np.count_nonzero(lines) for lines in candidates]))
    rows, cols = np.nonzero(candidates[best])
    if rows.size < LEAST_LINES * LINE_PX:
        return None
    # Through a tall stripe run lines of many tilts: take the one that gathers its pixels on the fewest.
    coarse = _gathering_tilt(rows, cols, TILTS_DEG)
    tilt_deg = _gathering_tilt(rows, cols, coarse + np.linspace(-2, 2, 41))
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
    first_px = _phase(places[regular], period_px)
    return _Lattice(tilt_deg, period_px, first_px, float(np.median(heights[regular])), int(regular.sum()))


def _crossings(rows: NDArray[np.intp], cols: NDArray[np.intp], tilt_deg: float) -> NDArray[np.floating]:
    """Return where the scan lines of pixels cross column 0."""
    return rows - cols * math.tan(math.radians(tilt_deg))


def _gathering_tilt(rows: NDArray[np.intp], cols: NDArray[np.intp], tilts_deg: NDArray[np.floating]) -> float:
    """Return the tilt that gathers pixels on the fewest scan lines."""
    gathered = []
    for tilt_deg in tilts_deg:
        crossings = _crossings(rows, cols, float(tilt_deg))
        on_line = np.bincount((crossings - crossings.min()).astype(np.intp))
        gathered.append(float((on_line.astype(np.float64) ** 2).sum()))
    return float(tilts_deg[int(np.argmax(gathered))])


def _line_places(
    crossing: NDArray[np.floating], cols: NDArray[np.intp]
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Return where lines cross column 0, and their heights in rows.

    Args:
        crossing: Where the scan line of each pixel crosses column 0.
        cols: The column of each pixel.
    """
    order = np.argsort(crossing)
    # Pixels of one line follow each other without a step of more than a row.
    numbers = np.concatenate([[0], np.cumsum(np.diff(crossing[order]) > DISTANCE_TOLERANCE_PX)])
    sizes = np.bincount(numbers)
    places = np.bincount(numbers, weights=crossing[order]) / sizes
    columns = np.unique(np.stack([numbers, cols[order]]), axis=1)[0]
    heights = sizes / np.bincount(columns)
    long = sizes >= LINE_PX
    return places[long], heights[long]


def _phase(places: NDArray[np.floating], period_px: float) -> float:
    """Return the mean of places on a circle whose circumference is the period."""
    mean = np.exp(2j * math.pi * places / period_px).mean()
    return float(np.angle(mean) / (2 * math.pi) * period_px)


def faint_stripes_across(
    values: NDArray[np.generic], observed: NDArray[np.bool_], fill_value: float = 0.0
) -> NDArray[np.bool_]:
    """Return the observed pixels in faint stripes, of an image of any width; see `find_faint_stripes`.

    Args:
        values: `(band, row, col)`, in stored numbers.
        observed: Of the same shape.
        fill_value: What was mixed into the stripes; not above any observed value.
    """
    found = np.zeros(observed.shape, dtype=bool)
    for col in range(0, observed.shape[2], WIDTH_PX):
        # A line is as well told at a window's side as in its middle if the window reaches over it.
        first, end = max(col - LINE_PX, 0), col + WIDTH_PX + LINE_PX
        here = find_faint_stripes(values[..., first:end], observed[..., first:end], fill_value)
        if here is not None:
            found[..., col : col + WIDTH_PX] = here[..., col - first : col - first + WIDTH_PX]
    return found
