"""The weights of ordinary kriging, which depend on where neighbours lie and not on their values.

Source: Matheron 1971, The theory of regionalized variables and its applications (section 4: kriging);
Chilès and Delfiner 2012, Geostatistics, doi:10.1002/9781118136188 (section 3.4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landsat_fill.methods.neighbours import Neighbourhoods
    from landsat_fill.methods.variogram import Variogram

SYSTEMS_AT_ONCE = 2048
"""Systems of 33 equations worked on at once: 18 MB."""


class KrigingWeights(NamedTuple):
    """Weights and errors of kinds of neighbourhoods.

    Attributes:
        weights: `(kind, neighbour)`, of sum 1; 0 where there is no neighbour.
        variance: The kriging variance of each kind, in squared units of the band.
    """

    weights: NDArray[np.float64]
    variance: NDArray[np.float64]


def kriging_weights(near: Neighbourhoods, variogram: Variogram) -> KrigingWeights:
    """Return the weights that give each kind of neighbourhood the least error, of all that sum to 1."""
    found = near.found
    weights = np.zeros(found.shape, np.float64)
    variance = np.zeros(len(found), np.float64)
    sill = variogram.sill
    if sill <= 0:  # a band of one value
        there = found >= 0
        return KrigingWeights(there / there.sum(axis=1, keepdims=True), variance)
    lookup = _Lookup(near, variogram)
    for start in range(0, len(found), SYSTEMS_AT_ONCE):
        part = slice(start, start + SYSTEMS_AT_ONCE)
        weights[part], variance[part] = _solved(found[part], lookup)
    return KrigingWeights(weights, variance * sill)


class _Lookup:
    """Covariances by lag in shares of the sill, worked out once for all lags there are."""

    def __init__(self, near: Neighbourhoods, variogram: Variogram) -> None:
        used = near.offsets[np.unique(near.found[near.found >= 0])]
        rows, cols = np.maximum(used.max(axis=0), 0) - np.minimum(used.min(axis=0), 0)
        down, right = np.mgrid[-rows : rows + 1, -cols : cols + 1]
        table = variogram.covariance(down.astype(np.float64), right.astype(np.float64))
        self._table = table.reshape(-1) / variogram.sill
        self._middle = self._table.size // 2
        self.numbers: NDArray[np.int64] = near.offsets[:, 0] * (2 * cols + 1) + near.offsets[:, 1]
        """A number for each offset; those of two differ by that of the lag between them."""

    def at(self, lags: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the covariances at numbers of lags."""
        return self._table.take(lags + self._middle)


def _solved(found: NDArray[np.int32], lookup: _Lookup) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weights, and variances in shares of the sill."""
    count, most = found.shape
    there = found >= 0
    places = lookup.numbers[np.where(there, found, found[:, :1])]
    both = there[:, :, None] & there[:, None, :]
    matrix = np.zeros((count, most + 1, most + 1))
    matrix[:, :most, :most] = np.where(both, lookup.at(places[:, :, None] - places[:, None, :]), 0)
    # What isn't there gets an equation of its own, of solution 0.
    matrix[:, range(most), range(most)] += ~there
    matrix[:, :most, most] = matrix[:, most, :most] = there
    known = np.ones((count, most + 1))
    known[:, :most] = np.where(there, lookup.at(places), 0)
    solution = np.linalg.solve(matrix, known[..., None])[..., 0]
    variance = 1 - np.einsum("kn,kn->k", solution, known)
    return solution[:, :most], np.maximum(variance, 0)
