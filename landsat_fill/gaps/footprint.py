"""Finds the footprint, where the sensor could have seen the ground, from the observed pixels.

Connectivity can't separate gaps from the outside, because gaps open into the border at the swath's edges. But
a gap has observed pixels close by on both sides along the flight direction:

1. A pixel without observation that lies on a short line between two observed pixels is *bridged*, and inside.
   The scans end a few pixels apart, and lines bridge the notches between them. These pixels are removed.
2. All other pixels without observation form connected components. A component is outside if it touches the
   image's edge and is taller than any gap. Other components are inside: lakes and clouds cut out of the
   scene, and gaps cut off by the edge of a crop.
3. The edges of the swath correct a few pixels along them (`swath_edges`).

The scene is surveyed strip by strip. Only run lengths of pixels that aren't bridged are kept.

Scenes in polar grids, and rotated or transposed scenes, have stripes at any angle, but gaps are bridged along
the columns. The observed pixels of a scene with steep stripes are therefore rotated first, and the outside is
rotated back. Both rotations take the nearest pixel, which shifts a border by less than a pixel.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.gaps.run_lengths import Runs, find_runs, flight_line, joined, label_runs, runs_holding, scan_line
from landsat_fill.gaps.swath_edges import RimSurvey, rim_halo_px
from landsat_fill.scene import Window, strip_windows, tile_windows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray


FLIGHT_TILTS_DEG = (-10.0, 10.0)
"""Angles between columns and bridging lines, besides 0. The flight direction is about 10° off a north-up
column, with opposite signs on descending and ascending passes (98.2° orbital inclination: Landsat 7 Data
Users Handbook, USGS LSDS-1927, section 2). An error of a few degrees, or a wrong sign, only bridges fewer
pixels at the very edge of the swath."""

SCAN_TILTS_DEG = (-10.0, 0.0, 10.0)
"""Angles between rows and gaps. Lines of `NOTCH_PX` tolerate a few degrees, so these suit descending and
ascending passes, and scenes rotated by their map projection."""

NOTCH_PX = 13
"""Largest length of a notch in the swath's ragged edge, in columns; longer holes are gaps. Scans end up to
about 10 pixels apart in real scenes, whereas gaps are hundreds of pixels long."""


def unbridged(observed: NDArray[np.bool_], reach_px: int) -> NDArray[np.bool_]:
    """Return the unobserved pixels that no line between observed pixels bridges.

    Pixels beyond the image count as unobserved, so gaps cut off by its edge aren't bridged.

    Args:
        observed: `(row, col)`.
        reach_px: Largest height of a bridged gap, in rows.
    """
    if not observed.any():
        return np.ones(observed.shape, dtype=bool)
    if observed.all():
        return np.zeros(observed.shape, dtype=bool)
    seen = observed.view(np.uint8)
    closed = _closed(seen, flight_line(reach_px, 0.0))
    residual = np.equal(closed, 0)
    # Columns suffice inside the scene. At its edges, the other directions bridge more.
    side_px = NOTCH_PX + math.ceil(reach_px * math.tan(math.radians(max(FLIGHT_TILTS_DEG)))) + 1
    for first, end in _edges(closed > seen, residual, side_px):
        outer = slice(max(first - side_px, 0), end + side_px)
        inner = slice(first - outer.start, end - outer.start)
        residual[:, first:end] = _unbridged_at_edge(seen[:, outer], closed[:, outer], reach_px)[:, inner]
    return residual


def _edges(bridged: NDArray[np.bool_], residual: NDArray[np.bool_], side_px: int) -> Iterator[tuple[int, int]]:
    """Yield first and end column of each group of columns with bridged pixels close to residual ones."""
    import cv2

    row = np.ones((1, 2 * NOTCH_PX + 1), dtype=np.uint8)
    near_residual = cv2.dilate(residual.view(np.uint8), row)
    columns = np.flatnonzero(np.logical_and(bridged, near_residual).any(axis=0))
    if columns.size:
        for group in np.split(columns, np.flatnonzero(np.diff(columns) > 2 * side_px) + 1):
            yield max(int(group[0]) - side_px, 0), int(group[-1]) + side_px + 1


def _unbridged_at_edge(seen: NDArray[np.uint8], closed: NDArray[np.uint8], reach_px: int) -> NDArray[np.bool_]:
    """Return the pixels that no line bridges, or only a line across a notch."""
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
        longer = cv2.dilate(long, np.ones((3, 1), dtype=np.uint8))  # The edge of a gap is ragged.
        notches &= longer[NOTCH_PX:-NOTCH_PX, NOTCH_PX:-NOTCH_PX] == 0
    return residual | notches


def _closed(seen: NDArray[np.uint8], line: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the morphological closing of an image along a line, with zeros beyond its edges."""
    import cv2

    rows, cols = line.shape[0] // 2 + 1, line.shape[1] // 2 + 1
    framed = cv2.copyMakeBorder(seen, rows, rows, cols, cols, cv2.BORDER_CONSTANT, value=0)
    closed = cv2.morphologyEx(framed, cv2.MORPH_CLOSE, line)[rows:-rows, cols:-cols]
    return closed.astype(np.uint8, copy=False)


