"""The membrane: every gap becomes the solution of Laplace's equation between its observed borders."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from landsat_fill.methods.interface import Context, MethodInfo, option
from landsat_fill.methods.lifting import fill_each_band
from landsat_fill.methods.relaxation import (
    chebyshev_shares,
    runs_of,
    solved_from_coarse_to_fine,
    widest_gap_px,
)
from landsat_fill.scene import Filled, Gaps

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FOUR_NEIGHBOURS = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], np.float32)


@dataclass(frozen=True)
class Harmonic:
    """The smoothest surface through the borders of a gap, by the sum of its squared slopes.

    A missing pixel is the mean of its four neighbours. Observed pixels are given; pixels that are neither
    missing nor usable, and the edge of the tile, let nothing through (a natural boundary).

    Source: Chan and Shen 2002, Mathematical models for local nontexture inpaintings,
    doi:10.1137/S0036139900368844 (section 4: harmonic inpainting).
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="harmonic",
        summary="the membrane through the borders of a gap (Laplace's equation)",
        source="Chan and Shen 2002, Mathematical models for local nontexture inpaintings, "
        "doi:10.1137/S0036139900368844",
        halo_px=32,
    )

    reduction: float = field(
        default=300.0,
        metadata=option("factor by which each resolution reduces the error it starts with", low=2, high=1e6),
    )

    def fill(self, image: NDArray[np.floating], gaps: Gaps, context: Context) -> Filled:
        """Return the filled image; see `FillMethod.fill`."""

        def solve(
            guess: NDArray[np.floating],
            missing: NDArray[np.bool_],
            usable: NDArray[np.bool_],
            _spacing_px: float,
        ) -> NDArray[np.floating]:
            return membrane(guess, missing, usable, self.reduction)

        fill_band = partial(solved_from_coarse_to_fine, solve)
        return Filled(fill_each_band(fill_band, image, gaps, context.threads))


def membrane(
    guess: NDArray[np.floating], missing: NDArray[np.bool_], usable: NDArray[np.bool_], reduction: float
) -> NDArray[np.floating]:
    """Return the solution of Laplace's equation at the missing pixels, the usable ones as they are.

    Args:
        guess: `(row, col)`: the given values, and a first guess of the missing ones.
        missing: The unknowns.
        usable: The given pixels.
        reduction: By what factor the error of the guess shrinks.
    """
    import cv2

    from landsat_fill.methods.kernels.sweeps import sweep_membrane

    if not missing.any():
        return guess
    inside = (missing | usable).astype(guess.dtype)
    neighbours = cv2.filter2D(inside, -1, _FOUR_NEIGHBOURS, borderType=cv2.BORDER_CONSTANT)
    weight = np.divide(inside, neighbours, out=np.zeros_like(guess), where=missing & (neighbours > 0))
    # In an endless stripe of w rows the slowest error is half a sine wave from border to border, which a
    # sweep multiplies by (1 + cos(π / (w + 1))) / 2. In a closed hole of that width it dies faster.
    radius = (1 + math.cos(math.pi / (widest_gap_px(missing, usable) + 1))) / 2
    shares = np.array(chebyshev_shares(radius, reduction), guess.dtype)
    new, weights = np.pad(guess * inside, 1), np.pad(weight, 1)
    old = new.copy()
    return sweep_membrane(new, old, runs_of(weights > 0), weights, shares)[1:-1, 1:-1]
