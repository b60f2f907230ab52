"""GNSPI: class regressions on another date, and residuals kriged from similar pixels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from landsat_fill.methods.kernels.residual_kriging import krige_residuals
from landsat_fill.methods.land_classes import Stack, class_map, draw, k_means, nearest_centres, stack_references
from landsat_fill.methods.method import Context, MethodInfo, in_threads
from landsat_fill.scene import Filled, Gaps, Window
from landsat_fill.schema import option

if TYPE_CHECKING:
    from numpy.typing import NDArray


WINDOW_PX = 12
"""Similar pixels are at most this number of rows and columns away."""

VARIOGRAM_PIXELS = 1000
"""Pixels of a class from which its variogram is estimated; a class with fewer takes `DEFAULT_RANGE_PX`."""

BIN_PX, BINS = 4, 10
"""Width and number of the variogram's bins of distance."""

DEFAULT_RANGE_PX = 40.0
"""Range of a class without a variogram, and the first guess of a fit."""

RANGES_PX = (0.1, 10.0 * BIN_PX * BINS)
"""Limits of a fitted range: pixels without correlation, and ten times the longest distance measured."""

BANDS_OF_THE_PROGRAM = 3
"""The authors' program divides the squared spectral distance by this number, whatever the number of bands."""

TARGETS_AT_ONCE = 4096
"""Pixels that a thread fills at once."""


