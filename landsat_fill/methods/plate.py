"""A thin elastic plate, bent and stretched, that passes through the observed pixels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.methods.relaxation import (
    chebyshev_shares,
    runs_of,
    solved_from_coarse_to_fine,
    widest_gap_px,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LARGEST_STRETCHING, _LARGEST_BENDING = 8.0, 64.0
"""Largest eigenvalues of Laplace's five-point stencil and of its square: those of a chessboard of ±1."""

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
            error that is left is the same however an image is cut into tiles. Pixels farther than that from
            a usable one are left as half the resolution has them.
    """

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
        largest = bending * _LARGEST_BENDING + stretching * _LARGEST_STRETCHING
        smallest = min(smallest, largest / 2)
        step = 2 / (smallest + largest)
        shares = chebyshev_shares((largest - smallest) / (largest + smallest), reduction)
        unknown = missing | ~usable
        if widest_px is not None:
            unknown &= _within(usable, math.ceil(widest_px))
        return _swept(guess, unknown, step * stretching, step * bending, shares)

    return solved_from_coarse_to_fine(solve, values, missing, usable)


def _within(usable: NDArray[np.bool_], distance_px: int) -> NDArray[np.bool_]:
    """Return which pixels have a usable one so many rows and columns away or nearer."""
    import cv2

    side_px = 2 * distance_px + 1
    return cv2.dilate(usable.view(np.uint8), np.ones((side_px, side_px), np.uint8)).view(np.bool_)


def _swept(
    guess: NDArray[np.floating],
    unknown: NDArray[np.bool_],
    stretching: float,
    bending: float,
    shares: list[float],
) -> NDArray[np.floating]:
    """Return the surface after one sweep a share; see `sweep_plate`."""
    from landsat_fill.methods.kernels.sweeps import FRAME_PX, sweep_plate

    new = np.pad(guess, FRAME_PX, mode="symmetric")
    old = new.copy()
    numbers = np.array([(stretching, bending, share) for share in shares], guess.dtype)
    surface = sweep_plate(new, old, runs_of(np.pad(unknown, FRAME_PX)), numbers)
    return surface[FRAME_PX:-FRAME_PX, FRAME_PX:-FRAME_PX]
