"""The input of a deep image prior's networks, and the blend of their outputs with smooth surfaces."""

from __future__ import annotations

from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.methods.dip_fit import Fit
from landsat_fill.methods.holdout import held_out
from landsat_fill.methods.method import fill_each_band
from landsat_fill.methods.splines import plate
from landsat_fill.scene import Gaps

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from landsat_fill.methods.dip_fit import FitSettings


EDGES_PX = (1.5, 2.5, 4.5, 8.5, 16.5)
"""Limits of the distance classes."""

LEAST_PIXELS = 50
"""Least number of errors in a distance class."""


def error_by_distance(
    distances_px: NDArray[np.floating], squares: NDArray[np.floating]
) -> Callable[[NDArray[np.floating]], NDArray[np.floating]] | None:
    """Return the mean squared error as a function of the distance, or None if there are too few errors.

    Args:
        distances_px: Distance of each pixel with a known error to the nearest pixel of the fit.
        squares: Squared error of each pixel.
    """
    classes = np.searchsorted(EDGES_PX, distances_px)
    found = [
        (float(np.mean(distances_px[own])), float(np.mean(squares[own])))
        for own in (classes == number for number in range(len(EDGES_PX) + 1))
        if np.count_nonzero(own) >= LEAST_PIXELS
    ]
    if not found:
        return None
    where, what = np.array(found).T
    # The error can't decrease with distance, except by chance.
    highest = np.maximum.accumulate(what)
    return lambda distances_px: np.asarray(np.interp(distances_px, where, highest))


