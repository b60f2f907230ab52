"""Hides observed pixels, so that a method can be asked for numbers that are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.errors import UsageError
from landsat_fill.scene import Gaps

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Trial:
    """One image with known pixels hidden. All arrays are `(band, row, col)`.

    Attributes:
        image: What a method is given: float, NaN wherever a pixel isn't usable. No hidden number is in it.
        truth: The image as it was observed: float, NaN where nothing was observed.
        gaps: The hidden pixels as missing, the other observed ones as usable. Pixels that weren't observed in
            the first place are neither: they have no truth to score against.
    """

    image: NDArray[np.floating]
    truth: NDArray[np.floating]
    gaps: Gaps

    @property
    def hidden(self) -> NDArray[np.bool_]:
        """The pixels that are scored: observed, and hidden from the method."""
        return self.gaps.missing


def hide(values: NDArray[np.generic], observed: NDArray[np.bool_], pattern: NDArray[np.bool_]) -> Trial:
    """Return the trial that hides the observed pixels under `pattern`.

    Args:
        values: `(band, row, col)` in stored numbers, of any real type. Not written to.
        observed: Where `values` are observations.
        pattern: Where pixels are lost.

    Raises:
        UsageError: If the shapes differ, or no observed pixel lies under the pattern, or every one does.
    """
    if values.ndim != 3 or observed.shape != values.shape or pattern.shape != values.shape:
        raise UsageError(
            "expected values, observed and pattern of one shape (band, row, col), but got "
            f"{values.shape}, {observed.shape} and {pattern.shape}"
        )
    hidden = observed & pattern
    usable = observed & ~pattern
    if not hidden.any():
        raise UsageError(
            "expected gaps that cover an observed pixel, but got none",
            hint="widen the gaps, or choose a larger or clearer scene",
        )
    if not usable.any():
        raise UsageError(
            "expected gaps that leave an observed pixel, but got none",
            hint="narrow the gaps, or raise their period",
        )
    exact = _float_type(values.dtype)
    image = np.where(usable, values.astype(exact), np.nan)
    truth = np.where(observed, values.astype(exact), np.nan)
    return Trial(image.astype(exact), truth.astype(exact), Gaps(missing=hidden, usable=usable))


def _float_type(stored: np.dtype[np.generic]) -> np.dtype[np.floating]:
    """Return the smallest float type, float32 at least, that holds every number of type `stored` exactly."""
    return np.dtype(np.result_type(stored, np.float32))
