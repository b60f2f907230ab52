"""One draw of a direct sampling: a tile filled once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from landsat_fill.methods.sampling_path import coprime_steps, disc, path_of, square

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from landsat_fill.methods.direct_sampling import DirectSampling
    from landsat_fill.methods.interface import Context
    from landsat_fill.scene import Gaps

LEVELS = 256
"""Steps that a band's range is compared in. Surroundings that differ by rounding alone are the same then, so
that a scene in other units gets the same fill."""

LIMITS_PCT = (1, 99)
"""What counts as a band's range, in percentiles: clouds and glints shouldn't stretch it."""

REACH_PX = 32
"""How far a neighbour may lie."""


@dataclass(frozen=True)
class Sampler:
    """Draws from a scene.

    Attributes:
        options: How.
        limits: Ends of each band's range, `(band, 2)`.
    """

    options: DirectSampling
    limits: NDArray[np.float64]

    @property
    def groups(self) -> list[list[int]]:
        """The bands that are drawn together."""
        bands = range(len(self.limits))
        return [list(bands)] if self.options.multivariate else [[band] for band in bands]

    @property
    def quanta(self) -> NDArray[np.float64]:
        """The step that each band is compared in."""
        width = np.diff(self.limits, axis=1)[:, 0]
        return np.where(width > 0, width, 1.0) / LEVELS

    def draws(
        self,
        image: NDArray[np.floating],
        gaps: Gaps,
        corner: tuple[int, int],
        context: Context,
        count: int,
    ) -> NDArray[np.floating]:
        """Return a tile filled so many times, `(draw, band, row, col)`.

        Args:
            image: `(band, row, col)`.
            gaps: Cubes of the same shape.
            corner: Row and column of the tile's corner in the scene.
            context: Threads and seed.
            count: Draws wanted; a draw is the same however many there are.
        """
        draws = np.repeat(image[None], count, axis=0)

        def draw(place: tuple[int, list[int]]) -> None:
            number, bands = place
            self._draw(draws[number], bands, gaps, corner, context.seed, number)

        with ThreadPoolExecutor(max(1, context.threads)) as pool:
            list(pool.map(draw, [(number, bands) for number in range(count) for bands in self.groups]))
        return draws

    def _draw(
        self,
        drawn: NDArray[np.floating],
        bands: Sequence[int],
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
        quantum = self.quanta[seen]
        levels = (drawn[seen] - self.limits[seen, :1, None]) / quantum[:, None, None]
        known = np.where(usable, np.round(levels), np.nan).astype(np.float32)
        known = np.ascontiguousarray(known.transpose(1, 2, 0))  # (row, col, band)
        taken = np.full((*known.shape[:2], 2), -1, np.int32)
        shifts = np.zeros(known.shape, np.float32)
        options = self.options
        offsets, candidates = disc(REACH_PX), square(options.radius_px)
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


def limits_of(image: NDArray[np.floating], usable: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the ends of each band's range, `(band, 2)`.

    Args:
        image: Windows, `(window, band, row, col)`.
        usable: What may be looked at.
    """
    limits = []
    for band in range(image.shape[1]):
        known = image[:, band][usable[:, band]].astype(np.float64)
        limits.append(np.percentile(known, LIMITS_PCT) if known.size else np.zeros(2))
    return np.array(limits)


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
