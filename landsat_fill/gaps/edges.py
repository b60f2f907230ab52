"""A scene's upper and lower edge: straight lines that cut gaps open over half of the swath.

Where an edge runs through the gaps of one side of the swath, those open into the outside all along, and
nothing observed lies above to bridge them. But the gaps of the other side lie half a period off: there the
edge itself is observed. Its line, extended over the cut half, tells what lies inside.

A line is extended only where it has been observed over nearly half of the edge, where it is no more than a
gap's height away from what is observed below it, and where the lower border of what it would add comes again
one period further down, as that of a gap does. To leave a cut gap unfilled is better than to invent a border.

Everything here is said of the upper edge; the lower one is the upper one of the scene upside down.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.gaps.runs import Runs, joined, runs_of_pixels
from landsat_fill.gaps.straight import Line, fit_outer_line

if TYPE_CHECKING:
    from numpy.typing import NDArray

EDGE_STRAY_PX = 1.5
"""How far the first observed row may lie off the edge's line: a pixel grid's rounding, and some more."""

SIDE_STRAY_PX = 6.0
"""The same for the ends of scans, which lie a few pixels off each other on real scenes."""

LEAST_EDGE_SHARE = 0.4
"""Share of an edge that must be observed as a line. Gaps cut one half of it at most, but for simulated ones
of more than half a period."""

LEAST_SIDE_SHARE = 0.25
"""Share of the rows that must end on a side's line. Gaps take up to half of them, and the corners some."""

_REPETITION_STRAY_PX = 2  # gap borders are ragged, and the period is rounded


def repetition_halo_px(period_px: int) -> int:
    """Return the rows above and below that tell whether a gap's border comes again one period on."""
    return period_px + _REPETITION_STRAY_PX + 1


class EdgeSurvey:
    """Finds the gaps that the upper and lower edge of one band cut open, given strips from top to bottom."""

    def __init__(self, height: int, width: int, period_px: int) -> None:
        """Start a survey of a scene of some rows and columns, with a scan period in rows."""
        self._height, self._width, self._period_px = height, width, period_px
        self._upper = _Rim(height, width, period_px)
        self._lower = _Rim(height, width, period_px)
        self._left = np.full(height, width)
        self._right = np.full(height, width)

    def add(self, row: int, observed: NDArray[np.bool_], halo_top: int, halo_bottom: int) -> None:
        """Take in the next strip.

        Args:
            row: The scene row of the strip's first row, without halo.
            observed: `(row, col)`, with `repetition_halo_px` halo rows as far as the scene has them.
            halo_top: Rows of `observed` above the strip.
            halo_bottom: Rows of `observed` below the strip.
        """
        strip = observed[halo_top : observed.shape[0] - halo_bottom]
        end = row + strip.shape[0]
        in_strip = strip.any(axis=0)
        self._upper.add(row, in_strip, observed, halo_top)
        self._lower.add(self._height - end, in_strip, observed[::-1], halo_bottom)
        in_row = strip.any(axis=1)
        self._left[row:end] = np.where(in_row, strip.argmax(axis=1), self._width)
        self._right[row:end] = np.where(in_row, strip[:, ::-1].argmax(axis=1), self._width)

    def cut_gaps(self, reach_px: int) -> Runs:
        """Return the pixels of the gaps that an edge cuts open, once every strip is in.

        Args:
            reach_px: The tallest gap there can be, in rows.
        """
        rows, columns = _cut_gaps(self._upper, self._left, self._right, reach_px)
        upper = runs_of_pixels(rows, columns, self._width)
        rows, columns = _cut_gaps(self._lower, self._left[::-1], self._right[::-1], reach_px)
        return joined([upper, runs_of_pixels(self._height - 1 - rows, columns, self._width)])


class _Rim:
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


@dataclass(frozen=True, slots=True)
class _Side:
    """Where the swath ends near a corner: a line a little inward of the ends of the scans next to it."""

    line: Line
    inward_px: float

    def columns(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the first column inside for some rows, counted from the side's edge of the image."""
        return _from_image_edge(self.line, rows) + self.inward_px


def _cut_gaps(
    rim: _Rim, left: NDArray[np.intp], right: NDArray[np.intp], reach_px: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return rows and columns of the pixels between the upper edge's line and what is observed below it.

    Args:
        rim: The first observed row of each column.
        left: The first observed column of each row.
        right: The same counted from the right.
        reach_px: The tallest gap there can be, in rows.
    """
    nothing = np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.intp)
    height, width = left.size, rim.first.size
    edge = fit_outer_line(rim.first, rim.first < height, EDGE_STRAY_PX)
    if edge is None:
        return nothing
    # From the right everything looks the same but the slope.
    mirrored = Line(-edge.slope, edge.at(width - 1))
    left_side = _side_at_corner(left, width, edge, rim.period_px)
    right_side = _side_at_corner(right, width, mirrored, rim.period_px)
    if left_side is None or right_side is None:
        return nothing
    columns = np.arange(width)
    edge_rows = np.rint(_from_image_edge(edge, columns)).astype(np.intp)
    between = _inside(edge_rows, columns, left_side, right_side, width)
    on_line = between & (np.abs(rim.first - edge_rows) <= EDGE_STRAY_PX)
    if on_line.sum() < LEAST_EDGE_SHARE * between.sum():
        return nothing
    cut_px = rim.first - edge_rows
    cut = _repeating((cut_px > EDGE_STRAY_PX) & (cut_px <= reach_px), rim.repeats)
    rows = edge_rows[cut] + np.arange(reach_px)[:, None]
    above = rows < rim.first[cut]
    rows, columns = rows[above], np.broadcast_to(columns[cut], above.shape)[above]
    inside = _inside(rows, columns, left_side, right_side, width)
    return rows[inside], columns[inside]


def _side_at_corner(ends: NDArray[np.intp], width: int, edge: Line, period_px: int) -> _Side | None:
    """Return the left side where it meets the upper edge, or None where the scene has no straight side."""
    line = fit_outer_line(ends, ends < width, SIDE_STRAY_PX)
    if line is None:
        return None
    rows = np.arange(ends.size)
    off_px = ends - _from_image_edge(line, rows)
    on_line = np.abs(off_px) <= SIDE_STRAY_PX
    if on_line.sum() < LEAST_SIDE_SHARE * (ends < width).sum():
        return None
    corner = edge.at(max(line.crossing(edge), 0.0))
    near = on_line & (rows >= corner) & (rows < corner + 2 * period_px)
    return _Side(line, float(off_px[near].max())) if near.any() else None


def _from_image_edge(line: Line, places: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return how far a line lies from the image's edge, which may cut it off."""
    return np.maximum(line.at(places), 0.0)


def _inside(
    rows: NDArray[np.intp], columns: NDArray[np.intp], left: _Side, right: _Side, width: int
) -> NDArray[np.bool_]:
    """Return which pixels lie between the sides."""
    return (columns >= left.columns(rows)) & (width - 1 - columns >= right.columns(rows))


def _repeating(cut: NDArray[np.bool_], repeats: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the groups of neighbouring cut columns whose gap comes again below most of them."""
    columns = np.flatnonzero(cut)
    kept = np.zeros_like(cut)
    for group in np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1):
        kept[group] = group.size > 0 and 2 * np.count_nonzero(repeats[group]) > group.size
    return kept
