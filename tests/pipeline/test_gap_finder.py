"""What a method sees of a scene before it fills parts of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from landsat_fill.methods import Context, MethodInfo
from landsat_fill.pipeline.arrays import fill_array
from landsat_fill.pipeline.lattice import preparation_windows
from landsat_fill.scene import Filled, Gaps


@dataclass(frozen=True)
class Told:
    """Answers with a number."""

    number: float
    info: ClassVar[MethodInfo] = MethodInfo("told", "", "", halo_px=1, tile_px=64)

    def fill(self, image, _gaps, _context):
        return Filled(np.full_like(image, self.number))


@dataclass(frozen=True)
class MeanOfScene:
    """Answers with the mean of what it saw of the scene before."""

    info: ClassVar[MethodInfo] = Told.info

    def prepare(self, image, gaps, _context):
        assert not gaps.missing[gaps.usable].any()
        return Told(float(image[gaps.usable].mean()))

    def fill(self, _image, _gaps, _context):
        raise AssertionError("a prepared method should be asked")


def test_a_method_is_prepared_before_the_first_tile() -> None:
    image = np.random.default_rng(0).integers(0, 999, (2, 300, 200)).astype(np.int16)
    missing = np.zeros(image.shape, bool)
    missing[:, ::5] = True
    usable = ~missing
    usable[:, :, ::7] = False
    filled = fill_array(image, Gaps(missing, usable), MeanOfScene(), context=Context())
    windows = preparation_windows(300, 200)
    seen = np.concatenate([image[:, *w.slices][usable[:, *w.slices]] for w in windows])
    np.testing.assert_allclose(filled.mean[missing], seen.mean(dtype=float), rtol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (256, 256), (300, 200), (7000, 8000)])
def test_windows_lie_inside_and_are_of_one_size(size: tuple[int, int]) -> None:
    windows = preparation_windows(*size)
    assert 1 <= len(windows) <= 16
    assert len({(w.height, w.width) for w in windows}) == 1
    assert all(w.row >= 0 and w.col >= 0 for w in windows)
    assert max(w.row + w.height for w in windows) == size[0]
    assert max(w.col + w.width for w in windows) == size[1]
    assert len({(w.row, w.col) for w in windows}) == len(windows)
