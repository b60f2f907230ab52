"""CLEAR: class regressions on all other dates, and the residuals of similar pixels."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from landsat_fill.methods.kernels.date_loops import compensate_residuals
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
from landsat_fill.methods.neighbourhoods import disc
from landsat_fill.scene import Filled, Gaps, Window
from landsat_fill.schema import option

if TYPE_CHECKING:
    from numpy.typing import NDArray


RADIUS_PX = 50
"""Farthest similar pixel: the window of 101 pixels in the authors' experiment, like the 8 classes."""

SAMPLED_PIXELS = 2**18
"""Largest number of pixels of a scene that the regressions are fitted to."""

LEAST_PIXELS_A_CLASS = 30
"""Dates without this number of common pixels for each class, on average, are used without the last of them."""

TARGETS_AT_ONCE = 4096
"""Pixels that a thread fills at once."""


@dataclass(frozen=True)
class Clear:
    """Class-based linear regression and residual compensation.

    All references together are divided into classes by k-means. A linear regression for each class and band
    predicts the image from that band on all dates. Then a weighted mean of the residuals of similar pixels is
    added to the prediction. Similar pixels are the nearest usable pixels of the class that differ least on the
    other dates; a date counts more if its regression coefficient is larger. Weights decrease with the
    difference and with the squared distance. The authors scale distances to 1 to 2. This hardly favours the
    near side of a gap, unless residuals are filled from the border of the gap inwards, as in their slower form.

    The authors fill gaps in the references by interpolation in time. Here each pixel uses the references
    that are usable there, with classes and regressions of its own for each combination of references. A
    combination with few common pixels loses its last references.

    Source: Guo et al. 2026, CLEAR: a fast cloud removal method for optical remote sensing images combining
    class-based linear regression and iterative residual compensation, doi:10.1109/TGRS.2026.3651961, and the
    authors' code (https://github.com/HoucaiGuo/CLEAR-code, CC0), in its form with a k-d tree.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="clear",
        summary="class regressions on all other dates, and the residuals of similar pixels",
        source="Guo et al. 2026, CLEAR: a fast cloud removal method for optical remote sensing images combining "
        "class-based linear regression and iterative residual compensation, doi:10.1109/TGRS.2026.3651961",
        halo_px=RADIUS_PX,
        needs_references=True,
    )

    classes: int = option(8, "number of land classes in the references", low=1, high=100)
    nearest_pixels: int = option(60, "usable pixels of the class that are compared for each fill", low=1, high=500)
    similar_pixels: int = option(20, "number of them that are used, the most similar ones", low=1, high=500)

    def prepare(self, image: NDArray[np.floating], gaps: Gaps, context: Context) -> FittedClear:
        """Return the method with a sample of a scene's common pixels; see `Prepares`."""
        return FittedClear(self, _sample(image, gaps.usable, stack_references(context.references, image.shape)))

    def fill(self, image: NDArray[np.floating], gaps: Gaps, context: Context) -> Filled:
        """Return the filled image, each tile with its own classes; see `FillMethod.fill`."""
        return fill_unprepared(self.prepare, image, gaps, context)


class Samples(NamedTuple):
    """Pixels that a scene and its references have in common.

    Attributes:
        image: `(pixel, band)`.
        usable: `(pixel, band)`.
        values: The references, `(pixel, channel)`.
        valid: `(pixel, reference)`.
        starts: As in `Stack`.
        channels: As in `Stack`.
    """

    image: NDArray[np.float64]
    usable: NDArray[np.bool_]
    values: NDArray[np.float32]
    valid: NDArray[np.bool_]
    starts: NDArray[np.int64]
    channels: NDArray[np.int64]


def _sample(image: NDArray[np.floating], usable: NDArray[np.bool_], stack: Stack) -> Samples:
    tile, row, col = np.nonzero(usable.any(axis=1) & stack.valid.any(axis=-1))
    some = draw(len(tile), SAMPLED_PIXELS, np.random.default_rng(0))
    tile, row, col = tile[some], row[some], col[some]
    known = usable[tile, :, row, col]
    values = np.where(known, image[tile, :, row, col], 0).astype(np.float64)
    return Samples(
        values, known, stack.values[tile, row, col], stack.valid[tile, row, col], stack.starts, stack.channels
    )