LARGEST_GAP_SHARE = 2 / 3
"""Largest gap as a share of the scan period. SLC-off gaps reach 0.45 at the swath's edge, and simulated gaps
that hide 55 % of a scene reach 0.55. A value of 1 would bridge the teeth of the ragged edge, which are a
period apart."""


def reach_for_period(period_px: float) -> int:
    """Return the height of the tallest gap for a scan period, both in rows."""
    return max(math.ceil(LARGEST_GAP_SHARE * period_px), 2)


OUTLINE_STEP_PX = 4
"""Distance of the pixels by which the outline of a footprint is found."""

OUTLINE_PERIODS = 10
"""Radius of the disc that closes notches in the outline, in scan periods: gaps cut almost lengthwise are that long."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """Where the sensor could have seen the ground, for each band of a scene.

    Attributes:
        height: Rows of the scene.
        width: Columns of the scene.
        outside: For each band, the runs of pixels outside.
        observed_px: Number of observed pixels in each band.
    """

    height: int
    width: int
    outside: tuple[Runs, ...]
    observed_px: tuple[int, ...]

    @property
    def outside_px(self) -> tuple[int, ...]:
        """Number of pixels outside, for each band."""
        return tuple(runs.pixel_count() for runs in self.outside)

    @property
    def missing_px(self) -> tuple[int, ...]:
        """Number of pixels inside without an observation, for each band."""
        area = self.height * self.width
        return tuple(
            area - outside - observed for outside, observed in zip(self.outside_px, self.observed_px, strict=True)
        )

    def inside(self, window: Window) -> NDArray[np.bool_]:
        """Return whether each pixel of a window lies inside, as a `(band, row, col)` cube."""
        return np.stack([~runs.paint(window) for runs in self.outside])

    def outline(self, band: int, period_px: int) -> NDArray[np.bool_]:
        """Return a band's footprint with all notches closed, one of `OUTLINE_STEP_PX` pixels in each direction."""
        import cv2

        step = OUTLINE_STEP_PX
        rows = [
            self.outside[band].paint(Window(row, 0, 1, self.width))[:, ::step] for row in range(0, self.height, step)
        ]
        reach = OUTLINE_PERIODS * period_px // step
        outside = np.pad(np.concatenate(rows).view(np.uint8), reach + 2, constant_values=1)
        depth = cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        near = cv2.distanceTransform((depth < reach).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        closed: NDArray[np.bool_] = near[reach + 2 : -reach - 2, reach + 2 : -reach - 2] >= reach
        return closed


class FootprintSurvey:
    """Finds the footprint of a scene from its observed pixels, given in strips from top to bottom.

    Attributes:
        halo_px: Rows that each strip needs above and below, as far as the scene has them.
    """

    def __init__(
        self, bands: int, height: int, width: int, reach_px: int, threads: int = 1, *, ends_beyond: bool = False
    ) -> None:
        """Start a survey.

        Args:
            bands: Number of bands of the scene.
            height: Its rows.
            width: Its columns.
            reach_px: Height of the tallest possible gap, in rows.
            threads: Number of bands processed at once.
            ends_beyond: Whether pixels given as `beyond` count as outside if they aren't observed.
        """
        period_px = round(reach_px / LARGEST_GAP_SHARE)
        self.halo_px = max(reach_px + NOTCH_PX, rim_halo_px(period_px))
        self._reach_px = reach_px
        self._height, self._width = height, width
        self._threads = threads
        self._ends_beyond = ends_beyond
        self._bands = [_BandSurvey(reach_px, RimSurvey(height, width, period_px), width) for _ in range(bands)]

    def add(
        self,
        row: int,
        observed: NDArray[np.bool_],
        halo_top: int,
        halo_bottom: int,
        beyond: NDArray[np.bool_] | None = None,
    ) -> None:
        """Survey the next strip.

        Args:
            row: The scene row of the strip's first row, without halo.
            observed: `(band, row, col)`, with the halo rows.
            halo_top: Rows of `observed` above the strip: `halo_px`, as far as the scene has them.
            halo_bottom: The same below the strip.
            beyond: Pixels beyond the edge of a rotated scene or of the extent, `(row, col)` with the halo rows.
                Gaps that they cut off are inside, as at the edge of an image.
        """
        own = slice(halo_top, observed.shape[1] - halo_bottom)
        # Bands with identical gaps are surveyed once.
        twins = [
            next((first for first in range(band) if np.array_equal(observed[first], observed[band])), band)
            for band in range(len(self._bands))
        ]
        firsts = sorted(set(twins))

        def bridge(band: int) -> NDArray[np.bool_]:
            return unbridged(observed[band], self._reach_px)[own]

        def add(band: int) -> None:
            self._bands[band].add(row, observed[band], residuals[twins[band]], halo_top, halo_bottom, beyond)

        with ThreadPoolExecutor(self._threads) as pool:
            each = pool.map if self._threads > 1 else map
            residuals = dict(zip(firsts, each(bridge, firsts), strict=True))
            list(each(add, range(len(self._bands))))

    def finish(self) -> Footprint:
        """Return the footprint after all strips were added."""
        return Footprint(
            self._height,
            self._width,
            tuple(band.outside(self._height, ends_beyond=self._ends_beyond) for band in self._bands),
            tuple(band.observed_px for band in self._bands),
        )


class _BandSurvey:
    """The survey of one band."""

    def __init__(self, reach_px: int, rim: RimSurvey, width: int) -> None:
        self.observed_px = 0
        self._rim = rim
        self._reach_px = reach_px
        self._width = width
        self._residual: list[Runs] = []
        self._tall: list[Runs] = []
        self._at_edge: list[Runs] = []
        self._beyond: list[Runs] = []
        self._unseen_beyond: list[Runs] = []
        self._rows_above = np.zeros((0, width), dtype=np.uint8)

    def add(
        self,
        row: int,
        observed: NDArray[np.bool_],
        residual: NDArray[np.bool_],
        halo_top: int,
        halo_bottom: int,
        beyond: NDArray[np.bool_] | None,
    ) -> None:
        """Add a strip: its observed pixels with halo, and its pixels that aren't bridged without halo."""
        import cv2

        own = slice(halo_top, halo_top + len(residual))
        if beyond is not None:
            residual = residual & ~beyond[own]
            near_beyond = cv2.dilate(beyond.view(np.uint8), np.ones((3, 3), dtype=np.uint8))[own]
            self._at_edge.append(find_runs(residual & (near_beyond != 0), row))
            self._beyond.append(find_runs(beyond[own], row))
            self._unseen_beyond.append(find_runs(beyond[own] & ~observed[own], row))
        self.observed_px += int(np.count_nonzero(observed[own]))
        self._rim.add(row, observed, halo_top, halo_bottom)
        self._residual.append(find_runs(residual, row))
        self._tall.append(find_runs(self._ends_tall_run(residual), row))

    def outside(self, height: int, *, ends_beyond: bool) -> Runs:
        """Return the runs outside, after all strips were added."""
        outside = self._outside(height)
        return outside.including(joined(self._unseen_beyond), self._width) if ends_beyond else outside

    def _outside(self, height: int) -> Runs:
        residual, tall = joined(self._residual), joined(self._tall)
        if self.observed_px == 0 or len(residual) == 0:
            return residual
        at_edge = (residual.row == 0) | (residual.row == height - 1)
        at_edge |= (residual.start == 0) | (residual.stop == self._width)
        if self._at_edge:
            at_edge |= runs_holding(residual, joined(self._at_edge), self._width)
        count, component = label_runs(residual, self._width)
        is_tall = runs_holding(residual, tall, self._width)
        reaches_edge, has_tall = np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)
        reaches_edge[component[at_edge]] = True
        has_tall[component[is_tall]] = True
        outside = residual.chosen((reaches_edge & has_tall)[component])
        if not self._beyond or len(outside) == 0:
            return self._rim.corrected(outside, self._reach_px)
        beyond = joined(self._beyond)
        corrected = self._rim.corrected(outside.including(beyond, self._width), self._reach_px)
        return corrected.without(beyond, self._width)

    def _ends_tall_run(self, residual: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return the pixels that end a vertical run of more than `reach_px` residual pixels."""
        import cv2

        stacked = np.concatenate([self._rows_above, residual.view(np.uint8)])
        known = len(self._rows_above)
        self._rows_above = stacked[-self._reach_px :].copy()
        if not residual.any():
            return np.zeros(residual.shape, dtype=bool)
        length = self._reach_px + 1
        column = np.ones((length, 1), dtype=np.uint8)
        eroded = cv2.erode(stacked, column, anchor=(0, length - 1), borderType=cv2.BORDER_CONSTANT, borderValue=0)
        return eroded[known:].view(np.bool_)


STEEP_DEG = 20.0
"""Smallest tilt of stripes for which the scene is rotated. At this tilt and without rotation, 2 % of the gap
pixels of a scene of 600 rows are missed, and far fewer of a full scene."""

_STRIP_PX = 512
_TILE_PX = 1024  # a larger tile needs more of the other image at once
_MARGIN_PX = 2  # tolerates the rounding of both rotations


class BitImage:
    """A boolean image with one bit per pixel: 7 MB for a scene of 8,000 × 7,000 pixels."""

    def __init__(self, height: int, width: int) -> None:
        """Start with false pixels."""
        self.height, self.width = height, width
        self.bits = np.zeros((height, -(-width // 8)), dtype=np.uint8)

    def write(self, row: int, pixels: NDArray[np.bool_]) -> None:
        """Set whole rows from `row` on."""
        self.bits[row : row + len(pixels)] = np.packbits(pixels, axis=1)

    def read(self, window: Window) -> NDArray[np.bool_]:
        """Return the pixels of a window."""
        first = window.col // 8
        rows = slice(window.row, window.row + window.height)
        bits = self.bits[rows, first : -(-(window.col + window.width) // 8)]
        start = window.col - 8 * first
        return np.unpackbits(bits, axis=1)[:, start : start + window.width].view(np.bool_)


def turned_footprint(
    observed: Sequence[BitImage],
    observed_px: Sequence[int],
    tilt_deg: float,
    reach_px: int,
    threads: int = 1,
    extent: BitImage | None = None,
) -> Footprint:
    """Return the footprint of a scene whose stripes have any angle to the rows.

    The scene is rotated by this angle, surveyed as usual, and the footprint is rotated back.

    Args:
        observed: One image of observed pixels for each band, of the scene's size.
        observed_px: The number of observed pixels in each band.
        tilt_deg: Angle between stripes and rows in degrees, -90 to 90; positive if the stripes dip to the right.
        reach_px: Width of the widest possible gap in pixels, perpendicular to the stripes.
        threads: Number of bands processed at once.
        extent: Where the footprint may lie, or None for anywhere.
    """
    height, width = observed[0].height, observed[0].width
    to_rotated, (rotated_height, rotated_width) = _rotation(height, width, tilt_deg)
    to_scene = _inverse(to_rotated)
    firsts = [
        next(first for first in range(band + 1) if np.array_equal(observed[first].bits, image.bits))
        for band, image in enumerate(observed)
    ]
    distinct = sorted(set(firsts))

    def everywhere(window: Window) -> NDArray[np.bool_]:
        return np.ones((window.height, window.width), bool)

    survey = FootprintSurvey(len(distinct), rotated_height, rotated_width, reach_px, threads)
    for strip in strip_windows(rotated_height, rotated_width, _STRIP_PX):
        outer = strip.expanded(survey.halo_px, rotated_height, rotated_width)
        rows = Window(outer.row, 0, outer.height, rotated_width)
        seen = np.stack([_sampled(observed[band].read, (height, width), to_scene, rows) for band in distinct])
        beyond = ~_sampled(everywhere if extent is None else extent.read, (height, width), to_scene, rows)
        below = rows.row + rows.height - strip.row - strip.height
        survey.add(strip.row, seen, strip.row - rows.row, below, beyond)
    rotated = survey.finish()
    outside = {
        band: _rotated_back(runs, (rotated_height, rotated_width), to_rotated, observed[band], extent)
        for band, runs in zip(distinct, rotated.outside, strict=True)
    }
    return Footprint(height, width, tuple(outside[first] for first in firsts), tuple(observed_px))


def _rotated_back(
    outside: Runs, shape: tuple[int, int], to_rotated: NDArray[np.float64], observed: BitImage, extent: BitImage | None
) -> Runs:
    """Return the runs outside the footprint of a scene, from those of the rotated image."""
    import cv2

    def read(window: Window) -> NDArray[np.bool_]:
        # Rounding may move a border, so the outside is dilated rather than filling pixels outside.
        grown = cv2.dilate(outside.paint(window).view(np.uint8), np.ones((3, 3), dtype=np.uint8))
        return grown.astype(np.uint8, copy=False).view(np.bool_)

    runs = []
    for strip in strip_windows(observed.height, observed.width, _STRIP_PX):
        pixels = _sampled(read, shape, to_rotated, strip)
        if extent is not None:
            pixels |= ~extent.read(strip)
        runs.append(find_runs(pixels & ~observed.read(strip), strip.row))
    return joined(runs)


def _sampled(
    read: Callable[[Window], NDArray[np.bool_]], shape: tuple[int, int], to_source: NDArray[np.float64], window: Window
) -> NDArray[np.bool_]:
    """Return a window with the nearest pixels of another image, false beyond that image.

    `read` returns windows of the other image, and `to_source` maps column and row to those of that image.
    """
    import cv2

    out = np.zeros((window.height, window.width), dtype=np.uint8)
    for tile in tile_windows(window, _TILE_PX):
        rows, cols = (tile.row, tile.row + tile.height - 1), (tile.col, tile.col + tile.width - 1)
        places = np.array([(col, row, 1) for row in rows for col in cols], dtype=np.float64) @ to_source.T
        col, row = np.floor(places.min(axis=0)).astype(int) - _MARGIN_PX
        end_col, end_row = np.ceil(places.max(axis=0)).astype(int) + _MARGIN_PX + 1
        col, row = max(col, 0), max(row, 0)
        source = Window(row, col, min(end_row, shape[0]) - row, min(end_col, shape[1]) - col)
        if source.height <= 0 or source.width <= 0:
            continue
        shifted = to_source.copy()
        shifted[:, 2] += to_source[:, :2] @ (tile.col, tile.row) - (col, row)
        out[tile.within(window).slices] = cv2.warpAffine(
            read(source).view(np.uint8),
            shifted,
            (tile.width, tile.height),
            flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
        )
    return out.view(np.bool_)


def _rotation(height: int, width: int, tilt_deg: float) -> tuple[NDArray[np.float64], tuple[int, int]]:
    """Return the map from column and row to those of the image rotated by `-tilt_deg`, and its shape."""
    tilt = math.radians(tilt_deg)
    turn = np.array([[math.cos(tilt), math.sin(tilt)], [-math.sin(tilt), math.cos(tilt)]])
    corners = turn @ np.array([[0, width - 1, 0, width - 1], [0, 0, height - 1, height - 1]])
    shift = _MARGIN_PX - corners.min(axis=1)
    cols, rows = np.ceil(np.ptp(corners, axis=1)).astype(int) + 1 + 2 * _MARGIN_PX
    return np.hstack([turn, shift[:, None]]), (int(rows), int(cols))


def _inverse(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the inverse of a `(2, 3)` affine map."""
    back = np.linalg.inv(affine[:, :2])
    return np.hstack([back, -back @ affine[:, 2:]])
