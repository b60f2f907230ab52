"""Reads a scene in strips with a halo, each row once, one strip ahead."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.scene import Window, strip_windows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from landsat_fill.io import SceneReader
    from landsat_fill.pipeline.reference_scenes import OpenReference
    from landsat_fill.scene import Reference, Scene


STRIP_VALUES = 32_000_000
"""Largest number of values in a strip: 760 rows of a full scene of six bands, fewer of a stack of 60."""

LEAST_STRIP_PX = 128
"""Smallest number of rows in a strip. With fewer, most of the work would be on the halo."""


@dataclass(frozen=True, slots=True)
class Block:
    """A strip with its halo.

    Attributes:
        strip: The strip.
        window: The strip with its halo rows.
        values: Stored numbers of the window, `(band, row, col)`.
        observed: Observed pixels of the window.
        references: Other acquisitions, one tile of the window each.
    """

    strip: Window
    window: Window
    values: NDArray[np.generic]
    observed: NDArray[np.bool_]
    references: tuple[Reference, ...] = ()

    @property
    def inner(self) -> Window:
        """The strip in the coordinates of the window."""
        return self.strip.within(self.window)


def strip_rows(scene: Scene, most_px: int, align_px: int = 1) -> int:
    """Return the number of rows in a strip: as many as memory allows, up to `most_px`.

    It is a multiple of `align_px`, because tiles begin where strips begin.
    """
    rows = STRIP_VALUES // (len(scene.bands) * scene.grid.width)
    rows = min(most_px, max(rows, LEAST_STRIP_PX))
    return max(rows // align_px, 1) * align_px


@contextmanager
def read_blocks(
    reader: SceneReader,
    height: int,
    width: int,
    strip_px: int,
    halo_px: int,
    references: Sequence[OpenReference] = (),
    part: Window | None = None,
) -> Iterator[Iterator[Block]]:
    """Yield the blocks of a scene from top to bottom, read one ahead in a thread: all, or those with rows of a part.

    After the `with` statement the thread has ended, so that the reader can be closed.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="read") as pool:
        strips = strip_windows(height, width, strip_px)
        if part is not None:
            strips = [strip for strip in strips if strip.shared(part).height]
        yield _blocks(pool, partial(_read, reader, references, height, width, halo_px), strips)


def _blocks(
    pool: ThreadPoolExecutor, read: Callable[[Block | None, Window], Block], strips: Sequence[Window]
) -> Iterator[Block]:
    """Yield the blocks of strips, while the pool reads the next one."""
    if len(strips) == 1:  # no other work could run at the same time
        yield read(None, strips[0])
        return
    previous: Block | None = None
    next_block = pool.submit(read, None, strips[0])
    for next_strip in [*strips[1:], None]:
        previous = next_block.result()
        if next_strip is not None:
            next_block = pool.submit(read, previous, next_strip)
        yield previous


def _read(
    reader: SceneReader,
    references: Sequence[OpenReference],
    height: int,
    width: int,
    halo_px: int,
    previous: Block | None,
    strip: Window,
) -> Block:
    """Return the strip's block, with shared rows taken from the previous block."""
    outer = strip.expanded(halo_px, height, width)
    window = Window(outer.row, 0, outer.height, width)
    others = tuple(reference.read(window) for reference in references)
    if previous is None:
        return Block(strip, window, *reader.read(window), others)
    end, previous_end = window.row + window.height, previous.window.row + previous.window.height
    shared = slice(window.row - previous.window.row, None)
    values, observed = previous.values[:, shared], previous.observed[:, shared]
    if end > previous_end:
        new_values, new_observed = reader.read(Window(previous_end, 0, end - previous_end, width))
        values = np.concatenate([values, new_values], axis=1)
        observed = np.concatenate([observed, new_observed], axis=1)
    return Block(strip, window, values, observed, others)
