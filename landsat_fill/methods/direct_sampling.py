"""Direct sampling: each missing pixel takes the numbers of an observed one whose surroundings are alike."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from landsat_fill.methods.interface import Context, MethodInfo, option
from landsat_fill.methods.sampling_path import coprime_steps, disc, path_of, square
from landsat_fill.scene import Filled, Gaps

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

LEVELS = 256
"""Steps that a band's range is compared in. Surroundings that differ by rounding alone are the same then, so
that a scene in other units gets the same fill."""

LIMITS_PCT = (1, 99)
"""What counts as a band's range, in percentiles: clouds and glints shouldn't stretch it."""

REACH_PX = 32
"""How far a neighbour may lie."""

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
        default=False,
        metadata=option("compare and take differences from the surroundings' mean, not numbers"),
    )
    decay: float = field(
        default=1.0, metadata=option("power of the distance that neighbours lose weight with", low=0, high=4)
    )
    realisations: int = field(
        default=8, metadata=option("draws that mean and deviation are taken of", low=2, high=1000)
    )

    def prepare(self, image: NDArray[np.floating], gaps: Gaps, context: Context) -> PreparedSampling:  # noqa: ARG002
        """Return the method with the ranges of a scene's bands; see `Prepares`."""
        limits = []
        for band in range(image.shape[1]):
            usable = image[:, band][gaps.usable[:, band]].astype(np.float64)
            limits.append(np.percentile(usable, LIMITS_PCT) if usable.size else np.zeros(2))
        return PreparedSampling(self, np.array(limits))

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
    """Direct sampling that knows the ranges of a scene's bands.

    Attributes:
        sampling: The options.
        limits: Ends of each band's range, `(band, 2)`.
    """

    sampling: DirectSampling
    limits: NDArray[np.float64]

    @property
    def info(self) -> MethodInfo:
        """What the pipeline must know."""
        return self.sampling.info

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
        groups = [list(range(len(image)))] if self.sampling.multivariate else [[b] for b in range(len(image))]
        count = max(self.sampling.realisations, context.draws)
        draws = np.repeat(image[None], count, axis=0)

        def draw(place: tuple[int, list[int]]) -> None:
            number, bands = place
            self._draw(draws[number], bands, gaps, corner, context.seed, number)

        with ThreadPoolExecutor(max(1, context.threads)) as pool:
            list(pool.map(draw, [(number, bands) for number in range(count) for bands in groups]))
        of = draws[: self.sampling.realisations]
        mean = image.copy()
        std = np.zeros(image.shape, np.float32)
        for band in range(len(image)):
            missing = gaps.missing[band]
            drawn = of[:, band, missing].astype(np.float64)
            mean[band, missing] = drawn.mean(axis=0)
            std[band, missing] = np.sqrt(_pooled(drawn.var(axis=0, ddof=1), missing) * (1 + 1 / len(of)))
        return Filled(mean, std, draws[: context.draws] if context.draws else None)

    def _draw(
        self,
        drawn: NDArray[np.floating],
        bands: list[int],
        gaps: Gaps,
        corner: tuple[int, int],
        seed: int,
        number: int,
    ) -> None:
        """Fill some bands of a tile in place, as a whole.

        Args:
            drawn: The tile, `(band, row, col)`.
            bands: Which bands.
            gaps: What is missing and usable.
            corner: Row and column of the tile's corner in the scene.
            seed: Seed of the draws.
            number: Which draw this is.
        """
        from landsat_fill.methods.kernels.direct_sampling import simulate

        seen = [band for band in bands if gaps.usable[band].any()]
        for band in set(bands) - set(seen):
            drawn[band][gaps.missing[band]] = np.nan
        missing, usable = gaps.missing[seen], gaps.usable[seen]
        if not missing.any():
            return
        path, keys = path_of(np.asarray(missing.any(axis=0)), corner, seed, number)
        quantum = self._quantum(seen)
        levels = (drawn[seen] - self.limits[seen, :1, None]) / quantum[:, None, None]
        known = np.where(usable, np.round(levels), np.nan).astype(np.float32)
        known = np.ascontiguousarray(known.transpose(1, 2, 0))  # (row, col, band)
        taken = np.full((*known.shape[:2], 2), -1, np.int32)
        shifts = np.zeros(known.shape, np.float32)
        options, offsets = self.sampling, disc(REACH_PX)
        candidates = square(options.radius_px)
        simulate(
            known,
            known.copy(),
            np.ascontiguousarray(missing.transpose(1, 2, 0)),
            taken,
            shifts,
            path,
            keys,
            coprime_steps(len(candidates)),
            offsets,
            (np.hypot(*offsets.T) ** -options.decay).astype(np.float32),
            candidates,
            options.neighbours,
            max(1, int(options.fraction * len(candidates))),
            (options.threshold * LEVELS) ** 2,
            options.differences,
        )
        found = _Found(path, keys, taken, shifts * quantum)
        for place, band in enumerate(seen):
            found.write(drawn[band], missing[place], usable[place], place)

    def _quantum(self, bands: Sequence[int]) -> NDArray[np.float64]:
        """Return the step that each band is compared in."""
        width = np.diff(self.limits[list(bands)], axis=1)[:, 0]
        return np.where(width > 0, width, 1.0) / LEVELS


class _Found(NamedTuple):
    """What a simulation found.

    Attributes:
        path: Rows and columns of the missing pixels, `(pixel, 2)`.
        keys: A random number for each.
        taken: The row and column each pixel's numbers come from, `(row, col, 2)`; -1 for none.
        shifts: What is to be added to them, `(row, col, band)`.
    """

    path: NDArray[np.int64]
    keys: NDArray[np.uint64]
    taken: NDArray[np.int32]
    shifts: NDArray[np.float64]

    def write(
        self, plane: NDArray[np.floating], missing: NDArray[np.bool_], usable: NDArray[np.bool_], number: int
    ) -> None:
        """Fill the missing pixels of a band.

        Args:
            plane: The band, `(row, col)`.
            missing: Its missing pixels.
            usable: Its usable ones.
            number: Which of the bands it is.
        """
        rows, cols = self.path.T
        from_rows, from_cols = self.taken[rows, cols].T
        here, found = missing[rows, cols], from_rows >= 0
        whole, lost = here & found, here & ~found
        shift = self.shifts[rows[whole], cols[whole], number]
        # Where no place near has all bands that are missing here, any number of the band will do.
        pool = plane[usable]
        plane[rows[lost], cols[lost]] = pool[self.keys[lost] % np.uint64(len(pool))]
        plane[rows[whole], cols[whole]] = plane[from_rows[whole], from_cols[whole]] + shift


def _pooled(variance: NDArray[np.float64], missing: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the mean variance of the missing pixels around each."""
    import cv2

    spread = np.zeros(missing.shape)
    spread[missing] = np.nan_to_num(variance)
    share = cv2.boxFilter(
        missing.astype(np.float64), -1, (POOLED_PX, POOLED_PX), borderType=cv2.BORDER_CONSTANT
    )
    total = cv2.boxFilter(spread, -1, (POOLED_PX, POOLED_PX), borderType=cv2.BORDER_CONSTANT)
    return np.asarray(total[missing] / share[missing], np.float64)
