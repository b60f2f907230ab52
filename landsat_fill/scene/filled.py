"""What a method returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Filled:
    """A filled image, in the units of the image that was given.

    Attributes:
        mean: Float array of the image's shape. Only its values at missing pixels count; NaN there means
            that the method had no evidence and leaves the pixel unfilled.
        std: Standard deviation of the same shape, never negative, or None where the method has none.
        draws: Plausible fills, each of the same shape, along a leading axis; None where none were asked for.
    """

    mean: NDArray[np.floating]
    std: NDArray[np.floating] | None = None
    draws: NDArray[np.floating] | None = None
