"""Nearest neighbour, diffusion, and inverse-distance weighting as in GDAL's fillnodata."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np

from landsat_fill.methods.method import Context, FillMethod, MethodInfo, Prepares, fill_each_band
from landsat_fill.methods.splines import solved_from_coarse_to_fine, widest_gap_px
from landsat_fill.scene import Filled, Gaps
from landsat_fill.schema import option

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Nearest:
    """The nearest observed pixel, by a chamfer distance that is within 2 % of the true one.

    Source: Borgefors 1986, Distance transformations in digital images,
    doi:10.1016/S0734-189X(86)80047-0.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="nearest",
        summary="the value of the nearest observed pixel",
        source="Borgefors 1986, Distance transformations in digital images, "
        "doi:10.1016/S0734-189X(86)80047-0",
        halo_px=32,
    )

    def fill(self, image: NDArray[np.floating], gaps: Gaps, context: Context) -> Filled:
        """Return the filled image; see `FillMethod.fill`."""
        return Filled(fill_each_band(nearest_observed, image, gaps, context.threads, around_zero=False))


@dataclass(frozen=True)
class BandByBand:
    """Several methods, each of which fills some of a scene's bands. Made for a scene, so it has no name.

    Attributes:
        parts: The bands, from 0, and the method that fills them. Each band is in one part.
        facts: What its `info` is to be: that of the method asked for, with the widest halo.
    """

    info: ClassVar[MethodInfo]

    parts: tuple[tuple[tuple[int, ...], FillMethod], ...]
    facts: MethodInfo

    def __post_init__(self) -> None:
        """Have an `info` of its own."""
        object.__setattr__(self, "info", self.facts)

    def prepare(self, image: NDArray[np.floating], gaps: Gaps, context: Context) -> FillMethod:
        """Return the methods prepared for a scene; see `Prepares.prepare`."""
        prepared = tuple(
            (
                bands,
                method.prepare(*_of_bands(bands, method, image, gaps, context))
                if isinstance(method, Prepares)
                else method,
            )
            for bands, method in self.parts
        )
        return replace(self, parts=prepared)

    def fill(self, image: NDArray[np.floating], gaps: Gaps, context: Context) -> Filled:
        """Return the filled image; see `FillMethod.fill`.

        A band whose method has no standard deviation gets NaN as its standard deviation.
        """
        mean = image.copy()
        std = np.full(image.shape, np.nan, np.float32) if self.info.gives_std else None
        realizations = np.stack([image] * context.realizations) if context.realizations else None
        for bands, method in self.parts:
            where = (slice(None), list(bands))
            filled = method.fill(*_of_bands(bands, method, image, gaps, context))
            mean[where] = filled.mean
            if std is not None and filled.std is not None:
                std[where] = filled.std
            if realizations is not None:
                realizations[(slice(None), *where)] = (
                    filled.mean if filled.realizations is None else filled.realizations
                )
        return Filled(mean, std, realizations)


def _of_bands(
    bands: tuple[int, ...], method: FillMethod, image: NDArray[np.floating], gaps: Gaps, context: Context
) -> tuple[NDArray[np.floating], Gaps, Context]:
    """Return what a method is given of an image: its bands."""
    where = (slice(None), list(bands))
    own = replace(
        context,
        bands=tuple(context.bands[band] for band in bands) if context.bands else (),
        realizations=context.realizations if method.info.gives_realizations else 0,
        device=context.device if context.device.partition(":")[0] in method.info.devices else "cpu",
    )
    return image[where], Gaps(gaps.missing[where], gaps.usable[where]), own


