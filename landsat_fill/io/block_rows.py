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

    At most one row of blocks is held at any time.
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
        self._stored_row = 0
        self._held: tuple[NDArray[np.generic], NDArray[np.bool_] | None] | None = None
        self._held_rows = 0

    def put(self, planes: NDArray[np.generic], valid: NDArray[np.bool_] | None, window: Window) -> None:
        """Take the pixels of a window; nothing given is kept a reference to."""
        next_row = self._stored_row + self._held_rows
        if (window.row, window.col, window.width) != (next_row, 0, self._width):
            self.flush()
            self._store(planes, valid, window)
            self._stored_row = window.row + window.height
            return
        # Rows of this window, counted from its top, after which a row of blocks or the raster is complete.
        first = -window.row % self._block_height or self._block_height
        ends = [*range(first, window.height + 1, self._block_height)]
        if window.row + window.height == self._height:
            ends.append(window.height)
        start = 0
        if self._held_rows:
            start = min([*ends, window.height])
            self._hold(planes, valid, slice(0, start))
            if ends:
                self.flush()
        if ends:
            self._hand_on(planes, valid, slice(start, ends[-1]))
            start = ends[-1]
        self._hold(planes, valid, slice(start, window.height))

    def flush(self) -> None:
        """Hand on what is held."""
        if self._held is not None:
            planes, valid = self._held
            rows = slice(0, self._held_rows)
            self._held, self._held_rows = None, 0
            self._hand_on(planes, valid, rows)

    def _hand_on(self, planes: NDArray[np.generic], valid: NDArray[np.bool_] | None, rows: slice) -> None:
        """Store rows that follow what is stored."""
        if rows.start == rows.stop:
            return
        where = Window(self._stored_row, 0, rows.stop - rows.start, self._width)
        self._stored_row += where.height
        self._store(planes[:, rows], None if valid is None else valid[rows], where)

    def _hold(self, planes: NDArray[np.generic], valid: NDArray[np.bool_] | None, rows: slice) -> None:
        """Copy rows that follow what is held."""
        if rows.start == rows.stop:
            return
        if self._held is None:
            shape = (self._block_height, self._width)
            held_planes = np.empty((len(planes), *shape), planes.dtype)
            self._held = held_planes, None if valid is None else np.empty(shape, bool)
        held, held_valid = self._held
        into = slice(self._held_rows, self._held_rows + rows.stop - rows.start)
        self._held_rows = into.stop
        held[:, into] = planes[:, rows]
        if valid is not None and held_valid is not None:
            held_valid[into] = valid[rows]
