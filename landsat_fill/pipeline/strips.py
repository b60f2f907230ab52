"""Reads a scene as strips with a halo, every row once, ahead of the work on them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from landsat_fill.scene import Window, strip_windows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from landsat_fill.scene import Scene


STRIP_VALUES = 32_000_000
"""Pixels times bands that a strip may hold: 760 rows of a full scene of six bands, fewer of a stack of 60."""

LEAST_STRIP_PX = 128
"""Rows of a strip at least: with fewer, the halo would be most of the work."""


class Reads(Protocol):
    """What a strip is read from."""

    def read(self, window: Window) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
        """Return stored numbers and what is observed, `(band, row, col)`."""
        ...


@dataclass(frozen=True, slots=True)
class Block:
    """A strip and the rows around it.

    Attributes:
        strip: The rows this block is for.
        window: Those rows and the halo.
        values: Stored numbers of the window, `(band, row, col)`.
        observed: Which of them are observations.
    """

    strip: Window
    window: Window
    values: NDArray[np.generic]
    observed: NDArray[np.bool_]

    @property
    def inner(self) -> Window:
        """The strip in the coordinates of the window."""
        return self.strip.within(self.window)


def strip_rows(scene: Scene, most_px: int, align_px: int = 1) -> int:
    """Return the rows of a strip of a scene: at most `most_px`, and as many as memory allows.

    Args:
        scene: The scene.
        most_px: Rows of a tile.
        align_px: What the rows must be a multiple of, since tiles begin where strips do.
    """
    rows = STRIP_VALUES // (len(scene.bands) * scene.grid.width)
    rows = min(most_px, max(rows, LEAST_STRIP_PX))
    return max(rows // align_px, 1) * align_px


@contextmanager
def read_blocks(
    reader: Reads, height: int, width: int, strip_px: int, halo_px: int
) -> Iterator[Iterator[Block]]:
    """Yield the blocks of a scene from top to bottom, each read ahead in a thread of its own.

    To be used in a `with` statement: when it is left, however early, nobody reads any more, so that the
    reader may be closed.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="read") as pool:
        yield _blocks(pool, reader, height, width, strip_px, halo_px)


def _blocks(
    pool: ThreadPoolExecutor, reader: Reads, height: int, width: int, strip_px: int, halo_px: int
) -> Iterator[Block]:
    """Yield the blocks, while the pool reads the one that follows."""
    strips = strip_windows(height, width, strip_px)
    if len(strips) == 1:  # there is nothing to do beside reading it
        yield _read(reader, None, strips[0], height, width, halo_px)
        return
    held: Block | None = None
    ahead = pool.submit(_read, reader, None, strips[0], height, width, halo_px)
    for following in [*strips[1:], None]:
        held = ahead.result()
        if following is not None:
            ahead = pool.submit(_read, reader, held, following, height, width, halo_px)
        yield held


def _read(reader: Reads, held: Block | None, strip: Window, height: int, width: int, halo_px: int) -> Block:
    """Return the strip's block, taking the rows it shares with the block before from there."""
    outer = strip.expanded(halo_px, height, width)
    window = Window(outer.row, 0, outer.height, width)
    if held is None:
        return Block(strip, window, *reader.read(window))
    end, held_end = window.row + window.height, held.window.row + held.window.height
    shared = slice(window.row - held.window.row, None)
    values, observed = held.values[:, shared], held.observed[:, shared]
    if end > held_end:
        new_values, new_observed = reader.read(Window(held_end, 0, end - held_end, width))
        values = np.concatenate([values, new_values], axis=1)
        observed = np.concatenate([observed, new_observed], axis=1)
    return Block(strip, window, values, observed)
