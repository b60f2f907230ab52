"""The footprint: where the sensor could have seen the ground, judged from the gaps it left there.

Lines between observed pixels never leave a convex footprint. The swath's edge isn't quite convex: its scans
end a few pixels off each other. The notches between them, which short lines bridge too, are taken out again.

Connectivity can't tell a gap from the outside, because the gaps open into the border at the swath's edges.
What tells them apart is that a gap has observed pixels close by on both sides along the flight direction:

1. A pixel without observation that lies between two such pixels is *bridged*, hence inside (`bridging`).
2. What isn't bridged falls into connected components. One that touches the image's edge and is somewhere
   taller than any gap is outside. The rest are inside: lakes and clouds cut out of the scene, and gaps cut
   off by the edge of a crop.
3. The rim as a whole corrects a few pixels along it (`rim`).

The scene is surveyed strip by strip; only run lengths of what isn't bridged are kept.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.errors import UsageError
from landsat_fill.gaps.run_lengths import (
    Runs,
    find_runs,
    flight_line,
    joined,
    label_runs,
    runs_holding,
    scan_line,
)
from landsat_fill.gaps.swath_edges import RimSurvey, rim_halo_px

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from landsat_fill.scene import Window


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


LARGEST_GAP_SHARE = 2 / 3
"""Share of a scan period that a gap may take. SLC-off gaps reach 0.45 at the swath's edge; the simulated ones
that hide 55 % of a scene reach 0.55. It must stay below 1, or the teeth of the ragged swath edge, which
are a period apart, would be bridged."""


def reach_for_period(period_px: float) -> int:
    """Return the bridging reach in rows that suits a scan period in rows."""
    return max(math.ceil(LARGEST_GAP_SHARE * period_px), 2)


@dataclass(frozen=True, slots=True)
class Footprint:
    """Where the sensor could have seen the ground, for each band of a scene.

    Attributes:
        height: Rows of the scene.
        width: Columns of the scene.
        outside: For each band, the runs of pixels outside.
        observed_px: For each band, how many pixels are observed.
    """

    height: int
    width: int
    outside: tuple[Runs, ...]
    observed_px: tuple[int, ...]

    @property
    def outside_px(self) -> tuple[int, ...]:
        """For each band, how many pixels lie outside."""
        return tuple(runs.pixel_count() for runs in self.outside)

    @property
    def missing_px(self) -> tuple[int, ...]:
        """For each band, how many pixels lie inside without an observation."""
        area = self.height * self.width
        return tuple(
            area - outside - observed
            for outside, observed in zip(self.outside_px, self.observed_px, strict=True)
        )

    def inside(self, window: Window) -> NDArray[np.bool_]:
        """Return whether each pixel of a window lies inside, as a `(band, row, col)` cube."""
        return np.stack([~runs.paint(window) for runs in self.outside])


class FootprintSurvey:
    """Finds the footprint of a scene from its observed pixels, given in strips from top to bottom.

    Attributes:
        halo_px: Rows that each strip needs above and below, as far as the scene has them.
    """

    def __init__(self, bands: int, height: int, width: int, reach_px: int, threads: int = 1) -> None:
        """Start a survey.

        Args:
            bands: Bands of the scene.
            height: Rows of the scene.
            width: Columns of the scene.
            reach_px: The tallest gap there can be, in rows, counted along a column.
            threads: Bands worked on at once.
        """
        if reach_px < 1:
            raise UsageError(
                f"expected a reach of at least 1 pixel, but got {reach_px}",
                hint="Give the height of the tallest gap in rows; 22 suits Landsat 7 at 30 m.",
            )
        period_px = round(reach_px / LARGEST_GAP_SHARE)
        self.halo_px = max(bridging_halo_px(reach_px), rim_halo_px(period_px))
        self._reach_px = reach_px
        self._height, self._width = height, width
        self._threads = threads
        self._next_row = 0
        self._bands = [
            _BandSurvey(reach_px, RimSurvey(height, width, period_px), width) for _ in range(bands)
        ]

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
            halo_top: Rows of `observed` above the strip.
            halo_bottom: Rows of `observed` below the strip.
            beyond: Where a turned scene has no pixels, `(row, col)` with the halo rows. Its border is the
                scene's edge, and it isn't counted as outside.

        Raises:
            UsageError: The strip doesn't follow the last one, or its shape or halo isn't what is needed.
        """
        end = row + observed.shape[1] - halo_top - halo_bottom
        self._check(row, end, observed.shape, halo_top, halo_bottom)
        # Bands whose gaps are the same to the pixel are surveyed once.
        twins = [
            next((first for first in range(band) if np.array_equal(observed[first], observed[band])), band)
            for band in range(len(self._bands))
        ]
        firsts = sorted(set(twins))

        def bridge(band: int) -> NDArray[np.bool_]:
            return unbridged(observed[band], self._reach_px)[halo_top : halo_top + end - row]

        with ThreadPoolExecutor(self._threads) as pool:
            # In a thread of its own nothing would be gained by one.
            each = pool.map if self._threads > 1 else map
            residuals = dict(zip(firsts, each(bridge, firsts), strict=True))
            list(
                each(
                    lambda band: self._bands[band].add(
                        row, observed[band], residuals[twins[band]], halo_top, halo_bottom, beyond
                    ),
                    range(len(self._bands)),
                )
            )
        self._next_row = end

    def finish(self) -> Footprint:
        """Return the footprint, once all strips have been added.

        Raises:
            UsageError: Strips are lacking.
        """
        if self._next_row != self._height:
            raise UsageError(
                f"expected strips down to row {self._height}, but got them down to row {self._next_row}",
                hint="Add every strip of the scene before finishing the survey.",
            )
        return Footprint(
            self._height,
            self._width,
            tuple(band.outside(self._height) for band in self._bands),
            tuple(band.observed_px for band in self._bands),
        )

    def _check(self, row: int, end: int, shape: tuple[int, ...], halo_top: int, halo_bottom: int) -> None:
        wanted_halo = (min(self.halo_px, row), min(self.halo_px, self._height - end))
        found = (shape[0], shape[2], row)
        wanted = (len(self._bands), self._width, self._next_row)
        if found != wanted:
            raise UsageError(
                f"expected a strip of (bands, width, first row) {wanted}, but got {found}",
                hint="Add the strips of one scene from top to bottom, each once.",
            )
        if not row < end <= self._height or halo_top < wanted_halo[0] or halo_bottom < wanted_halo[1]:
            raise UsageError(
                f"expected at least {wanted_halo} halo rows above and below rows {row} to {end}, "
                f"but got {(halo_top, halo_bottom)}",
                hint="Read each strip with `halo_px` more rows on both sides, as far as the scene has them.",
            )


