"""The variogram of a band: how unlike two pixels are, by how far apart they lie.

Semivariances are estimated from the differences between usable pixels, and a model is fitted to them: a
nugget and a mixture of exponential and Matérn structures of many ranges, none of them negative, so that it is
valid whatever comes out. Directions may have ranges of their own (geometric anisotropy).

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
"""Distances that semivariances are estimated at. Kriging from pixels within 16 px asks for none above 32."""

LAG_DIRECTIONS = 8
"""Directions they are estimated in, 22.5 degrees apart."""

LEAST_PAIRS = 30
"""Pairs of pixels behind a semivariance. Source: Journel and Huijbregts 1978, Mining Geostatistics."""

RANGES_PX = tuple(2.0 ** (half / 2) for half in range(-1, 17))
"""Ranges of the structures mixed, 0.7 to 256 pixels; longer ones look the same within 32."""

ANGLES_DEG = tuple(range(0, 180, 15))
RATIOS = (1.25, 1.5, 2.0, 3.0)
"""Anisotropies tried, beside none: the direction of the longest range, and longest by shortest range."""

LEAST_GAIN = 0.1
"""Share of the squared misfit that an anisotropy must take away to be believed."""

TINY = 1e-6
"""Share of the sill that is added to the nugget, so that no system of equations is singular."""


@dataclass(frozen=True, slots=True)
class Variogram:
    """A valid model of a band's variogram, in squared units of its numbers; distances in pixels.

    Attributes:
        nugget: What two pixels differ by however near they are.
        exponential: Sill of each exponential structure, for the ranges of `RANGES_PX`.
        matern: Sill of each Matérn structure of smoothness 3/2, for the same ranges.
        angle_deg: Direction of the longest range, from the rows' direction towards the columns'.
        ratio: Longest by shortest range; 1 for none.
    """

    nugget: float
    exponential: tuple[float, ...]
    matern: tuple[float, ...]
    angle_deg: float = 0.0
    ratio: float = 1.0

    @property
    def sill(self) -> float:
        """The semivariance that is never exceeded."""
        return self.nugget + sum(self.exponential) + sum(self.matern)

    def covariance(self, rows: NDArray[np.floating], cols: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the sill minus the semivariance at lags of so many rows and columns."""
        distance = _distance(rows, cols, self.angle_deg, self.ratio)
        total = np.where(distance == 0, self.nugget, 0.0)
        for sill, range_px in zip(self.exponential, RANGES_PX, strict=True):
            if sill:
                total += sill * _exponential(distance, range_px)
        for sill, range_px in zip(self.matern, RANGES_PX, strict=True):
            if sill:
                total += sill * _matern(distance, range_px)
        return total

    def semivariance(self, rows: NDArray[np.floating], cols: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return half the mean squared difference at lags of so many rows and columns."""
        return self.sill - self.covariance(rows, cols)


@dataclass(frozen=True, slots=True)
class Semivariances:
    """Estimated semivariances.

    Attributes:
        rows: Rows of each lag.
        cols: Columns of each lag.
        values: Semivariance at each lag.
        pairs: Pairs of pixels behind it.
    """

    rows: NDArray[np.float64]
    cols: NDArray[np.float64]
    values: NDArray[np.float64]
    pairs: NDArray[np.int64]


def estimate_semivariances(
    image: NDArray[np.floating],
    usable: NDArray[np.bool_],
    estimator: str,
    roughness: NDArray[np.float64],
) -> Semivariances:
    """Return the semivariances of a band at lags of up to 32 pixels in all directions.

    Args:
        image: Windows of the band, `(window, row, col)`.
        usable: What may be looked at.
        estimator: One of `ESTIMATORS`. Cressie and Hawkins's is the fourth power of a mean root, which single
            edges and clouds hardly move; Matheron's is the mean square.
        roughness: What differences are measured in at each pixel, of the image's shape: their own unit
            throughout, or what is usual around. A difference is measured in the geometric mean of both ends'.
    """
    from landsat_fill.methods.kernels.pixel_loops import increment_sums

    lags = _lags()
    level = image[usable].mean(dtype=np.float64) if usable.any() else 0.0
    values = np.where(usable, image - image.dtype.type(level), np.nan)
    roots, squares, pairs = increment_sums(values, roughness**-0.5, lags)
    known = pairs >= LEAST_PAIRS
    lags, roots, squares, pairs = lags[known], roots[known], squares[known], pairs[known]
    if estimator == "matheron":
        values = squares / pairs / 2
    else:
        values = (roots / pairs) ** 4 / (0.457 + 0.494 / pairs) / 2  # Cressie and Hawkins, equation 3.10
    return Semivariances(lags[:, 0].astype(np.float64), lags[:, 1].astype(np.float64), values, pairs)


def fit_variogram(found: Semivariances, variance: float, *, anisotropic: bool) -> Variogram:
    """Return the model that fits semivariances best, by squares relative to each (Cressie's weights).

    Args:
        found: Semivariances.
        variance: Of the band's usable pixels: the nugget where no two of them tell more.
        anisotropic: Whether directions may have ranges of their own.
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
        nugget + TINY * float(sills.sum()),
        tuple(structures[:count]),
        tuple(structures[count:]),
        angle_deg,
        ratio,
    )


def _fit(found: Semivariances, angle_deg: float, ratio: float) -> tuple[NDArray[np.float64], float]:
    """Return the sills of nugget and structures, and the misfit."""
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
    """Return the lags estimated at, rows >= 0 and columns, each once."""
    lags = {
        (round(distance * math.sin(angle)), round(distance * math.cos(angle)))
        for distance in LAG_DISTANCES_PX
        for angle in (math.pi * direction / LAG_DIRECTIONS for direction in range(LAG_DIRECTIONS))
    }
    return np.array(sorted(lags), np.int64)


def _distance(
    rows: NDArray[np.floating], cols: NDArray[np.floating], angle_deg: float, ratio: float
) -> NDArray[np.float64]:
    """Return the length of lags, those across the longest range stretched by the ratio."""
    cosine, sine = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    return np.hypot(cosine * cols + sine * rows, ratio * (cosine * rows - sine * cols))


def _exponential(distance: NDArray[np.float64], range_px: float) -> NDArray[np.float64]:
    return np.exp(-distance / range_px)


def _matern(distance: NDArray[np.float64], range_px: float) -> NDArray[np.float64]:
    """Return the Matérn correlation of smoothness 3/2."""
    scaled = math.sqrt(3) * distance / range_px
    return (1 + scaled) * np.exp(-scaled)
