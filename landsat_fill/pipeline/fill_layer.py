"""The record of what was filled: one byte a pixel."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class FillCode(IntEnum):
    """What the fill layer says of a pixel. Of a pixel's bands the highest code counts."""

    OUTSIDE = 0
    OBSERVED = 1
    LEFT = 2
    REPLACED = 3
    FILLED = 4


MEANINGS: dict[FillCode, str] = {
    FillCode.OUTSIDE: "outside the footprint",
    FillCode.OBSERVED: "observed",
    FillCode.LEFT: "missing, left unfilled",
    FillCode.REPLACED: "observed, replaced on request",
    FillCode.FILLED: "missing, filled",
}

COLOURS: dict[FillCode, tuple[int, int, int, int]] = {
    FillCode.OUTSIDE: (0, 0, 0, 0),
    FillCode.OBSERVED: (222, 222, 222, 255),
    FillCode.LEFT: (215, 48, 39, 255),
    FillCode.REPLACED: (253, 174, 97, 255),
    FillCode.FILLED: (33, 102, 172, 255),
}


def fill_codes(
    observed: NDArray[np.bool_],
    inside: NDArray[np.bool_],
    done: NDArray[np.bool_],
) -> NDArray[np.uint8]:
    """Return the code of every pixel and band.

    Args:
        observed: What is observed, `(band, row, col)`.
        inside: What lies in the footprint.
        done: What was filled.
    """
    codes = np.full(observed.shape, FillCode.OUTSIDE, np.uint8)
    codes[inside & ~observed] = FillCode.LEFT
    codes[observed] = FillCode.OBSERVED
    codes[done] = FillCode.FILLED
    codes[done & observed] = FillCode.REPLACED
    return codes
