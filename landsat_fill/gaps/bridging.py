"""Bridging gaps: what lies between observed pixels close by, along the flight, lies in the footprint.

Lines between observed pixels never leave a convex footprint. The swath's edge isn't quite convex: its scans
end a few pixels off each other. The notches between them, which short lines bridge too, are taken out again.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.gaps.lines import flight_line, scan_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

FLIGHT_TILTS_DEG = (-10.0, 10.0)
"""Directions of bridging lines, from the columns, beside the columns themselves. The flight direction is
about 10° off a north-up column, to the one side on a descending pass and to the other on an ascending one
(98.2° orbital inclination: Landsat 7 Data Users Handbook, USGS LSDS-1927, section 2). Neither a wrong sign
nor a few degrees matter: such lines only bridge less at the very edge of the swath."""

SCAN_TILTS_DEG = (-10.0, 0.0, 10.0)
"""Directions in which a gap runs on from its mouth, from the rows. Lines of `NOTCH_PX` tolerate a few
degrees, so these serve descending and ascending passes, and scenes turned by their map projection."""

NOTCH_PX = 13
"""Columns up to which a hole at the swath's ragged edge is a notch in it, not the mouth of a gap. Scans end
up to about 10 pixels apart, measured on real scenes; gaps run on for hundreds."""


def bridging_halo_px(reach_px: int) -> int:
    """Return the rows above and below that decide upon a pixel."""
    return reach_px + NOTCH_PX


def unbridged(observed: NDArray[np.bool_], reach_px: int) -> NDArray[np.bool_]:
    """Return the pixels that aren't observed, and that no line between observed ones bridges.

    Nothing is observed beyond the image, so what it cuts off there isn't bridged.

    Args:
        observed: `(row, col)`.
        reach_px: The tallest run of unobserved pixels, in rows, that is bridged.
    """
    if not observed.any():
        return np.ones(observed.shape, dtype=bool)
    if observed.all():
        return np.zeros(observed.shape, dtype=bool)
    seen = observed.view(np.uint8)
    closed = _closed(seen, flight_line(reach_px, 0.0))
    residual = np.equal(closed, 0)
    # Columns do inside the scene. At its edges, the other directions bridge more.
    side_px = NOTCH_PX + math.ceil(reach_px * math.tan(math.radians(max(FLIGHT_TILTS_DEG)))) + 1
    for first, end in _edges(closed > seen, residual, side_px):
        outer = slice(max(first - side_px, 0), end + side_px)
        inner = slice(first - outer.start, end - outer.start)
        residual[:, first:end] = _unbridged_at_edge(seen[:, outer], closed[:, outer], reach_px)[:, inner]
    return residual


def _edges(
    bridged: NDArray[np.bool_], residual: NDArray[np.bool_], side_px: int
) -> Iterator[tuple[int, int]]:
    """Yield first column and end of each group of columns where bridged pixels are beside residual ones."""
    import cv2

    row = np.ones((1, 2 * NOTCH_PX + 1), dtype=np.uint8)
    beside = cv2.dilate(residual.view(np.uint8), row)
    columns = np.flatnonzero(np.logical_and(bridged, beside).any(axis=0))
    if columns.size:
        for group in np.split(columns, np.flatnonzero(np.diff(columns) > 2 * side_px) + 1):
            yield max(int(group[0]) - side_px, 0), int(group[-1]) + side_px + 1


def _unbridged_at_edge(
    seen: NDArray[np.uint8], closed: NDArray[np.uint8], reach_px: int
) -> NDArray[np.bool_]:
    """Return the pixels that no line bridges, or only one across a notch."""
    import cv2

    for tilt_deg in FLIGHT_TILTS_DEG:
        closed = np.maximum(closed, _closed(seen, flight_line(reach_px, tilt_deg)))
    residual = np.equal(closed, 0)
    bridged = np.greater(closed, seen)
    row = np.ones((1, 2 * NOTCH_PX + 1), dtype=np.uint8)
    notches = np.logical_and(bridged, cv2.dilate(residual.view(np.uint8), row))
    around = np.pad(bridged.view(np.uint8), NOTCH_PX, mode="edge")
    for tilt_deg in SCAN_TILTS_DEG:
        long = cv2.morphologyEx(around, cv2.MORPH_OPEN, scan_line(NOTCH_PX, tilt_deg))
        going_on = cv2.dilate(long, np.ones((3, 1), dtype=np.uint8))  # A gap's own edge is ragged.
        notches &= going_on[NOTCH_PX:-NOTCH_PX, NOTCH_PX:-NOTCH_PX] == 0
    return residual | notches


def _closed(seen: NDArray[np.uint8], line: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the image with what lies between its pixels along a line, and nothing beyond its edges."""
    import cv2

    rows, cols = line.shape[0] // 2 + 1, line.shape[1] // 2 + 1
    framed = cv2.copyMakeBorder(seen, rows, rows, cols, cols, cv2.BORDER_CONSTANT, value=0)
    closed = cv2.morphologyEx(framed, cv2.MORPH_CLOSE, line)[rows:-rows, cols:-cols]
    return closed.astype(np.uint8, copy=False)
