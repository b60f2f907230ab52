"""The rim of a scene: where its observed pixels begin, seen from each of the image's edges.

Bridging knows only what is close by. The rim as a whole tells two things more: gaps that the upper or lower
edge cuts open are inside (`edges`), and what was bridged beyond the ragged sides is outside (`sides`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.gaps.edges import find_cut_gaps
from landsat_fill.gaps.runs import Runs, runs_of_pixels
from landsat_fill.gaps.sides import find_side

if TYPE_CHECKING:
    from numpy.typing import NDArray

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
