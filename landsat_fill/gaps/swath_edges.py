"""The edges of a swath: ragged sides, cut upper and lower edges, and straight lines fitted to them.

Lines that bridge a gap's mouth may start and end on scans that reach farther out than those next to the gap.
What they bridge beyond the straight way from the end of one scan to that of the next is no part of the swath.

Everything here is said of the left side; the right one is the left one of the scene in a mirror.

Where an edge runs through the gaps of one side of the swath, those open into the outside all along, and
nothing observed lies above to bridge them. But the gaps of the other side lie half a period off: there the
edge itself is observed. Its line, extended over the cut half, tells what lies inside.

A line is extended only where it has been observed over nearly half of the edge, where it is no more than a
gap's height away from what is observed below it, and where the lower border of what it would add comes again
one period further down, as that of a gap does. To leave a cut gap unfilled is better than to invent a border.

Everything here is said of the upper edge; the lower one is the upper one of the scene upside down.

Bridging knows only what is close by. The rim as a whole tells two things more: gaps that the upper or lower
edge cuts open are inside (`edges`), and what was bridged beyond the ragged sides is outside (`sides`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.gaps.run_lengths import Runs, runs_of_pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray


_CANDIDATES = 12  # a rasterised line's hull has few long sides
_REFINEMENTS = 5


@dataclass(frozen=True, slots=True)
class Line:
    """A line: how far an edge lies from the image's edge, as a function of the place along it."""

    slope: float
    start: float

    def at(self, places: NDArray[np.integer] | NDArray[np.floating] | float) -> NDArray[np.float64]:
        """Return the distance at some places."""
        return np.asarray(self.slope * places + self.start, dtype=np.float64)

    def from_image_edge(self, places: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the distance at some places of the image, nothing where the image cuts the line off."""
        return np.maximum(self.at(places), 0.0)

    def crossing(self, across: Line) -> float:
        """Return this line's distance where it meets another, whose places are this one's distances."""
        return (self.slope * across.start + self.start) / (1 - self.slope * across.slope)


def fit_line(distances: NDArray[np.intp], known: NDArray[np.bool_], stray_px: float) -> Line | None:
    """Return the line that bounds an outline, or None.

    It is the one with most places near it, less those outside of it: half of the places may lie inward, and
    thin teeth may stick out. The directions of the sides of the outline's convex hull are tried, each fitted
    to the places near by least squares.

    Args:
        distances: How far the outline lies from the image's edge at each place along it.
        known: The places that have an outline.
        stray_px: How far a place may lie off the line and count as near.
    """
    import cv2

    places = np.flatnonzero(known)
    if places.size < 2:
        return None
    heights = distances[places]
    hull = cv2.convexHull(np.stack([places, heights], axis=1).astype(np.int32))[:, 0]
    ends = np.stack([hull, np.roll(hull, -1, axis=0)], axis=1).astype(np.float64)  # (side, end, xy)
    spans = ends[:, 1] - ends[:, 0]
    best: Line | None = None
    most = 0
    for side in np.argsort(-np.abs(spans[:, 0]))[:_CANDIDATES]:
        if abs(spans[side, 1]) >= abs(spans[side, 0]):
            continue  # an edge is one of the image's sides turned by less than 45°
        slope = spans[side, 1] / spans[side, 0]
        line = Line(float(slope), _outermost(heights - slope * places, stray_px))
        for _ in range(_REFINEMENTS):
            near = np.abs(heights - line.at(places)) <= stray_px
            if np.count_nonzero(near) < 2:
                break
            line = _least_squares(places[near], heights[near])
        off_px = heights - line.at(places)
        score = int((np.abs(off_px) <= stray_px).sum() - (off_px < -stray_px).sum())
        if score > most:
            best, most = line, score
    return best


def _outermost(starts: NDArray[np.float64], stray_px: float) -> float:
    """Return the start of the line with most places near it, less those outside.

    Args:
        starts: The start of the line of that direction through each place.
        stray_px: How far a place may lie off the line and count as near.
    """
    starts = np.sort(starts)
    outside = np.arange(starts.size)
    near = np.searchsorted(starts, starts + 2 * stray_px, side="right") - outside
    return float(starts[(near - outside).argmax()] + stray_px)


def _least_squares(places: NDArray[np.intp], heights: NDArray[np.intp]) -> Line:
    middle = places.mean()
    off = places - middle
    slope = float((off * heights).sum() / (off * off).sum())
    return Line(slope, float(heights.mean() - slope * middle))


SIDE_STRAY_PX = 6.0
"""How far the end of a scan may lie off the side's line: a few pixels on real scenes, and some more. The
first rows of a scan stick out by twice as much there; thin as they are, they say nothing about a gap."""

LEAST_SIDE_SHARE = 0.25
"""Share of the rows that must end on a side's line. Gaps take up to half of them, and the corners some."""

_MOUTH_ROWS = 2  # a gap's border dips by a row in about six columns: so many of its rows end near the side
_MOUTH_STEP_PX = 2  # and each ends farther inward than the last, more than the lines of a scan stray


@dataclass(frozen=True, slots=True)
class Side:
    """The straight line along which scans end.

    Attributes:
        line: How far they end from the image's edge, row by row.
        ends: How far the first observed pixel of each row lies from it.
        on_line: Whether that is the end of a scan.
    """

    line: Line
    ends: NDArray[np.intp]
    on_line: NDArray[np.bool_]

    def upside_down(self) -> Side:
        """Return the side of the scene upside down."""
        line = Line(-self.line.slope, float(self.line.at(self.ends.size - 1)))
        return Side(line, self.ends[::-1], self.on_line[::-1])

    def at_corner(self, edge: Line, rows_px: int) -> Line | None:
        """Return the line, moved inward to the innermost end of the rows below an upper edge, or None.

        Args:
            edge: The upper edge, which gives rows for columns.
            rows_px: How many rows below the corner count.
        """
        corner = edge.at(max(self.line.crossing(edge), 0.0))
        rows = np.arange(self.ends.size)
        near = self._ends_of_scans() & (rows >= corner) & (rows < corner + rows_px)
        if not near.any():
            return None
        inward_px = (self.ends - self.line.from_image_edge(rows))[near].max()
        return Line(self.line.slope, self.line.start + float(inward_px))

    def first_columns(self, reach_px: int) -> NDArray[np.intp]:
        """Return the first column of each row that may lie inside, 0 where nothing tells.

        Args:
            reach_px: The tallest gap there can be, in rows.
        """
        rows = np.arange(self.ends.size)
        shown = np.flatnonzero(self._ends_of_scans())
        if shown.size == 0:
            return np.zeros_like(self.ends)
        after = np.searchsorted(shown, rows)
        before = np.searchsorted(shown, rows, side="right") - 1
        between = (before >= 0) & (after < shown.size)
        between[between] &= shown[after[between]] - shown[before[between]] <= reach_px + 2 * _MOUTH_ROWS + 1
        way = np.minimum(np.interp(rows, shown, self.ends[shown]), self.ends)
        return np.where(between, np.rint(way).astype(np.intp), 0).clip(0)

    def _ends_of_scans(self) -> NDArray[np.bool_]:
        """Return the rows that end where a scan does, without those that end at the mouth of a gap."""
        shown = self.on_line.copy()
        for _ in range(_MOUTH_ROWS):
            hidden = np.pad(~shown, 1, constant_values=False)
            ends = np.pad(self.ends, 1, mode="edge")
            below_gap = hidden[:-2] & (self.ends - ends[2:] >= _MOUTH_STEP_PX)
            above_gap = hidden[2:] & (self.ends - ends[:-2] >= _MOUTH_STEP_PX)
            shown &= ~(below_gap | above_gap)
        return shown


def find_side(ends: NDArray[np.intp], width: int) -> Side | None:
    """Return the left side of a scene, or None where its rows don't end along a line.

    Args:
        ends: The first observed column of each row; the width of the image where there is none.
        width: The width of the image.
    """
    line = fit_line(ends, ends < width, SIDE_STRAY_PX)
    if line is None:
        return None
    on_line = np.abs(ends - line.from_image_edge(np.arange(ends.size))) <= SIDE_STRAY_PX
    if np.count_nonzero(on_line) < LEAST_SIDE_SHARE * np.count_nonzero(ends < width):
        return None
    return Side(line, ends, on_line)


EDGE_STRAY_PX = 0.75
"""How far the first observed row may lie off the edge's line: a pixel grid's rounding, and a little more.
With much more, the line would lean towards the cut gaps, which begin as thin wedges."""

LEAST_EDGE_SHARE = 0.4
"""Share of an edge that must be observed as a line. Gaps cut one half of it at most, but for simulated ones
of more than half a period."""


def find_cut_gaps(
    first_rows: NDArray[np.intp],
    repeats: NDArray[np.bool_],
    left: Side,
    right: Side,
    *,
    reach_px: int,
    period_px: int,
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return rows and columns of the pixels between the upper edge's line and what is observed below it.

    Args:
        first_rows: The first observed row of each column; the height of the image where there is none.
        repeats: For each column, whether unobserved pixels give way to observed ones once more, one period
            further down.
        left: The left side.
        right: The right side, of the mirrored scene.
        reach_px: The tallest gap there can be, in rows.
        period_px: The scan period in rows.
    """
    nothing = np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.intp)
    height, width = left.ends.size, first_rows.size
    edge = fit_line(first_rows, first_rows < height, EDGE_STRAY_PX)
    if edge is None:
        return nothing
    # From the right everything looks the same but the slope.
    mirrored = Line(-edge.slope, float(edge.at(width - 1)))
    left_line = left.at_corner(edge, 2 * period_px)
    right_line = right.at_corner(mirrored, 2 * period_px)
    if left_line is None or right_line is None:
        return nothing
    columns = np.arange(width)
    edge_rows = np.rint(edge.from_image_edge(columns)).astype(np.intp)
    between = _inside(edge_rows, columns, left_line, right_line, width)
    cut_px = first_rows - edge_rows
    on_line = between & (np.abs(cut_px) <= 1)
    if on_line.sum() < LEAST_EDGE_SHARE * between.sum():
        return nothing
    cut = _repeating((cut_px > 1) & (cut_px <= reach_px), repeats)
    rows = edge_rows[cut] + np.arange(reach_px)[:, None]
    above = rows < first_rows[cut]
    rows, columns = rows[above], np.broadcast_to(columns[cut], above.shape)[above]
    inside = _inside(rows, columns, left_line, right_line, width)
    return rows[inside], columns[inside]


def _inside(
    rows: NDArray[np.intp], columns: NDArray[np.intp], left: Line, right: Line, width: int
) -> NDArray[np.bool_]:
    """Return which pixels lie between the sides."""
    return (columns >= left.at(rows)) & (width - 1 - columns >= right.at(rows))


def _repeating(cut: NDArray[np.bool_], repeats: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the groups of neighbouring cut columns whose gap comes again below most of them."""
    columns = np.flatnonzero(cut)
    kept = np.zeros_like(cut)
    for group in np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1):
        kept[group] = group.size > 0 and 2 * np.count_nonzero(repeats[group]) > group.size
    return kept


_REPETITION_STRAY_PX = 2  # gap borders are ragged, and the period is rounded


def rim_halo_px(period_px: int) -> int:
    """Return the rows above and below that tell whether a gap's border comes again one period on."""
    return period_px + _REPETITION_STRAY_PX + 1


class RimSurvey:
    """Gathers the rim of one band, given strips from top to bottom."""

    def __init__(self, height: int, width: int, period_px: int) -> None:
        """Start a survey of a scene of some rows and columns, with a scan period in rows."""
        self._height, self._width, self._period_px = height, width, period_px
        self._upper = _Verge(height, width, period_px)
        self._lower = _Verge(height, width, period_px)
        self._left = np.full(height, width)
        self._right = np.full(height, width)

    def add(self, row: int, observed: NDArray[np.bool_], halo_top: int, halo_bottom: int) -> None:
        """Take in the next strip.

        Args:
            row: The scene row of the strip's first row, without halo.
            observed: `(row, col)`, with `rim_halo_px` halo rows as far as the scene has them.
            halo_top: Rows of `observed` above the strip.
            halo_bottom: Rows of `observed` below the strip.
        """
        strip = observed[halo_top : observed.shape[0] - halo_bottom]
        end = row + strip.shape[0]
        in_column = np.logical_or.reduce(strip, axis=0)
        self._upper.add(row, in_column, observed, halo_top)
        self._lower.add(self._height - end, in_column, observed[::-1], halo_bottom)
        in_row = np.logical_or.reduce(strip, axis=1)
        self._left[row:end] = np.where(in_row, strip.argmax(axis=1), self._width)
        self._right[row:end] = np.where(in_row, strip[:, ::-1].argmax(axis=1), self._width)

    def corrected(self, outside: Runs, reach_px: int) -> Runs:
        """Return what is outside by the whole rim, once every strip is in.

        Args:
            outside: What is outside by bridging.
            reach_px: The tallest gap there can be, in rows.
        """
        left, right = find_side(self._left, self._width), find_side(self._right, self._width)
        if left is None or right is None:
            return outside
        rows = outside.row[outside.start == 0]
        stops = left.first_columns(reach_px)[rows]
        open_left = Runs(rows, np.zeros_like(rows), stops).chosen(stops > 0)
        rows = outside.row[outside.stop == self._width]
        starts = self._width - right.first_columns(reach_px)[rows]
        open_right = Runs(rows, starts, np.full_like(rows, self._width)).chosen(starts < self._width)
        outside = outside.including(open_left, self._width).including(open_right, self._width)

        spans = {"reach_px": reach_px, "period_px": self._period_px}
        rows, columns = find_cut_gaps(self._upper.first, self._upper.repeats, left, right, **spans)
        upper = runs_of_pixels(rows, columns, self._width)
        left, right = left.upside_down(), right.upside_down()
        rows, columns = find_cut_gaps(self._lower.first, self._lower.repeats, left, right, **spans)
        lower = runs_of_pixels(self._height - 1 - rows, columns, self._width)
        return outside.without(upper, self._width).without(lower, self._width)


class _Verge:
    """Where each column's observed pixels begin, counted from the edge, and whether a gap border repeats it.

    Attributes:
        first: Rows from the image's edge to the first observed pixel of each column; the image's height
            where there is none.
        repeats: Whether unobserved pixels give way to observed ones once more, one period further on.
    """

    def __init__(self, height: int, width: int, period_px: int) -> None:
        self.first = np.full(width, height)
        self.repeats = np.zeros(width, dtype=bool)
        self.period_px = period_px

    def add(self, row: int, in_strip: NDArray[np.bool_], observed: NDArray[np.bool_], halo_px: int) -> None:
        """Take in a strip whose first row without halo is `row` rows from the edge, looking inward."""
        # Only where nothing is observed in the halo can the strip hold a column's first pixel.
        begins = in_strip & ~observed[:halo_px].any(axis=0) & (row < self.first)
        columns = np.flatnonzero(begins)
        inward = observed[halo_px:, columns]
        first = inward.argmax(axis=0)
        self.first[columns] = row + first
        again = first + self.period_px
        before, after = again - _REPETITION_STRAY_PX - 1, again + _REPETITION_STRAY_PX
        known = after < inward.shape[0]
        at = np.arange(columns.size)[known]
        self.repeats[columns] = False
        self.repeats[columns[known]] = inward[after[known], at] & ~inward[before[known], at]
