"""How rough a band is around each pixel: fields are rougher than a lake, and cities rougher than both."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

AROUND_PX = 33
"""Side of the square looked at around a pixel: one scan period, which holds both sides of any gap."""

PRIOR_PAIRS = 4
"""Pairs of pixels that the whole scene's roughness counts for beside those around."""


def overall_roughness(image: NDArray[np.floating], usable: NDArray[np.bool_]) -> float:
    """Return the root mean square difference between usable pixels beside each other; 0 if there are none.

    Args:
        image: Windows of a band, `(window, row, col)`.
        usable: What may be looked at.
    """
    square, pairs = 0.0, 0
    for plane, known in zip(image, usable, strict=True):
        squares, counts = _squares(np.where(known, plane, 0).astype(np.float64), known)
        square += float(squares.sum())
        pairs += int(counts.sum())
    return float(np.sqrt(square / pairs)) if pairs else 0.0


def local_roughness(
    plane: NDArray[np.floating], usable: NDArray[np.bool_], overall: float
) -> NDArray[np.float64]:
    """Return the root mean square difference between neighbours around each pixel, `(row, col)`.

    Args:
        plane: `(row, col)`.
        usable: What may be looked at.
        overall: That of the scene, which counts where little is usable. If it is 0, the answer is 1.
    """
    import cv2

    if overall <= 0:
        return np.ones(plane.shape)
    squares, counts = _squares(np.where(usable, plane, 0).astype(np.float64), usable)
    size = (AROUND_PX, AROUND_PX)
    total, pairs = (
        cv2.boxFilter(each, -1, size, normalize=False, borderType=cv2.BORDER_CONSTANT)
        for each in (squares, counts)
    )
    total = np.maximum(total, 0)  # rounding of a running sum
    return np.asarray(np.sqrt((total + PRIOR_PAIRS * overall**2) / (pairs + PRIOR_PAIRS)), np.float64)


def _squares(
    plane: NDArray[np.float64], usable: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each pixel's squared differences to its right and lower neighbours, and their number."""
    squares, counts = np.zeros(plane.shape), np.zeros(plane.shape)
    for axis in (0, 1):
        first = [slice(None), slice(None)]
        first[axis] = slice(0, -1)
        here, there = tuple(first), tuple(slice(1, None) if a == axis else slice(None) for a in (0, 1))
        both = usable[here] & usable[there]
        squares[here] += both * (plane[there] - plane[here]) ** 2
        counts[here] += both
    return squares, counts
