"""One image that hourglasses are fitted to: what they are given, and what their outputs come to."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.methods.error_by_distance import ErrorByDistance, distances_px
from landsat_fill.methods.held_out import held_out
from landsat_fill.methods.lifting import fill_each_band
from landsat_fill.methods.mixture import best_shares
from landsat_fill.methods.plate import plate
from landsat_fill.methods.prior_fit import Fit
from landsat_fill.scene import Gaps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from landsat_fill.methods.prior_fit import FitSettings

TENSIONS = (0.35, 1.0)
"""Of the surfaces that take part: the spline in tension, which is bold, and the membrane, which is not."""


USUAL_SHARES = (0.5, 0.5, 0.0)
"""Shares of the hourglasses and of these surfaces that do well on most scenes. What the held-out pixels of
one tile say counts for half beside it: they are few, and of even fewer pieces of stripes."""


GAPS_ERR_MORE = 1.4
"""Squared errors in gaps relative to those of held-out pieces: a piece ends after a few pixels, and has
evidence on more sides than a gap that goes on. The mean of crops of training scenes, 22 and 55 % hidden."""


class PriorImage:
    """Bands of a tile that are fitted together. Arrays are `(band, row, col)`."""

    def __init__(
        self,
        values: NDArray[np.float32],
        gaps: Gaps,
        corner: tuple[int, int],
        *,
        seed: int,
        percent: float,
    ) -> None:
        """Take the bands.

        Args:
            values: Mean 0 and deviation 1 over the usable pixels, 0 elsewhere.
            gaps: Cubes of the same shape; each band has a usable pixel.
            corner: Row and column of the tile in the scene.
            seed: Decides which pixels are held back.
            percent: Percentage of the usable pixels to hold back at most.
        """
        self._values, self._gaps, self._corner = values, gaps, corner
        self._seed, self._percent = seed, percent
        # What an hourglass says beyond the range of all that was observed is its own invention.
        self._low = np.min(values, axis=(1, 2), keepdims=True, where=gaps.usable, initial=np.inf)
        self._high = np.max(values, axis=(1, 2), keepdims=True, where=gaps.usable, initial=-np.inf)

    def fit(self, run: int, settings: FitSettings, *, warm: bool) -> Fit:
        """Return what an hourglass is fitted to.

        Args:
            run: Its number; runs of even and odd number hold back different pixels.
            settings: How it is built.
            warm: Whether it begins with the spline in tension.
        """
        held = self._held(run)
        fitted = self._gaps.usable & ~held
        height, width = self._values.shape[1:]
        multiple_px, least_px = 2**settings.scales, 2 ** (settings.scales + 1)
        below = max(-(-height // multiple_px) * multiple_px, least_px) - height
        right = max(-(-width // multiple_px) * multiple_px, least_px) - width
        around = ((0, 0), (0, below), (0, right))
        values = self._scaled(self._values, settings)
        first = self._scaled(self._surface(fitted, TENSIONS[0]), settings) if warm else None
        return Fit(
            run,
            self._corner,
            np.pad(np.where(self._gaps.usable, values, 0), around),
            np.pad(fitted, around),
            np.pad(held, around),
            None if first is None else np.pad(first, around, mode="edge"),
        )

    def answer(
        self,
        fits: Sequence[Fit],
        outputs: Sequence[NDArray[np.float32]],
        settings: FitSettings,
        *,
        blend: bool,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return mean and standard deviation.

        Args:
            fits: All that were made of this image.
            outputs: What their hourglasses gave.
            settings: How they were built.
            blend: Whether smooth surfaces take part.
        """
        height, width = self._values.shape[1:]
        runs = np.stack([self._unscaled(one[:, :height, :width], settings) for one in outputs])
        excess = self._excess(fits, runs)
        truth, distances, bands, *fills = self._met(fits, runs)
        shares = np.eye(len(fills))[0]
        if blend:
            shares = np.array(USUAL_SHARES)
            if len(truth):  # nothing is held back of a tile that is too small
                shares = (shares + best_shares(truth, np.stack(fills), gained=excess)) / 2
        mean = shares[0] * runs.mean(axis=0)
        for share, tension in zip(shares[1:], TENSIONS, strict=True):
            if share:
                mean += share * self._surface(self._gaps.usable, tension)
        squares = np.square(shares @ np.stack(fills) - truth)
        if squares.any():
            squares *= max(1 - shares[0] ** 2 * excess / squares.mean(), 1 / len(runs))
        return mean, self._deviation(squares, distances, bands)

    def _excess(self, fits: Sequence[Fit], runs: NDArray[np.float32]) -> float:
        """Return what averaging all runs takes away of the mean squared error of one.

        Told by the runs that hold back the same pixels; 0 where no two of them do.
        """
        variances = []
        for fold in (0, 1):
            own = runs[[one.number % 2 == fold for one in fits]]
            if len(own) > 1:
                variances.append(own.var(axis=0, ddof=1)[self._held(fold)])
        found = np.concatenate(variances) if variances else np.empty(0)
        return float(found.mean()) * (1 - 1 / len(runs)) if found.size else 0.0

    def _deviation(
        self, squares: NDArray[np.floating], distances: NDArray[np.floating], bands: NDArray[np.floating]
    ) -> NDArray[np.float32]:
        """Return the standard deviation of each pixel, from the errors of the held-out ones.

        Where there are none, it is that of the bands themselves.
        """
        usable = self._gaps.usable
        errors = ErrorByDistance.of(distances, squares)
        if errors is None:
            return np.ones(self._values.shape, np.float32)
        variance = GAPS_ERR_MORE * errors.at(distances_px(usable))
        # Some bands are rougher than others, at all distances.
        expected = errors.at(distances)
        for band in range(len(usable)):
            own = bands == band
            if own.any() and expected[own].sum() > 0:
                variance[band] *= squares[own].sum() / expected[own].sum()
        std: NDArray[np.float32] = np.sqrt(variance).astype(np.float32)
        return std

    def _met(self, fits: Sequence[Fit], runs: NDArray[np.float32]) -> tuple[NDArray[np.floating], ...]:
        """Return of all held-out pixels truth, distance to fitted pixels, band, output, and surfaces."""
        found = []
        for one, output in zip(fits, runs, strict=True):
            held = self._held(one.number)
            fitted = self._gaps.usable & ~held
            columns = (
                self._values,
                distances_px(fitted),
                np.broadcast_to(np.arange(len(held))[:, None, None], held.shape),
                output,
                *(self._surface(fitted, tension) for tension in TENSIONS),
            )
            found.append([column[held] for column in columns])
        return tuple(np.concatenate(column) for column in zip(*found, strict=True))

    def _held(self, run: int) -> NDArray[np.bool_]:
        return held_out(self._gaps, self._corner, fold=run % 2, seed=self._seed, percent=self._percent)

    def _surface(self, known: NDArray[np.bool_], tension: float) -> NDArray[np.float32]:
        """Return the surface of some tension through known pixels, everywhere."""
        values = np.where(known, self._values, 0)[None]
        fill_band = partial(plate, tension=tension, reduction=100.0)
        filled = fill_each_band(fill_band, values, Gaps(~known[None], known[None]), 1)
        surface: NDArray[np.float32] = filled[0].astype(np.float32)
        return surface

    def _scaled(self, values: NDArray[np.float32], settings: FitSettings) -> NDArray[np.float32]:
        """Return values in the units of an hourglass: from 0 to 1 where it ends with a sigmoid."""
        if not settings.sigmoid:
            return values
        span = np.where(self._high > self._low, self._high - self._low, 1)
        scaled: NDArray[np.float32] = np.asarray((values - self._low) / span, np.float32)
        return scaled

    def _unscaled(self, output: NDArray[np.float32], settings: FitSettings) -> NDArray[np.float32]:
        if settings.sigmoid:
            output = output * (self._high - self._low) + self._low
        inside: NDArray[np.float32] = np.clip(output, self._low, self._high)
        return inside
