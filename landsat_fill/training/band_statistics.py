"""Statistics of a scene's bands, gathered patch by patch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.training.error_scale import squared_steps
from landsat_fill.training.manifest import BandFacts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class BandStatistics:
    """Mean, standard deviation, range and error scale of the observed pixels of each band."""

    def __init__(self, bands: int) -> None:
        self._pixels = np.zeros(bands)
        self._mean = np.zeros(bands)
        self._squares = np.zeros(bands)  # of differences from the mean
        self._low = np.full(bands, np.inf)
        self._high = np.full(bands, -np.inf)
        self._steps = np.zeros(bands)
        self._pairs = np.zeros(bands)

    def add(self, values: NDArray[np.generic], observed: NDArray[np.bool_]) -> None:
        """Take a patch, `(band, row, col)`.

        Source: Chan, Golub & LeVeque 1983, doi:10.2307/2683386: the update that loses no precision.
        """
        exact = np.where(observed, values, 0).astype(np.float64)
        pixels = np.count_nonzero(observed, axis=(1, 2))
        mean = exact.sum((1, 2)) / np.maximum(pixels, 1)
        spread = (((exact - mean[:, None, None]) ** 2) * observed).sum((1, 2))
        together = np.maximum(self._pixels + pixels, 1)
        apart = mean - self._mean
        self._squares += spread + apart**2 * self._pixels * pixels / together
        self._mean += apart * pixels / together
        self._pixels += pixels
        self._low = np.minimum(self._low, np.where(observed, exact, np.inf).min((1, 2)))
        self._high = np.maximum(self._high, np.where(observed, exact, -np.inf).max((1, 2)))
        steps, pairs = squared_steps(values, observed)
        self._steps += steps
        self._pairs += pairs

    def facts(self, names: Sequence[str]) -> tuple[BandFacts, ...]:
        """Return what was gathered, with the bands' names."""
        std = np.sqrt(self._squares / np.maximum(self._pixels, 1))
        steps = self._steps / np.maximum(self._pairs, 1)
        columns = (self._mean, std, self._low, self._high, steps)
        return tuple(
            BandFacts(name, *numbers)
            for name, *numbers in zip(names, *(column.tolist() for column in columns), strict=True)
        )
