"""The neighbourhood similar pixel interpolator: pixels that look alike on one date change alike to the other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from landsat_fill.methods.method import Context, MethodInfo, in_threads
from landsat_fill.methods.reference_order import asked_for, matched_tile, spreads
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

    Several references are used in order: what the first one leaves, the next one fills. Both dates should have
    the same units. A pixel without similar ones stays unfilled.

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

    def prepare(self, image: Image, gaps: Gaps, context: Context) -> FittedNeighbourhoods:  # noqa: ARG002
        """Return the method with the spread of each reference band in the scene; see `Prepares`."""
        return FittedNeighbourhoods(self, tuple(map(spreads, context.references)))

    def fill(self, image: Image, gaps: Gaps, context: Context) -> Filled:
        """Return the filled image, each tile with its own spreads; see `FillMethod.fill`."""
        mean = np.full_like(image, np.nan)
        for tile in range(len(image)):
            one = slice(tile, tile + 1)
            own = [replace(each, values=each.values[one], usable=each.usable[one]) for each in context.references]
            self.fill_tile(mean, image, gaps, context, tile, tuple(map(spreads, own)))
        return Filled(mean)

    def fill_tile(
        self,
        mean: Image,
        image: Image,
        gaps: Gaps,
        context: Context,
        tile: int,
        spreads_of: tuple[tuple[float, ...], ...],
    ) -> None:
        """Fill a tile.

        Args:
            mean: `(tile, band, row, col)`, NaN; written to.
            image: As in `fill`.
            gaps: As in `fill`.
            context: As in `fill`.
            tile: Number of the tile.
            spreads_of: Standard deviation of each band of each reference, in the scene.
        """
        from landsat_fill.methods.kernels.similar_pixels import interpolate_neighbourhoods

        missing = asked_for(gaps, context)[tile] & gaps.usable[tile].any(axis=(1, 2), keepdims=True)
        radii = self.window_px // 2, max(self.window_px, self.widest_px) // 2
        for reference, spread in zip(context.references, spreads_of, strict=True):
            both = matched_tile(image, gaps, reference, tile)
            threshold = 2 * float(np.mean([spread[match] for match in both.matches] or [0])) / self.classes
            filled = mean[tile, both.bands]
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


@dataclass(frozen=True)
class FittedNeighbourhoods:
    """The interpolator with the spread of the reference bands in a scene.

    Attributes:
        method: The options.
        spreads_of: Standard deviation of each band of each reference; `fill` gets the same references.
    """

    method: NeighbourhoodSimilarPixels
    spreads_of: tuple[tuple[float, ...], ...]

    @property
    def info(self) -> MethodInfo:
        """The facts about the method."""
        return self.method.info

    def fill(self, image: Image, gaps: Gaps, context: Context) -> Filled:
        """Return the filled image; see `FillMethod.fill`."""
        mean = np.full_like(image, np.nan)
        for tile in range(len(image)):
            self.method.fill_tile(mean, image, gaps, context, tile, self.spreads_of)
        return Filled(mean)
