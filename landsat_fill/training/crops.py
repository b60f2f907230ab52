"""Where square pieces of an image lie: on a grid, or at random."""

from __future__ import annotations

from typing import TYPE_CHECKING

from landsat_fill.scene import Window

if TYPE_CHECKING:
    import numpy as np


def grid_starts(length_px: int, size_px: int, stride_px: int) -> list[int]:
    """Return where pieces begin along a side, none if it is too short; the last one ends at its end."""
    last = length_px - size_px
    if last < 0:
        return []
    starts = list(range(0, last + 1, stride_px))
    return starts if starts[-1] == last else [*starts, last]


def random_window(height: int, width: int, size_px: int, generator: np.random.Generator) -> Window:
    """Return a square anywhere in an image."""
    row = int(generator.integers(height - size_px + 1))
    col = int(generator.integers(width - size_px + 1))
    return Window(row, col, size_px, size_px)
