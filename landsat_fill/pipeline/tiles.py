"""How a scene is cut for a fill: into strips, read one ahead, and these into tiles, filled in batches."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.errors import LackOfMemoryError
from landsat_fill.methods import TilePlace
from landsat_fill.scene import Filled, Gaps, Window, strip_windows, tile_windows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from landsat_fill.io import SceneReader
    from landsat_fill.methods import Context, FillMethod
    from landsat_fill.pipeline.reference_scenes import OpenReference
    from landsat_fill.scene import Reference, Scene

    Progress = Callable[[float, str], None]
    FillBatch = Callable[[Sequence[Window], Progress], None]


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


BATCH_VALUES = 8_000_000
"""Largest number of values in a batch: 32 MB of float32, two tiles of 512 px with a wide halo."""

MOST_SOURCES = 251
"""References with a number of their own in the fill layer, whose codes are bytes; later ones share the last."""

SIZES = 2
"""Different sizes of a tile that is cut to its gaps, along each side."""

SMALLEST_TILE_PX = 64
"""Smallest side of tiles halved for lack of memory; below it, the halo needs most of the memory."""


def fill_tiles(
    image: NDArray[np.generic],
    gaps: Gaps,
    area: Window,
    method: FillMethod,
    context: Context,
    *,
    origin: tuple[int, int] = (0, 0),
    references: Sequence[Reference] = (),
    part: Window | None = None,
) -> Filled:
    """Return the fill of `area`: the method's values at missing pixels, NaN at all others.

    Args:
        image: `(band, row, col)` in stored numbers, with a margin around `area`.
        gaps: Cubes of the same shape.
        area: The part of the image to fill.
        method: The method.
        context: The method's context, without tiles.
        origin: Row and column of the image's corner in the scene. Places and random generators of the tiles
            depend on it, so that results don't depend on the strips of a scene.
        references: Other acquisitions, one tile of the image's shape each.
        part: The part of the area to fill at least. On a GPU, the batches of tiles are those of the whole area, so
            that it comes out the same.

    Raises:
        LackOfMemoryError: If even a tile of `SMALLEST_TILE_PX` doesn't fit into the device's memory.
    """
    bands, height, width = image.shape
    dtype = float_type(image.dtype)
    shape = (bands, area.height, area.width)
    mean = np.full(shape, np.nan, dtype=dtype)
    std = np.full(shape, np.nan, dtype=np.float32) if method.info.gives_std else None
    several = np.full((context.realizations, *shape), np.nan, dtype=dtype) if context.realizations else None
    sources = np.zeros(shape, np.uint8) if references else None

    touched = [w for w in tile_windows(area, method.info.tile_px) if gaps.missing[:, *w.slices].any()]
    on_cpu = context.device == "cpu"
    parallel = method.info.tile_a_thread and on_cpu
    if parallel:  # networks compute every pixel of a tile
        touched = [_around_gaps(gaps.missing, window, method.info.align_px) for window in touched]
    needed = touched if part is None else [tile for tile in touched if tile.shared(part).area_px]
    if parallel:
        batches = [[tile] for tile in needed]
    else:
        batches = list(_batches(needed if on_cpu else touched, method.info.halo_px, height, width, bands))
        batches = [batch for batch in batches if any(tile in needed for tile in batch)]
    at_once = max(1, min(context.threads, len(batches))) if parallel else 1
    threads = max(1, context.threads // at_once)

    def fill_batch(batch: Sequence[Window], progress: Progress) -> None:
        # A list instead of recursion, because a recursive closure would keep the image alive.
        left = [batch]
        while left:
            some = left.pop()
            longest_px = max(some[0].height, some[0].width)
            half_px = half_side_px(longest_px, method.info.align_px)
            try:
                fill_at_once(some, progress)
                continue
            except LackOfMemoryError:
                if not SMALLEST_TILE_PX <= half_px < longest_px:
                    raise
            # Outside the except clause, which would keep the tiles in memory.
            context.notify(
                f"warning: tiles exceed the memory of {context.device}: continuing with tiles of {half_px} px"
            )
            smaller = [window for tile in some for window in tile_windows(tile, half_px)]
            left += [[window] for window in smaller if gaps.missing[:, *window.slices].any()]

    def fill_at_once(batch: Sequence[Window], progress: Progress) -> None:
        haloed = [w.expanded(method.info.halo_px, height, width) for w in batch]
        tiles: NDArray[np.floating] = np.stack([image[:, *w.slices] for w in haloed]).astype(dtype)  # (T, B, h, w)
        tile_gaps = Gaps(
            missing=np.stack([gaps.missing[:, *w.slices] for w in haloed]),
            usable=np.stack([gaps.usable[:, *w.slices] for w in haloed]),
        )
        places = tuple(
            TilePlace(
                corner=(origin[0] + outer.row, origin[1] + outer.col),
                wanted=tile.within(outer),
                generator=np.random.default_rng([context.seed, origin[0] + tile.row, origin[1] + tile.col]),
            )
            for tile, outer in zip(batch, haloed, strict=True)
        )
        cut = tuple(cut_reference(reference, haloed) for reference in references)
        filled = method.fill(
            tiles, tile_gaps, context.for_tiles(places, threads=threads, progress=progress, references=cut)
        )
        for number, (tile, outer) in enumerate(zip(batch, haloed, strict=True)):
            inner, target = tile.within(outer).slices, tile.within(area).slices
            missing = gaps.missing[:, *tile.slices]
            mean[:, *target][missing] = filled.mean[number][:, *inner][missing]
            if std is not None and filled.std is not None:
                std[:, *target][missing] = filled.std[number][:, *inner][missing]
            if sources is not None:
                if filled.sources is not None:
                    sources[:, *target][missing] = filled.sources[number][:, *inner][missing]
                elif method.info.needs_references:
                    sources[:, *target][missing] = _first_usable(cut, number)[:, *inner][missing]
            if several is not None and filled.realizations is not None:
                several[:, :, *target][:, missing] = filled.realizations[:, number][:, :, *inner][:, missing]

    if at_once > 1:
        _in_parallel(batches, fill_batch, at_once, context.progress)
    else:
        _in_turn(batches, fill_batch, sum(map(len, batches)), context.progress)
    return Filled(mean, std, several, sources)


def _around_gaps(missing: NDArray[np.bool_], window: Window, align_px: int) -> Window:
    """Return the part of a window that holds its gaps, its sides whole or half of the window's.

    The corner stays on the method's cells. Few different sizes keep down what networks remember for each.
    """
    here = missing[:, *window.slices]
    sides = []
    for other, size in ((2, window.height), (1, window.width)):
        found = np.flatnonzero(here.any(axis=(0, other)))
        step = max(-(-size // (SIZES * align_px)), 1) * align_px
        first = int(found[0]) // step * step
        sides.append((first, min(-(-(int(found[-1]) + 1 - first) // step) * step, size - first)))
    (row, height), (col, width) = sides
    return Window(window.row + row, window.col + col, height, width)


def cut_reference(reference: Reference, windows: Sequence[Window]) -> Reference:
    """Return windows of a reference of one tile, as float32 tiles."""
    return replace(
        reference,
        values=np.stack([reference.values[0][:, *window.slices] for window in windows]).astype(np.float32),
        usable=np.stack([reference.usable[0][:, *window.slices] for window in windows]),
    )


def _first_usable(references: Sequence[Reference], tile: int) -> NDArray[np.uint8]:
    """Return the number of the first reference that is usable at each pixel, from 1, `(band, row, col)`; 0 for none."""
    planes = []
    for band in range(len(references[0].matches)):
        plane = np.zeros(references[0].usable.shape[2:], np.uint8)
        for number in range(len(references), 0, -1):
            match = references[number - 1].matches[band]
            if match is not None:
                plane[references[number - 1].usable[tile, match]] = min(number, MOST_SOURCES)
        planes.append(plane)
    return np.stack(planes)


def fill_with_references(
    image: NDArray[np.generic],
    gaps: Gaps,
    area: Window,
    method: FillMethod,
    fallback: FillMethod,
    context: Context,
    references: Sequence[Reference],
    *,
    origin: tuple[int, int] = (0, 0),
    part: Window | None = None,
) -> Filled:
    """Return the fill of `area` by a method with references; the fallback fills what it leaves. See `fill_tiles`.

    The method fills the whole area, also for a part, because tiles of the fallback reach beyond it.
    """
    filled = fill_tiles(image, gaps, area, method, context, origin=origin, references=references)
    left = np.zeros_like(gaps.missing)
    left[:, *area.slices] = gaps.missing[:, *area.slices] & np.isnan(filled.mean)
    if not left.any():
        return filled
    rest = fill_tiles(image, Gaps(left, gaps.usable), area, fallback, context, origin=origin, part=part)
    inner = left[:, *area.slices]
    np.copyto(filled.mean, rest.mean, where=inner)
    if filled.std is not None:
        np.copyto(filled.std, np.nan if rest.std is None else rest.std, where=inner)
    if filled.sources is not None:
        filled.sources[inner] = 0
    return filled


def _in_turn(batches: Iterable[Sequence[Window]], fill_batch: FillBatch, tiles: int, progress: Progress) -> None:
    """Fill batches one after another."""
    done = 0
    for batch in batches:

        def show(share: float, text: str, before: int = done, now: int = len(batch)) -> None:
            progress((before + share * now) / tiles, text)

        fill_batch(batch, show)
        done += len(batch)


def _in_parallel(batches: Sequence[Sequence[Window]], fill_batch: FillBatch, at_once: int, progress: Progress) -> None:
    """Fill batches in parallel threads; after an error or an interrupt, start no further batch."""
    pool = ThreadPoolExecutor(at_once, thread_name_prefix="fill")
    try:
        filling = [pool.submit(fill_batch, batch, lambda _share, _text: None) for batch in batches]
        for number, batch in enumerate(filling, 1):
            batch.result()
            progress(number / len(batches), "")
    finally:
        pool.shutdown(cancel_futures=True)


def half_side_px(side_px: int, align_px: int) -> int:
    """Return half of a tile's side, rounded up to a multiple of `align_px`."""
    return -(-side_px // (2 * align_px)) * align_px


def float_type(stored: np.dtype[np.generic]) -> np.dtype[np.floating]:
    """Return the float type for methods: float32 if it represents every stored number exactly."""
    return np.dtype(np.float32 if np.can_cast(stored, np.float32) else np.float64)


def _batches(tiles: Sequence[Window], halo_px: int, height: int, width: int, bands: int) -> Iterator[list[Window]]:
    """Yield batches of successive tiles with equal shapes and equal halos."""

    def shape_and_place(tile: Window) -> tuple[int, int, Window]:
        outer = tile.expanded(halo_px, height, width)
        return outer.height, outer.width, tile.within(outer)

    for (rows, cols, _), alike in groupby(tiles, key=shape_and_place):
        group = list(alike)
        size = max(1, BATCH_VALUES // (rows * cols * bands))
        for start in range(0, len(group), size):
            yield group[start : start + size]
