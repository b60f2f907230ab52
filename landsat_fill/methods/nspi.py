"""The neighbourhood similar pixel interpolator: pixels that look alike on one date change alike to the other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from landsat_fill.methods.method import Context, MethodInfo, fill_unprepared, in_threads
from landsat_fill.methods.reference_order import (
    InImageUnits,
    asked_for,
    conversions_of,
    converted,
    matched_tile,
    spreads,
)
from landsat_fill.scene import Filled, Gaps
from landsat_fill.schema import option

if TYPE_CHECKING:
    from landsat_fill.methods.method import Image


_WIDEST_PX = 87


@dataclass(frozen=True)
class NeighbourhoodSimilarPixels:
    """A weighted mean of the pixels around a missing one that look like it in the reference.

    Pixels are similar if the root mean square difference of their reference bands is at most the mean over the
    bands of 2σ / classes, where σ is the standard deviation of the reference band in the scene. The window
    grows until it holds 20 of them. Each weighs the reciprocal of its difference times its distance, both
    scaled to [1, 2].

    Two predictions are combined: the weighted mean of the similar pixels in the image (spatial), and the
    reference plus the weighted mean of their changes (temporal). The spatial one weighs the reciprocal of the
    mean difference, the temporal one that of the mean change. The change is measured around its own mean, so
    that a shift of the whole neighbourhood, such as haze, doesn't count as change; the paper takes it as it
    is.

    Several references are used in order: what the first one leaves, the next one fills. A reference in other units is
    first brought to the image's by one gain and offset for each band. A pixel without similar ones stays unfilled.

    Source: Chen, Zhu, Vogelmann, Gao and Jin 2011, A simple and effective method for filling gaps in Landsat
    ETM+ SLC-off images, doi:10.1016/j.rse.2010.12.010. The scaling to [1, 2] follows the program of 2012 and
    the package gapfill-landsat.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="nspi",
        summary="mean of the pixels that look alike on another date, and of their changes since",
        source="Chen, Zhu, Vogelmann, Gao and Jin 2011, A simple and effective method for filling gaps in Landsat "
        "ETM+ SLC-off images, doi:10.1016/j.rse.2010.12.010",
        halo_px=_WIDEST_PX // 2,
        needs_references=True,
    )

    classes: int = option(4, "estimated number of land cover classes", low=1, high=20)
    similar: int = option(20, "similar pixels that end the growth of the window", low=1, high=100)
    window_px: int = option(5, "side of the first window", low=3, high=_WIDEST_PX, parity="odd")
    widest_px: int = option(_WIDEST_PX, "side of the last window", low=3, high=_WIDEST_PX, parity="odd")

    def prepare(self, image: Image, gaps: Gaps, context: Context) -> InImageUnits:
        """Return the method with the spread of each reference band in the scene, in its units; see `Prepares`."""
        conversions = conversions_of(image, gaps, context)
        spreads_of = tuple(map(spreads, converted(context.references, conversions)))
        return InImageUnits(self.info, partial(self._fill_alike, spreads_of), conversions)

    def fill(self, image: Image, gaps: Gaps, context: Context) -> Filled:
        """Return the filled image, each tile with its own spreads; see `FillMethod.fill`."""
        return fill_unprepared(self.prepare, image, gaps, context)

    def _fill_alike(
        self, spreads_of: tuple[tuple[float, ...], ...], image: Image, gaps: Gaps, context: Context
    ) -> Filled:
        """Return the filled image, from references in its units with the spread of each band in the scene."""
        mean = np.full_like(image, np.nan)
        for tile in range(len(image)):
            self._fill_tile(mean, image, gaps, context, tile, spreads_of)
        return Filled(mean)

    def _fill_tile(
        self,
        mean: Image,
        image: Image,
        gaps: Gaps,
        context: Context,
        tile: int,
        spreads_of: tuple[tuple[float, ...], ...],
    ) -> None:
        from landsat_fill.methods.kernels.similar_pixels import interpolate_neighbourhoods

        missing = asked_for(gaps, context)[tile] & gaps.usable[tile].any(axis=(1, 2), keepdims=True)
        radii = self.window_px // 2, max(self.window_px, self.widest_px) // 2
        for reference, spread in zip(context.references, spreads_of, strict=True):
            both = matched_tile(image, gaps, reference, tile)
            threshold = 2 * float(np.mean([spread[match] for match in both.matches] or [0])) / self.classes
            filled = mean[tile, both.bands].astype(np.float64)
            asked = missing[both.bands] & both.reference_usable & np.isnan(filled)
            if threshold == 0:  # a constant reference, or one without a band of the image
                continue
            fill_rows = partial(
                interpolate_neighbourhoods,
                filled,
                asked,
                both.values,
                both.usable,
                both.reference,
                both.reference_usable,
                threshold,
                *radii,
                self.similar,
            )
            in_threads(fill_rows, np.flatnonzero(asked.any(axis=(0, 2))), context.threads)
            mean[tile, both.bands] = filled
