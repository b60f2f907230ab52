"""Reads arrays from one grid onto another: pixel by pixel where the grids agree, resampled where they don't."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from landsat_fill.errors import InputError
from landsat_fill.scene import Window

if TYPE_CHECKING:
    from collections.abc import Callable

    from affine import Affine
    from numpy.typing import NDArray

    from landsat_fill.scene import Grid

    Read = Callable[[Window], tuple[NDArray[np.generic], NDArray[np.bool_]]]
    """Returns values and usable pixels, `(band, row, col)` each, of a window of the source's grid."""

SAME_PX = 0.01
"""Grids that differ by less than this share of a pixel count as equal."""

MARGIN_PX = 8
"""Pixels read around a resampled window: more than the radius of a cubic kernel and of an average before it."""

KNOT_PX = 32
"""Positions in the source are exact at every pixel whose row and column in the target are multiples of this."""

STEPS_A_PIXEL = 32
"""Positions are rounded to this fraction of a pixel, which is as fine as OpenCV resamples."""

ALL_USABLE = 0.99
"""Share of the weights of usable pixels from which a resampled pixel is usable."""


@dataclass(frozen=True, slots=True)
class Regridding:
    """How a source is read on a target's grid.

    Attributes:
        source: Grid of the source.
        target: Grid of the target.
        shift_px: Rows and columns by which the source's content lies below and to the right of the target's.
    """

    source: Grid
    target: Grid
    shift_px: tuple[float, float] = (0.0, 0.0)

    @property
    def offset_px(self) -> tuple[int, int] | None:
        """Row and column of the target's corner in the source where their pixels coincide, otherwise None."""
        if self.source.crs != self.target.crs or any(self.shift_px):
            return None
        between = ~self.source.transform @ self.target.transform
        reach = max(self.target.height, self.target.width)
        turned = max(abs(between.a - 1), abs(between.b), abs(between.d), abs(between.e - 1)) * reach
        row, col = round(between.f), round(between.c)
        if turned > SAME_PX or max(abs(between.f - row), abs(between.c - col)) > SAME_PX:
            return None
        return row, col

    def overlaps(self) -> bool:
        """Return whether the grids share ground.

        Raises:
            InputError: If only one of the grids has a coordinate reference system.
        """
        rows, cols = np.meshgrid(
            np.linspace(0, self.target.height - 1, 33), np.linspace(0, self.target.width - 1, 33), indexing="ij"
        )
        return _window_around(*self._projected(rows, cols), self.source, margin_px=0) is not None

    def read(self, read: Read, bands: int, window: Window) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
        """Return values and usable pixels of a window of the target's grid, `(band, row, col)` each.

        Values keep their type where pixels coincide; resampled ones are float32. No pixel outside the source is
        usable. The result doesn't depend on how a target is divided into windows.

        Args:
            read: Reads a window of the source's grid.
            bands: Number of bands.
            window: Window of the target's grid.

        Raises:
            InputError: If only one of the grids has a coordinate reference system.
        """
        offset = self.offset_px
        if offset is not None:
            return _placed(read, bands, window, offset, self.source)
        rows, cols = self.positions(window)
        source = _window_around(rows, cols, self.source)
        if source is None:
            shape = (bands, window.height, window.width)
            return np.zeros(shape, np.float32), np.zeros(shape, np.bool_)
        side_px = round((abs(self.target.transform.determinant) / abs(self.source.transform.determinant)) ** 0.5)
        at = (cols - source.col).astype(np.float32), (rows - source.row).astype(np.float32)
        planes = [
            _resampled(values, usable, at, side_px if self.source.crs == self.target.crs else 1)
            for values, usable in zip(*read(source), strict=True)
        ]
        return np.stack([values for values, _ in planes]), np.stack([usable for _, usable in planes])

    def positions(self, window: Window) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return row and column in the source of each pixel of a window, `(row, col)` each; pixel centres are whole.

        They are exact at every 32nd pixel of the target and interpolated between, in steps of 1/32 pixel.
        """
        lines = [
            np.arange(start // KNOT_PX, -(-(start + size) // KNOT_PX) + 1) * KNOT_PX
            for start, size in ((window.row, window.height), (window.col, window.width))
        ]
        knots = self._projected(*np.meshgrid(*lines, indexing="ij"))
        shares = [
            _between(knots, start + np.arange(size))
            for knots, start, size in zip(lines, (window.row, window.col), (window.height, window.width), strict=True)
        ]
        row, col = (np.rint(shares[0] @ at @ shares[1].T * STEPS_A_PIXEL) / STEPS_A_PIXEL for at in knots)
        return row, col

    def _projected(self, rows: NDArray[Any], cols: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return row and column in the source of pixels of the target, of the shape of `rows`."""
        import rasterio.warp

        down, right = self.shift_px
        x, y = _applied(self.target.transform, cols.ravel() + 0.5 + right, rows.ravel() + 0.5 + down)
        if self.source.crs != self.target.crs:
            if self.source.crs is None or self.target.crs is None:
                raise InputError(
                    "expected both scene and reference to have a coordinate reference system, but one has none",
                    hint="Assign it with gdal_edit, or bring the reference onto the scene's grid.",
                )
            x, y = map(np.asarray, rasterio.warp.transform(self.target.crs, self.source.crs, x, y))
        col, row = _applied(~self.source.transform, x, y)
        return (row - 0.5).reshape(rows.shape), (col - 0.5).reshape(rows.shape)


