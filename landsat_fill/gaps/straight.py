"""The straight line that bounds most of an outline from outside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CANDIDATES = 12  # a rasterised line's hull has few long sides
_REFINEMENTS = 4


@dataclass(frozen=True, slots=True)
class Line:
    """A line: how far an edge lies from the image's edge, as a function of the place along it."""

    slope: float
    start: float

    def at(self, places: NDArray[np.integer] | NDArray[np.floating] | float) -> NDArray[np.float64]:
        """Return the distance at some places."""
        return np.asarray(self.slope * places + self.start, dtype=np.float64)

    def crossing(self, across: Line) -> float:
        """Return this line's distance where it meets another, whose places are this one's distances."""
        return (self.slope * across.start + self.start) / (1 - self.slope * across.slope)


def fit_outer_line(distances: NDArray[np.intp], known: NDArray[np.bool_], stray_px: float) -> Line | None:
    """Return the line that runs along most of an outline and leaves hardly anything outside, or None.

    The sides of the outline's convex hull are tried, each fitted to the places near it by least squares.

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
    best, most = None, 0
    for side in np.argsort(-np.abs(spans[:, 0]))[:_CANDIDATES]:
        if spans[side, 0] == 0:
            continue
        slope = spans[side, 1] / spans[side, 0]
        line = Line(float(slope), float(ends[side, 0, 1] - slope * ends[side, 0, 0]))
        for _ in range(_REFINEMENTS):
            near = np.abs(heights - line.at(places)) <= stray_px
            if np.count_nonzero(near) < 2:
                break
            line = _least_squares(places[near], heights[near])
        count = np.count_nonzero(np.abs(heights - line.at(places)) <= stray_px)
        if count > most:
            best, most = line, count
    return best


def _least_squares(places: NDArray[np.intp], heights: NDArray[np.intp]) -> Line:
    middle = places.mean()
    off = places - middle
    slope = float((off * heights).sum() / (off * off).sum())
    return Line(slope, float(heights.mean() - slope * middle))
