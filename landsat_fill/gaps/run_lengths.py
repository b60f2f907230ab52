"""Horizontal runs of pixels, a compact form of a set of pixels in a whole scene."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from landsat_fill.scene import Window


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs of pixels, sorted by row and column; runs of one row don't touch each other.

    Attributes:
        row: The row of each run.
        start: Its first column.
        stop: The column after its last.
    """

    row: NDArray[np.intp]
    start: NDArray[np.intp]
    stop: NDArray[np.intp]

    def __len__(self) -> int:
        return self.row.size

    def chosen(self, choice: NDArray[np.bool_]) -> Runs:
        """Return the runs where `choice` is true."""
        return Runs(self.row[choice], self.start[choice], self.stop[choice])

    def pixel_count(self) -> int:
        """Return how many pixels the runs cover."""
        return int((self.stop - self.start).sum())

    def without(self, other: Runs, width: int) -> Runs:
        """Return the runs of the pixels that aren't in `other`, in an image of this width."""
        return _combined(self, other, width, lambda own, others: own & ~others)

    def including(self, other: Runs, width: int) -> Runs:
        """Return the runs of the pixels in `self` or `other`, in an image of this width."""
        return _combined(self, other, width, np.logical_or)

    def paint(self, window: Window) -> NDArray[np.bool_]:
        """Return the `(row, col)` image of the runs in a window."""
        image = np.zeros((window.height, window.width), dtype=bool)
        first, last = np.searchsorted(self.row, (window.row, window.row + window.height))
        rows = self.row[first:last] - window.row
        starts = np.clip(self.start[first:last] - window.col, 0, window.width)
        stops = np.clip(self.stop[first:last] - window.col, 0, window.width)
        for row, start, stop in zip(rows.tolist(), starts.tolist(), stops.tolist(), strict=True):
            image[row, start:stop] = True
        return image


def find_runs(pixels: NDArray[np.bool_], first_row: int) -> Runs:
    """Return the runs of true pixels of a `(row, col)` image whose first row is `first_row` of the scene."""
    # A column of False after each row ends its last run.
    flat = np.zeros((pixels.shape[0], pixels.shape[1] + 1), dtype=bool)
    flat[:, :-1] = pixels
    line = flat.reshape(-1)
    changes = np.flatnonzero(line[1:] != line[:-1]) + 1
    if line.size and line[0]:
        changes = np.concatenate([[0], changes])
    rows, columns = np.divmod(changes, pixels.shape[1] + 1)
    return Runs(rows[::2] + first_row, columns[::2], columns[1::2])


def runs_of_pixels(rows: NDArray[np.intp], columns: NDArray[np.intp], width: int) -> Runs:
    """Return the runs of distinct pixels in an image of this width."""
    pixels = np.sort((width + 1) * rows + columns)
    starts = np.append(True, np.diff(pixels) > 1)[: pixels.size]
    stops = np.append(starts[1:], True)[: pixels.size]
    run_rows, run_starts = np.divmod(pixels[starts], width + 1)
    return Runs(run_rows, run_starts, pixels[stops] % (width + 1) + 1)


def _combined(
    one: Runs, other: Runs, width: int, chosen: Callable[[NDArray[np.bool_], NDArray[np.bool_]], NDArray[np.bool_]]
) -> Runs:
    """Return the runs of the pixels that `chosen` selects from two masks: pixels in `one`, pixels in `other`."""
    if len(other) == 0:
        return one
    pitch = width + 1  # one more column ends the last run of each row
    borders = [pitch * runs.row + side for runs in (one, other) for side in (runs.start, runs.stop)]
    places = np.unique(np.concatenate(borders))
    within = []
    for starts, stops in (borders[:2], borders[2:]):
        steps = np.zeros(places.size, dtype=np.int8)
        steps[np.searchsorted(places, starts)] += 1
        steps[np.searchsorted(places, stops)] -= 1
        within.append(np.cumsum(steps) > 0)
    inside = chosen(within[0], within[1])
    changes = inside != np.append(False, inside[:-1])
    rows, columns = np.divmod(places[changes], pitch)
    return Runs(rows[::2], columns[::2], columns[1::2])


def joined(parts: Sequence[Runs]) -> Runs:
    """Return the runs of successive strips, from top to bottom, as one set."""
    return Runs(
        np.concatenate([part.row for part in parts]),
        np.concatenate([part.start for part in parts]),
        np.concatenate([part.stop for part in parts]),
    )


def runs_holding(outer: Runs, inner: Runs, width: int) -> NDArray[np.bool_]:
    """Return which runs of `outer` contain a run of `inner`; each run of `inner` must lie in one of `outer`."""
    pitch = width + 2
    holds = np.zeros(len(outer), dtype=bool)
    places = np.searchsorted(outer.row * pitch + outer.start, inner.row * pitch + inner.start, side="right")
    holds[places - 1] = True
    return holds


def label_runs(runs: Runs, width: int) -> tuple[int, NDArray[np.intp]]:
    """Return the number of connected components, and the component of each run.

    Runs of successive rows are connected if their pixels share a side or a corner. Components are numbered in the
    order of their first runs.
    """
    # With one number per pixel, two binary searches find the runs that touch in the row above.
    pitch = width + 2
    above = (runs.row - 1) * pitch
    first = np.searchsorted(runs.row * pitch + runs.stop, above + runs.start, side="left")
    last = np.searchsorted(runs.row * pitch + runs.start, above + runs.stop, side="right")
    touching = np.maximum(last - first, 0)
    lower = np.repeat(np.arange(len(runs)), touching)
    upper = np.arange(touching.sum()) - np.repeat(np.cumsum(touching) - touching - first, touching)
    # Each tree of runs joins the first tree that it touches, until no two trees touch. scipy's graphs do the same, but
    # their import takes as long as the fill of a small scene.
    parent = np.arange(len(runs))
    while True:
        roots = parent[lower], parent[upper]
        apart = roots[0] != roots[1]
        if not apart.any():
            break
        np.minimum.at(parent, np.maximum(*roots)[apart], np.minimum(*roots)[apart])
        while ((above := parent[parent]) != parent).any():
            parent = above
    first_runs, labels = np.unique(parent, return_inverse=True)
    return len(first_runs), labels.astype(np.intp)


def scan_line(length_px: float, tilt_deg: float) -> NDArray[np.uint8]:
    """Return a line kernel with the next odd number of columns, which dips to the right by `tilt_deg`."""
    half = int(length_px // 2)
    steps = np.arange(-half, half + 1)
    rows = np.rint(steps * math.tan(math.radians(tilt_deg))).astype(int)
    side = int(np.abs(rows).max())
    kernel = np.zeros((2 * side + 1, 2 * half + 1), dtype=np.uint8)
    kernel[rows + side, steps + half] = 1
    return kernel


def flight_line(gap_px: int, tilt_deg: float) -> NDArray[np.uint8]:
    """Return a line kernel that closes gaps of `gap_px` rows and leans to the right by `tilt_deg`."""
    return np.ascontiguousarray(scan_line(gap_px + 1, tilt_deg).T)
