"""GNSPI: class regressions on another date, and residuals kriged from similar pixels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from landsat_fill.methods.kernels.date_loops import krige_residuals
from landsat_fill.methods.land_classes import (
    Stack,
    bands_that_lose_the_same,
    class_map,
    draw,
    k_means,
    nearest_centres,
    stack_references,
)
from landsat_fill.methods.method import Context, MethodInfo, fill_unprepared, in_threads
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

ROUNDING = 4 * float(np.finfo(np.float32).eps)
"""A regression with relative errors up to this is exact."""

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
    An exact regression is taken as it is.
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
        return fill_unprepared(self.prepare, image, gaps, context)


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

    @property
    def can_fill(self) -> NDArray[np.bool_]:
        """Whether each band of the image has a regression."""
        return np.asarray(np.isfinite(self.slopes).any(axis=1))


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
            self.fill_tile(mean[tile], std[tile], image[tile], own, stack, context, context.place(tile).wanted)
        return Filled(mean, std)

    def fill_tile(
        self,
        mean: NDArray[np.floating],
        std: NDArray[np.float32],
        image: NDArray[np.floating],
        gaps: Gaps,
        stack: Stack,
        context: Context,
        wanted: Window | None,
    ) -> None:
        """Fill a tile in place.

        Args:
            mean: The filled tile, `(band, row, col)`; missing pixels are changed in place.
            std: Standard deviations, same shape; changed in place.
            image: The tile before filling.
            gaps: `(1, band, row, col)`.
            stack: The references for this tile.
            context: As in `fill`.
            wanted: The part to fill, or None for the whole tile.
        """
        missing, usable = gaps.missing[0], gaps.usable[0]
        mean[missing] = std[missing] = np.nan
        part = wanted or Window(0, 0, *mean.shape[1:])
        left = np.zeros_like(missing)
        left[:, *part.slices] = missing[:, *part.slices]
        pixels = np.ascontiguousarray(np.moveaxis(image, 0, -1), np.float64)
        for number, fit in enumerate(self.fits):
            valid = stack.valid[0, ..., number]
            there = left & valid & fit.can_fill[:, None, None]
            if not there.any():
                continue
            classes = class_map(stack.values[0][..., stack.channels_of(number)], valid, fit.centres)
            for bands in bands_that_lose_the_same(there, usable):
                targets = np.ascontiguousarray(np.argwhere(there[bands[0]]))
                chunks = [targets[start : start + TARGETS_AT_ONCE] for start in range(0, len(targets), TARGETS_AT_ONCE)]
                usable_there = np.ascontiguousarray(usable[bands[0]])
                work = partial(self._krige, pixels, usable_there, stack, number, classes, np.array(bands))
                for some, (found, error) in zip(chunks, in_threads(work, chunks, context.threads), strict=True):
                    rows, cols = some.T
                    mean[np.array(bands)[:, None], rows, cols] = found.T
                    std[np.array(bands)[:, None], rows, cols] = error.T
            left &= ~there

    def _krige(
        self,
        pixels: NDArray[np.floating],
        usable: NDArray[np.bool_],
        stack: Stack,
        number: int,
        classes: NDArray[np.int8],
        bands: NDArray[np.int64],
        targets: NDArray[np.int64],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return mean and standard deviation of target pixels, `(target, band)`; see `krige_residuals`."""
        fit = self.fits[number]
        mean, variance = np.empty((2, len(targets), len(bands)))
        krige_residuals(
            pixels,
            usable,
            stack.values[0],
            stack.valid[0],
            classes,
            targets,
            _window(),
            stack.starts,
            np.array([one.limit for one in self.fits]),
            bands,
            stack.channels[number, bands],
            fit.slopes[bands],
            fit.intercepts[bands],
            fit.sills[bands],
            fit.nuggets[bands],
            _covariances(fit.ranges_px[bands]),
            self.gnspi.similar_pixels,
            mean,
            variance,
        )
        own = classes[targets[:, 0], targets[:, 1]]
        return mean, np.sqrt(np.where(np.isnan(variance), fit.sills[bands][:, own].T, variance))


@cache
def _window() -> NDArray[np.int64]:
    """Return rows and columns from a pixel to the others of its window, the nearest first."""
    away = np.mgrid[-WINDOW_PX : WINDOW_PX + 1, -WINDOW_PX : WINDOW_PX + 1].reshape(2, -1)
    order = np.lexsort((away[1], away[0], (away**2).sum(axis=0)))
    return np.ascontiguousarray(away.T[order][1:])


def _covariances(ranges_px: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return covariances as a share of the sill, `(band, class, squared distance)`."""
    distances = np.sqrt(np.arange(2 * (2 * WINDOW_PX) ** 2 + 1))
    return np.asarray(np.exp(-3 * distances / ranges_px[..., None]), np.float64)


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
            sizes = np.abs(target[some]).max() + abs(slopes[band, own]) * np.abs(reference[some]).max()
            if np.abs(residual[some]).max() <= ROUNDING * sizes:
                sills[band, own] = nuggets[band, own] = 0.0
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
    from scipy.spatial.distance import pdist

    if len(residual) < VARIOGRAM_PIXELS:
        return variance, 0.0, DEFAULT_RANGE_PX
    some = draw(len(residual), VARIOGRAM_PIXELS, np.random.default_rng(0))
    longest = BIN_PX * BINS
    distance = pdist(places[some] * np.array([longest, 1, 1]))
    near = distance < longest
    distance = distance[near]
    squares = pdist(residual[some, None], "sqeuclidean")[near]
    of = (distance / BIN_PX).astype(np.int64)
    pairs = np.bincount(of, minlength=BINS)
    known = np.flatnonzero(pairs)
    gamma = np.bincount(of, 0.5 * squares, BINS)[known] / pairs[known]
    distances = np.bincount(of, distance, BINS)[known] / pairs[known]
    if not len(known) or not (gamma > 0).all():
        return variance, 0.0, DEFAULT_RANGE_PX
    return _fit_exponential(distances, gamma, pairs[known])


def _fit_exponential(
    distances: NDArray[np.float64], gamma: NDArray[np.float64], pairs: NDArray[np.int64]
) -> tuple[float, float, float]:
    """Return total sill, nugget and range that fit semivariances best, with weights pairs / gamma²."""
    from scipy.optimize import least_squares

    top = float(gamma.max())
    shares = gamma / top
    root = np.sqrt(pairs) / shares

    def misfit(model: NDArray[np.float64]) -> NDArray[np.float64]:
        partial, nugget, range_px = model
        return np.asarray(root * (nugget + partial * (1 - np.exp(-3 * distances / range_px)) - shares))

    found = least_squares(
        misfit,
        (1.0, 0.01, DEFAULT_RANGE_PX),
        bounds=((0, 0, RANGES_PX[0]), (np.inf, np.inf, RANGES_PX[1])),
        x_scale=(1, 1, DEFAULT_RANGE_PX),
    )
    partial, nugget, range_px = (float(value) for value in found.x)
    return (partial + nugget) * top, nugget * top, range_px
