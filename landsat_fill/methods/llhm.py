"""Local linear histogram matching: a reference scaled to the image around each missing pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from landsat_fill.methods.method import Context, MethodInfo, fill_unprepared
from landsat_fill.methods.reference_order import InImageUnits, asked_for, conversions_of, fill_in_order
from landsat_fill.scene import Filled, Gaps
from landsat_fill.schema import option

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landsat_fill.methods.method import Flags, Image


LEAST_COMMON = 144
"""Pixels that a window must share with the reference."""

STEEPEST = 3.0
"""Gains above this, or below its reciprocal, aren't trusted."""


@dataclass(frozen=True)
class LocalLinearHistogramMatching:
    """Gain × reference + offset, fitted to the pixels around each missing one that both dates observe.

    The gain is the slope of a linear regression. Outside [1/3, 3] it is the ratio of the standard deviations,
    and where that is outside, too, it is 1. The offset makes the means agree. A pixel whose window holds fewer
    than 144 common pixels gets a wider window, and stays unfilled if that has too few as well or if the
    reference is constant in it.

    A reference in other units, such as reflectance beside 8-bit numbers, is first brought to the image's by one gain
    and offset for each band. Several references are used in order: what the first one leaves, the next one fills.

    Source: Scaramuzza, Micijevic and Chander 2004, SLC gap-filled products: phase one methodology, and the
    phase two methodology (USGS), whose regression and limits of the gain these are.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="llhm",
        summary="another date, scaled by a regression in a window around each pixel",
        source="Scaramuzza, Micijevic and Chander 2004, SLC gap-filled products: phase one methodology, USGS",
        halo_px=15,
        needs_references=True,
    )

    window_px: int = option(21, "side of the window", low=13, high=31, parity="odd")
    wider_px: int = option(31, "side of the window where the first holds too few pixels", low=13, high=31, parity="odd")

    def prepare(self, image: Image, gaps: Gaps, context: Context) -> InImageUnits:
        """Return the method with conversions of references of other units; see `Prepares`."""
        return InImageUnits(self.info, self._fill_alike, conversions_of(image, gaps, context))

    def fill(self, image: Image, gaps: Gaps, context: Context) -> Filled:
        """Return the filled image, each tile with conversions of its own; see `FillMethod.fill`."""
        return fill_unprepared(self.prepare, image, gaps, context)

    def _fill_alike(self, image: Image, gaps: Gaps, context: Context) -> Filled:
        """Return the filled image, from references in its units."""
        from landsat_fill.methods.kernels.local_regression import match_histograms

        def fill_from(
            filled: Image, asked: Flags, values: Image, usable: Flags, there: NDArray[np.float32], theirs: Flags
        ) -> None:
            common = usable & theirs
            if not common.any():
                return
            levels = (
                float(values.mean(where=common, dtype=np.float64)),
                float(there.mean(where=common, dtype=np.float64)),
            )
            for side_px in (self.window_px, self.wider_px):
                match_histograms(
                    filled, asked, values, usable, there, theirs, levels, side_px // 2, LEAST_COMMON, STEEPEST
                )
                asked &= np.isnan(filled)
                if not asked.any():
                    return

        return Filled(fill_in_order(fill_from, image, gaps, asked_for(gaps, context), context))
