"""The membrane, the thin plate and the spline in tension: surfaces through the observed pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np

from landsat_fill.gaps.run_lengths import find_runs
from landsat_fill.methods.method import Context, MethodInfo, fill_each_band
from landsat_fill.scene import Filled, Gaps
from landsat_fill.schema import option

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from landsat_fill.methods.method import Flags, Image

    Solve = Callable[[Image, Flags, Flags, float], Image]


_SMALLEST_LEVEL_PX = 4
"""Halving stops at images of this size, where missing pixels start from the mean."""


def chebyshev_shares(radius: float, reduction: float) -> list[float]:
    """Return the weight of each sweep in Chebyshev's three-term recurrence; a weight may exceed 1.

    Args:
        radius: Spectral radius of the iteration, below 1. A value above the true radius costs sweeps; a value
            below it leaves some of the slowest error.
        reduction: Factor by which the error of the guess shrinks.
    """
    shares = [1.0, 1 / (1 - radius**2 / 2)]
    sweeps = math.ceil(math.acosh(reduction) / math.acosh(1 / radius))
    while len(shares) < sweeps:
        shares.append(1 / (1 - radius**2 * shares[-1] / 4))
    return shares[:sweeps]


def runs_of(unknown: Flags) -> NDArray[np.int64]:
    """Return row, first column and end of each horizontal run of unknown pixels, `(run, 3)`."""
    runs = find_runs(unknown, 0)
    return np.stack([runs.row, runs.start, runs.stop], axis=1)


def widest_gap_px(missing: Flags, usable: Flags) -> float:
    """Return the width of the widest gap: twice the largest distance from a missing to a usable pixel."""
    import cv2

    # The 5 × 5 chamfer is exact along rows and columns; the 3 × 3 chamfer is 4.5 % too short there.
    distance_px = cv2.distanceTransform((~usable).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    return 2.0 * cv2.minMaxLoc(distance_px, missing.view(np.uint8))[1]


def solved_from_coarse_to_fine(solve: Solve, values: Image, missing: Flags, usable: Flags) -> Image:
    """Return the solution at full resolution. Each resolution starts from the solution at half of it.

    Args:
        solve: Takes `(guess, missing, usable, spacing_px)` and returns the solution for pixels that are
            `spacing_px` apart. Below full resolution every pixel that isn't usable is missing.
        values: `(row, col)`, 0 outside `usable`.
        missing: Pixels to fill.
        usable: Observed pixels; at least one.
    """
    return solve(_guessed(solve, values, usable, 1.0), missing, usable, 1.0)


def _guessed(solve: Solve, values: Image, usable: Flags, spacing_px: float) -> Image:
    """Return the values, with a guess at every pixel that isn't usable, solved at twice the spacing."""
    import cv2

    if usable.all():
        return values
    height, width = values.shape
    if max(height, width) <= _SMALLEST_LEVEL_PX:
        mean = values.dtype.type(values[usable].mean())
        return np.where(usable, values, mean)
    share = _halved(usable.astype(values.dtype))
    known = share > 0
    coarse: Image = np.divide(_halved(values), share, out=np.zeros_like(share), where=known)
    coarse = solve(_guessed(solve, coarse, known, 2 * spacing_px), ~known, known, 2 * spacing_px)
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


_LARGEST_STRETCHING, _LARGEST_BENDING = 8.0, 64.0
"""Largest eigenvalues of Laplace's five-point stencil and of its square, for a chessboard of ±1."""

_CLAMPED = 4.730
"""First root of cos(x)·cosh(x) = 1. A clamped strip of length l has the smallest eigenvalue (x / l)⁴; on the
grid, w unknown rows have l = w + 2 to within a percent."""

_WIDEST_MODE_PX = 48.0
"""The coarser levels remove errors of longer wavelength, which would take too many sweeps here."""


def plate(
    values: Image, missing: Flags, usable: Flags, *, tension: float, reduction: float, widest_px: float | None = None
) -> Image:
    """Return the values, with (1 - tension)·∇⁴u = tension·∇²u solved at every pixel that isn't usable.

    Pixels that are neither missing nor usable are bridged like missing ones. The surface is mirrored at the
    edge of the tile. In gaps wider than 48 px the surface is stiffer than the equation says.

    Args:
        values: `(row, col)`, 0 outside `usable`.
        missing: Pixels to fill.
        usable: Observed pixels; at least one.
        tension: 0 bends only (a thin plate), 1 stretches only (a membrane); per pixel of spacing.
        reduction: Factor by which each resolution reduces its initial error.
        widest_px: Fixed gap width to solve for, instead of the measured one, so that the remaining error
            doesn't depend on how an image is cut into tiles. Pixels farther than this from a usable pixel
            keep the solution at half the resolution.
    """

    def solve(guess: Image, missing: Flags, usable: Flags, spacing_px: float) -> Image:
        if not missing.any():
            return guess
        bending, stretching = (1 - tension) / spacing_px**4, tension / spacing_px**2
        # Bounds of the eigenvalues in an infinite stripe. Those of a closed hole lie between them.
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


def _within(usable: Flags, distance_px: int) -> Flags:
    """Return which pixels have a usable pixel within a square of this radius."""
    import cv2

    side_px = 2 * distance_px + 1
    return cv2.dilate(usable.view(np.uint8), np.ones((side_px, side_px), np.uint8)).view(np.bool_)


