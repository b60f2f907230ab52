"""No result depends on how a scene is cut: not on tiles, strips, batches or threads."""

from __future__ import annotations

import gc
import time
import weakref
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landsat_fill.errors import LackOfMemoryError
from landsat_fill.methods import Context, MethodInfo, create_method, method_classes
from landsat_fill.pipeline import tiles as tiles_module
from landsat_fill.pipeline.arrays import fill_array
from landsat_fill.pipeline.tiles import LEAST_STRIP_PX, fill_tiles, fill_with_references, read_blocks, strip_rows
from landsat_fill.scene import Filled, Gaps, Reference, Window


@dataclass(frozen=True)
class Drawing:
    """A method that draws: the mean is of the usable pixels of its tile, the rest chance."""

    info: ClassVar[MethodInfo] = MethodInfo("drawing", "", "", halo_px=3, tile_px=16, gives_std=True)
    spread: float = field(default=1.0, metadata={})

    def fill(self, image, _gaps, context):
        drawn = np.stack([place.generator.normal(size=image.shape[1:]) for place in context.tiles])
        return Filled((50 + self.spread * drawn).astype(image.dtype), np.full(image.shape, self.spread, np.float32))


@dataclass(frozen=True)
class BoxMean:
    """A method with a halo that it really needs: the mean of the usable pixels at most 5 px away."""

    info: ClassVar[MethodInfo] = MethodInfo("box-mean", "", "", halo_px=5, tile_px=16)

    def fill(self, image, gaps, _context):
        total = _box_sum(np.where(gaps.usable, image, 0))
        count = _box_sum(gaps.usable.astype(image.dtype))
        with np.errstate(invalid="ignore", divide="ignore"):
            return Filled(np.where(count > 0, total / count, np.nan))


