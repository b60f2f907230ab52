"""Observed pixels that are held back from a fit, in the shape of the stripes, to know how good it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landsat_fill.scene import Gaps


PIECE_PX = (32, 16)
"""Height and width of the pieces that stripes are cut into; they lie on a grid of the scene."""

FIRST_SHARE = 0.3
"""Share of the usable pixels that a single piece may hold, where none is small enough for what was asked."""

MARGIN_PX = 2
"""Observed rows that are left between a held-out stripe and a gap, so that both keep a border."""

LARGEST_SHIFT_PX = 40
"""How far a gap is shifted at most to hide what lies beside it: one period of the stripes of 25 m pixels."""


def held_out(
    gaps: Gaps, corner: tuple[int, int], *, fold: int, seed: int, percent: float
) -> NDArray[np.bool_]:
    """Return observed pixels to hold back, `(band, row, col)`: pieces of the gaps, shifted on to them.

    Each band's own gaps are shifted, all by the same way, so that what one band loses another knows as often
    as in the gaps themselves. Which pieces are taken depends on their place in the scene, not on the tile.

    Args:
        gaps: Cubes `(band, row, col)` of a tile.
        corner: Row and column of the tile in the scene.
        fold: Pieces differ from fold to fold; the same pixel is in one of two folds that follow each other.
        seed: Decides which pieces are taken.
        percent: Percentage of the usable pixels to hold back at most.
    """
    far = gaps.usable & ~_near(gaps.missing, MARGIN_PX)
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
    # A band that keeps nothing has nothing to be fitted to.
    for band in range(len(kept)):
        if np.array_equal(gaps.usable[band], kept[band]):
            kept[band] = False
    return kept


def _shifted_on_to(wanted: NDArray[np.bool_], missing: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the gaps, shifted down by the least way that lays most of them on wanted pixels."""
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


def _near(missing: NDArray[np.bool_], distance_px: int) -> NDArray[np.bool_]:
    """Return the missing pixels and those at most some rows above or below one."""
    near = missing.copy()
    for shift in range(1, min(distance_px, missing.shape[1] - 1) + 1):
        near[:, shift:] |= missing[:, :-shift]
        near[:, :-shift] |= missing[:, shift:]
    return near


def _pieces(
    size: tuple[int, ...], corner: tuple[int, int], fold: int, seed: int
) -> list[tuple[float, slice, slice]]:
    """Return the pieces of a tile in the order of chance, each with its lot."""
    height, width = size
    top, left = corner
    pieces = []
    high, wide = PIECE_PX
    for row in range(top // high, -(-(top + height) // high)):
        for col in range(left // wide, -(-(left + width) // wide)):
            # Folds of even and odd number take from the two colours of a chessboard.
            if (row + col + fold) % 2:
                continue
            lot = np.random.default_rng([seed, fold, row, col]).random()
            rows = slice(max(row * high - top, 0), (row + 1) * high - top)
            cols = slice(max(col * wide - left, 0), (col + 1) * wide - left)
            pieces.append((lot, rows, cols))
    return sorted(pieces, key=lambda piece: piece[0])
