"""Horizontal runs of pixels: what a scene-wide set of pixels is kept as, instead of an image of it."""

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
    """Runs of pixels, none touching another of its row, sorted by row and then by column.

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
        """Return the runs of the pixels that aren't in `other`, in an image of some width."""
        return _swept(self, other, width, lambda here, there: here & ~there)

    def including(self, other: Runs, width: int) -> Runs:
        """Return the runs of the pixels that are here or in `other`, in an image of some width."""
        return _swept(self, other, width, np.logical_or)

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
    # A column of False after each row keeps a run from going on into the next row.
    flat = np.zeros((pixels.shape[0], pixels.shape[1] + 1), dtype=bool)
    flat[:, :-1] = pixels
    line = flat.reshape(-1)
    changes = np.flatnonzero(line[1:] != line[:-1]) + 1
    if line.size and line[0]:
        changes = np.concatenate([[0], changes])
    rows, columns = np.divmod(changes, pixels.shape[1] + 1)
    return Runs(rows[::2] + first_row, columns[::2], columns[1::2])


def runs_of_pixels(rows: NDArray[np.intp], columns: NDArray[np.intp], width: int) -> Runs:
    """Return the runs of some pixels of an image, none given twice."""
    pixels = np.sort((width + 1) * rows + columns)
    starts = np.append(True, np.diff(pixels) > 1)[: pixels.size]
    stops = np.append(starts[1:], True)[: pixels.size]
    run_rows, run_starts = np.divmod(pixels[starts], width + 1)
    return Runs(run_rows, run_starts, pixels[stops] % (width + 1) + 1)


def _swept(
    one: Runs,
    other: Runs,
    width: int,
    chosen: Callable[[NDArray[np.bool_], NDArray[np.bool_]], NDArray[np.bool_]],
) -> Runs:
    """Return the runs of the pixels chosen by whether they are in one and in the other set of runs."""
    if len(other) == 0:
        return one
    pitch = width + 1  # with room after each row, so that no run goes on into the next
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
    """Return the runs of successive strips, from top to bottom, as one."""
    return Runs(
        np.concatenate([part.row for part in parts]),
        np.concatenate([part.start for part in parts]),
        np.concatenate([part.stop for part in parts]),
    )


def runs_holding(outer: Runs, inner: Runs, width: int) -> NDArray[np.bool_]:
    """Return which runs of `outer` hold a run of `inner`, each of which lies within one of `outer`."""
    pitch = width + 2
    holds = np.zeros(len(outer), dtype=bool)
    places = np.searchsorted(outer.row * pitch + outer.start, inner.row * pitch + inner.start, side="right")
    holds[places - 1] = True
    return holds


def label_runs(runs: Runs, width: int) -> tuple[int, NDArray[np.intp]]:
    """Return the number of connected components, and the component of each run.

    Runs of successive rows are connected where their pixels touch by a side or a corner.

    Args:
        runs: The runs of an image.
        width: The width of the image.
    """
    # One number per pixel, with room between the rows, turns "touches in the row above" into two look-ups.
    pitch = width + 2
    above = (runs.row - 1) * pitch
    first = np.searchsorted(runs.row * pitch + runs.stop, above + runs.start, side="left")
    last = np.searchsorted(runs.row * pitch + runs.start, above + runs.stop, side="right")
    touching = np.maximum(last - first, 0)
    lower = np.repeat(np.arange(len(runs)), touching)
    upper = np.arange(touching.sum()) - np.repeat(np.cumsum(touching) - touching - first, touching)
    firsts, labels = np.unique(_first_connected(len(runs), lower, upper), return_inverse=True)
    return firsts.size, labels.astype(np.intp)


def _first_connected(count: int, lower: NDArray[np.intp], upper: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the first of the runs that each is connected with, by joining trees whose root is their least.

    scipy has the like, which takes twice as long to import as a small scene does to label.

    Args:
        count: The number of runs.
        lower: One run of each pair that touches.
        upper: The other one.
    """
    parent = np.arange(count)
    while True:
        one, other = parent[lower], parent[upper]
        apart = one != other
        if not apart.any():
            return parent
        lower, upper, one, other = lower[apart], upper[apart], one[apart], other[apart]
        np.minimum.at(parent, np.maximum(one, other), np.minimum(one, other))
        while not np.array_equal(parent, parent[parent]):
            parent = parent[parent]


def scan_line(length_px: float, tilt_deg: float) -> NDArray[np.uint8]:
    """Return a line of so many columns, the next odd number, that dips to the right by `tilt_deg`."""
    half = int(length_px // 2)
    steps = np.arange(-half, half + 1)
    rows = np.rint(steps * math.tan(math.radians(tilt_deg))).astype(int)
    side = int(np.abs(rows).max())
    kernel = np.zeros((2 * side + 1, 2 * half + 1), dtype=np.uint8)
    kernel[rows + side, steps + half] = 1
    return kernel


def flight_line(gap_px: int, tilt_deg: float) -> NDArray[np.uint8]:
    """Return a line that closes gaps of so many rows, and leans to the right by `tilt_deg` going down."""
    return np.ascontiguousarray(scan_line(gap_px + 1, tilt_deg).T)