def _swept(guess: Image, unknown: Flags, stretching: float, bending: float, shares: list[float]) -> Image:
    """Return the surface after one sweep for each share; see `sweep_plate`."""
    from landsat_fill.methods.kernels.pixel_loops import FRAME_PX, sweep_plate

    new = np.pad(guess, FRAME_PX, mode="symmetric")
    old = new.copy()
    numbers = np.array([(stretching, bending, share) for share in shares], guess.dtype)
    surface = sweep_plate(new, old, runs_of(np.pad(unknown, FRAME_PX)), numbers)
    return surface[FRAME_PX:-FRAME_PX, FRAME_PX:-FRAME_PX]


_FOUR_NEIGHBOURS = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], np.float32)


@dataclass(frozen=True)
class Harmonic:
    """The surface through the borders of a gap with the smallest sum of squared slopes.

    Each missing pixel is the mean of its four neighbours. Pixels that are neither missing nor usable, and the
    edge of the tile, are natural boundaries.

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

    reduction: float = option(300.0, "factor by which each resolution reduces its initial error", low=2, high=1e6)

    def fill(self, image: Image, gaps: Gaps, context: Context) -> Filled:
        """Return the filled image; see `FillMethod.fill`."""

        def solve(guess: Image, missing: Flags, usable: Flags, _spacing_px: float) -> Image:
            return membrane(guess, missing, usable, self.reduction)

        fill_band = partial(solved_from_coarse_to_fine, solve)
        return Filled(fill_each_band(fill_band, image, gaps, context.threads))


def membrane(guess: Image, missing: Flags, usable: Flags, reduction: float) -> Image:
    """Return the solution of Laplace's equation at the missing pixels; usable pixels keep their values.

    Args:
        guess: `(row, col)`: usable values, and a first guess of the missing ones.
        missing: Pixels to solve for.
        usable: Pixels with known values.
        reduction: Factor by which the error of the guess shrinks.
    """
    import cv2

    from landsat_fill.methods.kernels.pixel_loops import sweep_membrane

    if not missing.any():
        return guess
    inside = (missing | usable).astype(guess.dtype)
    neighbours = cv2.filter2D(inside, -1, _FOUR_NEIGHBOURS, borderType=cv2.BORDER_CONSTANT)
    weight = np.divide(inside, neighbours, out=np.zeros_like(guess), where=missing & (neighbours > 0))
    # In an infinite stripe of w rows the slowest error is half a sine wave from border to border. A sweep
    # multiplies it by (1 + cos(π / (w + 1))) / 2. In a closed hole of that width it shrinks faster.
    radius = (1 + math.cos(math.pi / (widest_gap_px(missing, usable) + 1))) / 2
    shares = np.array(chebyshev_shares(radius, reduction), guess.dtype)
    new, weights = np.pad(guess * inside, 1), np.pad(weight, 1)
    old = new.copy()
    return sweep_membrane(new, old, runs_of(weights > 0), weights, shares)[1:-1, 1:-1]


@dataclass(frozen=True)
class Biharmonic:
    """The surface through the borders of a gap with the least bending; see `plate`."""

    info: ClassVar[MethodInfo] = MethodInfo(
        name="biharmonic",
        summary="the thin plate through the borders of a gap, keeping their slopes",
        source="Damelin and Hoang 2018, On surface completion and image inpainting by biharmonic functions: "
        "numerical aspects, doi:10.1155/2018/3950312",
        halo_px=48,
    )

    reduction: float = option(300.0, "factor by which each resolution reduces its initial error", low=2, high=1e6)

    def fill(self, image: Image, gaps: Gaps, context: Context) -> Filled:
        """Return the filled image; see `FillMethod.fill`."""
        fill_band = partial(plate, tension=0.0, reduction=self.reduction)
        return Filled(fill_each_band(fill_band, image, gaps, context.threads))


@dataclass(frozen=True)
class TensionSpline:
    """The surface through the borders of a gap with the least bending and stretching; see `plate`.

    A membrane has a kink at the border of a gap, and a thin plate overshoots in a wide gap. A plate under
    tension bends over a pixel or two and is flat beyond.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="tension-spline",
        summary="a plate under tension through the borders of a gap, between harmonic and biharmonic",
        source="Smith and Wessel 1990, Gridding with continuous curvature splines in tension, doi:10.1190/1.1442837",
        halo_px=32,
    )

    tension: float = option(0.35, "0 is a thin plate (biharmonic), 1 a membrane (harmonic)", low=0, high=1)
    reduction: float = option(100.0, "factor by which each resolution reduces its initial error", low=2, high=1e6)

    def fill(self, image: Image, gaps: Gaps, context: Context) -> Filled:
        """Return the filled image; see `FillMethod.fill`."""
        fill_band = partial(plate, tension=self.tension, reduction=self.reduction)
        return Filled(fill_each_band(fill_band, image, gaps, context.threads))


def first_fill(values: NDArray[np.float32], usable: Flags, threads: int = 1) -> NDArray[np.float32]:
    """Return tiles filled by a spline in tension, the input of a network that `starts_filled`.

    The spline is less exact than that of `tension-spline`, because the network corrects its error. The error
    doesn't depend on how a scene is cut into tiles, and is the same in training and in filling.

    Args:
        values: `(tile, band, row, col)`, standardised.
        usable: Observed pixels. All others are filled, even outside the footprint, because the network
            reads every pixel.
        threads: Bands filled at once.

    Returns:
        Float32 of the same shape, 0 in a band without any usable pixel.
    """
    surface = partial(plate, tension=0.35, reduction=10.0, widest_px=16.0)
    filled = fill_each_band(surface, values, Gaps(missing=~usable, usable=usable), threads)
    np.copyto(filled, 0, where=np.isnan(filled))
    return filled.astype(np.float32, copy=False)
