"""The modified neighbourhood similar pixel interpolator, for wide holes such as clouds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from landsat_fill.methods.method import Context, MethodInfo, fill_unprepared, in_threads
from landsat_fill.methods.reference_order import InImageUnits, MatchedTile, asked_for, conversions_of, matched_tile
from landsat_fill.scene import Filled, Gaps
from landsat_fill.schema import option

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landsat_fill.methods.method import Flags, Image


LARGEST_HOLE_PX = 192
"""Largest side of a hole that is filled as one. Stripes are longer."""

_MOST_MARGIN_PX = 8


@dataclass(frozen=True)
class ModifiedSimilarPixels:
    """A weighted mean of the nearest pixels that look like a missing one in the reference, for wide holes.

    Pixels are similar if each reference band differs by at most 2σ / classes, where σ is the standard deviation
    of the band in the rectangle around the hole. The 20 nearest similar ones in the rectangle are taken. Each
    weighs the reciprocal of its root mean square difference times its distance, both scaled to [1, 2].

    Two predictions are combined: the weighted mean of the similar pixels in the image (spatial), and the
    reference plus the weighted mean of their changes (temporal). The temporal one weighs the mean distance of
    the similar pixels, the spatial one the distance to the middle of the hole, which is large near its edge.
    A pixel without similar ones takes the reference plus the mean change in the rectangle.

    A hole that is longer or wider than 192 px, such as a stripe, isn't filled as one. Its pixels take the square of
    ±192 px around them for the rectangle, and the middle of the shorter of their row and column of gap.

    Several references are used in order: what the first one leaves, the next one fills. A reference in
    other units is first brought to the image's by one gain and offset for each band.

    Source: Zhu, Gao, Liu and Chen 2012, A modified neighborhood similar pixel interpolator approach for removing
    thick clouds in Landsat images, doi:10.1109/LGRS.2011.2173290, and the authors' program of 2013. Its limits
    of the stored numbers are left to the pipeline.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="mnspi",
        summary="mean of the nearest pixels that look alike on another date, for wide holes",
        source="Zhu, Gao, Liu and Chen 2012, A modified neighborhood similar pixel interpolator approach for "
        "removing thick clouds in Landsat images, doi:10.1109/LGRS.2011.2173290",
        halo_px=LARGEST_HOLE_PX + _MOST_MARGIN_PX,
        needs_references=True,
    )

    classes: int = option(4, "estimated number of land cover classes", low=1, high=20)
    similar: int = option(20, "similar pixels in each weighted mean", low=1, high=100)
    margin_px: int = option(1, "margin of the rectangle around a hole, in pixels", low=1, high=_MOST_MARGIN_PX)

    def prepare(self, image: Image, gaps: Gaps, context: Context) -> InImageUnits:
        """Return the method with conversions of references of other units; see `Prepares`."""
        return InImageUnits(self.info, self._fill_alike, conversions_of(image, gaps, context))

    def fill(self, image: Image, gaps: Gaps, context: Context) -> Filled:
        """Return the filled image, each tile with conversions of its own; see `FillMethod.fill`."""
        return fill_unprepared(self.prepare, image, gaps, context)

    def _fill_alike(self, image: Image, gaps: Gaps, context: Context) -> Filled:
        """Return the filled image, from references in its units."""
        mean = np.full_like(image, np.nan)
        asked = asked_for(gaps, context)
        for tile in range(len(image)):
            missing = asked[tile] & gaps.usable[tile].any(axis=(1, 2), keepdims=True)
            for reference in context.references:
                both = matched_tile(image, gaps, reference, tile)
                left = missing[both.bands] & both.reference_usable & np.isnan(mean[tile, both.bands])
                if left.any():
                    hole = np.logical_or.reduce(gaps.missing[tile, both.bands])
                    mean[tile, both.bands] = self._filled(
                        mean[tile, both.bands].astype(np.float64), left, both, hole, context.threads
                    )
        return Filled(mean)

    def _filled(self, filled: Image, asked: Flags, both: MatchedTile, missing: Flags, threads: int) -> Image:
        """Return the bands of a tile, filled at the asked pixels from one reference."""
        import cv2

        from landsat_fill.methods.kernels.similar_pixels import describe_holes, distances_to_middle, interpolate_holes

        height, width = missing.shape
        _, labels, stats, _ = cv2.connectedComponentsWithStats(missing.view(np.uint8), connectivity=8)
        holes = labels.astype(np.int32, copy=False)
        first_col, first_row, cols, rows = stats[:, :4].astype(np.int64).T
        boxes = np.stack(
            [
                np.maximum(first_row - self.margin_px, 0),
                np.minimum(first_row + rows + self.margin_px, height),
                np.maximum(first_col - self.margin_px, 0),
                np.minimum(first_col + cols + self.margin_px, width),
            ],
            axis=1,
        )
        needed = np.zeros(len(boxes), bool)
        needed[holes[asked.any(axis=0)]] = True
        large = np.maximum(rows, cols) > LARGEST_HOLE_PX
        boxes[large | ~needed] = 0
        if large[needed].any():
            thresholds = 2 * _local_spreads(both.reference, both.reference_usable) / self.classes
        else:
            thresholds = np.zeros(asked.shape)
        to_middle = distances_to_middle(missing, LARGEST_HOLE_PX)
        pixels = both.values, both.usable, both.reference, both.reference_usable
        shifts = describe_holes(thresholds, to_middle, *pixels, holes, boxes, self.classes)
        fill_row = partial(
            interpolate_holes,
            filled,
            asked,
            *pixels,
            holes,
            boxes,
            shifts,
            thresholds,
            to_middle,
            _square(LARGEST_HOLE_PX + _MOST_MARGIN_PX),
            LARGEST_HOLE_PX,
            self.similar,
        )
        in_threads(fill_row, np.flatnonzero(asked.any(axis=(0, 2))), threads)
        return filled


def _local_spreads(planes: Image, usable: Flags) -> NDArray[np.float64]:
    """Return the standard deviation of the square around each pixel, band by band; 0 where it is constant."""
    import cv2

    side_px = 2 * LARGEST_HOLE_PX + 1
    found = np.zeros(planes.shape)
    for band, (plane, known) in enumerate(zip(planes, usable, strict=True)):
        if not known.any():
            continue
        centred = np.where(known, plane - plane.mean(where=known, dtype=np.float64), 0)
        count, total, square = (
            cv2.boxFilter(each, -1, (side_px, side_px), normalize=False, borderType=cv2.BORDER_CONSTANT)
            for each in (known.astype(np.float64), centred, centred**2)
        )
        count = np.maximum(count, 1)
        variance = square / count - (total / count) ** 2
        # Less than this is the rounding error of a constant.
        found[band] = np.sqrt(np.where(variance > 1e-9 * square / count, variance, 0))
    return found


@cache
def _square(radius_px: int) -> NDArray[np.int32]:
    """Return rows and columns from a pixel to the others of a square, the nearest first."""
    offsets = np.mgrid[-radius_px : radius_px + 1, -radius_px : radius_px + 1].reshape(2, -1).T
    squares = (offsets**2).sum(axis=1)
    return np.ascontiguousarray(offsets[np.argsort(squares, kind="stable")][1:], np.int32)
