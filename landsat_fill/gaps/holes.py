"""Selects the missing pixels to fill: narrow holes, all holes, or only SLC-off stripes."""

from __future__ import annotations

import math
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.errors import UsageError
from landsat_fill.gaps.run_lengths import scan_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from landsat_fill.gaps.stripes import StripeGeometry


WIDTH_TOLERANCE_PX = 2
"""Tolerance for the width of a stripe: its borders differ between bands by about a pixel on each side."""

STRIPE_LENGTH_PERIODS = 2.0
"""Length of the shortest stripe, in scan periods. A stripe crosses half the swath, whereas few clouds are
this long along the scan and also no taller than a gap."""


class Holes(Enum):
    """The holes in the footprint to fill."""

    NARROW = "narrow"
    EVERY = "every"
    STRIPES = "stripes"


def selection_halo_px(largest_gap_px: int, geometry: StripeGeometry | None = None) -> int:
    """Return how many pixels around a window affect the selection in it."""
    length = 0 if geometry is None else math.ceil(STRIPE_LENGTH_PERIODS * geometry.period_px)
    return max(largest_gap_px + 2, length + 2)


def select(
    missing: NDArray[np.bool_],
    holes: Holes,
    largest_gap_px: int,
    geometry: StripeGeometry | None = None,
    *,
    refilled: NDArray[np.bool_] | None = None,
    corner: tuple[int, int] = (0, 0),
) -> NDArray[np.bool_]:
    """Return the pixels to fill, `(band, row, col)`: missing or refilled ones in the holes to fill.

    The selection depends on pixels within `selection_halo_px` only. No pixel beyond the cube counts as
    missing, so the edge of a scene can make a gap narrower.

    Args:
        missing: `(band, row, col)`.
        holes: NARROW excludes the parts of a hole that contain a disc wider than `largest_gap_px`, so that a
            stripe is filled up to a lake that it meets. STRIPES also excludes parts that are short along the
            scan, or wider than the scene's stripes. EVERY excludes nothing.
        largest_gap_px: The widest hole to fill, in pixels. A scan period includes all SLC-off gaps.
        geometry: The scene's stripes. Without it, STRIPES selects nothing.
        refilled: Observed pixels to fill again, of the same shape. They add to the width of a hole.
        corner: Row and column of the first pixel in the scene.

    Raises:
        UsageError: `largest_gap_px` isn't positive.
    """
    if largest_gap_px < 1:
        raise UsageError(
            f"expected a largest gap of at least 1 pixel, but got {largest_gap_px}",
            hint="Give the width of the widest hole to fill in pixels; 33 includes all SLC-off gaps at 30 m.",
        )
    every = missing.copy() if refilled is None else missing | refilled
    if holes is Holes.EVERY:
        return every
    if holes is Holes.STRIPES and geometry is None:
        return np.zeros_like(missing) if refilled is None else refilled & ~wide_cube(refilled, largest_gap_px)
    selected = every & ~wide_cube(every, largest_gap_px)
    if holes is Holes.STRIPES and geometry is not None:
        stripes = _each_distinct(missing, lambda band: striped_parts(band, geometry, corner))
        selected &= stripes if refilled is None else stripes | refilled
    return selected


def wide_cube(missing: NDArray[np.bool_], largest_gap_px: int) -> NDArray[np.bool_]:
    """Return the `wide_parts` of each band."""
    return _each_distinct(missing, lambda band: wide_parts(band, largest_gap_px))


def _each_distinct(
    missing: NDArray[np.bool_], decide: Callable[[NDArray[np.bool_]], NDArray[np.bool_]]
) -> NDArray[np.bool_]:
    """Return the decision for each band, computed once for bands with identical gaps."""
    decided = np.empty_like(missing)
    for band, pixels in enumerate(missing):
        twin = next((first for first in range(band) if np.array_equal(missing[first], pixels)), None)
        decided[band] = decide(pixels) if twin is None else decided[twin]
    return decided


