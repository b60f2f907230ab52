"""Direct sampling: each missing pixel takes the numbers of an observed one whose surroundings are alike."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from landsat_fill.methods.interface import Context, MethodInfo, option
from landsat_fill.methods.sampler import Sampler, limits_of
from landsat_fill.methods.sampling_error import ErrorRatio
from landsat_fill.scene import Filled, Gaps

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

POOLED_PX = 7
"""Side of the square that the draws' variance is averaged over: at one pixel it is mostly luck."""


@dataclass(frozen=True)
class DirectSampling:
    """Several plausible fills, each a random patchwork of the scene itself, their mean and their deviation.

    Missing pixels take turns in a random order. Each looks at its nearest informed pixels, observed or filled
    before, scans the observed pixels around for one whose neighbours at the same places are alike, and takes
    the numbers of the first that is alike enough, or else of the most alike of those it may look at. All
    bands of a pixel come from one place; bands that are observed where another is missing count as
    neighbours.

    Order and scan belong to the place, so that neighbouring tiles agree where they overlap, but for what
    reaches them from beyond their halo.

    Source: Mariethoz, Renard and Straubhaar 2010, The Direct Sampling method to perform multiple-point
    geostatistical simulations, doi:10.1029/2008WR007621.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="direct-sampling",
        summary="multiple-point simulation from the scene itself: draws, their mean and deviation",
        source="Mariethoz, Renard and Straubhaar 2010, The Direct Sampling method to perform multiple-point "
        "geostatistical simulations, doi:10.1029/2008WR007621",
        halo_px=96,
        gives_std=True,
        draws=True,
    )

    neighbours: int = field(
        default=30, metadata=option("n: informed pixels compared, 20 to 50 in the paper", low=1, high=200)
    )
    threshold: float = field(
        default=0.02,
        metadata=option("t: the difference that is alike enough, as a share of the range", low=0, high=1),
    )
    fraction: float = field(
        default=0.05,
        metadata=option("f: the share of the training image that is scanned at most", low=1e-4, high=1),
    )
    radius_px: int = field(
        default=48, metadata=option("the training image: the square this far around a pixel", low=4, high=256)
    )
    multivariate: bool = field(default=True, metadata=option("fill all bands of a pixel from one place"))
    differences: bool = field(
        default=True,
        metadata=option("compare and take differences from the surroundings' mean, not numbers"),
    )
    decay: float = field(
        default=1.0, metadata=option("power of the distance that neighbours lose weight with", low=0, high=4)
    )
    realisations: int = field(
        default=8, metadata=option("draws that mean and deviation are taken of", low=2, high=1000)
    )

    def prepare(self, image: NDArray[np.floating], gaps: Gaps, context: Context) -> PreparedSampling:
        """Return the method with the ranges of a scene's bands, and how far its draws err; see `Prepares`."""
        sampler = Sampler(self, limits_of(image, gaps.usable))
        return PreparedSampling(sampler, ErrorRatio.measured(sampler, image, gaps, context).value)

    def fill(self, image: NDArray[np.floating], gaps: Gaps, context: Context) -> Filled:
        """Return the filled image, each tile with ranges of its own; see `FillMethod.fill`."""
        return _joined(
            self.prepare(image[one], Gaps(gaps.missing[one], gaps.usable[one]), context).fill_tile(
                image[tile],
                Gaps(gaps.missing[tile], gaps.usable[tile]),
                context.corners[tile] if context.corners else (0, 0),
                context,
            )
            for tile, one in ((number, slice(number, number + 1)) for number in range(len(image)))
        )


def _joined(tiles: Iterable[Filled]) -> Filled:
    """Return filled tiles as a batch."""
    filled = list(tiles)
    std = [one.std for one in filled if one.std is not None]
    draws = [one.draws for one in filled if one.draws is not None]
    return Filled(
        np.stack([one.mean for one in filled]), np.stack(std), np.stack(draws, axis=1) if draws else None
    )


@dataclass(frozen=True)
class PreparedSampling:
    """Direct sampling that knows the ranges of a scene's bands, and how far its draws err.

    Attributes:
        sampler: The options, and the ranges.
        error_ratio: See `ErrorRatio`.
    """

    sampler: Sampler
    error_ratio: float

    @property
    def info(self) -> MethodInfo:
        """What the pipeline must know."""
        return self.sampler.options.info

    def fill(self, image: NDArray[np.floating], gaps: Gaps, context: Context) -> Filled:
        """Return the filled image; see `FillMethod.fill`."""
        return _joined(
            self.fill_tile(
                image[tile],
                Gaps(gaps.missing[tile], gaps.usable[tile]),
                context.corners[tile] if context.corners else (0, 0),
                context,
            )
            for tile in range(len(image))
        )

    def fill_tile(
        self, image: NDArray[np.floating], gaps: Gaps, corner: tuple[int, int], context: Context
    ) -> Filled:
        """Return a tile filled.

        Args:
            image: `(band, row, col)`.
            gaps: Cubes of the same shape.
            corner: Row and column of the tile's corner in the scene.
            context: As handed to the method.
        """
        options = self.sampler.options
        draws = self.sampler.draws(image, gaps, corner, context, max(options.realisations, context.draws))
        of = draws[: options.realisations]
        mean = image.copy()
        std = np.zeros(image.shape, np.float32)
        for band in range(len(image)):
            missing = gaps.missing[band]
            drawn = of[:, band, missing].astype(np.float64)
            mean[band, missing] = drawn.mean(axis=0)
            variance = _pooled(drawn.var(axis=0, ddof=1), missing)
            std[band, missing] = np.sqrt(variance * (self.error_ratio + 1 / len(of)))
        return Filled(mean, std, draws[: context.draws] if context.draws else None)


def _pooled(variance: NDArray[np.float64], missing: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the mean variance of the missing pixels around each."""
    import cv2

    spread = np.zeros(missing.shape)
    spread[missing] = np.nan_to_num(variance)
    share = cv2.boxFilter(
        missing.astype(np.float64), -1, (POOLED_PX, POOLED_PX), borderType=cv2.BORDER_CONSTANT
    )
    total = cv2.boxFilter(spread, -1, (POOLED_PX, POOLED_PX), borderType=cv2.BORDER_CONSTANT)
    # Rounding of a running sum may leave less than nothing.
    return np.asarray(np.maximum(total[missing], 0) / share[missing], np.float64)