class _BandSurvey:
    """What a survey gathers about one band."""

    def __init__(self, reach_px: int, rim: RimSurvey, width: int) -> None:
        self.observed_px = 0
        self._rim = rim
        self._reach_px = reach_px
        self._width = width
        self._residual: list[Runs] = []
        self._tall: list[Runs] = []
        self._at_edge: list[Runs] = []
        self._beyond: list[Runs] = []
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
        """Take in a strip: its observed pixels with halo, and without halo those that aren't bridged."""
        import cv2

        own = slice(halo_top, halo_top + len(residual))
        if beyond is not None:
            residual = residual & ~beyond[own]
            beside = cv2.dilate(beyond.view(np.uint8), np.ones((3, 3), dtype=np.uint8))[own]
            self._at_edge.append(find_runs(residual & (beside != 0), row))
            self._beyond.append(find_runs(beyond[own], row))
        self.observed_px += int(np.count_nonzero(observed[own]))
        self._rim.add(row, observed, halo_top, halo_bottom)
        self._residual.append(find_runs(residual, row))
        self._tall.append(find_runs(self._ends_tall_run(residual), row))

    def outside(self, height: int) -> Runs:
        """Return the runs that are outside, once every strip is in."""
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
        """Return the pixels with more than `reach_px` residual pixels up to them in their column."""
        import cv2

        stacked = np.concatenate([self._rows_above, residual.view(np.uint8)])
        known = len(self._rows_above)
        self._rows_above = stacked[-self._reach_px :].copy()
        if not residual.any():
            return np.zeros(residual.shape, dtype=bool)
        length = self._reach_px + 1
        column = np.ones((length, 1), dtype=np.uint8)
        # The anchor at the column's lower end, and nothing residual beyond the image.
        eroded = cv2.erode(
            stacked, column, anchor=(0, length - 1), borderType=cv2.BORDER_CONSTANT, borderValue=0
        )
        return eroded[known:].view(np.bool_)
