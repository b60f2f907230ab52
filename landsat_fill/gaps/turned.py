"""Finds the footprint of a scene with steep stripes, in a rotated image where the stripes lie along the rows.

Scenes in polar grids, and rotated or transposed scenes, have stripes at any angle, but `footprint` bridges
gaps along the columns. The observed pixels are therefore rotated first, and the outside is rotated back. Both
rotations take the nearest pixel, which shifts a border by less than a pixel.
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