def _box_sum(cube):
    padded = np.pad(cube.astype(np.float64), [(0, 0), (0, 0), (5, 5), (5, 5)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, (11, 11), axis=(2, 3))
    return windows.sum(axis=(-1, -2))


def scene(seed, bands, height, width):
    generator = np.random.default_rng(seed)
    image = generator.integers(1, 200, (bands, height, width)).astype(np.uint8)
    row, col = np.mgrid[0:height, 0:width]
    missing = np.stack([(row + col // 5 - band) % 11 < 4 for band in range(bands)])
    usable = ~missing & (generator.random(missing.shape) > 0.1)
    image[missing] = 0
    return image, Gaps(missing, usable)


def whole(image):
    return Window(0, 0, *image.shape[1:])


@dataclass
class Memory:
    """A scene in memory, read like a file."""

    image: np.ndarray
    observed: np.ndarray
    rows_read: list[int] = field(default_factory=list)

    def read(self, window):
        self.rows_read += range(window.row, window.row + window.height)
        return self.image[:, *window.slices], self.observed[:, *window.slices]


sizes = {
    "seed": st.integers(0, 99),
    "bands": st.integers(1, 3),
    "height": st.integers(1, 60),
    "width": st.integers(1, 60),
}


@settings(max_examples=40, deadline=None)
@given(**sizes)
def test_only_missing_pixels_are_answered(seed, bands, height, width):
    image, gaps = scene(seed, bands, height, width)
    filled = fill_tiles(image, gaps, whole(image), BoxMean(), Context())
    assert np.isnan(filled.mean[~gaps.missing]).all()


@settings(max_examples=40, deadline=None)
@given(strip_tiles=st.integers(1, 3), **sizes)
@pytest.mark.parametrize("method", [Drawing(), BoxMean()], ids=["draws", "looks around"])
def test_strips_of_any_height_give_the_whole(method, strip_tiles, seed, bands, height, width):
    image, gaps = scene(seed, bands, height, width)
    expected = fill_tiles(image, gaps, whole(image), method, Context(seed=seed))
    found = np.full_like(expected.mean, -1)
    reader = Memory(image, ~gaps.missing)
    with read_blocks(reader, height, width, strip_tiles * 16, method.info.halo_px) as blocks:
        for block in blocks:
            part = Gaps(gaps.missing[:, *block.window.slices], gaps.usable[:, *block.window.slices])
            filled = fill_tiles(
                block.values, part, block.inner, method, Context(seed=seed),
                origin=(block.window.row, block.window.col),
            )  # fmt: skip
            found[:, *block.strip.slices] = filled.mean
    np.testing.assert_array_equal(found, expected.mean)


@pytest.mark.parametrize("batch_values", [1, 3000, 10**9])
def test_batches_of_any_size_give_the_same(monkeypatch, batch_values):
    image, gaps = scene(1, 2, 70, 50)
    expected = fill_tiles(image, gaps, whole(image), Drawing(), Context(seed=4))
    monkeypatch.setattr(tiles_module, "BATCH_VALUES", batch_values)
    again = fill_tiles(image, gaps, whole(image), Drawing(), Context(seed=4))
    np.testing.assert_array_equal(again.mean, expected.mean)
    np.testing.assert_array_equal(again.std, expected.std)


@dataclass(frozen=True)
class Apart(Drawing):
    """A method that leaves cores to other tiles."""

    info: ClassVar[MethodInfo] = replace(Drawing.info, tile_a_thread=True)

    def fill(self, image, gaps, context):
        assert context.threads == (1 if context.seed else 4)
        return super().fill(image, gaps, context)


def test_tiles_with_a_thread_each_change_nothing():
    image, gaps = scene(1, 2, 70, 50)
    shares = []
    one, three = (
        fill_tiles(
            image, gaps, whole(image), Apart(),
            Context(threads=threads, progress=lambda share, _text: shares.append(share), seed=4),
        )
        for threads in (1, 3)
    )  # fmt: skip
    np.testing.assert_array_equal(one.mean, three.mean)
    np.testing.assert_array_equal(one.std, three.std)
    assert shares == pytest.approx([(tile + 1) / 20 for tile in range(20)])  # of the second


@dataclass(frozen=True)
class Placed:
    """A method whose fill depends on where in a tile with its halo the wanted part lies."""

    info: ClassVar[MethodInfo] = MethodInfo("placed", "", "", halo_px=8, tile_px=16)

    def fill(self, image, _gaps, context):
        [wanted] = {place.wanted for place in context.tiles}
        return Filled(np.full(image.shape, wanted.row + 100 * wanted.col, image.dtype))


def test_tiles_of_a_batch_lie_alike_in_their_halos():
    """All but the outermost: these have no halo beyond the edge, so are as large as others elsewhere."""
    image, gaps = scene(1, 2, 32, 48)
    fill_tiles(image, gaps, whole(image), Placed(), Context())


@dataclass(frozen=True)
class Hungry(BoxMean):
    """A method that finds memory for tiles up to a side, with their halo."""

    info: ClassVar[MethodInfo] = replace(BoxMean.info, tile_px=512, align_px=8)
    largest_px: int = 120

    def fill(self, image, gaps, context):
        if max(image.shape[2:]) > self.largest_px:
            raise LackOfMemoryError("expected a tile to fit, but it doesn't")
        return super().fill(image, gaps, context)


def test_nothing_keeps_an_image_alive_that_was_filled():
    """Strips are large: they mustn't wait for the collector of garbage."""
    image, gaps = scene(1, 2, 32, 48)
    image = image.copy()
    known = weakref.ref(image)
    gc.disable()
    try:
        fill_tiles(image, gaps, whole(image), BoxMean(), Context())
        del image
        assert known() is None
    finally:
        gc.enable()


def test_lack_of_memory_halves_tiles_aloud():
    image, gaps = scene(1, 2, 400, 150)
    said = []
    expected = fill_tiles(image, gaps, whole(image), BoxMean(), Context())
    found = fill_tiles(image, gaps, whole(image), Hungry(), Context(notify=said.append))
    np.testing.assert_array_equal(found.mean, expected.mean)
    assert dict.fromkeys(said) == dict.fromkeys(
        f"warning: tiles exceed the memory of cpu: continuing with tiles of {px} px" for px in (200, 104)
    )


@dataclass(frozen=True)
class CoarselyAligned(Hungry):
    """A method whose tiles begin at multiples of so much that half of one is no smaller."""

    info: ClassVar[MethodInfo] = replace(Hungry.info, align_px=128)


@pytest.mark.parametrize("method", [Hungry(largest_px=20), CoarselyAligned(largest_px=20)])
def test_lack_of_memory_for_the_smallest_tile_is_an_error(method):
    image, gaps = scene(1, 2, 200, 150)
    with pytest.raises(LackOfMemoryError):
        fill_tiles(image, gaps, whole(image), method, Context())


def test_a_tile_alone_has_all_threads():
    image, gaps = scene(1, 2, 16, 16)
    fill_tiles(image, gaps, whole(image), Apart(), Context(threads=4))


def test_a_tile_that_fails_ends_those_beside_it():
    begun = []

    @dataclass(frozen=True)
    class Failing(Apart):
        def fill(self, image, gaps, context):
            begun.append([place.corner for place in context.tiles])
            if len(begun) == 2:
                raise RuntimeError("the second")
            time.sleep(0.05)
            return super().fill(image, gaps, context)

    image, gaps = scene(1, 2, 160, 160)
    with pytest.raises(RuntimeError, match="the second"):
        fill_tiles(image, gaps, whole(image), Failing(), Context(threads=2, seed=1))
    assert len(begun) < 10  # of a hundred


ALONE = [name for name, cls in method_classes().items() if not cls.info.slow and not cls.info.needs_references]


@pytest.mark.parametrize("name", ALONE)
def test_threads_change_nothing(name, tiny_models):
    image, gaps = scene(2, 3, 60, 50)
    method = create_method(name)
    one, four = (fill_tiles(image, gaps, whole(image), method, Context(threads=threads)).mean for threads in (1, 4))
    np.testing.assert_array_equal(one, four)


def test_a_seed_decides_what_is_drawn():
    image, gaps = scene(1, 1, 40, 40)
    first, same, other = (
        fill_tiles(image, gaps, whole(image), Drawing(), Context(seed=seed)).mean for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other, equal_nan=True)


@dataclass(frozen=True)
class HalfOfAReference:
    """A method that takes every other column from a reference."""

    info: ClassVar[MethodInfo] = MethodInfo("half", "", "", halo_px=0, tile_px=24, needs_references=True)

    def fill(self, image, _gaps, context):
        filled = context.references[0].values.astype(image.dtype)
        filled[..., ::2] = np.nan
        return Filled(filled)


@dataclass(frozen=True)
class CountOfMissing:
    """A method whose fill depends on what is missing in its tile."""

    info: ClassVar[MethodInfo] = MethodInfo("count", "", "", halo_px=4, tile_px=16)

    def fill(self, image, gaps, _context):
        return Filled(np.ones_like(image) * gaps.missing.sum(axis=(1, 2, 3))[:, None, None, None])


def test_a_part_gets_what_the_whole_gets_where_references_leave_pixels():
    image, gaps = scene(1, 2, 48, 48)
    reference = Reference(image[None], np.ones((1, *image.shape), bool), (0, 1))
    part = Window(20, 17, 5, 3)
    every, some = (
        fill_with_references(
            image, gaps, whole(image), HalfOfAReference(), CountOfMissing(), Context(), [reference], part=asked
        ).mean[:, *part.slices]
        for asked in (None, part)
    )
    assert np.isfinite(every).any()
    np.testing.assert_array_equal(some, every)


def test_tiles_without_a_gap_are_not_filled():
    image, gaps = scene(1, 1, 64, 64)
    gaps.missing[:] = False
    gaps.missing[0, 20, 20] = True
    asked = []

    class Counting(BoxMean):
        def fill(self, image, gaps, context):
            asked.append(len(image))
            return super().fill(image, gaps, context)

    fill_tiles(image, gaps, whole(image), Counting(), Context())
    assert asked == [1]
    gaps.missing[:] = True
    fill_tiles(image, gaps, whole(image), Counting(), Context(), part=Window(18, 18, 1, 1))
    assert asked == [1, 1]


@pytest.mark.parametrize("dtype", ["int32", "uint32", "float64"])
def test_wide_numbers_keep_their_digits(dtype):
    image = np.full((1, 20, 20), 2**30 + 1, dtype)
    missing = np.zeros(image.shape, bool)
    missing[0, 5:8, 5:8] = True
    filled = fill_tiles(image, Gaps(missing, ~missing), whole(image), BoxMean(), Context())
    assert (filled.mean[missing] == 2**30 + 1).all()


@settings(max_examples=60, deadline=None)
@given(height=st.integers(1, 90), width=st.integers(1, 8), strip_px=st.integers(1, 40), halo_px=st.integers(0, 50))
def test_every_row_is_read_once_whatever_the_strip_and_halo(height, width, strip_px, halo_px):
    image = np.arange(height * width, dtype=np.int32).reshape(1, height, width)
    reader = Memory(image, image % 3 > 0)
    rows = 0
    with read_blocks(reader, height, width, strip_px, halo_px) as blocks:
        for block in blocks:
            assert block.strip.row == rows
            rows += block.strip.height
            np.testing.assert_array_equal(block.values, image[:, *block.window.slices])
            np.testing.assert_array_equal(block.observed, reader.observed[:, *block.window.slices])
            np.testing.assert_array_equal(block.values[:, *block.inner.slices], image[:, *block.strip.slices])
            assert block.window == Window(*_rows(block.strip, halo_px, height), width)
    assert rows == height
    assert reader.rows_read == list(range(height))


def _rows(strip, halo_px, height):
    top = max(strip.row - halo_px, 0)
    return top, 0, min(strip.row + strip.height + halo_px, height) - top


def test_nobody_reads_any_more_when_the_blocks_are_left_early():
    """Otherwise, the file would be closed while it is being read."""

    class Slow(Memory):
        reading = False

        def read(self, window):
            self.reading = True
            time.sleep(0.1)
            self.reading = False
            return super().read(window)

    image = np.zeros((1, 40, 4), np.uint8)
    reader = Slow(image, image == 0)
    with read_blocks(reader, 40, 4, 10, 0) as blocks:
        next(blocks)  # and the next is being read
    assert not reader.reading
    assert len(reader.rows_read) == 20


def test_what_goes_wrong_while_reading_ahead_is_raised():
    class Broken(Memory):
        def read(self, window):
            if window.row >= 20:
                raise OSError("gone")
            return super().read(window)

    image = np.zeros((1, 40, 4), np.uint8)
    with pytest.raises(OSError, match="gone"), read_blocks(Broken(image, image == 0), 40, 4, 10, 0) as blocks:
        for _ in blocks:
            pass


@dataclass(frozen=True)
class ByPlace:
    """Answers each pixel with its row and column in the scene; draw k is k more."""

    info: ClassVar[MethodInfo] = MethodInfo("by-place", "", "", halo_px=3, tile_px=16, gives_realizations=True)

    def fill(self, image, _gaps, context):
        mean = np.empty_like(image)
        for tile, place in zip(mean, context.tiles, strict=True):
            top, left = place.corner
            rows, cols = np.indices(tile.shape[1:])
            tile[:] = 1000 * (rows + top) + cols + left + 1e6 * context.seed
        return Filled(
            mean,
            realizations=np.stack([mean + k for k in range(context.realizations)]) if context.realizations else None,
        )


def scene_tile_places(height=50, width=40):
    missing = np.zeros((2, height, width), bool)
    missing[:, ::3] = True
    return np.zeros(missing.shape, np.float32), Gaps(missing, ~missing)


def test_a_method_is_told_where_its_tiles_lie():
    image, gaps = scene_tile_places()
    area = Window(10, 5, 35, 30)
    found = fill_tiles(image, gaps, area, ByPlace(), Context(seed=2), origin=(200, 300))
    rows, cols = np.indices((35, 30))
    expected = 1000 * (rows + 210) + cols + 305 + 2e6
    missing = gaps.missing[:, *area.slices]
    np.testing.assert_array_equal(found.mean[missing], np.broadcast_to(expected, missing.shape)[missing])
    assert found.realizations is None


def test_draws_come_back_whole():
    image, gaps = scene_tile_places()
    found = fill_array(image, gaps, ByPlace(), context=Context(realizations=3))
    assert found.realizations.shape == (3, *image.shape)
    for number, draw in enumerate(found.realizations):
        np.testing.assert_array_equal(draw[gaps.missing], found.mean[gaps.missing] + number)
        np.testing.assert_array_equal(draw[gaps.usable], image[gaps.usable])


@given(
    bands=st.integers(1, 60), width=st.integers(1, 10_000), most_px=st.integers(16, 1024), align_px=st.integers(1, 48)
)
def test_strips_begin_where_tiles_may(bands, width, most_px, align_px):
    made = SimpleNamespace(bands=[None] * bands, grid=SimpleNamespace(width=width))
    rows = strip_rows(made, most_px, align_px)
    assert rows % align_px == 0
    assert rows <= max(most_px, align_px)
    assert rows > min(most_px, LEAST_STRIP_PX) - align_px
