"""What a method is told of where its tiles lie, and what becomes of the fills it draws."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest

from landsat_fill.methods import Context, MethodInfo
from landsat_fill.pipeline import fill_array
from landsat_fill.pipeline.strips import LEAST_STRIP_PX, strip_rows
from landsat_fill.pipeline.tiles import fill_tiles
from landsat_fill.scene import Filled, Gaps, Window


@dataclass(frozen=True)
class ByPlace:
    """Answers each pixel with its row and column in the scene; draw k is k more."""

    info: ClassVar[MethodInfo] = MethodInfo("by-place", "", "", halo_px=3, tile_px=16, draws=True)

    def fill(self, image, _gaps, context):
        mean = np.empty_like(image)
        for tile, (top, left) in zip(mean, context.corners, strict=True):
            rows, cols = np.indices(tile.shape[1:])
            tile[:] = 1000 * (rows + top) + cols + left + 1e6 * context.seed
        return Filled(
            mean, draws=np.stack([mean + k for k in range(context.draws)]) if context.draws else None
        )


def scene(height=50, width=40):
    missing = np.zeros((2, height, width), bool)
    missing[:, ::3] = True
    return np.zeros(missing.shape, np.float32), Gaps(missing, ~missing)


def test_a_method_is_told_where_its_tiles_lie():
    image, gaps = scene()
    area = Window(10, 5, 35, 30)
    found = fill_tiles(image, gaps, area, ByPlace(), Context(), origin=(200, 300), seed=2)
    rows, cols = np.indices((35, 30))
    expected = 1000 * (rows + 210) + cols + 305 + 2e6
    missing = gaps.missing[:, *area.slices]
    np.testing.assert_array_equal(found.mean[missing], np.broadcast_to(expected, missing.shape)[missing])
    assert found.draws is None


def test_draws_come_back_whole():
    image, gaps = scene()
    found = fill_array(image, gaps, ByPlace(), context=Context(draws=3))
    assert found.draws.shape == (3, *image.shape)
    for number, draw in enumerate(found.draws):
        np.testing.assert_array_equal(draw[gaps.missing], found.mean[gaps.missing] + number)
        np.testing.assert_array_equal(draw[gaps.usable], image[gaps.usable])


@pytest.mark.parametrize("bands", [1, 6, 7, 60])
@pytest.mark.parametrize("width", [100, 7001, 8123])
@pytest.mark.parametrize(("most_px", "align_px"), [(512, 1), (512, 8), (768, 16), (528, 48), (16, 32)])
def test_strips_begin_where_tiles_may(bands, width, most_px, align_px):
    made = SimpleNamespace(bands=[None] * bands, grid=SimpleNamespace(width=width))
    rows = strip_rows(made, most_px, align_px)
    assert rows % align_px == 0
    assert rows <= max(most_px, align_px)
    assert rows > min(most_px, LEAST_STRIP_PX) - align_px
