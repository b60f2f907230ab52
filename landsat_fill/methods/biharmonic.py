"""The thin plate: every gap becomes the solution of the biharmonic equation, which goes on with the slopes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from landsat_fill.methods.interface import Context, MethodInfo, option
from landsat_fill.methods.lifting import fill_each_band
from landsat_fill.methods.relaxation import accelerated, guessed_from_coarser, widest_gap_px
from landsat_fill.scene import Filled, Gaps

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BILAPLACIAN = np.array(
    [[0, 0, 1, 0, 0], [0, 2, -8, 2, 0], [1, -8, 20, -8, 1], [0, 2, -8, 2, 0], [0, 0, 1, 0, 0]], np.float32
)
"""Laplace's five-point stencil, applied twice."""

_LARGEST_EIGENVALUE = 64.0
"""Of the stencil: its answer to a chessboard of ±1."""

_CLAMPED_PLATE = 4.730
"""First root of cos(x)·cosh(x) = 1: a clamped strip of length l has the eigenvalue (x / l)⁴ (Timoshenko)."""

_WIDEST_MODE_PX = 48.0
"""Errors longer than this are left to the coarser levels: removing them here takes their square of sweeps."""


@dataclass(frozen=True)
class Biharmonic:
    """The surface through the borders of a gap that bends least.

    Pixels that are neither missing nor usable are bridged like missing ones; at the edge of the tile the
    surface is mirrored.

    Source: Damelin and Hoang 2018, On surface completion and image inpainting by biharmonic functions:
    numerical aspects, doi:10.1155/2018/3950312.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="biharmonic",
        summary="the thin plate through the borders of a gap, keeping their slopes",
        source="Damelin and Hoang 2018, On surface completion and image inpainting by biharmonic functions: "
        "numerical aspects, doi:10.1155/2018/3950312",
        halo_px=48,
    )

    reduction: float = field(
        default=300.0,
        metadata=option("factor by which each resolution reduces the error it starts with", low=2, high=1e6),
    )

    def fill(self, image: NDArray[np.floating], gaps: Gaps, context: Context) -> Filled:
        """Return the filled image; see `FillMethod.fill`."""

        def solve(
            guess: NDArray[np.floating], missing: NDArray[np.bool_], usable: NDArray[np.bool_]
        ) -> NDArray[np.floating]:
            return thin_plate(guess, missing, usable, self.reduction)

        def fill_band(
            values: NDArray[np.floating], missing: NDArray[np.bool_], usable: NDArray[np.bool_]
        ) -> NDArray[np.floating]:
            return solve(guessed_from_coarser(values, usable, solve), missing, usable)

        return Filled(fill_each_band(fill_band, image, gaps, context.threads))


def thin_plate(
    guess: NDArray[np.floating], missing: NDArray[np.bool_], usable: NDArray[np.bool_], reduction: float
) -> NDArray[np.floating]:
    """Return the solution of the biharmonic equation at the pixels that aren't usable, the usable as they are.

    Args:
        guess: `(row, col)`: the given values, and a first guess of the others.
        missing: The pixels whose error counts.
        usable: The given pixels.
        reduction: By what factor the error of the guess shrinks.
    """
    import cv2

    if not missing.any():
        return guess
    length_px = min(widest_gap_px(missing, usable), _WIDEST_MODE_PX) + 1
    smallest = (_CLAMPED_PLATE / length_px) ** 4
    step = np.where(usable, 0, -2 / (smallest + _LARGEST_EIGENVALUE)).astype(guess.dtype)

    def sweep(values: NDArray[np.floating], swept: NDArray[np.floating]) -> None:
        cv2.filter2D(values, -1, _BILAPLACIAN, dst=swept, borderType=cv2.BORDER_REFLECT)
        cv2.multiply(swept, step, dst=swept)
        cv2.add(swept, values, dst=swept)

    radius = (_LARGEST_EIGENVALUE - smallest) / (_LARGEST_EIGENVALUE + smallest)
    return accelerated(sweep, guess, radius, reduction)