class Fit(NamedTuple):
    """Classes and regressions for a combination of references.

    Attributes:
        references: The references.
        together: All channels of these references.
        channels: The channels that match each band of the image, `(band, date)`; -1 for none.
        centres: `(class, channel)`, in the channels of `together`.
        importance: How much a difference in a channel counts: the size of its slope, `(class, channel)`.
        slopes: `(band, class, date)`.
        intercepts: `(band, class)`; NaN for a band that can't be filled.
    """

    references: tuple[int, ...]
    together: NDArray[np.int64]
    channels: NDArray[np.int64]
    centres: NDArray[np.float64]
    importance: NDArray[np.float64]
    slopes: NDArray[np.float64]
    intercepts: NDArray[np.float64]

    @property
    def can_fill(self) -> NDArray[np.bool_]:
        """Whether each band of the image has a regression."""
        return np.asarray(np.isfinite(self.intercepts).any(axis=1))


@dataclass(frozen=True)
class FittedClear:
    """CLEAR with the common pixels of a scene and its references.

    Attributes:
        clear: The options.
        samples: Common pixels.
        fits: The fits to combinations of references so far.
    """

    clear: Clear
    samples: Samples
    fits: dict[tuple[int, ...], Fit] = field(default_factory=dict)

    @property
    def info(self) -> MethodInfo:
        """The facts about CLEAR."""
        return self.clear.info

    def fill(self, image: NDArray[np.floating], gaps: Gaps, context: Context) -> Filled:
        """Return the filled image; see `FillMethod.fill`."""
        mean = image.copy()
        for tile in range(len(image)):
            one = slice(tile, tile + 1)
            stack = stack_references(context.references, image.shape, one)
            own = Gaps(gaps.missing[one], gaps.usable[one])
            self.fill_tile(mean[tile], image[tile], own, stack, context, context.place(tile).wanted)
        return Filled(mean)

    def fill_tile(
        self,
        mean: NDArray[np.floating],
        image: NDArray[np.floating],
        gaps: Gaps,
        stack: Stack,
        context: Context,
        wanted: Window | None,
    ) -> None:
        """Fill a tile in place.

        Args:
            mean: The tile, `(band, row, col)`; its missing pixels are written to.
            image: The tile, as it was.
            gaps: `(1, band, row, col)`.
            stack: The references, of one tile.
            context: As in `fill`.
            wanted: The part to fill, or None for the whole tile.
        """
        missing, usable = gaps.missing[0], gaps.usable[0]
        mean[missing] = np.nan
        part = wanted or Window(0, 0, *mean.shape[1:])
        left = np.zeros_like(missing)
        left[:, *part.slices] = missing[:, *part.slices]
        pixels = np.ascontiguousarray(np.moveaxis(image, 0, -1), np.float64)
        for fit, where in self._fits_of(stack.valid[0], left.any(axis=0)):
            there = left & where & fit.can_fill[:, None, None]
            if not there.any():
                continue
            valid = stack.valid[0][..., list(fit.references)].all(axis=-1)
            classes = class_map(stack.values[0][..., fit.together], valid, fit.centres)
            for group in bands_that_lose_the_same(there, usable):
                bands = np.array(group)
                targets = np.ascontiguousarray(np.argwhere(there[group[0]]))
                chunks = [targets[start : start + TARGETS_AT_ONCE] for start in range(0, len(targets), TARGETS_AT_ONCE)]
                usable_there = np.ascontiguousarray(usable[group[0]])
                work = partial(self._compensate, pixels, usable_there, stack, classes, fit, bands)
                for some, found in zip(chunks, in_threads(work, chunks, context.threads), strict=True):
                    mean[bands[:, None], *some.T] = found.T

    def _compensate(
        self,
        pixels: NDArray[np.floating],
        usable: NDArray[np.bool_],
        stack: Stack,
        classes: NDArray[np.int8],
        fit: Fit,
        bands: NDArray[np.int64],
        targets: NDArray[np.int64],
    ) -> NDArray[np.float64]:
        """Return the fill of target pixels, `(target, band)`; see `compensate_residuals`."""
        mean = np.empty((len(targets), len(bands)))
        compensate_residuals(
            pixels,
            usable,
            stack.values[0],
            classes,
            targets,
            disc(RADIUS_PX),
            bands,
            fit.channels[bands],
            fit.slopes[bands],
            fit.intercepts[bands],
            fit.together,
            fit.importance,
            self.clear.nearest_pixels,
            self.clear.similar_pixels,
            mean,
        )
        return mean

    def _fits_of(self, valid: NDArray[np.bool_], targets: NDArray[np.bool_]) -> list[tuple[Fit, NDArray[np.bool_]]]:
        """Return the fits that fill target pixels, and where each does, `(row, col)`."""
        found: dict[tuple[int, ...], NDArray[np.bool_]] = {}
        for combination in np.unique(valid[targets], axis=0):
            references = self._enough(tuple(np.flatnonzero(combination).tolist()))
            if references:
                there = targets & (valid == combination).all(axis=-1)
                found[references] = found[references] | there if references in found else there
        for references in found:
            if references not in self.fits:
                self.fits[references] = self._fit(references)
        return [(self.fits[references], where) for references, where in sorted(found.items())]

    def _enough(self, references: tuple[int, ...]) -> tuple[int, ...]:
        """Return the references without the last ones if they have few common pixels; empty without any."""

        def common(some: tuple[int, ...]) -> int:
            return int(self.samples.valid[:, some].all(axis=1).sum())

        singles = [(one,) for one in references]
        for some in (*(references[:end] for end in range(len(references), 1, -1)), *singles):
            if common(some) >= LEAST_PIXELS_A_CLASS * self.clear.classes:
                return some
        return next((one for one in singles if common(one)), ())

    def _fit(self, references: tuple[int, ...]) -> Fit:
        """Return classes and regressions for some references, which have common pixels."""
        samples = self.samples
        common = samples.valid[:, references].all(axis=1)
        together = np.concatenate([np.arange(*samples.starts[one : one + 2]) for one in references])
        seen = samples.values[common][:, together]
        centres = k_means(seen, self.clear.classes)
        class_of = nearest_centres(seen, centres)
        channels = samples.channels[list(references)].T
        bands, dates = channels.shape
        slopes = np.zeros((bands, len(centres), dates))
        intercepts = np.full((bands, len(centres)), np.nan)
        apart = np.abs(centres[:, None] - centres).sum(axis=-1)
        for band in range(bands):
            matched = np.flatnonzero(channels[band] >= 0)
            known = samples.usable[common, band]
            if not len(matched) or not known.any():
                continue
            dates_seen = samples.values[common][known][:, channels[band, matched]].astype(np.float64)
            target, of = samples.image[common, band][known], class_of[known]
            there = np.unique(of)
            for own in range(len(centres)):
                # A class without a common pixel takes the regression of the most similar class.
                inside = of == there[apart[own, there].argmin()]
                slopes[band, own, matched], intercepts[band, own] = _plane(dates_seen[inside], target[inside])
        importance = np.zeros(centres.shape)
        for band, date in np.argwhere(channels >= 0):
            importance[:, together == channels[band, date]] += np.abs(slopes[band, :, date, None])
        return Fit(references, together, np.ascontiguousarray(channels), centres, importance, slopes, intercepts)


def _plane(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Return slopes and intercept of the least squares plane; of equally good ones the least steep.

    Args:
        x: `(pixel, date)`.
        y: `(pixel,)`.
    """
    centre = x.mean(axis=0)
    slopes = np.linalg.lstsq(x - centre, y - y.mean())[0]
    return slopes, float(y.mean() - centre @ slopes)
