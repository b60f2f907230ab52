"""How far a fill errs, by the distance to the nearest pixel it was made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

EDGES_PX = (1.5, 2.5, 4.5, 8.5, 16.5)
"""Distances at which one class ends and the next begins."""

LEAST_PIXELS = 50
"""Errors that a class needs to be believed."""


@dataclass(frozen=True, slots=True, eq=False)
class ErrorByDistance:
    """Mean squared errors at some distances; between them they are interpolated, beyond them they stay.

    Attributes:
        distances_px: Rising.
        squares: Mean squared error at each, never falling.
    """

    distances_px: NDArray[np.floating]
    squares: NDArray[np.floating]

    @classmethod
    def of(cls, distances_px: NDArray[np.floating], squares: NDArray[np.floating]) -> ErrorByDistance | None:
        """Return what known errors tell, or None where there are too few of them.

        Args:
            distances_px: Of each pixel whose error is known, to the nearest one it was made from.
            squares: Its squared error.
        """
        classes = np.searchsorted(EDGES_PX, distances_px)
        found = [
            (float(np.mean(distances_px[own])), float(np.mean(squares[own])))
            for own in (classes == number for number in range(len(EDGES_PX) + 1))
            if np.count_nonzero(own) >= LEAST_PIXELS
        ]
        if not found:
            return None
        where, what = np.array(found).T
        # Farther from all evidence nothing is known better: a dip is chance.
        return cls(where, np.maximum.accumulate(what))

    def at(self, distances_px: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return the mean squared error at some distances."""
        squares: NDArray[np.floating] = np.interp(distances_px, self.distances_px, self.squares)
        return squares


def distances_px(known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return each pixel's distance to the nearest known one, `(band, row, col)`; each band by itself.

    Args:
        known: `(band, row, col)`; a band with none of them is far from everything.
    """
    import cv2

    far = float(sum(known.shape[1:]))
    found = [
        cv2.distanceTransform((~band).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        if band.any()
        else np.full(band.shape, far)
        for band in known
    ]
    return np.stack(found).astype(np.float32)
