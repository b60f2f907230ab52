"""A thin elastic plate, bent and stretched, that passes through the observed pixels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.methods.relaxation import accelerated, solved_from_coarse_to_fine, widest_gap_px

if TYPE_CHECKING:
    from numpy.typing import NDArray

_STRETCHING = np.array(
    [[0, 0, 0, 0, 0], [0, 0, -1, 0, 0], [0, -1, 4, -1, 0], [0, 0, -1, 0, 0], [0, 0, 0, 0, 0]], np.float32
)
"""Laplace's five-point stencil, positive in the middle; its largest eigenvalue is 8 (a chessboard of ±1)."""

_BENDING = np.array(
    [[0, 0, 1, 0, 0], [0, 2, -8, 2, 0], [1, -8, 20, -8, 1], [0, 2, -8, 2, 0], [0, 0, 1, 0, 0]], np.float32
)
"""The same stencil applied twice; its largest eigenvalue is 64."""

_CLAMPED = 4.730
"""First root of cos(x)·cosh(x) = 1: a clamped strip of length l bends with the eigenvalue (x / l)⁴. On the
grid, w unknown rows between given ones have l = w + 2 to within a percent."""

_WIDEST_MODE_PX = 48.0
"""Errors longer than this are left to the coarser levels: here they would take too many sweeps."""


def plate(
    values: NDArray[np.floating],
    missing: NDArray[np.bool_],
    usable: NDArray[np.bool_],
    *,
    tension: float,
    reduction: float,
    widest_px: float | None = None,
) -> NDArray[np.floating]:
    """Return the values, with (1 - tension)·∇⁴u = tension·∇²u solved wherever they aren't usable.

    Pixels that are neither missing nor usable are bridged like missing ones; the edge of the tile mirrors
    the surface. Gaps wider than 48 px come out stiffer than the equation has them.

    Args:
        values: `(row, col)`, 0 outside `usable`.
        missing: Pixels asked for.
        usable: Observed pixels; at least one.
        tension: 0 bends only (a thin plate), 1 stretches only (a membrane); per pixel of spacing.
        reduction: By what factor each resolution reduces the error it starts with.
        widest_px: Width of the widest gap to be expected, instead of that of the widest there is: then the
            error that is left is the same however an image is cut into tiles.
    """
    import cv2

    def solve(
        guess: NDArray[np.floating],
        missing: NDArray[np.bool_],
        usable: NDArray[np.bool_],
        spacing_px: float,
    ) -> NDArray[np.floating]:
        if not missing.any():
            return guess
        bending, stretching = (1 - tension) / spacing_px**4, tension / spacing_px**2
        # Bounds of the eigenvalues in an endless stripe; a closed hole's lie between them.
        width_px = widest_px or min(widest_gap_px(missing, usable), _WIDEST_MODE_PX)
        smallest = bending * (_CLAMPED / (width_px + 2)) ** 4
        smallest += stretching * 2 * (1 - math.cos(math.pi / (width_px + 1)))
        largest = 64 * bending + 8 * stretching
        smallest = min(smallest, largest / 2)
        # The step is kept out of the stencil, whose whole numbers cancel without rounding on a level surface.
        stencil = bending * _BENDING + stretching * _STRETCHING
        step = np.where(usable, 0, -2 / (smallest + largest)).astype(guess.dtype)

        def sweep(values: NDArray[np.floating], swept: NDArray[np.floating]) -> None:
            cv2.filter2D(values, -1, stencil, dst=swept, borderType=cv2.BORDER_REFLECT)
            cv2.multiply(swept, step, dst=swept)
            cv2.add(swept, values, dst=swept)

        return accelerated(sweep, guess, (largest - smallest) / (largest + smallest), reduction)

    return solved_from_coarse_to_fine(solve, values, missing, usable)
