"""Direct sampling: each missing pixel takes the values of an observed pixel with similar surroundings."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from landsat_fill.methods.cokriging import overall_covariances
from landsat_fill.methods.holdout import held_out
from landsat_fill.methods.method import Context, MethodInfo, fill_unprepared, in_threads
from landsat_fill.methods.neighbourhoods import disc
from landsat_fill.methods.reference_order import FurtherBands, further_bands
from landsat_fill.scene import Filled, Gaps
from landsat_fill.schema import option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


STRIDES = 64
"""Number of different orders in which candidates are scanned."""


def path_of(
    missing: NDArray[np.bool_], corner: tuple[int, int], seed: int, draw: int
) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Return the missing pixels in random order, rows and columns `(pixel, 2)`, and a random number for each.

    Both depend only on the seed, the number of the realization, and the row and column in the scene.
    """
    pixels = np.argwhere(missing)
    start = np.random.SeedSequence([seed, draw]).generate_state(2, np.uint64)
    rows, cols = (pixels + np.array(corner)).astype(np.uint64).T
    order = _mixed(_mixed(rows ^ start[0]) ^ cols)
    keys = _mixed(order ^ start[1])
    turns = np.argsort(order, kind="stable")
    return pixels[turns], keys[turns]


def _mixed(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return numbers with all their bits mixed.

    Source: Steele, Lea and Flood 2014, Fast splittable pseudorandom number generators,
    doi:10.1145/2660193.2660195 (SplitMix64).
    """
    mixed = numbers + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


@cache
def coprime_steps(count: int) -> NDArray[np.int64]:
    """Return strides that visit all `count` positions of a circle before they return to the first."""
    found: list[int] = []
    golden = 0.6180339887498949
    for number in range(1, 16 * STRIDES):
        step = int(count * (number * golden % 1))
        if step and math.gcd(step, count) == 1:
            found.append(step)
        if len(found) == STRIDES:
            break
    return np.array(found or [1], np.int64)


@cache
def square(radius_px: int) -> NDArray[np.int64]:
    """Return rows and columns from a pixel to all others in a square around it."""
    rows, cols = np.mgrid[-radius_px : radius_px + 1, -radius_px : radius_px + 1].reshape(2, -1)
    pixels = np.stack([rows, cols], axis=1).astype(np.int64)
    return np.delete(pixels, len(pixels) // 2, axis=0)


LEAST_IMPORTANCE = 0.01
"""Bands of references with a smaller weight aren't compared."""

LEVELS = 256
"""Values are rounded to this number of levels of a band's range before they are compared, so that a scene in
other units gets the same fill."""

LIMITS_PCT = (1, 99)
"""Percentiles that limit a band's range, so that clouds and glints don't stretch it."""

REACH_PX = 32
"""Largest distance of a neighbour."""


class Layer(NamedTuple):
    """A band of a reference.

    Attributes:
        band: The band of the image that it matches.
        date: Number of the reference, from 1.
        importance: Weight of its differences, relative to the image's own: its squared correlation with that band.
    """

    band: int
    date: int
    importance: float


@dataclass(frozen=True)
class Sampler:
    """Draws realizations."""

    options: DirectSampling
    limits: NDArray[np.float64]
    """Limits of each band's range, `(band, 2)`; the image's bands, and those of references behind them."""
    layers: tuple[Layer, ...] = ()
    """The bands of references."""

    @property
    def bands(self) -> int:
        """Number of the image's own bands."""
        return len(self.limits) - len(self.layers)

    @property
    def groups(self) -> list[list[int]]:
        """Groups of bands that are copied from the same pixel."""
        bands = range(self.bands)
        return [list(bands)] if self.options.multivariate else [[band] for band in bands]

    @property
    def quanta(self) -> NDArray[np.float64]:
        """Width of a level of each band, also of references."""
        width = np.diff(self.limits, axis=1)[:, 0]
        return np.where(width > 0, width, 1.0) / LEVELS

    def draws(
        self, image: NDArray[np.floating], gaps: Gaps, corner: tuple[int, int], count: int, *, seed: int, threads: int
    ) -> NDArray[np.floating]:
        """Return realizations of a tile at a corner, `(realization, band, row, col)`; none depends on their number.

        The bands of references follow those of the image in the tile `(band, row, col)`, and are left out of the
        result.
        """
        draws = np.repeat(image[None, : self.bands], count, axis=0)

        def draw(place: tuple[int, list[int]]) -> None:
            number, bands = place
            self._draw(draws[number], image[self.bands :], bands, gaps, corner, seed, number)

        in_threads(draw, [(number, bands) for number in range(count) for bands in self.groups], threads)
        return draws

    def _draw(
        self,
        tile: NDArray[np.floating],
        references: NDArray[np.floating],
        bands: Sequence[int],
        gaps: Gaps,
        corner: tuple[int, int],
        seed: int,
        number: int,
    ) -> None:
        """Fill some bands of a tile `(band, row, col)` in place, together; `number` is that of the draw."""
        from landsat_fill.methods.kernels.pattern_scan import simulate

        filled = [band for band in bands if gaps.usable[band].any()]
        for band in set(bands) - set(filled):
            tile[band][gaps.missing[band]] = np.nan
        missing, usable = gaps.missing[filled], gaps.usable[filled]
        if not missing.any():
            return
        path, keys = path_of(np.asarray(missing.any(axis=0)), corner, seed, number)
        quantum = self.quanta[filled]
        layers = [
            place
            for place, layer in enumerate(self.layers)
            if layer.band in filled and layer.importance >= LEAST_IMPORTANCE
        ]
        chosen = [self.layers[place] for place in layers]
        beside = [*filled, *(self.bands + place for place in layers)]
        stacked = np.concatenate([tile[filled], references[layers]])
        levels = (stacked - self.limits[beside, :1, None]) / self.quanta[beside, None, None]
        known = np.where(gaps.usable[beside], np.round(levels), np.nan).astype(np.float32)
        known = np.ascontiguousarray(known.transpose(1, 2, 0))  # (row, col, band)
        missing = np.concatenate([missing, np.zeros((len(layers), *missing.shape[1:]), np.bool_)])
        dates = sorted({layer.date for layer in chosen})
        variables = [0] * len(filled) + [1 + dates.index(layer.date) for layer in chosen]
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
            np.array(variables, np.int64),
            np.array([1.0] * len(filled) + [layer.importance for layer in chosen], np.float32),
            np.full(1 + len(dates), options.neighbours, np.int64),
            max(1, int(options.fraction * len(candidates))),
            (options.threshold * LEVELS) ** 2,
            options.differences,
        )
        shifts_in_units = shifts[..., : len(filled)] * quantum
        rows, cols = path.T
        from_rows, from_cols = taken[rows, cols].T
        for place, band in enumerate(filled):
            plane, here = tile[band], missing[place, rows, cols]
            copied, lost = here & (from_rows >= 0), here & (from_rows < 0)
            # Without a candidate that has all missing bands, take a random value of the band.
            pool = plane[usable[place]]
            plane[rows[lost], cols[lost]] = pool[keys[lost] % np.uint64(len(pool))]
            shift = shifts_in_units[rows[copied], cols[copied], place]
            plane[rows[copied], cols[copied]] = plane[from_rows[copied], from_cols[copied]] + shift


