"""The footprint of a scene whose stripes are steep, found in an image turned so that they lie along the rows.

Scenes in polar grids, and scenes that were rotated or transposed, have stripes at any angle. The footprint is
judged across the stripes (`footprint`), so the observed pixels are turned first, and what is outside is then
turned back. Both take the nearest pixel, which shifts a border by less than a pixel.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.gaps.footprint import Footprint, FootprintSurvey
from landsat_fill.gaps.run_lengths import find_runs, joined
from landsat_fill.scene import Window, strip_windows, tile_windows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from landsat_fill.gaps.run_lengths import Runs


STEEP_DEG = 20.0
"""Tilt of the stripes from which the scene is turned. Up to there, columns cross the stripes well enough: 2 %
of the gap pixels of a scene of 600 rows are missed at this tilt, and far fewer of a full scene."""

_STRIP_PX = 512
_TILE_PX = 1024  # a larger tile needs more of the other image at once
_MARGIN_PX = 2  # room for the rounding of both ways


class BitImage:
    """A boolean image of a whole scene that takes one bit a pixel: 7 MB for 8,000 × 7,000 pixels."""

    def __init__(self, height: int, width: int) -> None:
        """Start with false pixels."""
        self.height, self.width = height, width
        self._bits = np.zeros((height, -(-width // 8)), dtype=np.uint8)

    def write(self, row: int, pixels: NDArray[np.bool_]) -> None:
        """Set whole rows from `row` on."""
        self._bits[row : row + len(pixels)] = np.packbits(pixels, axis=1)

    def read(self, window: Window) -> NDArray[np.bool_]:
        """Return the pixels of a window."""
        first = window.col // 8
        rows = slice(window.row, window.row + window.height)
        bits = self._bits[rows, first : -(-(window.col + window.width) // 8)]
        start = window.col - 8 * first
        return np.unpackbits(bits, axis=1)[:, start : start + window.width].view(np.bool_)

    def __eq__(self, other: object) -> bool:
        """Return whether two images have the same pixels."""
        return isinstance(other, BitImage) and np.array_equal(self._bits, other._bits)

    __hash__ = None  # type: ignore[assignment]


def turned_footprint(
    observed: Sequence[BitImage], observed_px: Sequence[int], tilt_deg: float, reach_px: int, threads: int = 1
) -> Footprint:
    """Return the footprint of a scene, judged across stripes of any tilt.

    Args:
        observed: The observed pixels of each band.
        observed_px: How many they are.
        tilt_deg: Angle between stripes and rows, -90 to 90; positive where they dip to the right.
        reach_px: The widest gap there can be, in pixels across it.
        threads: Bands worked on at once.
    """
    height, width = observed[0].height, observed[0].width
    to_turned, (turned_height, turned_width) = _turn(height, width, tilt_deg)
    to_scene = _inverse(to_turned)
    firsts = [
        next(first for first in range(band + 1) if observed[first] == observed[band])
        for band in range(len(observed))
    ]
    distinct = sorted(set(firsts))
    survey = FootprintSurvey(len(distinct), turned_height, turned_width, reach_px, threads)
    for strip in strip_windows(turned_height, turned_width, _STRIP_PX):
        outer = strip.expanded(survey.halo_px, turned_height, turned_width)
        rows = Window(outer.row, 0, outer.height, turned_width)
        seen = np.stack([_sampled(observed[band].read, (height, width), to_scene, rows) for band in distinct])
        beyond = ~_sampled(_everything, (height, width), to_scene, rows)
        below = rows.row + rows.height - strip.row - strip.height
        survey.add(strip.row, seen, strip.row - rows.row, below, beyond)
    turned = survey.finish()
    outside = {
        band: _turned_back(runs, (turned_height, turned_width), to_turned, observed[band])
        for band, runs in zip(distinct, turned.outside, strict=True)
    }
    return Footprint(height, width, tuple(outside[first] for first in firsts), tuple(observed_px))


def _everything(window: Window) -> NDArray[np.bool_]:
    """Return true pixels."""
    return np.ones((window.height, window.width), dtype=bool)


def _turned_back(
    outside: Runs, shape: tuple[int, int], to_turned: NDArray[np.float64], observed: BitImage
) -> Runs:
    """Return the runs of a scene outside the footprint from those of the turned image."""
    import cv2

    def read(window: Window) -> NDArray[np.bool_]:
        # The nearest pixel of one just outside may be one just inside: rather outside than invented.
        grown = cv2.dilate(outside.paint(window).view(np.uint8), np.ones((3, 3), dtype=np.uint8))
        return grown.astype(np.uint8, copy=False).view(np.bool_)

    runs = []
    for strip in strip_windows(observed.height, observed.width, _STRIP_PX):
        pixels = _sampled(read, shape, to_turned, strip)
        runs.append(find_runs(pixels & ~observed.read(strip), strip.row))
    return joined(runs)


def _sampled(
    read: Callable[[Window], NDArray[np.bool_]],
    shape: tuple[int, int],
    to_source: NDArray[np.float64],
    window: Window,
) -> NDArray[np.bool_]:
    """Return the pixels of a window, each the nearest one of another image, false where that ends.

    Args:
        read: Returns windows of the other image.
        shape: Rows and columns of the other image.
        to_source: Maps column and row to those of the other image, `(2, 3)`.
        window: The pixels wanted.
    """
    import cv2

    out = np.zeros((window.height, window.width), dtype=np.uint8)
    for tile in tile_windows(window, _TILE_PX):
        corners = np.array(
            [
                (col, row, 1)
                for row in (tile.row, tile.row + tile.height - 1)
                for col in (tile.col, tile.col + tile.width - 1)
            ],
            dtype=np.float64,
        )
        places = corners @ to_source.T
        col, row = np.floor(places.min(axis=0)).astype(int) - _MARGIN_PX
        end_col, end_row = np.ceil(places.max(axis=0)).astype(int) + _MARGIN_PX + 1
        col, row = max(col, 0), max(row, 0)
        source = Window(row, col, min(end_row, shape[0]) - row, min(end_col, shape[1]) - col)
        if source.height <= 0 or source.width <= 0:
            continue
        shifted = to_source.copy()
        shifted[:, 2] += to_source[:, :2] @ (tile.col, tile.row) - (col, row)
        rows, cols = tile.within(window).slices
        out[rows, cols] = cv2.warpAffine(
            read(source).view(np.uint8),
            shifted,
            (tile.width, tile.height),
            flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
        )
    return out.view(np.bool_)


def _turn(height: int, width: int, tilt_deg: float) -> tuple[NDArray[np.float64], tuple[int, int]]:
    """Return the map from column and row to those of the image turned by `-tilt_deg`, and its shape."""
    tilt = math.radians(tilt_deg)
    turn = np.array([[math.cos(tilt), math.sin(tilt)], [-math.sin(tilt), math.cos(tilt)]])
    corners = turn @ np.array([[0, width - 1, 0, width - 1], [0, 0, height - 1, height - 1]])
    shift = _MARGIN_PX - corners.min(axis=1)
    cols, rows = np.ceil(np.ptp(corners, axis=1)).astype(int) + 1 + 2 * _MARGIN_PX
    return np.hstack([turn, shift[:, None]]), (int(rows), int(cols))


def _inverse(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the inverse of a `(2, 3)` map."""
    back = np.linalg.inv(affine[:, :2])
    return np.hstack([back, -back @ affine[:, 2:]])
