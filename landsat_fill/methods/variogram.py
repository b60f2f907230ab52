"""The variogram of a band: how much two pixels differ, as a function of their distance.

Semivariances are estimated from differences between usable pixels. The model fitted to them is a nugget and a
mixture of exponential and Matérn structures of many ranges. All weights are positive, so the model is always
valid. The range may depend on the direction (geometric anisotropy).

Source: Cressie and Hawkins 1980, Robust estimation of the variogram, doi:10.1007/BF01035243; Cressie 1985,
Fitting variogram models by weighted least squares, doi:10.1007/BF01032109; Chilès and Delfiner 2012,
Geostatistics, doi:10.1002/9781118136188 (section 2.5: valid models; 2.5.2: anisotropy).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


ESTIMATORS = ("matheron", "cressie-hawkins")

LAG_DISTANCES_PX = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 18, 22, 26, 32)
"""Distances of the estimated semivariances. Kriging from pixels within 16 px needs none above 32."""

LAG_DIRECTIONS = 8
"""Directions of the estimated semivariances, 22.5 degrees apart."""

LEAST_PAIRS = 30
"""Least pairs of pixels for a semivariance. Source: Journel and Huijbregts 1978, Mining Geostatistics."""

RANGES_PX = tuple(2.0 ** (half / 2) for half in range(-1, 17))
"""Ranges of the structures, 0.7 to 256 pixels. Longer ranges look the same within 32 pixels."""

ANGLES_DEG = tuple(range(0, 180, 15))
RATIOS = (1.25, 1.5, 2.0, 3.0)
"""Anisotropies to try: direction of the longest range, and ratio of the longest to the shortest range."""

LEAST_GAIN = 0.1
"""An anisotropic model must reduce the squared misfit by this share to be chosen."""

TINY = 1e-6
"""This share of the sill is added to the nugget, so that no system of equations is singular."""


@dataclass(frozen=True, slots=True)
class Variogram:
    """A model of a band's variogram, in squared units of the band; distances in pixels.

    Attributes:
        nugget: Semivariance of two pixels at a very small distance.
        exponential: Sill of each exponential structure, for the ranges of `RANGES_PX`.
        matern: Sill of each Matérn structure of smoothness 3/2, for the same ranges.
        angle_deg: Direction of the longest range, from the rows' direction towards the columns'.
        ratio: Ratio of the longest to the shortest range; 1 if isotropic.
    """

    nugget: float
    exponential: tuple[float, ...]
    matern: tuple[float, ...]
    angle_deg: float = 0.0
    ratio: float = 1.0

    @property
    def sill(self) -> float:
        """The largest semivariance."""
        return self.nugget + sum(self.exponential) + sum(self.matern)

    def covariance(self, rows: NDArray[np.floating], cols: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the sill minus the semivariance, at lags given in rows and columns."""
        distance = _distance(rows, cols, self.angle_deg, self.ratio)
        total = np.where(distance == 0, self.nugget, 0.0)
        for sills, structure in ((self.exponential, _exponential), (self.matern, _matern)):
            for sill, range_px in zip(sills, RANGES_PX, strict=True):
                if sill:
                    total += sill * structure(distance, range_px)
        return total

    def semivariance(self, rows: NDArray[np.floating], cols: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return half the mean squared difference, at lags given in rows and columns."""
        return self.sill - self.covariance(rows, cols)


@dataclass(frozen=True, slots=True)
class Semivariances:
    """Estimated semivariances.

    Attributes:
        rows: Rows of each lag.
        cols: Columns of each lag.
        values: Semivariance at each lag.
        pairs: Number of pairs of pixels at each lag.
    """

    rows: NDArray[np.float64]
    cols: NDArray[np.float64]
    values: NDArray[np.float64]
    pairs: NDArray[np.int64]


def estimate_semivariances(
    image: NDArray[np.floating], usable: NDArray[np.bool_], estimator: str, roughness: NDArray[np.float64]
) -> Semivariances:
    """Return the semivariances of a band at lags of up to 32 pixels in all directions.

    Args:
        image: Windows of the band, `(window, row, col)`.
        usable: Usable pixels, of the same shape.
        estimator: One of `ESTIMATORS`. Matheron's is the mean square. Cressie and Hawkins's is the fourth
            power of a mean root, which single edges and clouds hardly change.
        roughness: Unit of differences at each pixel, of the image's shape: 1 everywhere, or the local
            roughness. The unit of a difference is the geometric mean at its two pixels.
    """
    from landsat_fill.methods.kernels.pixel_loops import increment_sums

    lags = _lags()
    level = image[usable].mean(dtype=np.float64) if usable.any() else 0.0
    values = np.where(usable, image - image.dtype.type(level), np.nan)
    roots, squares, pairs = increment_sums(values, roughness**-0.5, lags)
    known = pairs >= LEAST_PAIRS
    lags, roots, squares, pairs = lags[known], roots[known], squares[known], pairs[known]
    cressie_hawkins = (roots / pairs) ** 4 / (0.457 + 0.494 / pairs) / 2  # their equation 3.10
    values = squares / pairs / 2 if estimator == "matheron" else cressie_hawkins
    return Semivariances(lags[:, 0].astype(np.float64), lags[:, 1].astype(np.float64), values, pairs)


def fit_variogram(found: Semivariances, variance: float, *, anisotropic: bool) -> Variogram:
    """Return the best fit to semivariances by relative squared error (Cressie's weights).

    Args:
        found: Semivariances.
        variance: Variance of the band's usable pixels, used as the nugget if there are no semivariances.
        anisotropic: Whether the range may depend on the direction.
    """
    none = (0.0,) * len(RANGES_PX)
    if not found.values.size or found.values.max() <= 0:
        return Variogram(variance, none, none)
    best = (*_fit(found, 0.0, 1.0), 0.0, 1.0)
    if anisotropic:
        tried = [(*_fit(found, float(a), ratio), float(a), ratio) for a in ANGLES_DEG for ratio in RATIOS]
        other = min(tried, key=lambda fit: fit[1])
        if other[1] < (1 - LEAST_GAIN) * best[1]:
            best = other
    sills, _, angle_deg, ratio = best
    nugget, structures = float(sills[0]), sills[1:].tolist()
    count = len(RANGES_PX)
    return Variogram(
        nugget + TINY * float(sills.sum()), tuple(structures[:count]), tuple(structures[count:]), angle_deg, ratio
    )


def _fit(found: Semivariances, angle_deg: float, ratio: float) -> tuple[NDArray[np.float64], float]:
    """Return the sills of nugget and structures, and the squared misfit."""
    from scipy.optimize import nnls

    distance = _distance(found.rows, found.cols, angle_deg, ratio)
    atoms = np.stack(
        [
            np.ones_like(distance),
            *(1 - _exponential(distance, range_px) for range_px in RANGES_PX),
            *(1 - _matern(distance, range_px) for range_px in RANGES_PX),
        ],
        axis=1,
    )
    scale = found.values.max()
    values = found.values / scale
    weights = np.sqrt(found.pairs / found.pairs.max()) / np.maximum(values, TINY)
    sills, misfit = nnls(atoms * weights[:, None], values * weights)
    return sills * scale, misfit**2


def _lags() -> NDArray[np.int64]:
    """Return each lag once, as rows (0 or more) and columns."""
    lags = {
        (round(distance * math.sin(angle)), round(distance * math.cos(angle)))
        for distance in LAG_DISTANCES_PX
        for angle in (math.pi * direction / LAG_DIRECTIONS for direction in range(LAG_DIRECTIONS))
    }
    return np.array(sorted(lags), np.int64)


def _distance(
    rows: NDArray[np.floating], cols: NDArray[np.floating], angle_deg: float, ratio: float
) -> NDArray[np.float64]:
    """Return the length of lags, stretched by the ratio across the direction of the longest range."""
    cosine, sine = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    return np.hypot(cosine * cols + sine * rows, ratio * (cosine * rows - sine * cols))


def _exponential(distance: NDArray[np.float64], range_px: float) -> NDArray[np.float64]:
    return np.exp(-distance / range_px)


def _matern(distance: NDArray[np.float64], range_px: float) -> NDArray[np.float64]:
    """Return the Matérn correlation of smoothness 3/2."""
    scaled = math.sqrt(3) * distance / range_px
    return (1 + scaled) * np.exp(-scaled)