def wide_parts(missing: NDArray[np.bool_], largest_gap_px: int) -> NDArray[np.bool_]:
    """Return the parts of `(row, col)` holes that contain a disc wider than `largest_gap_px`.

    This is a morphological opening with an error of about a pixel in the disc's diameter.
    """
    import cv2

    wide = np.zeros_like(missing)
    # Such a disc contains this square, and no SLC-off gap does, so this test suffices for most windows.
    side = max(int(largest_gap_px / math.sqrt(2)), 1)
    square = np.ones((side, side), dtype=np.uint8)
    holds_square = cv2.erode(missing.view(np.uint8), square, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    left, top, width, height = cv2.boundingRect(holds_square)
    if width == 0:
        return wide
    rows = slice(max(top - largest_gap_px, 0), top + height + largest_gap_px)
    cols = slice(max(left - largest_gap_px, 0), left + width + largest_gap_px)
    framed = np.pad(missing[rows, cols].view(np.uint8), 1)
    radius_px = largest_gap_px / 2 + 1
    depth = cv2.distanceTransform(framed, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    off_centre = (depth < radius_px).astype(np.uint8)
    if off_centre.all():
        return wide
    to_centre = cv2.distanceTransform(off_centre, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    wide[rows, cols] = (to_centre < radius_px)[1:-1, 1:-1]
    return wide


def striped_parts(
    missing: NDArray[np.bool_], geometry: StripeGeometry, corner: tuple[int, int] = (0, 0)
) -> NDArray[np.bool_]:
    """Return the parts of `(row, col)` holes that are long along the scan and no wider than stripes there."""
    rows, cols = np.ogrid[: missing.shape[0], : missing.shape[1]]
    along = geometry.along(rows + corner[0], cols + corner[1])
    tallest = np.ceil(geometry.widest_at(along)).astype(np.intp) + WIDTH_TOLERANCE_PX
    if geometry.is_steep:
        return _long_and_low(missing.T, tallest.T, geometry.transposed()).T
    return _long_and_low(missing, tallest, geometry)


def cut_gaps(
    observed: NDArray[np.bool_],
    inside: NDArray[np.bool_],
    outline: NDArray[np.bool_],
    geometry: StripeGeometry,
    corner: tuple[int, int] = (0, 0),
) -> NDArray[np.bool_]:
    """Return the pixels outside the footprint, `(row, col)`, by which its gaps seem to continue to its outline.

    They are the gaps that the edge of a clipped scene cuts off. Not all are found: those shorter than a stripe aren't.

    Args:
        observed: Observed pixels, `(row, col)`.
        inside: The footprint.
        outline: The footprint with all notches closed, as of `Footprint.outline`.
        geometry: The scene's stripes.
        corner: Row and column of the first pixel in the scene.
    """
    import cv2

    notches = outline & ~inside
    if not notches.any():
        return notches
    cut = striped_parts((outline | inside) & ~observed, geometry, corner) & notches
    # Single rows of pixels come from the rounding of the outline.
    return np.not_equal(cv2.morphologyEx(cut.view(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)), 0)


def _long_and_low(missing: NDArray[np.bool_], tallest: NDArray[np.intp], geometry: StripeGeometry) -> NDArray[np.bool_]:
    """Return the parts of holes that are long along the scan and no taller than a number of rows."""
    import cv2

    line = scan_line(STRIPE_LENGTH_PERIODS * geometry.period_px, geometry.tilt_deg)
    margin = max(line.shape) // 2 + 1
    own = (slice(margin, -margin), slice(margin, -margin))
    low = (missing & (_run_heights(missing) <= tallest)).view(np.uint8)
    # A thin stripe has stair steps, so it must be thickened by a pixel to contain a straight line.
    thick = cv2.dilate(low, np.ones((3, 1), dtype=np.uint8))
    # A stripe continues beyond the edge of the image.
    endless = cv2.copyMakeBorder(thick, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
    long = cv2.morphologyEx(endless, cv2.MORPH_OPEN, line)
    return np.not_equal(cv2.bitwise_and(low, long[own]), 0)


def _run_heights(pixels: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return the height of the vertical run around each true pixel."""
    rows = np.arange(len(pixels))[:, None]
    above = np.maximum.accumulate(np.where(pixels, -1, rows), axis=0)
    below = np.minimum.accumulate(np.where(pixels, len(pixels), rows)[::-1], axis=0)[::-1]
    return np.asarray(below - above - 1)
