"""Which missing pixels are to be filled: narrow holes, every hole, or the SLC stripes alone."""

from __future__ import annotations

import math
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.errors import UsageError
from landsat_fill.gaps.run_lengths import scan_line

if TYPE_CHECKING:
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


def selection_halo_px(largest_gap_px: int, geometry: StripeGeometry | None = None) -> int:
    """Return how many pixels around a window decide upon its pixels."""
    length = 0 if geometry is None else math.ceil(STRIPE_LENGTH_PERIODS * geometry.period_px)
    return max(largest_gap_px + 2, length + 2)


def select(
    missing: NDArray[np.bool_],
    holes: Holes,
    largest_gap_px: int,
    geometry: StripeGeometry | None = None,
) -> NDArray[np.bool_]:
    """Return the missing pixels to fill, a cube of the shape of `missing`.

    The decision is local: it depends on the pixels within `selection_halo_px`. Beyond the cube nothing is
    missing, so that a gap cut off by a scene's edge is as narrow as what is left of it.

    Args:
        missing: `(band, row, col)`.
        holes: NARROW leaves out the parts of a hole into which a disc fits that is wider than
            `largest_gap_px`; a stripe that runs into a lake is filled up to the lake. STRIPES keeps, of the
            rest, what is long along the scan and no wider than the scene's stripes. EVERY keeps all.
        largest_gap_px: The widest hole to fill, in pixels. A scan period lets every SLC gap pass.
        geometry: The scene's stripes. Without them, STRIPES selects nothing.

    Raises:
        UsageError: `largest_gap_px` isn't positive.
    """
    if largest_gap_px < 1:
        raise UsageError(
            f"expected a largest gap of at least 1 pixel, but got {largest_gap_px}",
            hint="Give the width of the widest hole to fill in pixels; 33 lets every SLC gap of 30 m pass.",
        )
    if holes is Holes.EVERY:
        return missing.copy()
    if holes is Holes.STRIPES and geometry is None:
        return np.zeros_like(missing)
    selected = np.empty_like(missing)
    for band, band_missing in enumerate(missing):
        twin = next((first for first in range(band) if np.array_equal(missing[first], band_missing)), None)
        if twin is not None:
            selected[band] = selected[twin]
            continue
        selected[band] = band_missing & ~wide_parts(band_missing, largest_gap_px)
        if holes is Holes.STRIPES and geometry is not None:
            selected[band] &= striped_parts(band_missing, geometry)
    return selected


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


def striped_parts(missing: NDArray[np.bool_], geometry: StripeGeometry) -> NDArray[np.bool_]:
    """Return the parts of `(row, col)` holes that are long along the scan and no taller than a stripe."""
    import cv2

    tallest = math.ceil(geometry.largest_width_px) + WIDTH_TOLERANCE_PX
    line = scan_line(STRIPE_LENGTH_PERIODS * geometry.period_px, geometry.tilt_deg)
    margin = max(tallest, *line.shape) // 2 + 1
    own = (slice(margin, -margin), slice(margin, -margin))

    holes = np.pad(missing.view(np.uint8), margin)
    tall = cv2.morphologyEx(holes, cv2.MORPH_OPEN, np.ones((tallest + 1, 1), dtype=np.uint8))
    low = cv2.bitwise_and(holes, cv2.bitwise_not(tall))
    # A line crosses the stair steps of a thin stripe only if the stripe is a pixel taller on either side.
    thick = cv2.dilate(low, np.ones((3, 1), dtype=np.uint8))
    # A stripe that leaves the image goes on beyond it.
    endless = cv2.copyMakeBorder(thick[own], margin, margin, margin, margin, cv2.BORDER_REPLICATE)
    long = cv2.morphologyEx(endless, cv2.MORPH_OPEN, line)
    return np.not_equal(cv2.bitwise_and(low[own], long[own]), 0)
