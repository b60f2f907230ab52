"""A scene's left and right side, where scans end a few pixels off each other.

Lines that bridge a gap's mouth may start and end on scans that reach farther out than those next to the gap.
What they bridge beyond the straight way from the end of one scan to that of the next is no part of the swath.

Everything here is said of the left side; the right one is the left one of the scene in a mirror.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.gaps.straight import Line, fit_line

if TYPE_CHECKING:
    from numpy.typing import NDArray

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
