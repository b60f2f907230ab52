"""Which missing pixels are to be filled: narrow holes, every hole, or the SLC stripes alone."""

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
"""How much wider than estimated a stripe may be: bands shift its borders by a pixel or so on both sides."""

STRIPE_LENGTH_PERIODS = 2.0
"""The shortest stripe, in scan periods. A stripe runs across half the swath; a cloud is rarely that long
exactly along the scan, and no taller than a gap at that."""


class Holes(Enum):
    """Which holes in the footprint are filled."""

    NARROW = "narrow"
    EVERY = "every"
    STRIPES = "stripes"


PRECEDENCE = """\
| a pixel that is… | is filled… | is a valid pixel |
|---|---|---|
| outside the footprint | never | no |
| missing | as --holes and --largest-gap say | no |
| named by --refill | in holes up to --largest-gap wide, or with --holes every | no |
| named by --distrust alone | never | no |
| mixed with nodata beside a gap | with --refill faint | no |
| otherwise observed | never | yes |

--refill wins over --distrust, and --holes every over --largest-gap. Missing pixels and those named by
--refill count together as a hole. --holes stripes leaves holes that are no stripe; it doesn't limit --refill.
"""
"""Which option wins, as a Markdown table for users."""


def selection_halo_px(largest_gap_px: int, geometry: StripeGeometry | None = None) -> int:
    """Return how many pixels around a window decide upon its pixels."""
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
    """Return the pixels to fill, a cube of the shape of `missing`; `PRECEDENCE` says what decides.

    The decision is local: it depends on the pixels within `selection_halo_px`. Beyond the cube nothing is
    missing, so that a gap cut off by a scene's edge is as narrow as what is left of it.

    Args:
        missing: `(band, row, col)`.
        holes: NARROW leaves out the parts of a hole into which a disc fits that is wider than
            `largest_gap_px`; a stripe that runs into a lake is filled up to the lake. STRIPES keeps, of the
            rest, what is long along the scan and no wider than the scene's stripes. EVERY keeps all.
        largest_gap_px: The widest hole to fill, in pixels. A scan period lets every SLC gap pass.
        geometry: The scene's stripes. Without them, STRIPES selects nothing.
        refilled: Observed pixels to fill anew, of the same shape. A hole's width counts them, too.
        corner: Row and column of the first pixel in the scene, which `geometry` refers to.

    Raises:
        UsageError: `largest_gap_px` isn't positive.
    """
    if largest_gap_px < 1:
        raise UsageError(
            f"expected a largest gap of at least 1 pixel, but got {largest_gap_px}",
            hint="Give the width of the widest hole to fill in pixels; 33 lets every SLC gap of 30 m pass.",
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
    """Return what is decided of each band; bands whose gaps are the same to the pixel are decided once."""
    decided = np.empty_like(missing)
    for band, band_missing in enumerate(missing):
        twin = next((first for first in range(band) if np.array_equal(missing[first], band_missing)), None)
        decided[band] = decide(band_missing) if twin is None else decided[twin]
    return decided


def wide_parts(missing: NDArray[np.bool_], largest_gap_px: int) -> NDArray[np.bool_]:
    """Return the parts of `(row, col)` holes into which a disc fits that is wider than `largest_gap_px`.

    This is a morphological opening, true to about a pixel in the disc's diameter.
    """
    import cv2

    wide = np.zeros_like(missing)
    # Any such disc holds this square, and no SLC gap does: most windows are done after this test.
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
    """Return the parts of `(row, col)` holes that are long along the scan and no wider than stripes there.

    Args:
        missing: `(row, col)`.
        geometry: The scene's stripes.
        corner: Row and column of the first pixel in the scene.
    """
    rows, cols = np.ogrid[: missing.shape[0], : missing.shape[1]]
    along = geometry.along(rows + corner[0], cols + corner[1])
    tallest = np.ceil(geometry.widest_at(along)).astype(np.intp) + WIDTH_TOLERANCE_PX
    if geometry.is_steep:
        return _long_and_low(missing.T, tallest.T, geometry.transposed()).T
    return _long_and_low(missing, tallest, geometry)


def _long_and_low(
    missing: NDArray[np.bool_], tallest: NDArray[np.intp], geometry: StripeGeometry
) -> NDArray[np.bool_]:
    """Return the parts of holes that are long along the scan and no taller than a number of rows."""
    import cv2

    line = scan_line(STRIPE_LENGTH_PERIODS * geometry.period_px, geometry.tilt_deg)
    margin = max(line.shape) // 2 + 1
    own = (slice(margin, -margin), slice(margin, -margin))
    low = (missing & (_run_heights(missing) <= tallest)).view(np.uint8)
    # A line crosses the stair steps of a thin stripe only if the stripe is a pixel taller on either side.
    thick = cv2.dilate(low, np.ones((3, 1), dtype=np.uint8))
    # A stripe that leaves the image goes on beyond it.
    endless = cv2.copyMakeBorder(thick, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
    long = cv2.morphologyEx(endless, cv2.MORPH_OPEN, line)
    return np.not_equal(cv2.bitwise_and(low, long[own]), 0)


def _run_heights(pixels: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return for each true pixel the rows of the vertical run it lies in."""
    rows = np.arange(len(pixels))[:, None]
    above = np.maximum.accumulate(np.where(pixels, -1, rows), axis=0)
    below = np.minimum.accumulate(np.where(pixels, len(pixels), rows)[::-1], axis=0)[::-1]
    return np.asarray(below - above - 1)
