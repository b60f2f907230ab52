"""The order in which the pixels of a plausible fill are drawn: on lattices that grow ever finer."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

ORDER_PX = 32
"""The order repeats after so many rows and columns."""


def drawing_order(shape: tuple[int, int, int], corner: tuple[int, int]) -> NDArray[np.float32]:
    """Return when each pixel has its turn, from 0 up to but not including 1, `(band, row, col)`.

    In whatever share of all pixels that come first, those of a band lie as far from each other as they can,
    and those of different bands lie apart: the fewer pixels are drawn, the farther from each other.

    Args:
        shape: Bands, rows and columns.
        corner: Row and column of the first pixel in the scene.

    Source: Bayer 1973, An optimum method for two-level rendition of continuous-tone pictures: his ordered
    dither, shifted from band to band by steps that are even in that order.
    """
    bands, height, width = shape
    ranks = _bayer(ORDER_PX)
    places = np.argsort(ranks, axis=None)
    order = np.empty(shape, np.float32)
    for band in range(bands):
        # The low digits of this number shift coarse lattices, the high ones the finest.
        place = places[(band * ranks.size // bands + band) % ranks.size]
        rows = (np.arange(height) + corner[0] + place // ORDER_PX) % ORDER_PX
        cols = (np.arange(width) + corner[1] + place % ORDER_PX) % ORDER_PX
        order[band] = ranks[np.ix_(rows, cols)] / ranks.size
    return order


@cache
def _bayer(side_px: int) -> NDArray[np.int64]:
    """Return the ranks of an ordered dither, `(row, col)`; the side is a power of 2."""
    if side_px == 1:
        return np.zeros((1, 1), np.int64)
    half = 4 * _bayer(side_px // 2)
    return np.block([[half, half + 2], [half + 3, half + 1]])
