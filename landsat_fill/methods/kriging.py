"""Ordinary kriging: the linear estimate with the least error under the scene's variogram.

Source: Matheron 1971, The theory of regionalized variables and its applications (section 4: kriging);
Chilès and Delfiner 2012, Geostatistics, doi:10.1002/9781118136188 (section 3.4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from landsat_fill.errors import MethodError
from landsat_fill.methods.method import Context, MethodInfo, fill_unprepared, in_threads
from landsat_fill.methods.neighbourhoods import find_neighbourhoods, local_roughness, overall_roughness
from landsat_fill.methods.variogram import ESTIMATORS, Semivariances, Variogram, estimate_semivariances, fit_variogram
from landsat_fill.scene import Filled, Gaps, Window
from landsat_fill.schema import option

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landsat_fill.methods.neighbourhoods import Neighbourhoods


SYSTEMS_AT_ONCE = 2048
"""Systems of 33 equations solved at once: 18 MB."""


def kriging_weights(near: Neighbourhoods, variogram: Variogram) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the weights with the least error for each kind of neighbourhood, and their kriging variance.

    The weights `(kind, neighbour)` have the sum 1, and are 0 where there is no neighbour. The variance is in
    squared units of the band.
    """
    found = near.found
    weights = np.zeros(found.shape, np.float64)
    variance = np.zeros(len(found), np.float64)
    sill = variogram.sill
    if sill <= 0:  # a constant band
        there = found >= 0
        return there / there.sum(axis=1, keepdims=True), variance
    lookup = _Lookup(near, variogram)
    for start in range(0, len(found), SYSTEMS_AT_ONCE):
        part = slice(start, start + SYSTEMS_AT_ONCE)
        weights[part], variance[part] = _solved(found[part], lookup)
    return weights, variance * sill


class _Lookup:
    """A table of covariances by lag, in shares of the sill."""

    def __init__(self, near: Neighbourhoods, variogram: Variogram) -> None:
        used = near.offsets[np.unique(near.found[near.found >= 0])]
        rows, cols = np.maximum(used.max(axis=0), 0) - np.minimum(used.min(axis=0), 0)
        down, right = np.mgrid[-rows : rows + 1, -cols : cols + 1]
        table = variogram.covariance(down.astype(np.float64), right.astype(np.float64))
        self._table = table.reshape(-1) / variogram.sill
        self._middle = self._table.size // 2
        self.numbers: NDArray[np.int64] = near.offsets[:, 0] * (2 * cols + 1) + near.offsets[:, 1]
        """A number for each offset. The difference of two numbers is the number of the lag between them."""

    def at(self, lags: NDArray[np.int64]) -> NDArray[np.float64]:
        return self._table.take(lags + self._middle)


def _solved(found: NDArray[np.int32], lookup: _Lookup) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weights, and variances in shares of the sill."""
    count, most = found.shape
    there = found >= 0
    places = lookup.numbers[np.where(there, found, found[:, :1])]
    both = there[:, :, None] & there[:, None, :]
    matrix = np.zeros((count, most + 1, most + 1))
    matrix[:, :most, :most] = np.where(both, lookup.at(places[:, :, None] - places[:, None, :]), 0)
    # An absent neighbour gets an equation whose solution is 0.
    matrix[:, range(most), range(most)] += ~there
    matrix[:, :most, most] = matrix[:, most, :most] = there
    known = np.ones((count, most + 1))
    known[:, :most] = np.where(there, lookup.at(places), 0)
    solution = np.linalg.solve(matrix, known[..., None])[..., 0]
    variance = 1 - np.einsum("kn,kn->k", solution, known)
    return solution[:, :most], np.maximum(variance, 0)


SOURCE = (
    "Matheron 1963, Principles of geostatistics, doi:10.2113/gsecongeo.58.8.1246; Cressie and Hawkins 1980, "
    "Robust estimation of the variogram, doi:10.1007/BF01035243"
)
LARGEST = float(np.finfo(np.float32).max) / 4
"""Differences of larger numbers may overflow the standard deviation, which is a float32."""


def require_moderate(image: NDArray[np.floating], usable: NDArray[np.bool_]) -> None:
    """Raise MethodError for usable pixels beyond `LARGEST`."""
    found = max(image.max(where=usable, initial=-np.inf), -image.min(where=usable, initial=np.inf))
    if found > LARGEST:
        raise MethodError(
            f"expected numbers of at most {LARGEST:.3g} for kriging, but got {found:.3g}",
            hint="Give the number of missing pixels with --nodata if it is one of them, or use another method.",
        )


HALO_PX = 32
"""Largest distance of a neighbour: from the middle of the widest SLC-off gap at 15 m past its border."""


@dataclass(frozen=True)
class Kriging:
    """The weighted mean of the nearest usable pixels with the least error under the band's variogram.

    The variogram is fitted to each band of the scene; see `variogram`. Differences are measured in units of
    the local roughness, because fields are rougher than a lake. A single cloud or city therefore doesn't
    dominate the variogram, and the standard deviation is larger where the band is rougher.

    Neighbours are taken evenly from the four quadrants, because the nearest ones may all lie on one side of a
    gap. Missing pixels without a usable pixel within the halo take the nearest ones at any distance.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="kriging",
        summary="ordinary kriging with a variogram fitted to each band of the scene",
        source=SOURCE,
        halo_px=HALO_PX,
        gives_std=True,
    )

    neighbours: int = option(32, "usable pixels in each weighted mean", low=4, high=64)
    quadrants: bool = option(True, "take neighbours evenly from the four quadrants")
    anisotropic: bool = option(False, "let the range depend on the direction")
    local: bool = option(True, "measure differences in units of the local roughness")
    estimator: str = option(
        "matheron",
        "estimator of semivariances: mean squares, or the mean roots of Cressie and Hawkins",
        choices=ESTIMATORS,
    )

    def prepare(self, image: NDArray[np.floating], gaps: Gaps, context: Context) -> FittedKriging:
        """Return the method fitted to the bands of a scene; see `Prepares`.

        Raises:
            MethodError: If numbers are too large.
        """
        require_moderate(image, gaps.usable)

        def fit(band: int) -> BandFit:
            return self.fit(image[:, band], gaps.usable[:, band])

        return FittedKriging(self, tuple(in_threads(fit, range(image.shape[1]), context.threads)))

    def fit(self, image: NDArray[np.floating], usable: NDArray[np.bool_]) -> BandFit:
        """Return the fit to a band, from its windows and their usable pixels, `(window, row, col)`."""
        overall = overall_roughness(image, usable) if self.local else 0.0
        roughness = np.stack([local_roughness(*pair, overall) for pair in zip(image, usable, strict=True)])
        found = estimate_semivariances(image, usable, self.estimator, roughness)
        variance = float((image / roughness)[usable].var(dtype=np.float64)) if usable.any() else 0.0
        return BandFit(found, fit_variogram(found, variance, anisotropic=self.anisotropic), overall)

    def fill(self, image: NDArray[np.floating], gaps: Gaps, context: Context) -> Filled:
        """Return the filled image, each tile with its own variogram; see `FillMethod.fill`."""
        return fill_unprepared(self.prepare, image, gaps, context)


