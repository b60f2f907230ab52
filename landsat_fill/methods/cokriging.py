"""Cokriging: kriging that also uses the other bands at pixels where a band is missing.

The relation between bands is taken from differences of adjacent pixels. Their values have correlations over
kilometres, which don't apply to the few pixels of a gap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from landsat_fill.methods.kriging import HALO_PX, FittedKriging, Kriging, kriging_weights
from landsat_fill.methods.method import Context, MethodInfo, in_threads
from landsat_fill.methods.neighbourhoods import AROUND_PX, local_roughness
from landsat_fill.scene import Gaps, Window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray


PRIOR_PAIRS = 20
"""The scene's covariances count as much as this number of local pairs of pixels. On crops of training scenes,
20 and 100 pairs, squares of 17 and 33 pixels, and the scene alone differ by less than 1 %."""

RIDGE = 1e-3
"""Share added to each band's variance, so that identical bands don't make the system singular."""

LEAST_PIXELS = 100
"""Least number of pixels at which all bands of a regression are usable."""


class BandRegression(NamedTuple):
    """A regression of one band on others, at each of some pixels.

    Attributes:
        slopes: Slope for each other band, `(pixel, other)`.
        unexplained: Share of the band's variance that the others don't explain, `(pixel,)`.
    """

    slopes: NDArray[np.float64]
    unexplained: NDArray[np.float64]


def overall_covariances(image: NDArray[np.floating], usable: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the covariances of differences between adjacent pixels, `(band, band)`.

    The covariance is 0 for two bands that are never usable together.

    Args:
        image: Windows, `(window, band, row, col)`.
        usable: Usable pixels, of the same shape.
    """
    count = image.shape[1]
    sums, pairs = np.zeros((count, count)), np.zeros((count, count))
    for values, known in zip(image, usable, strict=True):
        for steps, both in _steps(np.where(known, values, 0).astype(np.float64), known):
            flat, counted = steps.reshape(count, -1), both.reshape(count, -1).astype(np.float64)
            sums += flat @ flat.T
            pairs += counted @ counted.T
    return sums / np.maximum(pairs, 1)


def regression_at(
    targets: NDArray[np.int64], values: NDArray[np.float64], usable: NDArray[np.bool_], overall: NDArray[np.float64]
) -> BandRegression:
    """Return the regression of the first band on the others, from the pixels around each target.

    Args:
        targets: Rows and columns, `(pixel, 2)`.
        values: `(band, row, col)`, finite.
        usable: Pixels at which all bands are usable, `(row, col)`.
        overall: Covariances of the bands in the whole scene, `(band, band)`.
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
    # In units of each band's spread, because products of reflectances are tiny.
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
    """Yield differences to the next pixel, 0 unless both are usable, and whether they are: down, then right.

    Both arrays are `(band, row, col)`.
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


@dataclass(frozen=True)
class Cokriging(Kriging):
    """Kriging, with a correction from the kriging errors of bands that are observed at the pixel.

    Stripes of one band lie up to a row off those of another, so one band may be missing where others are
    observed. At such a pixel the other bands are kriged from the same neighbours, and their errors are known.
    A local regression predicts the error of the missing band from them. This is collocated cokriging of bands
    with proportional variograms, which is nearly true within one land cover.

    Where no other band is observed, the fill is that of kriging.

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
        """Return the method fitted to the bands of a scene; see `Prepares`."""
        fitted = super().prepare(image, gaps, context)
        return FittedCokriging(self, fitted.bands, overall_covariances(image, gaps.usable))


@dataclass(frozen=True)
class FittedCokriging(FittedKriging):
    """Cokriging fitted to the bands of a scene.

    Attributes:
        covariances: Covariances of differences between adjacent pixels, `(band, band)`.
    """

    covariances: NDArray[np.float64]

    def fill_into(self, mean: NDArray[np.floating], std: NDArray[np.float32], gaps: Gaps, context: Context) -> None:
        """Fill tiles; see `FittedKriging.fill_into`."""
        super().fill_into(mean, std, gaps, context)

        def correct(place: tuple[int, int]) -> None:
            tile, band = place
            part = context.place(tile).wanted or Window(0, 0, *mean.shape[2:])
            own = Gaps(gaps.missing[tile], gaps.usable[tile])
            self._correct_band(mean[tile], std[place], own, band, part)

        in_threads(correct, np.ndindex(*mean.shape[:2]), context.threads)

    def _correct_band(
        self, image: NDArray[np.floating], std: NDArray[np.float32], gaps: Gaps, band: int, part: Window
    ) -> None:
        """Correct a band at pixels where other bands are observed, if that reduces the standard deviation.

        Args:
            image: The bands, `(band, row, col)`; missing pixels of the corrected band are written to.
            std: Standard deviation of the corrected band, `(row, col)`; likewise.
            gaps: Cubes of the image's shape.
            band: Number of the corrected band.
            part: The wanted pixels.
        """
        roughness: NDArray[np.float64] | None = None
        for others, targets in _by_other_bands(gaps, band, part):
            bands = [band, *others]
            usable: NDArray[np.bool_] = np.logical_and.reduce(gaps.usable[bands])
            if np.count_nonzero(usable) < LEAST_PIXELS:
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
            for near in self.neighbourhoods(usable, targets):
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


def _by_other_bands(gaps: Gaps, band: int, part: Window) -> Iterator[tuple[tuple[int, ...], NDArray[np.int64]]]:
    """Yield sets of other bands, each with the missing pixels of a band at which exactly these are usable."""
    others = [one for one in range(len(gaps.usable)) if one != band]
    targets = np.argwhere(gaps.missing[band][part.slices]) + np.array([part.row, part.col])
    if not len(targets) or not others:
        return
    rows, cols = targets.T
    known = np.stack([gaps.usable[one][rows, cols] for one in others], axis=1)
    sets, which = np.unique(known, axis=0, return_inverse=True)
    for number, chosen in enumerate(sets):
        if chosen.any():
            bands = tuple(other for other, is_usable in zip(others, chosen, strict=True) if is_usable)
            yield bands, targets[which.reshape(-1) == number]