def _applied(
    transform: Affine, x: NDArray[np.floating], y: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return places moved by an affine transform."""
    return transform.a * x + transform.b * y + transform.c, transform.d * x + transform.e * y + transform.f


def _between(knots: NDArray[np.int64], places: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the weights of linear interpolation, `(place, knot)`."""
    before = (places - knots[0]) // KNOT_PX
    share = (places - knots[before]) / KNOT_PX
    weights = np.zeros((places.size, knots.size))
    weights[np.arange(places.size), before] = 1 - share
    weights[np.arange(places.size), np.minimum(before + 1, knots.size - 1)] += share
    return weights


def _window_around(
    rows: NDArray[np.float64], cols: NDArray[np.float64], source: Grid, *, margin_px: int = MARGIN_PX
) -> Window | None:
    """Return the window of the source around positions, or None if they lie outside."""
    if not (np.isfinite(rows).all() and np.isfinite(cols).all()):
        return None
    top, left = max(int(rows.min()) - margin_px, 0), max(int(cols.min()) - margin_px, 0)
    bottom = min(int(rows.max()) + margin_px + 1, source.height)
    right = min(int(cols.max()) + margin_px + 1, source.width)
    return Window(top, left, bottom - top, right - left) if bottom > top and right > left else None


def _resampled(
    values: NDArray[np.generic],
    usable: NDArray[np.bool_],
    at: tuple[NDArray[np.float32], NDArray[np.float32]],
    side_px: int,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return a band at positions: by cubic convolution, and beside unusable pixels bilinearly.

    Args:
        values: `(row, col)`.
        usable: Of the same shape.
        at: Columns and rows of the positions.
        side_px: Side of a pixel of the target in pixels of the source. From 2 on, pixels are averaged first.
    """
    import cv2

    share = usable.astype(np.float32)
    known = np.where(usable, values, 0).astype(np.float32)
    if side_px > 1:
        known = np.asarray(cv2.blur(known, (side_px, side_px)), np.float32)
        share = (cv2.blur(share, (side_px, side_px)) >= ALL_USABLE).astype(np.float32)
        if side_px % 2 == 0:  # OpenCV's means of an even number of pixels lie half a pixel before their middle
            at = at[0] + np.float32(0.5), at[1] + np.float32(0.5)
    fourfold = np.asarray(
        cv2.erode(share, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0), np.float32
    )

    def resampled(plane: NDArray[np.float32], kernel: int) -> NDArray[np.float32]:
        return np.asarray(cv2.remap(plane, *at, kernel, borderMode=cv2.BORDER_CONSTANT, borderValue=0), np.float32)

    near = resampled(share, cv2.INTER_LINEAR) >= ALL_USABLE
    wide = resampled(fourfold, cv2.INTER_LINEAR) >= ALL_USABLE
    smooth = np.where(wide, resampled(known, cv2.INTER_CUBIC), resampled(known, cv2.INTER_LINEAR))
    return np.where(near, smooth, np.float32(0)), near


def _placed(
    read: Read, bands: int, window: Window, offset: tuple[int, int], source: Grid
) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
    """Return a window of a source with the same pixels, which may reach beyond it."""
    top, left = window.row + offset[0], window.col + offset[1]
    first_row, first_col = max(top, 0), max(left, 0)
    height = min(top + window.height, source.height) - first_row
    width = min(left + window.width, source.width) - first_col
    shape = (bands, window.height, window.width)
    if height <= 0 or width <= 0:
        return np.zeros(shape, np.float32), np.zeros(shape, np.bool_)
    values, usable = read(Window(first_row, first_col, height, width))
    if values.shape == shape:
        return values, usable
    out, there = np.zeros(shape, values.dtype), np.zeros(shape, np.bool_)
    inner = np.s_[:, first_row - top : first_row - top + height, first_col - left : first_col - left + width]
    out[inner], there[inner] = values, usable
    return out, there
