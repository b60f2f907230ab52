"""Held-out pixels: observed pixels in the shape of the stripes, withheld from a fit to measure its error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landsat_fill.scene import Gaps


PIECE_PX = (32, 16)
"""Height and width of the pieces of stripes, on a grid of the scene."""

FIRST_SHARE = 0.3
"""Largest share of the usable pixels in the first piece, if no piece is below the requested percentage."""

MARGIN_PX = 2
"""Observed rows between a held-out stripe and a gap, so that both keep a border."""

LARGEST_SHIFT_PX = 40
"""Largest shift of a gap onto observed pixels: one period of the stripes at 25 m."""


def held_out(gaps: Gaps, corner: tuple[int, int], *, fold: int, seed: int, percent: float) -> NDArray[np.bool_]:
    """Return observed pixels to hold out, `(band, row, col)`: pieces of the gaps, shifted onto them.

    The gaps of all bands are shifted by the same distance, so that other bands are observed at a held-out
    pixel as often as at a missing one. The choice of pieces depends on their position in the scene, not on
    the tile.

    Args:
        gaps: Cubes `(band, row, col)` of a tile.
        corner: Row and column of the tile's corner in the scene.
        fold: Number of the fold. Two consecutive folds share no pieces.
        seed: Seed of the choice.
        percent: Largest percentage of the usable pixels to hold out.
    """
    from scipy.ndimage import binary_dilation

    far = gaps.usable & ~binary_dilation(gaps.missing, np.ones((1, 2 * MARGIN_PX + 1, 1), np.bool_))
    candidates = _shifted_on_to(far, gaps.missing) & far
    most = percent / 100 * np.count_nonzero(gaps.usable)
    largest = max(most, FIRST_SHARE * np.count_nonzero(gaps.usable))
    kept = np.zeros_like(candidates)
    count = 0
    for _, rows, cols in _pieces(candidates.shape[1:], corner, fold, seed):
        piece = candidates[:, rows, cols]
        size = int(np.count_nonzero(piece))
        if size and count + size <= (most if count else largest):
            kept[:, rows, cols] = piece
            count += size
    # A band must keep a usable pixel for the fit.
    for band in range(len(kept)):
        if np.array_equal(gaps.usable[band], kept[band]):
            kept[band] = False
    return kept


def _shifted_on_to(wanted: NDArray[np.bool_], missing: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the gaps shifted down by the smallest distance at which most of them lie on wanted pixels."""
    height = missing.shape[1]
    any_missing: NDArray[np.bool_] = np.logical_or.reduce(missing)
    any_wanted: NDArray[np.bool_] = np.logical_or.reduce(wanted)
    best, best_count = 0, 0
    for shift in range(1, min(LARGEST_SHIFT_PX, height - 1) + 1):
        count = int(np.count_nonzero(any_missing[:-shift] & any_wanted[shift:]))
        if count > best_count:
            best, best_count = shift, count
    shifted = np.zeros_like(missing)
    if best:
        shifted[:, best:] = missing[:, :-best]
    return shifted


def _pieces(size: tuple[int, ...], corner: tuple[int, int], fold: int, seed: int) -> list[tuple[float, slice, slice]]:
    """Return the pieces of a tile in random order, each with its random number."""
    height, width = size
    top, left = corner
    pieces = []
    high, wide = PIECE_PX
    for row in range(top // high, -(-(top + height) // high)):
        for col in range(left // wide, -(-(left + width) // wide)):
            # Even and odd folds take the two colours of a chessboard.
            if (row + col + fold) % 2:
                continue
            order = np.random.default_rng([seed, fold, row, col]).random()
            rows = slice(max(row * high - top, 0), (row + 1) * high - top)
            cols = slice(max(col * wide - left, 0), (col + 1) * wide - left)
            pieces.append((order, rows, cols))
    return sorted(pieces, key=lambda piece: piece[0])
