"""Windows of a scene, kept as its rows go by, to tell its stripes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.gaps.faint import find_faint_stripes
from landsat_fill.gaps.stripes import stripe_windows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landsat_fill.pipeline.blocks import Block
    from landsat_fill.scene import Scene, Window

FAINT_WINDOWS = 4
"""Windows looked through for faint stripes: both sides of the swath, and enough of them that a few clouds
don't matter."""

FAINT_BANDS = 8
"""Bands looked through for them; a stack of sixty shows in eight what it shows in all."""

LARGEST_MIXED = 1e6
"""Beyond all stored numbers of Landsat bands, and all fill values that could be mixed with them."""


class SampleWindows:
    """Windows spread evenly over a scene: what is missing in all, the pixels of a few."""

    def __init__(self, scene: Scene) -> None:
        height, width = scene.grid.height, scene.grid.width
        self._windows = stripe_windows(height, width)
        self._fill_value = fill_value(scene)
        self.missing = [np.zeros((window.height, window.width), dtype=bool) for window in self._windows]
        chosen = np.unique(np.linspace(0, len(self._windows) - 1, FAINT_WINDOWS).round().astype(int))
        self._kept: dict[int, tuple[NDArray[np.generic], NDArray[np.bool_]] | None]
        self._kept = dict.fromkeys(chosen.tolist())

    def add(self, block: Block) -> None:
        """Take the rows of a block's strip."""
        for number, window in enumerate(self._windows):
            first = max(block.strip.row, window.row)
            end = min(block.strip.row + block.strip.height, window.row + window.height)
            if first >= end:
                continue
            here = slice(first - window.row, end - window.row)
            rows = slice(first - block.window.row, end - block.window.row)
            cols = slice(window.col, window.col + window.width)
            observed = block.observed[:, rows, cols]
            self.missing[number][here] = ~observed.all(axis=0)
            if number in self._kept:
                kept_values, kept_observed = self._pixels(number, block)
                kept_values[:, here] = block.values[:FAINT_BANDS, rows, cols]
                kept_observed[:, here] = observed[:FAINT_BANDS]

    def show_faint_stripes(self) -> bool:
        """Return whether there seem to be stripes that aren't exactly nodata, once all rows went by."""
        return any(
            kept is not None and find_faint_stripes(*kept, self._fill_value) is not None
            for kept in self._kept.values()
        )

    def _pixels(self, number: int, block: Block) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
        kept = self._kept[number]
        if kept is None:
            window: Window = self._windows[number]
            shape = (min(len(block.values), FAINT_BANDS), window.height, window.width)
            kept = np.zeros(shape, block.values.dtype), np.zeros(shape, dtype=bool)
            self._kept[number] = kept
        return kept


def fill_value(scene: Scene) -> float:
    """Return the number that resampling may have mixed into the pixels beside gaps: nodata, or 0.

    A nodata number like -1.7e308 mixes with nothing.
    """
    nodata = scene.bands[0].nodata
    return nodata if nodata is not None and abs(nodata) < LARGEST_MIXED else 0.0
