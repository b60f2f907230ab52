"""Cokriging: kriging that also uses the other bands at pixels where a band is missing.

The relation between bands is taken from differences of adjacent pixels. Their values have correlations over
kilometres, which don't apply to the few pixels of a gap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np

from landsat_fill.methods.kriging import HALO_PX, FittedKriging, Kriging, kriging_weights
from landsat_fill.methods.method import Context, MethodInfo, in_threads
from landsat_fill.methods.neighbourhoods import AROUND_PX, local_roughness, neighbour_steps
from landsat_fill.methods.reference_order import FurtherBands, further_bands
from landsat_fill.scene import Filled, Gaps, Window

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

MAIN_SHARE = 0.5
"""Where references explain more than this share of a band's variance, beyond what the image's other bands explain,
the fill is mainly from them."""

MOMENTS_AT_ONCE = 4_000_000
"""Covariances held at once: 32 MB."""


def overall_covariances(image: NDArray[np.floating], usable: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the covariances of differences between adjacent pixels of windows `(window, band, row, col)`.

    The covariances are `(band, band)`, and 0 for two bands that are never usable together.
    """
    count = image.shape[1]
    sums, pairs = np.zeros((count, count)), np.zeros((count, count))
    for values, known in zip(image, usable, strict=True):
        for steps, both in neighbour_steps(np.where(known, values, 0).astype(np.float64), known):
            flat, counted = steps.reshape(count, -1), both.reshape(count, -1).astype(np.float64)
            sums += flat @ flat.T
            pairs += counted @ counted.T
    return sums / np.maximum(pairs, 1)


