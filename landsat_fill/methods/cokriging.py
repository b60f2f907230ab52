"""Cokriging: kriging that also uses what the other bands show where one of them is missing.

Differences, not numbers: what bands have in common over kilometres says little of the few pixels of a gap.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from landsat_fill.methods.kriging import HALO_PX, FittedKriging, Kriging, kriging_weights
from landsat_fill.methods.method import Context, MethodInfo
from landsat_fill.methods.neighbourhoods import find_neighbourhoods, local_roughness
from landsat_fill.scene import Gaps, Window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray


AROUND_PX = 33
"""Side of the square that a regression is taken from: one scan period, which holds both sides of any gap."""

PRIOR_PAIRS = 20
"""Pairs of pixels that the scene's covariances count for beside those around. Of 20 and 100, squares of 17
and 33 pixels, and the scene's covariances alone, on crops of training scenes, none differs by a hundredth."""

RIDGE = 1e-3
"""Share added to each band's variance, so that bands that are alike to the last digit do no harm."""


class BandRegression(NamedTuple):
    """A regression at each of some pixels.

    Attributes:
        slopes: On each of the other bands, `(pixel, other)`.
        unexplained: The share of the band's variance that the others don't explain, `(pixel,)`.
    """

    slopes: NDArray[np.float64]
    unexplained: NDArray[np.float64]


def overall_covariances(image: NDArray[np.floating], usable: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the mean products of all bands' differences between neighbours, `(band, band)`.

    0 for two bands that are never usable together.

    Args:
        image: Windows, `(window, band, row, col)`.
        usable: What may be looked at.
    """
    count = image.shape[1]
    sums, pairs = np.zeros((count, count)), np.zeros((count, count))
    for values, known in zip(image, usable, strict=True):
        for steps, both in _steps(np.where(known, values, 0).astype(np.float64), known):
            flat, seen = steps.reshape(count, -1), both.reshape(count, -1).astype(np.float64)
            sums += flat @ flat.T
            pairs += seen @ seen.T
    return sums / np.maximum(pairs, 1)


def regression_at(
    targets: NDArray[np.int64],
    values: NDArray[np.float64],
    usable: NDArray[np.bool_],
    overall: NDArray[np.float64],
) -> BandRegression:
    """Return the regression of the first band on the others around each of some pixels.

    Args:
        targets: Rows and columns, `(pixel, 2)`.
        values: `(band, row, col)`, finite.
        usable: Where all of them are usable, `(row, col)`.
        overall: Their covariances in the whole scene, `(band, band)`.
    """
    import cv2

    count = len(values)
    rows, cols = targets.T

    def around(plane: NDArray[np.float64]) -> NDArray[np.float64]:
        size = (AROUND_PX, AROUND_PX)
        total = cv2.boxFilter(plane, -1, size, normalize=False, borderType=cv2.BORDER_CONSTANT)
        return np.asarray(total[rows, cols], np.float64)

    found = list(_steps(values, np.broadcast_to(usable, values.shape)))
    pairs = around(np.sum([both[0] for _, both in found], axis=0, dtype=np.float64))
    # In units of each band's own spread: products of reflectances are tiny.
    spread = np.sqrt(np.where(np.diag(overall) > 0, np.diag(overall), 1.0))
    moments = np.empty((len(targets), count, count))
    for one in range(count):
        for other in range(one, count):
            products = around(np.sum([steps[one] * steps[other] for steps, _ in found], axis=0))
            mean = (products + PRIOR_PAIRS * overall[one, other]) / (pairs + PRIOR_PAIRS)
            moments[:, one, other] = moments[:, other, one] = mean / (spread[one] * spread[other])
    own, shared, others = moments[:, 0, 0], moments[:, 0, 1:], moments[:, 1:, 1:]
    ridge = RIDGE * np.maximum(np.einsum("poo->po", others), RIDGE)
    slopes = np.linalg.solve(others + ridge[:, :, None] * np.eye(count - 1), shared[..., None])[..., 0]
    left = own - 2 * np.einsum("po,po->p", slopes, shared) + np.einsum("po,poq,pq->p", slopes, others, slopes)
    unexplained = np.clip(left / np.where(own > 0, own, 1.0), 0, 1)
    return BandRegression(slopes * spread[0] / spread[1:], unexplained)


def _steps(
    values: NDArray[np.float64], usable: NDArray[np.bool_]
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.bool_]]]:
    """Yield each pixel's difference to the next, 0 where not both are usable, and where they are.

    Once down and once to the right; both `(band, row, col)`.
    """
    for axis in (1, 2):
        here: list[slice] = [slice(None)] * 3
        there: list[slice] = [slice(None)] * 3
        here[axis], there[axis] = slice(0, -1), slice(1, None)
        both = np.zeros(values.shape, np.bool_)
        both[tuple(here)] = usable[tuple(here)] & usable[tuple(there)]
        steps = np.zeros(values.shape)
        steps[tuple(here)] = values[tuple(there)] - values[tuple(here)]
        yield steps * both, both


LEAST_EVIDENCE = 100
"""Pixels that some bands must share before the one is told from the others."""


@dataclass(frozen=True)
class Cokriging(Kriging):
    """Kriging, and where other bands are observed the correction that their own kriging errors call for.

    Stripes of one band lie up to a row off those of another, and a band may be lost where others aren't. At
    such a pixel the others are kriged, too, from the very neighbours the missing band is kriged from; how far
    they turn out to be off tells, by a regression taken around, how far it is. That is collocated cokriging
    with bands whose variograms are proportional, as those of one land cover nearly are.

    Where no other band is observed it is kriging.

    Source: Chilès and Delfiner 2012, Geostatistics, doi:10.1002/9781118136188 (section 5.5: the intrinsic
    model; 5.6.3: collocated cokriging).
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="cokriging",
        summary="kriging that also uses the bands that are observed where one is missing",
        source="Chilès and Delfiner 2012, Geostatistics, doi:10.1002/9781118136188",
        halo_px=HALO_PX,
        gives_std=True,
    )

    def prepare(self, image: NDArray[np.floating], gaps: Gaps, context: Context) -> FittedCokriging:
        """Return the method with what it knows of a scene's bands; see `Prepares`."""
        fitted = super().prepare(image, gaps, context)
        return FittedCokriging(self, fitted.bands, overall_covariances(image, gaps.usable))


