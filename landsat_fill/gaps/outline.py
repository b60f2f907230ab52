"""The outline of a simulated Level 1 scene: a leaning quadrilateral with ragged sides.

Its upper and lower edges follow scan lines; its sides follow the ground track, each scan ending a little
off the last, as in a scene whose lines weren't straightened by the scan line corrector.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.errors import UsageError
from landsat_fill.gaps.simulation import StripeModel, noise_at

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landsat_fill.scene import Window

BAND_SLIDE_PX = 7.0
"""How far the sides of a band lie off those of the others, along the scan line, measured on real scenes."""

SIDE_STRAY_PX = 3.0
"""How far the end of a scan lies off the swath's edge, measured on real scenes."""

MARGIN_PX = 24
"""Least room between the outline and the edge of the image."""

_LEAST_TILT_DEG = 0.01  # below it a scan line crosses the whole image within a fraction of a row


@dataclass(frozen=True, slots=True)
class SwathOutline:
    """What the sensor could have seen, computable window by window.

    Attributes:
        shape: Bands, rows and columns of the scene.
        model: The geometry of its scan lines and track.
        half_length_px: Rows from its middle scan line to its first and last, along a column.
        slides_px: How far each band lies off the others along the scan line.
        seed: Decides how the sides stray.
    """

    shape: tuple[int, int, int]
    model: StripeModel
    half_length_px: float
    slides_px: tuple[float, ...]
    seed: int

    def inside(self, window: Window) -> NDArray[np.bool_]:
        """Return the pixels `(band, row, col)` of a window that lie inside, boolean."""
        rows = np.arange(window.row, window.row + window.height)
        columns = np.arange(window.col, window.col + window.width, dtype=np.float32)
        inside = np.empty((self.shape[0], window.height, window.width), np.bool_)
        for band in range(self.shape[0]):
            first, end = self.columns(band, rows)
            np.greater_equal(columns, first[:, None], out=inside[band])
            inside[band] &= columns < end[:, None]
        return inside

    def columns(self, band: int, rows: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the first column inside and the one after the last, for some rows of a band."""
        left, right = self._side(band, rows, -1), self._side(band, rows, 1)
        slope = np.tan(np.deg2rad(self.model.tilt_deg))
        height, width = self.shape[1:]
        drop = rows - height / 2
        if abs(self.model.tilt_deg) < _LEAST_TILT_DEG:
            closed = np.abs(drop) > self.half_length_px
            return np.where(closed, right, left).astype(np.float32), right.astype(np.float32)
        # Where the row crosses the first and the last scan line.
        crossings = width / 2 + (drop + self.half_length_px * np.array([[-1], [1]])) / slope
        first = np.ceil(np.maximum(left, crossings.min(axis=0)))
        end = np.ceil(np.minimum(right, crossings.max(axis=0)))
        return first.astype(np.float32), end.astype(np.float32)

    def _side(self, band: int, rows: NDArray[np.int64], side: int) -> NDArray[np.float64]:
        """Return the column of the left (-1) or right (1) side in some rows."""
        model = self.model
        height, width = self.shape[1:]
        tilt, lean = np.deg2rad(model.tilt_deg), np.tan(np.deg2rad(model.track_deg))
        distance_px = side * (model.half_swath_px or width / 2) + self.slides_px[band]
        nadir_col = width / 2 if model.nadir_col is None else model.nadir_col
        # The ends of a scan are upright: the side steps from scan to scan, half a period each.
        scan_px = model.period_px / 2
        column_at_middle = nadir_col + distance_px * (np.cos(tilt) + lean * np.sin(tilt))
        along = rows - height / 2 - np.tan(tilt) * (column_at_middle - lean * (rows - height / 2) - width / 2)
        scans = np.floor(along / scan_px).astype(np.int64)
        rows_per_along = 1 / (1 + np.tan(tilt) * lean)
        upright = along - (scans + 0.5) * scan_px
        column = column_at_middle - lean * (rows - height / 2 - upright * rows_per_along)
        ends = SIDE_STRAY_PX * noise_at(self.seed, 16 * band + side + 1, scans, np.zeros_like(scans))
        lines = 0.7 * noise_at(self.seed, 16 * band + side + 5, rows, np.zeros_like(rows))
        edge: NDArray[np.float64] = column + ends + lines
        return edge


def fit_swath(
    shape: tuple[int, int, int], model: StripeModel, generator: np.random.Generator
) -> tuple[StripeModel, SwathOutline]:
    """Return the model with the half swath that fits an image, and the outline of that swath.

    Args:
        shape: Bands, rows and columns of the image.
        model: The geometry; its half swath and nadir are replaced.
        generator: Draws how bands and scans lie off each other.

    Raises:
        UsageError: The image is too small, or too long and thin, to hold a swath that leans.
    """
    bands, height, width = shape
    tilt, lean = np.deg2rad(model.tilt_deg), np.tan(np.deg2rad(model.track_deg))
    # A corner lies s scan lines off the middle and d along the line: x = d cos - lean s, y = d sin + s.
    # The outermost corners touch the image's sides: two equations for half the swath and half its length.
    spans = np.array([[np.cos(tilt), abs(lean)], [abs(np.sin(tilt)), 1.0]])
    room = np.array([width, height]) / 2 - MARGIN_PX
    half_swath_px, down_px = np.linalg.solve(spans, room)
    if min(half_swath_px, down_px) < 2 * model.period_px:
        raise UsageError(
            f"expected an image that holds a leaning swath, but got {height} × {width} pixels",
            hint="use a larger image, or smaller angles",
        )
    slides_px = generator.uniform(-BAND_SLIDE_PX, BAND_SLIDE_PX, bands)
    seed = int(generator.integers(2**31))
    fitted = replace(model, half_swath_px=float(half_swath_px), nadir_col=width / 2)
    # Along a column, a scan line s off the middle one is as far off as the track is not upright.
    half_length_px = float(down_px * (1 + np.tan(tilt) * lean))
    return fitted, SwathOutline(shape, fitted, half_length_px, tuple(slides_px.tolist()), seed)
