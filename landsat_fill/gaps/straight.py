"""The straight line that bounds an outline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

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
