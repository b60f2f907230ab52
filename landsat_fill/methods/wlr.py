"""Weighted linear regression on similar pixels, and a regularised fill of what no reference shows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from landsat_fill.methods.method import Context, MethodInfo, fill_each_band
from landsat_fill.methods.reference_order import fill_in_order
from landsat_fill.methods.splines import plate
from landsat_fill.scene import Filled, Gaps
from landsat_fill.schema import option

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landsat_fill.methods.method import Flags, Image


_REDUCTION = 300.0
"""Factor by which each resolution of the regularised fill reduces its initial error, as in `biharmonic`."""


@dataclass(frozen=True)
class WeightedLinearRegression:
    """A line from the reference to the image, fitted to the pixels around each missing one that are similar to it.

    Pixels are similar if their reference values differ by at most the mean absolute deviation of the window.
    The window grows from 5 × 5 to 17 × 17 pixels until it holds 20 of them. Each weighs the reciprocal of its
    difference and of its squared distance. Where the last window holds fewer, all its common pixels are taken.
    The paper keeps the few, down to two, and takes the ratio of the means for fewer. A line through a handful
    of pixels goes anywhere, and a ratio depends on the zero of the units.

    Several references are used in order: what the first one leaves, the next one fills. Pixels that all of
    them leave take the surface with the smallest squared Laplacian through the image and the filled pixels.

    Source: Zeng, Shen and Zhang 2013, Recovering missing pixels for Landsat ETM+ SLC-off imagery using
    multi-temporal regression analysis and a regularization method, doi:10.1016/j.rse.2012.12.012.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="wlr",
        summary="another date, scaled by a regression on similar pixels; the rest by a smooth surface",
        source="Zeng, Shen and Zhang 2013, Recovering missing pixels for Landsat ETM+ SLC-off imagery using "
        "multi-temporal regression analysis and a regularization method, doi:10.1016/j.rse.2012.12.012",
        halo_px=56,
        needs_references=True,
    )

    similar: int = option(20, "similar pixels that end the growth of the window", low=2, high=100)
    window_px: int = option(5, "side of the first window", low=3, high=17, parity="odd")
    widest_px: int = option(17, "side of the last window", low=3, high=17, parity="odd")

    def fill(self, image: Image, gaps: Gaps, context: Context) -> Filled:
        """Return the filled image; see `FillMethod.fill`."""
        from landsat_fill.methods.kernels.local_regression import regress_on_similar

        def fill_from(
            filled: Image, asked: Flags, values: Image, usable: Flags, there: NDArray[np.float32], theirs: Flags
        ) -> None:
            level = float(values.mean(where=usable, dtype=np.float64))
            radii = self.window_px // 2, max(self.window_px, self.widest_px) // 2
            regress_on_similar(filled, asked, values, usable, there, theirs, level, *radii, self.similar)

        # The halo is filled, too, because the surface below runs through it.
        filled = fill_in_order(fill_from, image, gaps, gaps.missing, context)
        left = gaps.missing & np.isnan(filled)
        known = gaps.usable | (gaps.missing & ~left)
        surface = partial(plate, tension=0.0, reduction=_REDUCTION)
        return Filled(fill_each_band(surface, filled, Gaps(left, known), context.threads))
