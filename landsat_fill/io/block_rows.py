"""Holds rows back until they make whole rows of blocks, so that no block is compressed twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.scene import Window

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Store = Callable[[NDArray[np.generic], NDArray[np.bool_] | None, Window], None]


class BlockRows:
    """Takes windows in any order and hands them on; strips from top to bottom go on in whole rows of blocks.

    Less than one row of blocks is held at any time.
    """

    def __init__(self, height: int, width: int, block_height: int, store: Store) -> None:
        """Prepare an empty buffer.

        Args:
            height: Rows of the raster.
            width: Columns of the raster.
            block_height: Rows of a block.
            store: Called with planes `(band, row, col)`, validity `(row, col)` or None, and their window.
        """
        self._height = height
        self._width = width
        self._block_height = block_height
        self._store = store
        self._held: list[tuple[NDArray[np.generic], NDArray[np.bool_] | None]] = []
        self._first_row = 0
        self._next_row = 0

    def put(self, planes: NDArray[np.generic], valid: NDArray[np.bool_] | None, window: Window) -> None:
        """Take the pixels of a window; nothing given is kept a reference to."""
        follows = window.col == 0 and window.width == self._width and window.row == self._next_row
        if not follows:
            self.flush()
            self._store(planes, valid, window)
            self._first_row = self._next_row = window.row + window.height
            return
        self._next_row += window.height
        at_end = self._next_row == self._height
        whole = self._next_row if at_end else self._next_row - self._next_row % self._block_height
        # Ends of rows of this window, counted from its top: those that complete the row of blocks which is
        # held, and those that complete further ones or the raster. Apart, so that few are copied together.
        cut = max(whole - window.row, 0)
        held = min(-window.row % self._block_height, cut) if self._held else 0
        for rows in (slice(0, held), slice(held, cut)):
            if rows.start < rows.stop:
                self._hold(planes[:, rows], valid, rows, copy=False)
                self.flush()
        if cut < window.height:
            self._hold(planes[:, cut:], valid, slice(cut, window.height), copy=True)

    def flush(self) -> None:
        """Hand on what is held."""
        if not self._held:
            return
        held, self._held = self._held, []
        if len(held) == 1:
            planes, valid = held[0]
        else:
            planes = np.concatenate([part for part, _ in held], axis=1)
            parts = [part for _, part in held if part is not None]
            valid = np.concatenate(parts) if parts else None
        rows = planes.shape[1]
        first, self._first_row = self._first_row, self._first_row + rows
        self._store(planes, valid, Window(first, 0, rows, self._width))

    def _hold(
        self, planes: NDArray[np.generic], valid: NDArray[np.bool_] | None, rows: slice, *, copy: bool
    ) -> None:
        chosen = None if valid is None else valid[rows]
        if copy:
            planes, chosen = planes.copy(), None if chosen is None else chosen.copy()
        self._held.append((planes, chosen))
