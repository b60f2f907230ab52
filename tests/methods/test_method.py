from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest

from landsat_fill.methods.method import fill_each_band
from landsat_fill.scene import Gaps

if TYPE_CHECKING:
    from numpy.typing import NDArray


def half_missing(shape: tuple[int, int, int, int]) -> Gaps:
    missing = np.zeros(shape, bool)
    missing[..., ::2] = True
    return Gaps(missing, ~missing)


def test_the_function_sees_centred_values_and_zeros_outside_usable() -> None:
    image = np.full((1, 1, 4, 6), np.nan, np.float32)
    gaps = half_missing(image.shape)
    image[gaps.usable] = 5000 + np.arange(gaps.usable.sum())
    seen: list[NDArray[np.floating]] = []

    def keep(
        values: NDArray[np.floating], missing: NDArray[np.bool_], usable: NDArray[np.bool_]
    ) -> NDArray[np.floating]:
        seen.append(values.copy())
        return values

    filled = fill_each_band(keep, image, gaps, 1)
    assert (seen[0][gaps.missing[0, 0]] == 0).all()
    assert abs(seen[0].mean()) < 1e-3
    np.testing.assert_allclose(filled[gaps.missing], 5000 + (gaps.usable.sum() - 1) / 2)
    np.testing.assert_array_equal(filled[gaps.usable], image[gaps.usable])


def test_bands_without_a_gap_cost_nothing() -> None:
    image = np.ones((2, 3, 4, 4), np.float32)
    gaps = Gaps(np.zeros(image.shape, bool), np.ones(image.shape, bool))

    def never(*_: object) -> NDArray[np.floating]:
        raise AssertionError

    np.testing.assert_array_equal(fill_each_band(never, image, gaps, 2), image)


def test_bands_are_worked_on_at_the_same_time() -> None:
    image = np.ones((1, 3, 4, 4), np.float32)
    together = threading.Barrier(3, timeout=10)

    def wait(values: NDArray[np.floating], *_: object) -> NDArray[np.floating]:
        together.wait()
        return values

    fill_each_band(wait, image, half_missing(image.shape), 3)


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_in_one_band_reaches_the_caller(threads: int) -> None:
    image = np.ones((1, 2, 4, 4), np.float32)

    def fail(*_: object) -> NDArray[np.floating]:
        raise MemoryError("no room")

    with pytest.raises(MemoryError, match="no room"):
        fill_each_band(fail, image, half_missing(image.shape), threads)
