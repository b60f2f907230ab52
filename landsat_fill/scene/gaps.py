"""Which pixels are to be filled, and which may serve as evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Gaps:
    """Two boolean cubes of one shape, `(band, row, col)`, or `(tile, band, row, col)` for a batch.

    Attributes:
        missing: Pixels inside the footprint without an observation, to be filled.
        usable: Observed pixels that may serve as evidence. Never true where `missing` is. A pixel that is
            neither lies outside the footprint, or is observed but not trusted (a cloud, say).
    """

    missing: NDArray[np.bool_]
    usable: NDArray[np.bool_]
