"""The outline of a simulated Level 1 scene: a leaning quadrilateral of whole scans with ragged sides.

A scene is framed by whole scans. A gap opens between two scans where they run apart, on one side of nadir,
while on the other side they overlap: a scan is a straight stripe, tilted a little against the lines the gaps
lie on. So the first scan's upper border, and the last one's lower border, run along half a gap and away from
it, and cut none open. The sides follow the ground track. Each scan ends upright, a little off the last, as in
a scene whose lines weren't straightened by the scan line corrector. Nothing tells where the swath ends in the
rows of a gap, so there the side runs straight from the end of one scan to that of the next.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.errors import UsageError
from landsat_fill.gaps.simulation import StripeModel, Stripes, noise_at

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landsat_fill.scene import Window

BAND_SLIDE_PX = 7.0
"""How far the sides of a band lie off those of the others, along the scan line, measured on real scenes."""

SIDE_STRAY_PX = 3.0
"""How far the end of a scan lies off the swath's edge, measured on real scenes."""

MARGIN_PX = 24
"""Least room between the outline and the edge of the image."""

_LINE_STRAY_PX = 0.7  # the lines of a scan end off each other by less than a pixel


@dataclass(frozen=True, slots=True)
class SwathOutline:
    """What the sensor could have seen, computable window by window.

    Attributes:
        stripes: The gaps of the scene, which tell where its scans lie.
        first_scan: The gap above the first scan, counted in half periods from the left gap at `phase_px`:
            even ones are left of nadir, odd ones right.
        end_scan: The gap below the last scan, counted likewise.
        slides_px: How far each band lies off the others along the scan line.
        seed: Decides how the sides stray.
    """

    stripes: Stripes
    first_scan: int
    end_scan: int
    slides_px: tuple[float, ...]
    seed: int

    def inside(self, window: Window) -> NDArray[np.bool_]:
        """Return the pixels `(band, row, col)` of a window that lie inside, boolean."""
        rows = np.arange(window.row, window.row + window.height)
        columns = np.arange(window.col, window.col + window.width)
        inside = np.empty((self.stripes.shape[0], window.height, window.width), np.bool_)
        for band in range(self.stripes.shape[0]):
            first_col, end_col = self.sides(band, rows)
            first_row, end_row = self.edges(band, columns)
            np.greater_equal(columns, first_col[:, None], out=inside[band])
            inside[band] &= columns < end_col[:, None]
            inside[band] &= rows[:, None] >= first_row
            inside[band] &= rows[:, None] < end_row
        return inside

    def sides(self, band: int, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the first column between the sides and the one after the last, for some rows of a band."""
        left, right = (np.ceil(self._side(band, rows, train)).astype(np.int64) for train in (0, 1))
        return left, right

    def edges(self, band: int, columns: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the first row between upper and lower edge and the one after the last, for some columns."""
        upper = self._scan_border(band, columns, self.first_scan, below=True)
        lower = self._scan_border(band, columns, self.end_scan, below=False)
        return np.ceil(upper).astype(np.int64), np.ceil(lower).astype(np.int64)

    def _scan_border(self, band: int, columns: NDArray[np.int64], gap: int, *, below: bool) -> NDArray[np.float64]:
        """Return the row, in some columns, of the border of the scan above or below a gap."""
        swath = _Swath.of(self.stripes)
        # Half a gap's width off its centre at the gap's own end, as far to the other side at the other end.
        opens_right = gap % 2 == 1
        away = 0.5 if opens_right == below else -0.5
        per_column = away * self.stripes.model.edge_width_px / swath.half_px / swath.stretch
        centres = self.stripes.phase_px + gap * self.stripes.model.period_px / 2
        centres += self.stripes.shifts_px[band]
        off_nadir = columns - swath.nadir_col - swath.lean * swath.middle_row
        rows: NDArray[np.float64] = (centres + swath.slope * columns + per_column * off_nadir) / (
            1 - per_column * swath.lean
        )
        return rows

    def _side(self, band: int, rows: NDArray[np.int64], train: int) -> NDArray[np.float64]:
        """Return the column of the left (0) or right (1) side in some rows."""
        swath, model = _Swath.of(self.stripes), self.stripes.model
        distance_px = (swath.half_px if train else -swath.half_px) + self.slides_px[band]
        straight = swath.nadir_col + distance_px * swath.stretch - swath.lean * (rows - swath.middle_row)
        first_gap = self.stripes.phase_px + self.stripes.shifts_px[band] + train * model.period_px / 2
        along = rows - swath.slope * straight - first_gap
        gaps = np.rint(along / model.period_px).astype(np.int64)
        off_gap = along - gaps * model.period_px
        half_gap = model.edge_width_px / 2
        scan_middle = (half_gap + model.period_px / 2) / 2
        lean_along = swath.lean / (1 + swath.slope * swath.lean)

        def end(scans: NDArray[np.int64], off_middle: NDArray[np.float64]) -> NDArray[np.float64]:
            """Return how far off the straight side a scan ends, some rows off its middle."""
            stray = noise_at(self.seed, 4 * band + 2 * train, scans, np.zeros_like(scans))
            return lean_along * off_middle + SIDE_STRAY_PX * stray

        above = end(2 * gaps, np.minimum(off_gap, -half_gap) + scan_middle)
        below = end(2 * gaps + 1, np.maximum(off_gap, half_gap) - scan_middle)
        share = np.clip(off_gap / (2 * half_gap) + 0.5, 0, 1)
        lines = noise_at(self.seed, 4 * band + 2 * train + 1, rows, np.zeros_like(rows))
        lines = np.where((share > 0) & (share < 1), 0.0, _LINE_STRAY_PX * lines)
        column: NDArray[np.float64] = straight + (1 - share) * above + share * below + lines
        return column


@dataclass(frozen=True, slots=True)
class _Swath:
    """The numbers of a swath's geometry that its outline is made of.

    Attributes:
        slope: Rows that a scan line drops in a column.
        lean: Columns that the track goes to the left in a row.
        stretch: Columns that a pixel along the scan line lies off the track in the same row.
        half_px: Half the swath, along the scan line.
        nadir_col: Column of nadir in the middle row.
        middle_row: That row.
    """

    slope: float
    lean: float
    stretch: float
    half_px: float
    nadir_col: float
    middle_row: float

    @classmethod
    def of(cls, stripes: Stripes) -> _Swath:
        model, (_, height, width) = stripes.model, stripes.shape
        tilt, lean = math.radians(model.tilt_deg), math.tan(math.radians(model.track_deg))
        return cls(
            slope=math.tan(tilt),
            lean=lean,
            stretch=math.cos(tilt) + lean * math.sin(tilt),
            half_px=model.half_swath_px or width / 2,
            nadir_col=width / 2 if model.nadir_col is None else model.nadir_col,
            middle_row=height / 2,
        )


def fit_swath(shape: tuple[int, int, int], model: StripeModel) -> StripeModel:
    """Return the model with the half swath that fits an image.

    Args:
        shape: Bands, rows and columns of the image.
        model: The geometry; its half swath and nadir are replaced.

    Raises:
        UsageError: The image is too small, or too long and thin, to hold a swath that leans.
    """
    _, height, width = shape
    half_swath_px, down_px = _half_sizes(shape, model)
    if min(half_swath_px, down_px) < 2 * model.period_px:
        raise UsageError(
            f"expected an image that holds a leaning swath, but got {height} × {width} pixels",
            hint="use a larger image, or smaller angles",
        )
    return replace(model, half_swath_px=half_swath_px, nadir_col=width / 2)


def frame_swath(stripes: Stripes, generator: np.random.Generator) -> SwathOutline:
    """Return the outline of a swath of whole scans.

    Args:
        stripes: The gaps, laid with a model that `fit_swath` has fitted to their image.
        generator: Draws how bands and scans lie off each other.
    """
    slides_px = generator.uniform(-BAND_SLIDE_PX, BAND_SLIDE_PX, stripes.shape[0])
    seed = int(generator.integers(2**31))
    swath = _Swath.of(stripes)
    _, down_px = _half_sizes(stripes.shape, stripes.model)
    # Along a column, a scan line s off the middle one is as far off as the track is not upright.
    half_length_px = down_px * (1 + swath.slope * swath.lean)
    first_gap = swath.middle_row - swath.slope * swath.nadir_col - stripes.phase_px
    scan_px = stripes.model.period_px / 2
    return SwathOutline(
        stripes,
        math.ceil((first_gap - half_length_px) / scan_px),
        math.floor((first_gap + half_length_px) / scan_px),
        tuple(slides_px.tolist()),
        seed,
    )


def _half_sizes(shape: tuple[int, int, int], model: StripeModel) -> tuple[float, float]:
    """Return half the swath along its scan lines, and half its length in rows along the track.

    A corner lies s scan lines off the middle and d along the line: x = d cos - lean s, y = d sin + s.
    The outermost corners touch the image's sides: two equations for half the swath and half its length.
    """
    tilt, lean = math.radians(model.tilt_deg), math.tan(math.radians(model.track_deg))
    spans = np.array([[math.cos(tilt), abs(lean)], [abs(math.sin(tilt)), 1.0]])
    room = np.array(shape[1:][::-1]) / 2 - MARGIN_PX
    half_swath_px, down_px = np.linalg.solve(spans, room)
    return float(half_swath_px), float(down_px)