def nearest_observed(
    values: NDArray[np.floating], missing: NDArray[np.bool_], usable: NDArray[np.bool_]
) -> NDArray[np.floating]:
    """Return the values with the nearest usable one at every missing pixel, all arrays `(row, col)`."""
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
    """A gap's pixels, averaged with their eight neighbours a hundred times.

    Unlike the paper, which starts from an empty gap, it starts from the nearest observed values: in a gap
    of 14 px a hundred rounds leave a quarter of the start's error behind. Pixels that are neither missing
    nor usable let nothing through.

    Source: Oliveira, Bowen, McKenna and Chang 2001, Fast digital image inpainting, Proceedings of the
    International Conference on Visualization, Imaging and Image Processing (VIIP 2001), Marbella,
    261–266 (no DOI).
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="diffusion",
        summary="the gap averaged with its neighbours again and again",
        source="Oliveira, Bowen, McKenna and Chang 2001, Fast digital image inpainting, VIIP 2001, 261-266",
        halo_px=32,
    )

    rounds: int = option(100, "convolutions of the gap", low=1, high=10000)

    def fill(self, image: NDArray[np.floating], gaps: Gaps, context: Context) -> Filled:
        """Return the filled image; see `FillMethod.fill`."""
        import cv2

        def fill_band(
            values: NDArray[np.floating], missing: NDArray[np.bool_], usable: NDArray[np.bool_]
        ) -> NDArray[np.floating]:
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
"""A gap's width is measured by a chamfer distance, which may fall short of the true one by a few percent."""

SCAN_PERIOD_AND_A_HALF_PX = 50.0
"""At 30 m, farther than the far border of any SLC gap. GDAL's own default of 100 finds the same pixels,
but at corners, and takes a third longer over a scene."""


@dataclass(frozen=True)
class InverseDistance:
    """Inverse-distance weighting of the nearest observed pixel in each quadrant, smoothed.

    Pixels that lie farther than the largest distance from anything observed take the mean of the observed
    pixels around, over as coarse a block as it takes.

    rasterio holds the interpreter lock while GDAL works, so threads gain nothing here; reading and writing go
    on beside it.

    Source: GDAL, `GDALFillNodata` (alg/rasterfill.cpp), through rasterio.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="inverse-distance",
        summary="inverse-distance weights of the nearest observed pixels, smoothed (GDAL's fillnodata)",
        source="GDAL, GDALFillNodata, alg/rasterfill.cpp, https://gdal.org/programs/gdal_fillnodata.html",
        halo_px=48,
    )

    max_distance_px: float = option(
        SCAN_PERIOD_AND_A_HALF_PX, "how far an observed pixel may lie, in pixels", low=1
    )
    smoothing: int = option(3, "3 × 3 averaging passes over the filled pixels", low=0, high=8)

    def fill(self, image: NDArray[np.floating], gaps: Gaps, context: Context) -> Filled:
        """Return the filled image; see `FillMethod.fill`."""
        from rasterio.errors import NotGeoreferencedWarning
        from rasterio.fill import fillnodata

        # Arrays have no georeference to miss. `catch_warnings` would not do: it isn't safe in threads.
        warnings.filterwarnings("ignore", category=NotGeoreferencedWarning, module=r"rasterio\.fill")

        def fill_band(
            values: NDArray[np.floating], missing: NDArray[np.bool_], usable: NDArray[np.bool_]
        ) -> NDArray[np.floating]:
            if widest_gap_px(missing, usable) > _CHAMFER_LOW * 2 * self.max_distance_px:
                # GDAL leaves what it doesn't reach as it is: let that be a coarse guess.
                values = solved_from_coarse_to_fine(_as_guessed, values, missing, usable)
            return cast(
                "NDArray[np.floating]",
                fillnodata(
                    values,
                    mask=usable,
                    max_search_distance=self.max_distance_px,
                    smoothing_iterations=self.smoothing,
                ),
            )

        return Filled(fill_each_band(fill_band, image, gaps, context.threads))


def _as_guessed(
    guess: NDArray[np.floating],
    _missing: NDArray[np.bool_],
    _usable: NDArray[np.bool_],
    _spacing_px: float,
) -> NDArray[np.floating]:
    return guess