def limits_of(image: NDArray[np.floating], usable: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the limits of each band's range, `(band, 2)`, from windows `(window, band, row, col)`."""
    limits = []
    for band in range(image.shape[1]):
        known = image[:, band][usable[:, band]].astype(np.float64)
        limits.append(np.percentile(known, LIMITS_PCT) if known.size else np.zeros(2))
    return np.array(limits)


WINDOWS = 4
"""Largest number of windows with held-out pixels."""

HELD_OUT_PCT = 5.0
"""Largest percentage of a window's usable pixels that is held out in each of two folds."""

DRAWS = 4

USUAL_RATIO = 2.3
"""Mean ratio over crops of eight training scenes under stripes of 4 and 8 pixels."""

USUAL_PIXELS = 500
"""The usual ratio counts as much as this number of held-out pixels."""


def error_ratio(sampler: Sampler, image: NDArray[np.floating], gaps: Gaps, threads: int) -> float:
    """Return the mean squared error of the mean of infinitely many draws, divided by the variance of the draws.

    The ratio would be 1 if the truth were another draw. It is larger because draws copy the most similar
    pixels, which are more similar than the truth. It is measured at held-out pieces of stripes, combined with
    the usual ratio, and at least 1. It doesn't depend on the seed of a fill. The image has windows of a scene,
    `(window, band, row, col)`.
    """
    error, spread, pixels = 0.0, 0.0, 0
    for window in np.unique(np.linspace(0, len(image) - 1, WINDOWS).round().astype(int)).tolist():
        own = Gaps(gaps.missing[window], gaps.usable[window])
        own_bands = Gaps(own.missing[: sampler.bands], own.usable[: sampler.bands])
        # The windows' positions are unknown, but each window needs its own random numbers.
        corner = (int(window) * image.shape[2], 0)
        for fold in (0, 1):
            held = held_out(own_bands, corner, fold=fold, seed=0, percent=HELD_OUT_PCT)
            if not held.any():
                continue
            hidden = Gaps(_padded(held, len(own.usable)), own.usable & ~_padded(held, len(own.usable)))
            drawn = sampler.draws(image[window], hidden, corner, DRAWS, seed=0, threads=threads).astype(np.float64)
            for band, quantum in enumerate(sampler.quanta[: sampler.bands]):
                if sampler.limits[band, 0] == sampler.limits[band, 1]:
                    continue  # a band that is nearly constant has no errors to compare
                truth = image[window, band][held[band]].astype(np.float64)
                found = drawn[:, band, held[band]]
                error += float(np.square((found.mean(axis=0) - truth) / quantum).sum())
                spread += float((found / quantum).var(axis=0, ddof=1).sum())
            pixels += int(np.count_nonzero(held.any(axis=0)))
    if spread <= 0:
        return USUAL_RATIO
    # The small number of draws adds 1 / DRAWS to the ratio.
    ratio = error / spread - 1 / DRAWS
    return max((pixels * ratio + USUAL_PIXELS * USUAL_RATIO) / (pixels + USUAL_PIXELS), 1.0)


def _padded(flags: NDArray[np.bool_], bands: int) -> NDArray[np.bool_]:
    """Return the flags of the image's bands with those of further bands, all False, behind them."""
    return np.concatenate([flags, np.zeros((bands - len(flags), *flags.shape[1:]), np.bool_)])


def described(layers: FurtherBands, image: NDArray[np.floating], usable: NDArray[np.bool_]) -> tuple[Layer, ...]:
    """Return what each band of a reference is worth, by differences between adjacent pixels of windows.

    Args:
        layers: The bands of references.
        image: Windows with the layers behind the image's own bands, `(window, band, row, col)`.
        usable: Of the same shape.
    """
    if not layers.bands:
        return ()
    covariances = overall_covariances(image, usable)
    first, variances = image.shape[1] - len(layers.bands), np.diag(covariances)
    found = []
    for layer, (band, date) in enumerate(zip(layers.bands, layers.dates, strict=True), start=first):
        both = variances[band] * variances[layer]
        found.append(Layer(band, date, float(min(covariances[band, layer] ** 2 / both, 1.0)) if both > 0 else 0.0))
    return tuple(found)


POOLED_PX = 7
"""Side of the square over which the draws' variance is averaged, because it is noisy at a single pixel."""


@dataclass(frozen=True)
class DirectSampling:
    """Realizations made of pixels of the scene itself, and their mean and standard deviation.

    Missing pixels are filled in random order. The neighbours of a pixel are the nearest pixels that are
    observed or already filled. The method scans observed pixels around the missing one, and compares their
    neighbours at the same offsets. The missing pixel takes the values of the first pixel below the threshold,
    or of the most similar one. All bands of a pixel come from the same pixel. Other bands that are observed
    at a missing pixel count as neighbours.

    Order and scan depend on the position in the scene, so neighbouring tiles agree where they overlap, except
    for influences from beyond their halo.

    Bands of references are compared, too: the nearest neighbours of each reference are counted apart from those of the
    image, and differences of a band weigh its squared correlation with the image's band. The values still come from
    the image, so the fill layer counts the fill as one from the scene.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="direct-sampling",
        summary="multiple-point simulation from the scene: realizations, mean and standard deviation",
        source="Mariethoz, Renard and Straubhaar 2010, The Direct Sampling method to perform multiple-point "
        "geostatistical simulations, doi:10.1029/2008WR007621",
        halo_px=96,
        gives_std=True,
        uses_references=True,
        gives_realizations=True,
    )

    neighbours: int = option(30, "n: neighbours that are compared, 20 to 50 in the paper", low=1, high=200)
    threshold: float = option(0.02, "t: largest difference that ends the scan, as a share of the range", low=0, high=1)
    fraction: float = option(0.05, "f: largest share of the training image that is scanned", low=1e-4, high=1)
    radius_px: int = option(48, "half the side of the training image, a square around a pixel", low=4, high=256)
    multivariate: bool = option(True, "fill all bands of a pixel from the same pixel")
    differences: bool = option(True, "compare and copy differences from the mean of the surroundings")
    decay: float = option(1.0, "weights of neighbours fall with this power of the distance", low=0, high=4)
    ensemble: int = option(8, "realizations for the mean and standard deviation", low=2, high=1000, was="realisations")

    def prepare(self, image: NDArray[np.floating], gaps: Gaps, context: Context) -> PreparedSampling:
        """Return the method with the ranges of a scene's bands and its error ratio; see `Prepares`."""
        layers = further_bands(context.references, image)
        image, gaps = layers.behind(image, gaps)
        sampler = Sampler(self, limits_of(image, gaps.usable), described(layers, image, gaps.usable))
        return PreparedSampling(sampler, error_ratio(sampler, image, gaps, context.threads))

    def fill(self, image: NDArray[np.floating], gaps: Gaps, context: Context) -> Filled:
        """Return the filled image, each tile with its own ranges; see `FillMethod.fill`."""
        return fill_unprepared(self.prepare, image, gaps, context)


@dataclass(frozen=True)
class PreparedSampling:
    """Direct sampling with the ranges of a scene's bands and its error ratio; see `error_ratio`."""

    sampler: Sampler
    error_ratio: float

    @property
    def info(self) -> MethodInfo:
        """The facts about direct sampling."""
        return self.sampler.options.info

    def fill(self, image: NDArray[np.floating], gaps: Gaps, context: Context) -> Filled:
        """Return the filled image; see `FillMethod.fill`."""
        ensemble = self.sampler.options.ensemble
        count = max(ensemble, context.realizations)
        mean, std = image.copy(), np.zeros(image.shape, np.float32)
        realizations = []
        stacked, both = further_bands(context.references, image).behind(image, gaps)
        for tile in range(len(image)):
            own, corner = Gaps(both.missing[tile], both.usable[tile]), context.place(tile).corner
            draws = self.sampler.draws(stacked[tile], own, corner, count, seed=context.seed, threads=context.threads)
            realizations.append(draws[: context.realizations])
            for band, missing in enumerate(gaps.missing[tile]):
                drawn = draws[:ensemble, band, missing].astype(np.float64)
                mean[tile, band, missing] = drawn.mean(axis=0)
                variance = _pooled(drawn.var(axis=0, ddof=1), missing)
                std[tile, band, missing] = np.sqrt(variance * (self.error_ratio + 1 / ensemble))
        return Filled(mean, std, np.stack(realizations, axis=1) if context.realizations else None)


def _pooled(variance: NDArray[np.float64], missing: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the mean variance of the missing pixels around each missing pixel."""
    import cv2

    spread = np.zeros(missing.shape)
    spread[missing] = np.nan_to_num(variance)
    share = cv2.boxFilter(missing.astype(np.float64), -1, (POOLED_PX, POOLED_PX), borderType=cv2.BORDER_CONSTANT)
    total = cv2.boxFilter(spread, -1, (POOLED_PX, POOLED_PX), borderType=cv2.BORDER_CONSTANT)
    # A running sum may round below 0.
    return np.asarray(np.maximum(total[missing], 0) / share[missing], np.float64)
