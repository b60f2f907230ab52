"""Corrects the footprint along the swath's edges with straight lines fitted to them.

Bridging uses only nearby pixels. The swath's edges as a whole allow two corrections:

*Sides.* A line that bridges the mouth of a gap may start and end on scans that reach farther out than those
beside the gap. Bridged pixels outside the straight line between the ends of these scans are outside. The code
describes the left side; the right side is the left side of the mirrored scene.

*Upper and lower edges.* If an edge cuts through gaps on one half of the swath, no observed pixels lie above
these gaps to bridge them. On the other half, gaps are offset by half a period, so the edge itself is
observed. Its line is extended over the cut half. This requires that nearly half of the edge is observed, that
the line is within the height of a gap of the observed pixels below it, and that the lower border of the added
pixels repeats one period further down, as that of a gap does. Otherwise the cut gap stays unfilled. The code
describes the upper edge; the lower edge is the upper edge of the scene upside down.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.gaps.run_lengths import Runs, runs_of_pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray


_CANDIDATES = 12  # the hull of a rasterised line has few long sides
_REFINEMENTS = 5


@dataclass(frozen=True, slots=True)
class Line:
    """A line: distance of an edge from the image's edge as a function of the position along it."""

    slope: float
    start: float

    def at(self, positions: NDArray[np.integer] | NDArray[np.floating] | float) -> NDArray[np.float64]:
        """Return the distance at each position."""
        return np.asarray(self.slope * positions + self.start, dtype=np.float64)

    def from_image_edge(self, positions: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the distance at each position, 0 where the line lies beyond the image."""
        return np.maximum(self.at(positions), 0.0)

    def reversed(self, length: int) -> Line:
        """Return the line with positions counted from the other end of a length."""
        return Line(-self.slope, float(self.at(length - 1)))

    def crossing(self, across: Line) -> float:
        """Return this line's distance where it meets a line whose positions are this line's distances."""
        return (self.slope * across.start + self.start) / (1 - self.slope * across.slope)


def fit_line(distances: NDArray[np.intp], known: NDArray[np.bool_], stray_px: float) -> Line | None:
    """Return the line along an outline, or None.

    The line maximises the number of positions near it minus those outside it, so half of the positions may
    lie inside, and thin teeth may stick out. Each side of the outline's convex hull is a candidate, which
    least squares refine on the positions near it.

    Args:
        distances: Distance of the outline from the image's edge at each position.
        known: The positions that have an outline.
        stray_px: Largest distance from the line to count as near.
    """
    import cv2

    positions = np.flatnonzero(known)
    if positions.size < 2:
        return None
    heights = distances[positions]
    hull = cv2.convexHull(np.stack([positions, heights], axis=1).astype(np.int32))[:, 0]
    ends = np.stack([hull, np.roll(hull, -1, axis=0)], axis=1).astype(np.float64)  # (side, end, xy)
    spans = ends[:, 1] - ends[:, 0]
    best: Line | None = None
    most = 0
    for side in np.argsort(-np.abs(spans[:, 0]))[:_CANDIDATES]:
        if abs(spans[side, 1]) >= abs(spans[side, 0]):
            continue  # an edge is less than 45° off a side of the image
        slope = spans[side, 1] / spans[side, 0]
        line = Line(float(slope), _best_start(heights - slope * positions, stray_px))
        for _ in range(_REFINEMENTS):
            near = np.abs(heights - line.at(positions)) <= stray_px
            if np.count_nonzero(near) < 2:
                break
            line = _least_squares(positions[near], heights[near])
        off_px = heights - line.at(positions)
        score = int((np.abs(off_px) <= stray_px).sum() - (off_px < -stray_px).sum())
        if score > most:
            best, most = line, score
    return best


def _best_start(starts: NDArray[np.float64], stray_px: float) -> float:
    """Return the start with most positions near the line, minus those outside; `starts` has that of each position."""
    starts = np.sort(starts)
    outside = np.arange(starts.size)
    near = np.searchsorted(starts, starts + 2 * stray_px, side="right") - outside
    return float(starts[(near - outside).argmax()] + stray_px)


def _least_squares(positions: NDArray[np.intp], heights: NDArray[np.intp]) -> Line:
    middle = positions.mean()
    off = positions - middle
    slope = float((off * heights).sum() / (off * off).sum())
    return Line(slope, float(heights.mean() - slope * middle))


SIDE_STRAY_PX = 6.0
"""Largest distance of a scan's end from the line of the side: a few pixels in real scenes, with some margin.
The first rows of a scan stick out twice as far, but they are too thin to matter."""

LEAST_SIDE_SHARE = 0.25
"""Smallest share of rows that end on a side's line. Gaps cover up to half of the rows, and corners some."""

_MOUTH_ROWS = 2  # rows of a gap's border that end near the side, as it dips by a row in about six columns
_MOUTH_STEP_PX = 2  # each of them ends this much farther inward, which is more than the scan lines vary


@dataclass(frozen=True, slots=True)
class Side:
    """A side of the swath: the straight line along which scans end.

    Attributes:
        line: Distance of the side from the image's edge, by row.
        ends: Distance of each row's first observed pixel from the image's edge.
        on_line: Whether that pixel lies on the line, and so is the end of a scan.
    """

    line: Line
    ends: NDArray[np.intp]
    on_line: NDArray[np.bool_]

    def upside_down(self) -> Side:
        """Return the side of the scene upside down."""
        return Side(self.line.reversed(self.ends.size), self.ends[::-1], self.on_line[::-1])

    def at_corner(self, edge: Line, rows_px: int) -> Line | None:
        """Return the line, moved inward to the innermost scan end below the corner, or None.

        Args:
            edge: The upper edge, which gives rows for columns.
            rows_px: Number of rows below the corner to use.
        """
        corner = edge.at(max(self.line.crossing(edge), 0.0))
        rows = np.arange(self.ends.size)
        near = self._ends_of_scans() & (rows >= corner) & (rows < corner + rows_px)
        if not near.any():
            return None
        inward_px = (self.ends - self.line.from_image_edge(rows))[near].max()
        return Line(self.line.slope, self.line.start + float(inward_px))

    def first_columns(self, reach_px: int) -> NDArray[np.intp]:
        """Return the first column of each row that may lie inside, 0 if unknown.

        Args:
            reach_px: Height of the tallest possible gap, in rows.
        """
        rows = np.arange(self.ends.size)
        ended = np.flatnonzero(self._ends_of_scans())
        if ended.size == 0:
            return np.zeros_like(self.ends)
        after = np.searchsorted(ended, rows)
        before = np.searchsorted(ended, rows, side="right") - 1
        between = (before >= 0) & (after < ended.size)
        between[between] &= ended[after[between]] - ended[before[between]] <= reach_px + 2 * _MOUTH_ROWS + 1
        way = np.minimum(np.interp(rows, ended, self.ends[ended]), self.ends)
        return np.where(between, np.rint(way).astype(np.intp), 0).clip(0)

    def _ends_of_scans(self) -> NDArray[np.bool_]:
        """Return the rows that end at the end of a scan rather than at the mouth of a gap."""
        ended = self.on_line.copy()
        for _ in range(_MOUTH_ROWS):
            hidden = np.pad(~ended, 1, constant_values=False)
            ends = np.pad(self.ends, 1, mode="edge")
            below_gap = hidden[:-2] & (self.ends - ends[2:] >= _MOUTH_STEP_PX)
            above_gap = hidden[2:] & (self.ends - ends[:-2] >= _MOUTH_STEP_PX)
            ended &= ~(below_gap | above_gap)
        return ended


def find_side(ends: NDArray[np.intp], width: int) -> Side | None:
    """Return the left side of a scene, or None if its rows don't end along a line.

    Args:
        ends: The first observed column of each row, or `width` if there is none.
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
"""Largest distance of the first observed row from the edge's line: rounding, with a small margin. A larger
value would pull the line towards the cut gaps, which begin as thin wedges."""

LEAST_EDGE_SHARE = 0.4
"""Smallest share of an edge observed as a line. Gaps cut half of it at most, except simulated ones of more
than half a period."""


def _cut_gaps(upper: _Edge, left: Side, right: Side, reach_px: int) -> tuple[NDArray[np.intp], NDArray[np.intp]] | None:
    """Return rows and columns of the pixels between the upper edge's line and the observed pixels below it.

    Args:
        upper: The upper edge.
        left: The left side.
        right: The right side, as the left side of the mirrored scene.
        reach_px: Height of the tallest possible gap, in rows.
    """
    first_rows = upper.first
    height, width = left.ends.size, first_rows.size
    edge = fit_line(first_rows, first_rows < height, EDGE_STRAY_PX)
    if edge is None:
        return None
    left_line = left.at_corner(edge, 2 * upper.period_px)
    right_line = right.at_corner(edge.reversed(width), 2 * upper.period_px)
    if left_line is None or right_line is None:
        return None
    columns = np.arange(width)
    edge_rows = np.rint(edge.from_image_edge(columns)).astype(np.intp)
    between = _inside(edge_rows, columns, left_line, right_line, width)
    cut_px = first_rows - edge_rows
    on_line = between & (np.abs(cut_px) <= 1)
    if on_line.sum() < LEAST_EDGE_SHARE * between.sum():
        return None
    cut = _repeating((cut_px > 1) & (cut_px <= reach_px), upper.repeats)
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
    """Return the groups of adjacent cut columns where most gap borders repeat below."""
    columns = np.flatnonzero(cut)
    kept = np.zeros_like(cut)
    for group in np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1):
        kept[group] = group.size > 0 and 2 * np.count_nonzero(repeats[group]) > group.size
    return kept


_REPETITION_STRAY_PX = 2  # gap borders are ragged, and the period is rounded


def rim_halo_px(period_px: int) -> int:
    """Return how many rows above and below show whether a gap's border repeats one period on."""
    return period_px + _REPETITION_STRAY_PX + 1


class RimSurvey:
    """Collects the swath's edges of one band from strips, top to bottom."""

    def __init__(self, height: int, width: int, period_px: int) -> None:
        """Start a survey of a scene with its rows, columns and scan period in rows."""
        self._height, self._width = height, width
        self._upper = _Edge(height, width, period_px)
        self._lower = _Edge(height, width, period_px)
        self._left = np.full(height, width)
        self._right = np.full(height, width)

    def add(self, row: int, observed: NDArray[np.bool_], halo_top: int, halo_bottom: int) -> None:
        """Add the next strip.

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
        """Return the runs outside, corrected along the edges, after all strips were added.

        Args:
            outside: The runs outside according to bridging.
            reach_px: Height of the tallest possible gap, in rows.
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

        upper = _cut_gaps(self._upper, left, right, reach_px)
        if upper is not None:
            outside = outside.without(runs_of_pixels(*upper, self._width), self._width)
        lower = _cut_gaps(self._lower, left.upside_down(), right.upside_down(), reach_px)
        if lower is not None:
            rows, columns = self._height - 1 - lower[0], lower[1]
            outside = outside.without(runs_of_pixels(rows, columns, self._width), self._width)
        return outside


class _Edge:
    """An upper or lower edge of a scene, by column.

    Attributes:
        first: Rows from the image's edge to the first observed pixel, or the image's height if there is none.
        repeats: Whether the border from unobserved to observed pixels repeats one period further on.
    """

    def __init__(self, height: int, width: int, period_px: int) -> None:
        self.first = np.full(width, height)
        self.repeats = np.zeros(width, dtype=bool)
        self.period_px = period_px

    def add(self, row: int, in_strip: NDArray[np.bool_], observed: NDArray[np.bool_], halo_px: int) -> None:
        """Add a strip, ordered inward, whose first row without halo is `row` rows from the edge."""
        # A strip contains a column's first observed pixel only if its halo has none.
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