class BandFit(NamedTuple):
    """The variogram of a band.

    Attributes:
        found: Estimated semivariances.
        variogram: The fitted model, in squared units of the local roughness.
        roughness: Roughness of the whole band, in its unit. If it is 0, the option `local` is off and the
            variogram is in squared units of the band.
    """

    found: Semivariances
    variogram: Variogram
    roughness: float


@dataclass(frozen=True)
class FittedKriging:
    """Kriging with a variogram for each band of a scene."""

    kriging: Kriging
    bands: tuple[BandFit, ...]

    @property
    def info(self) -> MethodInfo:
        """The facts about kriging."""
        return self.kriging.info

    def fill(self, image: NDArray[np.floating], gaps: Gaps, context: Context) -> Filled:
        """Return the filled image; see `FillMethod.fill`. Raises MethodError as `Kriging.prepare` does."""
        require_moderate(image, gaps.usable)
        mean, std = image.copy(), np.zeros(image.shape, np.float32)

        def fill(place: tuple[int, int]) -> None:
            tile, band = place
            part = context.place(tile).wanted or Window(0, 0, *mean.shape[2:])
            self._fill_band(mean[place], std[place], gaps.missing[place], gaps.usable[place], band, part)

        in_threads(fill, np.ndindex(*mean.shape[:2]), context.threads)
        return Filled(mean, std)

    def neighbourhoods(self, usable: NDArray[np.bool_], targets: NDArray[np.int64]) -> list[Neighbourhoods]:
        """Return the neighbours of targets as the options say; see `find_neighbourhoods`."""
        most = self.kriging.neighbours
        return find_neighbourhoods(
            np.ascontiguousarray(usable),
            targets,
            most=most,
            most_a_quadrant=-(-most // 4) if self.kriging.quadrants else most,
            radius_px=self.info.halo_px,
        )

    def _fill_band(
        self,
        mean: NDArray[np.floating],
        std: NDArray[np.float32],
        missing: NDArray[np.bool_],
        usable: NDArray[np.bool_],
        band: int,
        part: Window,
    ) -> None:
        targets = np.argwhere(missing[part.slices]) + np.array([part.row, part.col])
        if not len(targets):
            return
        if not usable.any():
            mean[missing] = np.nan
            return
        fit = self.bands[band]
        level = mean[usable].mean(dtype=np.float64)
        values = np.where(usable, mean, level) - level
        roughness = local_roughness(values, usable, fit.roughness)
        for near in self.neighbourhoods(usable, targets):
            weights, variance = kriging_weights(near, fit.variogram)
            rows, cols = near.targets.T
            mean[rows, cols] = level + near.sums(values, weights)
            std[rows, cols] = roughness[rows, cols] * np.sqrt(variance[near.kind])
