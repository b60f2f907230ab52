"""Sweeps of an elastic plate, and of a membrane, over the missing pixels of a tile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from landsat_fill.methods.kernels import compiled

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Image = NDArray[np.floating]


FRAME_PX = 2
"""Width of the frame around a tile that holds its mirror image: as far as the stencil reaches."""


@compiled
def sweep_plate(new: Image, old: Image, runs: NDArray[np.int64], numbers: Image) -> Image:
    """Return the surface after each missing pixel gave way to what the plate pulls it to, sweep by sweep.

    A sweep is `u + step·(stretching·∇²u - bending·∇⁴u)`, mixed with the surface of the sweep before. Sums are
    built from differences to the pixel itself, which cancel without rounding on a level surface. The edge of
    the tile mirrors the surface.

    Args:
        new: The surface in its frame, `(row, col)`; written to.
        old: That of the sweep before, at first the same; written to.
        runs: Row, first column and end of the missing pixels that lie side by side, in the frame's numbers,
            `(run, 3)`.
        numbers: Of each sweep the steps of stretching and of bending, and what its result weighs, the rest
            being the surface before; `(sweep, 3)`, in the surface's type.
    """
    for sweep in range(len(numbers)):
        stretching, bending, share = numbers[sweep, 0], numbers[sweep, 1], numbers[sweep, 2]
        for run in range(len(runs)):
            row, first, end = runs[run]
            _sweep_plate_run(
                new[row - 2, first:end],
                new[row - 1, first - 1 : end + 1],
                new[row, first - 2 : end + 2],
                new[row + 1, first - 1 : end + 1],
                new[row + 2, first:end],
                old[row, first:end],
                stretching,
                bending,
                share,
            )
        _mirror(old)
        old, new = new, old
    return new


@compiled
def _sweep_plate_run(
    above2: Image,
    above: Image,
    here: Image,
    below: Image,
    below2: Image,
    before: Image,
    stretching: float,
    bending: float,
    share: float,
) -> None:
    """Sweep pixels that lie side by side. Slices that begin at 0, and plain numbers, become vector code."""
    for col in range(len(before)):
        value = here[col + 2]
        twice = value + value
        middle = twice + twice
        near = ((above[col + 1] + below[col + 1]) + (here[col + 1] + here[col + 3])) - middle
        aslant = ((above[col] + above[col + 2]) + (below[col] + below[col + 2])) - middle
        far = ((above2[col] + below2[col]) + (here[col] + here[col + 4])) - middle
        near2 = near + near
        near4 = near2 + near2
        bent = far + ((aslant + aslant) - (near4 + near4))
        now = value + (stretching * near - bending * bent)
        before[col] += share * (now - before[col])


@compiled
def _mirror(framed: Image) -> None:
    """Let the frame show the mirror image of what it frames, the outermost pixels twice."""
    height, width = framed.shape
    for away in range(FRAME_PX):
        inside = FRAME_PX + min(away, width - 2 * FRAME_PX - 1)
        outside = FRAME_PX - 1 - away
        for row in range(FRAME_PX, height - FRAME_PX):
            framed[row, outside] = framed[row, inside]
            framed[row, width - 1 - outside] = framed[row, width - 1 - inside]
    for away in range(FRAME_PX):
        inside = FRAME_PX + min(away, height - 2 * FRAME_PX - 1)
        outside = FRAME_PX - 1 - away
        for col in range(width):
            framed[outside, col] = framed[inside, col]
            framed[height - 1 - outside, col] = framed[height - 1 - inside, col]


@compiled
def sweep_membrane(
    new: Image, old: Image, runs: NDArray[np.int64], weights: Image, shares: NDArray[np.floating]
) -> Image:
    """Return the surface after each missing pixel became the weighted sum of its neighbours, sweep by sweep.

    Args:
        new: The surface in a frame of zeros, `(row, col)`; written to.
        old: That of the sweep before, at first the same; written to.
        runs: As of `sweep_plate`.
        weights: What the sum of a pixel's neighbours is multiplied by, in the same frame.
        shares: What each sweep's result weighs, the rest being the surface before; in the surface's type.
    """
    for sweep in range(len(shares)):
        for run in range(len(runs)):
            row, first, end = runs[run]
            _sweep_membrane_run(
                new[row - 1, first:end],
                new[row, first - 1 : end + 1],
                new[row + 1, first:end],
                weights[row, first:end],
                old[row, first:end],
                shares[sweep],
            )
        old, new = new, old
    return new


@compiled
def _sweep_membrane_run(
    above: Image, here: Image, below: Image, weights: Image, before: Image, share: float
) -> None:
    for col in range(len(before)):
        now = weights[col] * ((above[col] + below[col]) + (here[col] + here[col + 2]))
        before[col] += share * (now - before[col])
