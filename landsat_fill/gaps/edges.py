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

from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.gaps.straight import Line, fit_line

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landsat_fill.gaps.sides import Side

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
