"""Lays the gaps of a real SLC-off scene over another image."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from landsat_fill.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PLACES_TRIED = 20


class _Move(NamedTuple):
    """How far a copy of a pattern lies from its neighbour."""

    rows: int
    columns: int


def gaps_from(
    pattern: NDArray[np.bool_], shape: tuple[int, int, int], generator: np.random.Generator
) -> NDArray[np.bool_]:
    """Return real gaps laid over another image: missing pixels `(band, row, col)`, boolean.

    The gaps are cut out at a random place. Where the pattern is smaller than the image it is repeated, each
    copy moved so that it continues its neighbour; never turned or mirrored, which would change the tilt.

    Args:
        pattern: The missing pixels of an SLC-off scene, `(band, row, col)` or `(row, col)`. An image with
            more bands than the pattern takes the pattern's from the first on again.
        shape: Bands, rows and columns of the other image.
        generator: Draws the place.

    Raises:
        UsageError: The pattern has no gaps, or nothing but gaps.
    """
    cube = pattern if pattern.ndim == 3 else pattern[None]
    if not 0 < cube.mean() < 1:
        raise UsageError(
            f"expected gaps with pixels between them, but got {cube.mean():.0%} missing",
            hint="take the gaps from an SLC-off scene (acquired after 2003-05-31), away from nadir",
        )
    bands, height, width = shape
    fits = height <= cube.shape[1] and width <= cube.shape[2]
    moves = None if fits else _continuing_moves(np.logical_or.reduce(cube))
    # A place near nadir would have hardly a gap: draw again until there are half as many as overall.
    best = np.zeros(shape, np.bool_)
    for _ in range(_PLACES_TRIED):
        rows, columns = _place(cube.shape[1:], (height, width), moves, generator)
        gaps = cube[:, rows, columns][np.arange(bands) % len(cube)]
        if best.mean() < gaps.mean() < 1:
            best = gaps
        if best.mean() >= cube.mean() / 2:
            break
    return best


def _place(
    size: tuple[int, ...],
    wanted: tuple[int, int],
    moves: tuple[_Move, _Move] | None,
    generator: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the row and the column of the pattern that each pixel of the image takes."""
    rows, columns = np.mgrid[: wanted[0], : wanted[1]]
    down, right = moves or (_Move(size[0], 0), _Move(0, size[1]))
    if wanted[1] <= size[1]:
        columns = columns + int(generator.integers(size[1] - wanted[1] + 1))
        right = _Move(0, size[1])
    else:
        columns = columns + int(generator.integers(right.columns))
    if moves is None:
        rows = rows + int(generator.integers(size[0] - wanted[0] + 1))
    else:
        rows = rows + int(generator.integers(down.rows)) - columns // right.columns * right.rows
    return rows % down.rows, columns % right.columns


def _continuing_moves(pattern: NDArray[np.bool_]) -> tuple[_Move, _Move]:
    """Return the moves down and to the right at which a pattern continues itself.

    They are where its autocorrelation is highest, among moves by a third to two thirds of its size, which
    leave enough of it overlapping to tell.
    """
    from scipy.signal import fftconvolve

    height, width = pattern.shape
    centred = pattern - pattern.mean()
    likeness = fftconvolve(centred, centred[::-1, ::-1])
    # Per overlapping pixel; a move by (0, 0) is at (height - 1, width - 1).
    likeness /= np.outer(
        height - np.abs(np.arange(1 - height, height)), width - np.abs(np.arange(1 - width, width))
    )
    down_first, down_end = max(height // 3, 1), max(2 * height // 3, 1) + 1
    right_first, right_end = max(width // 3, 1), max(2 * width // 3, 1) + 1
    straight_down = likeness[height - 1 :, width - 1][down_first:down_end]
    down = _Move(down_first + int(np.argmax(straight_down)), 0) if straight_down.size else _Move(height, 0)
    drift = height // 2
    aside = likeness[height - 1 - drift : height + drift, width - 1 :][:, right_first:right_end]
    if not aside.size:
        return down, _Move(0, width)
    row, column = np.unravel_index(int(np.argmax(aside)), aside.shape)
    return down, _Move(int(row) - drift, right_first + int(column))