@dataclass(frozen=True)
class Gnspi:
    """The geostatistical neighbourhood similar pixel interpolator.

    The reference is divided into classes by k-means. A linear regression for each class and band predicts the
    image from the reference. What the regression misses is known at the usable pixels around a gap. It is
    kriged from the nearest pixels of the class that look similar in the reference, with the class's variogram.
    The standard deviation is the kriging error. The authors' uncertainty is 1.96 times as large.

    Where no pixel of the window is similar, the fill is the mean of the regression and the nearest pixel of
    the class, and the standard deviation is that of the class's residuals. The authors' program gives 0 there.
    A class with fewer than two common pixels takes the regression of all classes; the program takes slope 1.

    Several references: each pixel is filled from the first one that is usable there. The other ones narrow
    the choice of similar pixels: a pixel must be similar in each reference that is usable at both pixels.

    Source: Zhu, Liu and Chen 2012, A new geostatistical approach for filling gaps in Landsat ETM+ SLC-off
    images, doi:10.1016/j.rse.2012.04.019, and the authors' program of 2013.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="gnspi",
        summary="class regressions on another date, and residuals kriged from similar pixels",
        source="Zhu, Liu and Chen 2012, A new geostatistical approach for filling gaps in Landsat ETM+ SLC-off "
        "images, doi:10.1016/j.rse.2012.04.019",
        halo_px=WINDOW_PX,
        gives_std=True,
        needs_references=True,
    )

    classes: int = option(4, "number of land classes in the reference", low=1, high=100)
    similar_pixels: int = option(20, "largest number of similar pixels for each fill", low=1, high=100)

    def prepare(self, image: NDArray[np.floating], gaps: Gaps, context: Context) -> FittedGnspi:
        """Return the method fitted to a scene; see `Prepares`."""
        stack = stack_references(context.references, image.shape)

        def fit(reference: int) -> ReferenceFit:
            return _fit_reference(stack, reference, image, gaps.usable, self.classes)

        return FittedGnspi(self, tuple(in_threads(fit, range(len(context.references)), context.threads)))

    def fill(self, image: NDArray[np.floating], gaps: Gaps, context: Context) -> Filled:
        """Return the filled image, each tile with its own classes and variograms; see `FillMethod.fill`."""
        mean, std = image.copy(), np.zeros(image.shape, np.float32)
        for tile in range(len(image)):
            one = slice(tile, tile + 1)
            stack = stack_references(context.references, image.shape, one)
            own = Gaps(gaps.missing[one], gaps.usable[one])
            fits = [
                _fit_reference(stack, number, image[one], own.usable, self.classes)
                for number in range(len(context.references))
            ]
            fitted = FittedGnspi(self, tuple(fits))
            fitted.fill_tile(mean[tile], std[tile], image[tile], own, stack, context, context.wanted[one])
        return Filled(mean, std)


class ReferenceFit(NamedTuple):
    """What a scene has in common with a reference.

    Attributes:
        centres: Centre of each class in the reference, `(class, channel)`; none if the reference is useless.
        limit: Largest sum of squared differences of similar pixels.
        slopes: Slope of the regression, `(band, class)`; NaN if the band has no common pixel.
        intercepts: `(band, class)`.
        sills: Sill of the residuals, `(band, class)`.
        nuggets: Nugget of the residuals, `(band, class)`.
        ranges_px: Range of the residuals' variogram, `(band, class)`.
    """

    centres: NDArray[np.float64]
    limit: float
    slopes: NDArray[np.float64]
    intercepts: NDArray[np.float64]
    sills: NDArray[np.float64]
    nuggets: NDArray[np.float64]
    ranges_px: NDArray[np.float64]


@dataclass(frozen=True)
class FittedGnspi:
    """GNSPI fitted to a scene and its references.

    Attributes:
        gnspi: The options.
        fits: The fit to each reference.
    """

    gnspi: Gnspi
    fits: tuple[ReferenceFit, ...]

    @property
    def info(self) -> MethodInfo:
        """The facts about GNSPI."""
        return self.gnspi.info

    def fill(self, image: NDArray[np.floating], gaps: Gaps, context: Context) -> Filled:
        """Return the filled image; see `FillMethod.fill`."""
        mean, std = image.copy(), np.zeros(image.shape, np.float32)
        for tile in range(len(image)):
            one = slice(tile, tile + 1)
            stack = stack_references(context.references, image.shape, one)
            own = Gaps(gaps.missing[one], gaps.usable[one])
            self.fill_tile(mean[tile], std[tile], image[tile], own, stack, context, context.wanted[one])
        return Filled(mean, std)

    def fill_tile(
        self,
        mean: NDArray[np.floating],
        std: NDArray[np.float32],
        image: NDArray[np.floating],
        gaps: Gaps,
        stack: Stack,
        context: Context,
        wanted: tuple[Window, ...],
    ) -> None:
        """Fill a tile in place.

        Args:
            mean: The tile, `(band, row, col)`; its missing pixels are written to.
            std: Standard deviation, of the same shape; written to.
            image: The tile, as it was.
            gaps: `(1, band, row, col)`.
            stack: The references, of one tile.
            context: As in `fill`.
            wanted: The part to fill, or empty for the whole tile.
        """
        missing, usable = gaps.missing[0], gaps.usable[0]
        mean[missing] = std[missing] = np.nan
        part = wanted[0] if wanted else Window(0, 0, *mean.shape[1:])
        pixels = np.ascontiguousarray(np.moveaxis(image, 0, -1))
        left = np.zeros(missing.shape, bool)
        left[:, *part.slices] = missing[:, *part.slices]
        limits = np.array([fit.limit for fit in self.fits])
        for number, fit in enumerate(self.fits):
            if not len(fit.centres):
                continue
            ready = (stack.channels[number] >= 0) & np.isfinite(fit.slopes[:, 0])
            there = left & stack.valid[0, ..., number]
            groups = _bands_that_lose_the_same(ready & there.any(axis=(1, 2)), there, usable)
            if not groups:
                continue
            classes = class_map(stack.values[0][..., stack.channels_of(number)], stack.valid[0, ..., number], fit.centres)
            covariances = _covariances(fit.ranges_px)
            for bands in groups:
                targets = np.argwhere(there[bands[0]])
                of = np.array(bands)

                def fill(start: int) -> None:
                    some = targets[start : start + TARGETS_AT_ONCE]
                    found, variance = np.empty((2, len(some), len(of)))
                    krige_residuals(
                        pixels,
                        usable[of[0]],
                        stack.values[0],
                        stack.valid[0],
                        classes,
                        some,
                        _window(),
                        stack.starts,
                        limits,
                        of,
                        stack.channels[number, of],
                        fit.slopes[of],
                        fit.intercepts[of],
                        fit.sills[of],
                        fit.nuggets[of],
                        covariances[of],
                        self.gnspi.similar_pixels,
                        found,
                        variance,
                    )
                    rows, cols = some.T
                    own = classes[rows, cols]
                    alone = np.isnan(variance)
                    variance = np.where(alone, fit.sills[of][:, own].T, variance)
                    mean[of[:, None], rows, cols] = found.T
                    std[of[:, None], rows, cols] = np.sqrt(variance.T)

                in_threads(fill, range(0, len(targets), TARGETS_AT_ONCE), context.threads)
            left[ready] &= ~stack.valid[0, ..., number]


def _bands_that_lose_the_same(
    bands: NDArray[np.bool_], missing: NDArray[np.bool_], usable: NDArray[np.bool_]
) -> list[list[int]]:
    """Return some bands, grouped by equal planes of missing and usable pixels."""
    groups: list[list[int]] = []
    for band in np.flatnonzero(bands).tolist():
        for group in groups:
            if np.array_equal(missing[band], missing[group[0]]) and np.array_equal(usable[band], usable[group[0]]):
                group.append(band)
                break
        else:
            groups.append([band])
    return groups


@cache
def _window() -> NDArray[np.int64]:
    """Return rows and columns from a pixel to the others of its window, the nearest first."""
    away = np.mgrid[-WINDOW_PX : WINDOW_PX + 1, -WINDOW_PX : WINDOW_PX + 1].reshape(2, -1)
    order = np.lexsort((away[1], away[0], (away**2).sum(axis=0)))
    return np.ascontiguousarray(away.T[order][1:])


def _covariances(ranges_px: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return covariances as a share of the sill, `(band, class, squared distance)`."""
    distances = np.sqrt(np.arange(2 * (2 * WINDOW_PX) ** 2 + 1))
    return np.exp(-3 * distances / ranges_px[..., None])