@dataclass(frozen=True)
class FittedCokriging(FittedKriging):
    """Cokriging that knows the bands of a scene.

    Attributes:
        covariances: Of the bands' differences between neighbours, `(band, band)`.
    """

    covariances: NDArray[np.float64]

    def fill_into(
        self,
        mean: NDArray[np.floating],
        std: NDArray[np.float32],
        gaps: Gaps,
        context: Context,
        wanted: tuple[Window, ...],
    ) -> None:
        """Fill tiles; see `FittedKriging.fill_into`."""
        super().fill_into(mean, std, gaps, context, wanted)

        def correct(place: tuple[int, int]) -> None:
            tile, band = place
            part = wanted[tile] if wanted else Window(0, 0, *mean.shape[2:])
            own = Gaps(gaps.missing[tile], gaps.usable[tile])
            self._correct_band(mean[tile], std[place], own, band, part)

        with ThreadPoolExecutor(max(1, context.threads)) as pool:
            list(pool.map(correct, np.ndindex(*mean.shape[:2])))

    def _correct_band(
        self, image: NDArray[np.floating], std: NDArray[np.float32], gaps: Gaps, band: int, part: Window
    ) -> None:
        """Krige a band once more, where others are observed and tell it better than its own neighbours.

        Args:
            image: The bands, `(band, row, col)`; missing pixels of one are written to.
            std: The standard deviation of that band, `(row, col)`; likewise.
            gaps: Cubes of the image's shape.
            band: Which.
            part: Which pixels are wanted.
        """
        roughness: NDArray[np.float64] | None = None
        for others, targets in _by_other_bands(gaps, band, part):
            bands = [band, *others]
            usable: NDArray[np.bool_] = np.logical_and.reduce(gaps.usable[bands])
            if np.count_nonzero(usable) < LEAST_EVIDENCE:
                continue
            levels = [float(image[one][gaps.usable[one]].mean(dtype=np.float64)) for one in bands]
            values = np.stack(
                [
                    np.where(gaps.usable[one], image[one], level) - level
                    for one, level in zip(bands, levels, strict=True)
                ]
            ).astype(np.float64)
            if roughness is None:
                roughness = local_roughness(values[0], gaps.usable[band], self.bands[band].roughness)
            fitted = regression_at(targets, values, usable, self.covariances[np.ix_(bands, bands)])
            number = np.full(usable.shape, -1, np.int64)
            number[tuple(targets.T)] = np.arange(len(targets))
            most = self.kriging.neighbours
            for near in find_neighbourhoods(
                usable,
                targets,
                most=most,
                most_a_quadrant=-(-most // 4) if self.kriging.quadrants else most,
                radius_px=self.info.halo_px,
            ):
                solved = kriging_weights(near, self.bands[band].variogram)
                rows, cols = near.targets.T
                own = number[rows, cols]
                kriged = [near.sums(plane, solved.weights) for plane in values]
                found = levels[0] + kriged[0]
                for other, slope in enumerate(fitted.slopes[own].T, start=1):
                    found += slope * (values[other][rows, cols] - kriged[other])
                error = roughness[rows, cols] * np.sqrt(fitted.unexplained[own] * solved.variance[near.kind])
                better = error < std[rows, cols]
                at = rows[better], cols[better]
                image[band][at], std[at] = found[better], error[better]


def _by_other_bands(
    gaps: Gaps, band: int, part: Window
) -> Iterator[tuple[tuple[int, ...], NDArray[np.int64]]]:
    """Yield sets of other bands, and the missing pixels of a band where just these are usable."""
    others = [one for one in range(len(gaps.usable)) if one != band]
    targets = np.argwhere(gaps.missing[band][part.slices]) + np.array([part.row, part.col])
    if not len(targets) or not others:
        return
    rows, cols = targets.T
    known = np.stack([gaps.usable[one][rows, cols] for one in others], axis=1)
    sets, which = np.unique(known, axis=0, return_inverse=True)
    for number, chosen in enumerate(sets):
        if chosen.any():
            there = which.reshape(-1) == number
            yield (
                tuple(one for one, there_too in zip(others, chosen, strict=True) if there_too),
                targets[there],
            )