def distances_px(known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return each pixel's distance to the nearest known pixel of its band, `(band, row, col)`.

    In a band without known pixels, all distances are larger than the image.
    """
    import cv2

    far = float(sum(known.shape[1:]))
    found = [
        cv2.distanceTransform((~band).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        if band.any()
        else np.full(band.shape, far)
        for band in known
    ]
    return np.stack(found).astype(np.float32)


def best_shares(truth: NDArray[np.floating], fills: NDArray[np.floating], gained: float = 0.0) -> NDArray[np.float64]:
    """Return the weights of fills with the least mean squared error: none below 0, sum 1.

    Args:
        truth: True values; at least one.
        fills: Values of each fill, `(fill, value)`.
        gained: Amount by which the mean squared error of the first fill will be lower than here.
    """
    errors = (fills - truth).astype(np.float64)
    products = errors @ errors.T / truth.size
    # By chance, the gain may exceed the error.
    products[0, 0] = max(products[0, 0] - gained, 0.0)
    best: NDArray[np.float64] = np.eye(len(fills))[0]
    least = float(products[0, 0])
    # Try all subsets of the fills.
    for size in range(1, len(fills) + 1):
        for chosen in map(list, combinations(range(len(fills)), size)):
            own = products[np.ix_(chosen, chosen)]
            shares = np.linalg.lstsq(own, np.ones(size), rcond=None)[0]
            if shares.sum() <= 0 or (shares < 0).any():
                continue
            shares /= shares.sum()
            error = float(shares @ own @ shares)
            if error < least:
                best, least = np.zeros(len(fills)), error
                best[chosen] = shares
    return best


TENSIONS = (0.35, 1.0)
"""Tensions of the surfaces in the blend: the spline in tension, and the membrane."""


USUAL_SHARES = (0.5, 0.5, 0.0)
"""Weights of networks, spline and membrane that do well on most scenes. They count as much as the weights
from the held-out pixels of a tile, which are few."""


GAPS_ERR_MORE = 1.4
"""Ratio of squared errors in gaps to those in held-out pieces, which have usable pixels on more sides. Mean
over crops of training scenes with 22 and 55 % hidden."""


class PriorImage:
    """Bands of a tile that are fitted together. Arrays are `(band, row, col)`."""

    def __init__(
        self,
        values: NDArray[np.float32],
        gaps: Gaps,
        corner: tuple[int, int],
        settings: FitSettings,
        *,
        seed: int,
        percent: float,
        beside: tuple[NDArray[np.float32], NDArray[np.bool_]],
    ) -> None:
        """Take the bands.

        Args:
            values: Mean 0 and standard deviation 1 over the usable pixels, 0 elsewhere.
            gaps: Cubes of the same shape; each band has a usable pixel.
            corner: Row and column of the tile in the scene.
            settings: Settings of the fits.
            seed: Seed of the choice of held-out pixels.
            percent: Largest percentage of the usable pixels to hold out.
            beside: Values and usable pixels of the bands of references, which the networks are fitted to as well.
        """
        self._beside = beside
        self._values, self._gaps, self._corner, self._settings = values, gaps, corner, settings
        self._seed, self._percent = seed, percent
        # Outputs are clipped to the range of the usable pixels.
        self._low = np.min(values, axis=(1, 2), keepdims=True, where=gaps.usable, initial=np.inf)
        self._high = np.max(values, axis=(1, 2), keepdims=True, where=gaps.usable, initial=-np.inf)

    def fit(self, run: int) -> Fit:
        """Return the data that a network is fitted to; even and odd runs hold out different pixels."""
        settings = self._settings
        held = self._held(run)
        fitted = self._gaps.usable & ~held
        height, width = self._values.shape[1:]
        multiple_px, least_px = 2**settings.scales, 2 ** (settings.scales + 1)
        below = max(-(-height // multiple_px) * multiple_px, least_px) - height
        right = max(-(-width // multiple_px) * multiple_px, least_px) - width
        around = ((0, 0), (0, below), (0, right))
        values = np.where(self._gaps.usable, self._scaled(self._values), 0)
        first = self._scaled(self._surface(fitted, TENSIONS[0])) if settings.warm_share > 0 else None
        if len(self._beside[0]):
            others, seen = self._beside
            low, high = (
                limit(others, axis=(1, 2), keepdims=True, where=seen, initial=initial)
                for limit, initial in ((np.min, np.inf), (np.max, -np.inf))
            )
            scaled = np.where(seen, (others - low) / (high - low), 0) if settings.sigmoid else others
            values = np.concatenate([values, scaled.astype(np.float32)])
            fitted, held = np.concatenate([fitted, seen]), np.concatenate([held, np.zeros_like(seen)])
            first = None if first is None else np.concatenate([first, _surface(scaled, seen, TENSIONS[0])])
        return Fit(
            run,
            self._corner,
            np.pad(values, around),
            np.pad(fitted, around),
            np.pad(held, around),
            None if first is None else np.pad(first, around, mode="edge"),
        )

    def answer(
        self, fits: Sequence[Fit], outputs: Sequence[NDArray[np.float32]]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
        """Return mean, standard deviation and the networks' weight in the mean, from all fits and their outputs."""
        bands, height, width = self._values.shape
        runs = np.stack([self._unscaled(one[:bands, :height, :width]) for one in outputs])
        excess = self._excess(fits, runs)
        truth, distances, bands_of, *fills = self._held_out_values(fits, runs)
        shares = np.eye(len(fills))[0]
        if self._settings.blend:
            shares = np.array(USUAL_SHARES)
            if len(truth):  # a very small tile has no held-out pixels
                shares = (shares + best_shares(truth, np.stack(fills), gained=excess)) / 2
        mean = shares[0] * runs.mean(axis=0)
        for share, tension in zip(shares[1:], TENSIONS, strict=True):
            if share:
                mean += share * self._surface(self._gaps.usable, tension)
        squares = np.square(shares @ np.stack(fills) - truth)
        if squares.any():
            squares *= max(1 - shares[0] ** 2 * excess / squares.mean(), 1 / len(runs))
        return mean, self._deviation(squares, distances, bands_of), float(shares[0])

    def _excess(self, fits: Sequence[Fit], runs: NDArray[np.float32]) -> float:
        """Return the reduction of the mean squared error by averaging all runs.

        It is estimated from the runs that hold out the same pixels, and is 0 if no two runs do.
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
        """Return the standard deviation of each pixel, from the errors of the held-out pixels.

        Without held-out pixels it is the standard deviation of the bands.
        """
        usable = self._gaps.usable
        error_at = error_by_distance(distances, squares)
        if error_at is None:
            return np.ones(self._values.shape, np.float32)
        variance = GAPS_ERR_MORE * error_at(distances_px(usable))
        # Scale by band, because some bands are rougher than others.
        expected = error_at(distances)
        for band in range(len(usable)):
            own = bands == band
            if own.any() and expected[own].sum() > 0:
                variance[band] *= squares[own].sum() / expected[own].sum()
        std: NDArray[np.float32] = np.sqrt(variance).astype(np.float32)
        return std

    def _held_out_values(self, fits: Sequence[Fit], runs: NDArray[np.float32]) -> tuple[NDArray[np.floating], ...]:
        """Return truth, distance to fitted pixels, band, output and surfaces at all held-out pixels."""
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
        """Return the surface of a tension through the known pixels."""
        return _surface(self._values, known, tension)

    def _scaled(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return values in the units of a network: 0 to 1 if it ends with a sigmoid."""
        if not self._settings.sigmoid:
            return values
        span = np.where(self._high > self._low, self._high - self._low, 1)
        scaled: NDArray[np.float32] = np.asarray((values - self._low) / span, np.float32)
        return scaled

    def _unscaled(self, output: NDArray[np.float32]) -> NDArray[np.float32]:
        if self._settings.sigmoid:
            output = output * (self._high - self._low) + self._low
        inside: NDArray[np.float32] = np.clip(output, self._low, self._high)
        return inside


def _surface(values: NDArray[np.float32], known: NDArray[np.bool_], tension: float) -> NDArray[np.float32]:
    """Return the surface of a tension through the known pixels of bands `(band, row, col)`."""
    fill_band = partial(plate, tension=tension, reduction=100.0)
    filled = fill_each_band(fill_band, np.where(known, values, 0)[None], Gaps(~known[None], known[None]), 1)
    surface: NDArray[np.float32] = filled[0].astype(np.float32)
    return surface