def _fit_reference(
    stack: Stack, number: int, image: NDArray[np.floating], usable: NDArray[np.bool_], classes: int
) -> ReferenceFit:
    """Return classes, regressions and variograms for a reference.

    Args:
        stack: The references.
        number: The reference.
        image: `(window, band, row, col)`.
        usable: Of the same shape.
        classes: Number of classes.
    """
    places = np.nonzero(stack.valid[..., number])
    seen = stack.values[..., stack.channels_of(number)][places]
    centres = k_means(seen, classes)
    bands, count = image.shape[1], len(centres)
    slopes, intercepts, sills, nuggets = np.full((4, bands, count), np.nan)
    ranges_px = np.full((bands, count), DEFAULT_RANGE_PX)
    limit = 0.0
    if count:
        spread = seen.std(axis=0, ddof=min(1, len(seen) - 1), dtype=np.float64).mean()
        limit = BANDS_OF_THE_PROGRAM * (2 * spread / classes) ** 2
        class_of = nearest_centres(seen, centres)
    tile, row, col = places
    for band in np.flatnonzero(stack.channels[number] >= 0).tolist() if count else ():
        common = usable[tile, band, row, col]
        if not common.any():
            continue
        target = image[tile, band, row, col][common].astype(np.float64)
        reference = seen[common, stack.channels[number, band] - stack.starts[number]].astype(np.float64)
        of = class_of[common]
        at = np.stack([one[common] for one in places], axis=1)
        for own in range(count):
            inside = of == own
            some = inside if inside.sum() >= 2 else np.ones_like(inside)
            slopes[band, own], intercepts[band, own] = _line(reference[some], target[some])
            residual = target - (intercepts[band, own] + slopes[band, own] * reference)
            model = _residual_variogram(residual[inside], at[inside], float(residual[some].var()))
            sills[band, own], nuggets[band, own], ranges_px[band, own] = model
    return ReferenceFit(centres, limit, slopes, intercepts, sills, nuggets, ranges_px)


def _line(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """Return slope and intercept of the least squares line; slope 0 if all `x` are equal."""
    centred = x - x.mean()
    square = float(centred @ centred)
    slope = float(centred @ (y - y.mean())) / square if square > 0 else 0.0
    return slope, float(y.mean() - slope * x.mean())


def _residual_variogram(
    residual: NDArray[np.float64], places: NDArray[np.int64], variance: float
) -> tuple[float, float, float]:
    """Return sill, nugget and range of an exponential variogram.

    As in the authors' program, the sill is the total sill and the nugget is added to it once more.

    Args:
        residual: Residuals of a class.
        places: Window, row and column of each, `(pixel, 3)`.
        variance: Sill of a class with too few pixels for a variogram.
    """
    if len(residual) < VARIOGRAM_PIXELS:
        return variance, 0.0, DEFAULT_RANGE_PX
    some = draw(len(residual), VARIOGRAM_PIXELS, np.random.default_rng(0))
    one, other = np.triu_indices(len(some), 1)
    away = (places[some][one] - places[some][other]).astype(np.float64)
    distance = np.where(away[:, 0] == 0, np.hypot(away[:, 1], away[:, 2]), np.inf)
    near = distance < BIN_PX * BINS
    of = (distance[near] / BIN_PX).astype(np.int64)
    squares = 0.5 * (residual[some][one[near]] - residual[some][other[near]]) ** 2
    pairs = np.bincount(of, minlength=BINS)
    known = np.flatnonzero(pairs)
    gamma = np.bincount(of, squares, BINS)[known] / pairs[known]
    distances = np.bincount(of, distance[near], BINS)[known] / pairs[known]
    if not len(known) or not (gamma > 0).all():
        return variance, 0.0, DEFAULT_RANGE_PX
    return _fit_exponential(distances, gamma, pairs[known])


def _fit_exponential(
    distances: NDArray[np.float64], gamma: NDArray[np.float64], pairs: NDArray[np.int64]
) -> tuple[float, float, float]:
    """Return total sill, nugget and range that fit semivariances best, with weights pairs / gamma²."""
    from scipy.optimize import least_squares

    top = gamma.max()
    shares = gamma / top
    root = np.sqrt(pairs) / shares

    def misfit(model: NDArray[np.float64]) -> NDArray[np.float64]:
        partial, nugget, range_px = model
        return root * (nugget + partial * (1 - np.exp(-3 * distances / range_px)) - shares)

    found = least_squares(
        misfit, (1.0, 0.01, DEFAULT_RANGE_PX), bounds=((0, 0, RANGES_PX[0]), (np.inf, np.inf, RANGES_PX[1])), x_scale=(1, 1, DEFAULT_RANGE_PX)
    )
    partial, nugget, range_px = (float(value) for value in found.x)
    return (partial + nugget) * top, nugget * top, range_px
