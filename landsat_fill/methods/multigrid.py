"""Solves for the missing pixels of a band by accelerated sweeps, from coarse to fine.

Source: Golub and Varga 1961, Chebyshev semi-iterative methods, doi:10.1007/BF01386013; Bornemann and
Deuflhard 1996, The cascadic multigrid method for elliptic problems, doi:10.1007/s002110050234.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import numpy as np

from landsat_fill.gaps.run_lengths import find_runs

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Image = NDArray[np.floating]
    Flags = NDArray[np.bool_]
    Solve = Callable[[Image, Flags, Flags, float], Image]


_SMALLEST_LEVEL_PX = 4
"""Where halving stops: whatever is missing on a level this small starts from its mean."""


def chebyshev_shares(radius: float, reduction: float) -> list[float]:
    """Return what each sweep's result weighs in Chebyshev's three-term recurrence.

    The rest is the image of the sweep before. It is negative: a share goes beyond its sweep.

    Args:
        radius: The iteration's spectral radius, below 1. A larger value than the true one costs sweeps; a
            smaller one leaves some of the slowest error.
        reduction: By what factor the error of the guess shrinks.
    """
    shares = [1.0, 1 / (1 - radius**2 / 2)]
    sweeps = math.ceil(math.acosh(reduction) / math.acosh(1 / radius))
    while len(shares) < sweeps:
        shares.append(1 / (1 - radius**2 * shares[-1] / 4))
    return shares[:sweeps]


def runs_of(unknown: Flags) -> NDArray[np.int64]:
    """Return row, first column and end of pixels that lie side by side, `(run, 3)`."""
    runs = find_runs(unknown, 0)
    return np.stack([runs.row, runs.start, runs.stop], axis=1)


def widest_gap_px(missing: Flags, usable: Flags) -> float:
    """Return the width of the widest gap: twice the farthest way from a missing pixel to a usable one."""
    import cv2

    # The 5 × 5 chamfer is exact along rows and columns; the 3 × 3 one falls short by 4.5 % there.
    distance_px = cv2.distanceTransform((~usable).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    return 2.0 * cv2.minMaxLoc(distance_px, missing.view(np.uint8))[1]


def solved_from_coarse_to_fine(solve: Solve, values: Image, missing: Flags, usable: Flags) -> Image:
    """Return the solution at full resolution; its guess is the solution at half of it, and so on down.

    Args:
        solve: Takes `(guess, missing, usable, spacing_px)` and returns the solution where pixels are
            `spacing_px` apart. Below full resolution every pixel that isn't usable is missing.
        values: `(row, col)`, 0 outside `usable`.
        missing: Pixels asked for.
        usable: Observed pixels; at least one.
    """
    return solve(_guessed(solve, values, usable, 1.0), missing, usable, 1.0)


def _guessed(solve: Solve, values: Image, usable: Flags, spacing_px: float) -> Image:
    """Return the values with a guess wherever they aren't usable, by solving at twice the spacing."""
    import cv2

    if usable.all():
        return values
    height, width = values.shape
    if max(height, width) <= _SMALLEST_LEVEL_PX:
        mean = values.dtype.type(values[usable].mean())
        return np.where(usable, values, mean)
    share = _halved(usable.astype(values.dtype))
    seen = share > 0
    coarse: Image = np.divide(_halved(values), share, out=np.zeros_like(share), where=seen)
    coarse = solve(_guessed(solve, coarse, seen, 2 * spacing_px), ~seen, seen, 2 * spacing_px)
    doubled = cv2.resize(coarse, (2 * coarse.shape[1], 2 * coarse.shape[0]), interpolation=cv2.INTER_LINEAR)
    guess = np.ascontiguousarray(doubled[:height, :width])
    return cast("Image", cv2.copyTo(values, usable.view(np.uint8), guess))


def _halved(values: Image) -> Image:
    """Return the means of blocks of 2 × 2 pixels, with zeros beyond an odd side."""
    import cv2

    height, width = values.shape
    even = cv2.copyMakeBorder(values, 0, height % 2, 0, width % 2, cv2.BORDER_CONSTANT, value=0)
    size = ((width + 1) // 2, (height + 1) // 2)
    return cast("Image", cv2.resize(even, size, interpolation=cv2.INTER_AREA))
