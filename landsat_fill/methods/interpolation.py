"""Nearest neighbour, diffusion, and inverse-distance weighting as in GDAL's fillnodata."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np

from landsat_fill.methods.method import Context, MethodInfo, fill_each_band
from landsat_fill.methods.splines import solved_from_coarse_to_fine, widest_gap_px
from landsat_fill.scene import Filled, Gaps
from landsat_fill.schema import option

if TYPE_CHECKING:
    from landsat_fill.methods.method import Flags, Image


@dataclass(frozen=True)
class Nearest:
    """The nearest observed pixel, by a chamfer distance within 2 % of the true distance."""

    info: ClassVar[MethodInfo] = MethodInfo(
        name="nearest",
        summary="the value of the nearest observed pixel",
        source="Borgefors 1986, Distance transformations in digital images, doi:10.1016/S0734-189X(86)80047-0",
        halo_px=32,
    )

    def fill(self, image: Image, gaps: Gaps, context: Context) -> Filled:
        """Return the filled image; see `FillMethod.fill`."""
        return Filled(fill_each_band(nearest_observed, image, gaps, context.threads, around_zero=False))


def nearest_observed(values: Image, missing: Flags, usable: Flags) -> Image:
    """Return an array in which each missing pixel has the value of the nearest usable one, `(row, col)`."""
    import cv2

    _, label = cv2.distanceTransformWithLabels(
        (~usable).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    value_of = np.empty(int(label.max()) + 1, values.dtype)
    value_of[label[usable]] = values[usable]
    filled = values.copy()
    filled[missing] = value_of[label[missing]]
    return filled


_CORNER, _SIDE = 0.073235, 0.176765
_KERNEL = np.array([[_CORNER, _SIDE, _CORNER], [_SIDE, 0, _SIDE], [_CORNER, _SIDE, _CORNER]], np.float32)
"""The first of the two kernels of Oliveira et al. 2001, figure 2; it sums to 1."""


@dataclass(frozen=True)
class Diffusion:
    """Each missing pixel is averaged with its eight neighbours, a hundred times.

    The paper starts from an empty gap. This method starts from the nearest observed values, because a hundred
    rounds leave a quarter of the initial error in a gap of 14 px. Pixels that are neither missing nor usable
    are barriers.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="diffusion",
        summary="the gap averaged with its neighbours again and again",
        source="Oliveira, Bowen, McKenna and Chang 2001, Fast digital image inpainting, VIIP 2001, 261-266",
        halo_px=32,
    )

    rounds: int = option(100, "number of averaging rounds", low=1, high=10000)

    def fill(self, image: Image, gaps: Gaps, context: Context) -> Filled:
        """Return the filled image; see `FillMethod.fill`."""
        import cv2

        def fill_band(values: Image, missing: Flags, usable: Flags) -> Image:
            inside = (missing | usable).astype(values.dtype)
            share = cv2.filter2D(inside, -1, _KERNEL, borderType=cv2.BORDER_CONSTANT)
            weight = np.divide(inside, share, out=np.zeros_like(values), where=missing & (share > 0))
            given = (weight == 0).view(np.uint8)
            old = nearest_observed(values, missing, usable)
            new = np.empty_like(old)
            for _ in range(self.rounds):
                cv2.filter2D(old, -1, _KERNEL, dst=new, borderType=cv2.BORDER_CONSTANT)
                cv2.multiply(new, weight, dst=new)
                cv2.copyTo(old, given, new)
                old, new = new, old
            return old

        return Filled(fill_each_band(fill_band, image, gaps, context.threads))


_CHAMFER_LOW = 0.95
"""The chamfer distance that measures a gap's width may be a few percent too short."""

SCAN_PERIOD_AND_A_HALF_PX = 50.0
"""Reaches across any SLC-off gap at 30 m. GDAL's default of 100 finds the same pixels except at corners, and
takes a third longer on a scene."""


@dataclass(frozen=True)
class InverseDistance:
    """Inverse-distance weighting of the nearest observed pixel in each quadrant, smoothed.

    Pixels farther than the maximum distance from any observed pixel take a coarse mean of the observed pixels
    around them. More threads don't help, because rasterio holds the interpreter lock while GDAL works.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="inverse-distance",
        summary="inverse-distance weights of the nearest observed pixels, smoothed (GDAL's fillnodata)",
        source="GDAL, GDALFillNodata, alg/rasterfill.cpp, https://gdal.org/programs/gdal_fillnodata.html",
        halo_px=48,
    )

    max_distance_px: float = option(
        SCAN_PERIOD_AND_A_HALF_PX, "largest distance to an observed pixel, in pixels", low=1
    )
    smoothing: int = option(3, "3 × 3 averaging passes over the filled pixels", low=0, high=8)

    def fill(self, image: Image, gaps: Gaps, context: Context) -> Filled:
        """Return the filled image; see `FillMethod.fill`."""
        from rasterio.errors import NotGeoreferencedWarning
        from rasterio.fill import fillnodata

        # Arrays have no georeference. `catch_warnings` isn't safe in threads.
        warnings.filterwarnings("ignore", category=NotGeoreferencedWarning, module=r"rasterio\.fill")

        def fill_band(values: Image, missing: Flags, usable: Flags) -> Image:
            if widest_gap_px(missing, usable) > _CHAMFER_LOW * 2 * self.max_distance_px:
                # GDAL doesn't change pixels it can't reach, so these get a coarse guess.
                values = solved_from_coarse_to_fine(lambda guess, *_: guess, values, missing, usable)
            return cast(
                "Image",
                fillnodata(
                    values, mask=usable, max_search_distance=self.max_distance_px, smoothing_iterations=self.smoothing
                ),
            )

        return Filled(fill_each_band(fill_band, image, gaps, context.threads))