def regression_at(
    targets: NDArray[np.int64], values: NDArray[np.float64], usable: NDArray[np.bool_], overall: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the regression of the first band on the others, from the pixels around each target.

    Many targets are treated in several groups, by rows.

    The slopes are `(pixel, other band)`. The second array `(pixel,)` is the share of the band's variance that
    the others don't explain.

    Args:
        targets: Rows and columns, `(pixel, 2)`.
        values: `(band, row, col)`, finite.
        usable: Pixels at which all bands are usable, `(row, col)`.
        overall: From `overall_covariances`, of the whole scene.
    """
    count = len(values)
    at_once = max(1, MOMENTS_AT_ONCE // count**2)
    if len(targets) <= at_once:
        return _regression(targets, values, usable, overall)
    slopes, unexplained = np.empty((len(targets), count - 1)), np.empty(len(targets))
    order = np.argsort(targets[:, 0], kind="stable")
    for start in range(0, len(targets), at_once):
        some = order[start : start + at_once]
        rows = targets[some, 0]
        top, end = max(int(rows[0]) - AROUND_PX, 0), int(rows[-1]) + AROUND_PX
        part = values[:, top:end], usable[top:end], overall
        slopes[some], unexplained[some] = _regression(targets[some] - np.array([top, 0]), *part)
    return slopes, unexplained


def _regression(
    targets: NDArray[np.int64], values: NDArray[np.float64], usable: NDArray[np.bool_], overall: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the regression of the first band on the others; see `regression_at`."""
    import cv2

    count = len(values)
    rows, cols = targets.T

    def around(plane: NDArray[np.float64]) -> NDArray[np.float64]:
        size = (AROUND_PX, AROUND_PX)
        total = cv2.boxFilter(plane, -1, size, normalize=False, borderType=cv2.BORDER_CONSTANT)
        return np.asarray(total[rows, cols], np.float64)

    found = list(neighbour_steps(values, np.broadcast_to(usable, values.shape)))
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
    return slopes * spread[0] / spread[1:], unexplained


@dataclass(frozen=True)
class Cokriging(Kriging):
    """Kriging, with a correction from the kriging errors of bands that are observed at the pixel.

    Stripes of one band lie up to a row off those of another, so one band may be missing where others are
    observed. At such a pixel the other bands are kriged from the same neighbours, and their errors are known.
    A local regression predicts the error of the missing band from them. This is collocated cokriging of bands
    with proportional variograms, which is nearly true within one land cover.

    Where no other band is observed, the fill is that of kriging.

    Bands of references count as further bands. At each pixel, all references and each one alone are tried, and the
    prediction with the smallest standard deviation is taken.

    Source: Chilès and Delfiner 2012, Geostatistics, doi:10.1002/9781118136188 (section 5.5: the intrinsic
    model; 5.6.3: collocated cokriging).
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="cokriging",
        summary="kriging that also uses the bands that are observed where one is missing",
        source="Chilès and Delfiner 2012, Geostatistics, doi:10.1002/9781118136188",
        halo_px=HALO_PX,
        gives_std=True,
        uses_references=True,
    )

    def prepare(self, image: NDArray[np.floating], gaps: Gaps, context: Context) -> FittedCokriging:
        """Return the method fitted to the bands of a scene; see `Prepares`."""
        fitted = super().prepare(image, gaps, context)
        image, gaps = further_bands(context.references, image).behind(image, gaps)
        return FittedCokriging(self, fitted.bands, overall_covariances(image, gaps.usable))


@dataclass(frozen=True)
class FittedCokriging(FittedKriging):
    """Cokriging fitted to the bands of a scene.

    Attributes:
        covariances: Covariances of differences between adjacent pixels, `(band, band)`; the bands of the image, and
            those of the references behind them.
    """

    covariances: NDArray[np.float64]

    def fill(self, image: NDArray[np.floating], gaps: Gaps, context: Context) -> Filled:
        """Return the filled image; see `FillMethod.fill`."""
        filled = super().fill(image, gaps, context)
        mean, std = filled.mean, cast("NDArray[np.float32]", filled.std)
        layers = further_bands(context.references, image)
        stacked, both = layers.behind(mean, gaps)
        if layers.bands:  # a constant reference says nothing
            both.usable[:, mean.shape[1] :][:, np.diag(self.covariances)[mean.shape[1] :] == 0] = False
        sources = np.zeros(mean.shape, np.uint8)

        def correct(place: tuple[int, int]) -> None:
            tile, band = place
            part = context.place(tile).wanted or Window(0, 0, *mean.shape[2:])
            own = Gaps(both.missing[tile], both.usable[tile])
            self._correct_band(stacked[tile], std[place], sources[place], own, band, part, layers)

        in_threads(correct, np.ndindex(*mean.shape[:2]), context.threads)
        return Filled(stacked[:, : mean.shape[1]], std, sources=sources if layers.bands else None)

    def _correct_band(
        self,
        image: NDArray[np.floating],
        std: NDArray[np.float32],
        sources: NDArray[np.uint8],
        gaps: Gaps,
        band: int,
        part: Window,
        layers: FurtherBands,
    ) -> None:
        """Correct a band in place where other bands are observed, if that reduces its standard deviation.

        Args:
            image: `(band, row, col)`, with the layers of references behind its own bands; written to.
            std: Standard deviation of the corrected band, `(row, col)`; written to.
            sources: As in `Filled`, of the corrected band, `(row, col)`; written to.
            gaps: Cubes of the image's shape.
            band: The band to correct.
            part: The part of the tile to correct.
            layers: Which bands and references the layers are.
        """
        roughness: NDArray[np.float64] | None = None
        left = np.ones(std.shape)  # the share of the variance that the image's own bands don't explain
        first_layer = len(image) - len(layers.bands)
        for others, targets in _by_other_bands(gaps, band, part, first_layer, layers.dates):
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
            slopes, unexplained = regression_at(targets, values, usable, self.covariances[np.ix_(bands, bands)])
            number = np.full(usable.shape, -1, np.int64)
            number[tuple(targets.T)] = np.arange(len(targets))
            dates = np.array([layers.dates[one - first_layer] if one >= first_layer else 0 for one in others])
            for near in self.neighbourhoods(usable, targets):
                weights, variance = kriging_weights(near, self.bands[band].variogram)
                rows, cols = near.targets.T
                own = number[rows, cols]
                kriged = [near.sums(plane, weights) for plane in values]
                found = levels[0] + kriged[0]
                for other, slope in enumerate(slopes[own].T, start=1):
                    found += slope * (values[other][rows, cols] - kriged[other])
                error = roughness[rows, cols] * np.sqrt(unexplained[own] * variance[near.kind])
                better = error < std[rows, cols]
                at = rows[better], cols[better]
                image[band][at], std[at] = found[better], error[better]
                if not dates.any():
                    left[at] = unexplained[own][better]
                    continue
                spread = np.sqrt(np.diag(self.covariances)[list(others)])
                weightiest = dates[dates > 0][np.argmax(np.abs(slopes[own][better] * spread)[:, dates > 0], axis=1)]
                gained = left[at] - unexplained[own][better]
                sources[at] = np.where(gained > MAIN_SHARE, weightiest, 0)


def _by_other_bands(
    gaps: Gaps, band: int, part: Window, first_layer: int, dates: tuple[int, ...]
) -> Iterator[tuple[tuple[int, ...], NDArray[np.int64]]]:
    """Yield sets of other bands, each with the missing pixels of a band that it is tried at.

    The first sets hold those of the image's own bands that are usable at a pixel. The next ones add the layers of all
    references that are usable there, and of each reference alone: together, references with gaps have few pixels in
    common.

    Args:
        gaps: Cubes of the image and the layers behind it.
        band: The band.
        part: The part of the tile.
        first_layer: Number of the first layer.
        dates: The reference of each layer.
    """
    others = [one for one in range(len(gaps.usable)) if one != band]
    targets = np.argwhere(gaps.missing[band][part.slices]) + np.array([part.row, part.col])
    if not len(targets) or not others:
        return
    rows, cols = targets.T
    known = np.stack([gaps.usable[one][rows, cols] for one in others], axis=1)
    patterns, which = np.unique(known, axis=0, return_inverse=True)
    sets: dict[tuple[int, ...], list[NDArray[np.int64]]] = {}
    for number, chosen in enumerate(patterns):
        bands = [other for other, is_usable in zip(others, chosen, strict=True) if is_usable]
        own = [one for one in bands if one < first_layer]
        date_of = {one: dates[one - first_layer] for one in bands if one >= first_layer}
        several = sorted(set(date_of.values()))
        tried = [own, *([bands] if date_of else [])]
        if len(several) > 1:
            tried += [own + [one for one in date_of if date_of[one] == date] for date in several]
        for some in filter(None, tried):
            sets.setdefault(tuple(some), []).append(targets[which.reshape(-1) == number])
    for one in sorted(sets, key=lambda some: some[-1] >= first_layer):
        yield one, np.concatenate(sets[one])
