"""What kriging, cokriging and direct sampling make of types, no gaps, nothing but gaps, and a single band."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit

from landsat_fill.methods import Context, create_method
from landsat_fill.methods.kernels import compiled
from landsat_fill.pipeline.arrays import fill_array
from landsat_fill.scene import Filled, Gaps

METHODS = ("kriging", "cokriging", "direct-sampling")
LIGHTER = {"direct-sampling": {"ensemble": 2, "fraction": 0.02, "neighbours": 12}}


def scene(bands: int = 3, height: int = 60, width: int = 70) -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers from 20 to 180, and stripes that differ by a row from band to band."""
    rows, cols = np.mgrid[:height, :width]
    noise = np.random.default_rng(0).normal(0, 3, (bands, height, width))
    hills = np.stack([100 + 40 * np.sin(rows / (6 + band)) + 30 * np.cos(cols / 9) for band in range(bands)])
    missing = np.stack([(rows + cols // 6 - band) % 22 < 6 for band in range(bands)])
    return np.round(hills + noise), missing


def filled_by(name: str, image: np.ndarray, missing: np.ndarray, seed: int = 0) -> Filled:
    method = create_method(name, LIGHTER.get(name))
    return fill_array(image, Gaps(missing, ~missing), method, context=Context(threads=2, seed=seed))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float64])
@pytest.mark.parametrize("name", METHODS)
def test_the_type_of_the_numbers_does_not_matter(name: str, dtype: type) -> None:
    image, missing = scene()
    expected = filled_by(name, image, missing)
    found = filled_by(name, image.astype(dtype), missing)
    np.testing.assert_allclose(found.mean, expected.mean, atol=0.01)
    np.testing.assert_allclose(found.std, expected.std, atol=0.01, rtol=1e-3)


@pytest.mark.parametrize("name", METHODS)
def test_reflectances_get_the_same_fill(name: str) -> None:
    image, missing = scene()
    expected = filled_by(name, image, missing)
    found = filled_by(name, (image * 2.75e-5 - 0.2).astype(np.float32), missing)
    np.testing.assert_allclose((found.mean + 0.2) / 2.75e-5, expected.mean, atol=0.2)
    np.testing.assert_allclose(found.std / 2.75e-5, expected.std, rtol=0.02, atol=0.05)


@pytest.mark.parametrize("name", METHODS)
def test_one_band_is_filled(name: str) -> None:
    image, missing = scene(1)
    filled = filled_by(name, image, missing)
    error = (filled.mean - image)[missing]
    assert np.sqrt(np.mean(error**2)) < 0.6 * image.std()
    assert (filled.std[missing] > 0).all()


@pytest.mark.parametrize("name", METHODS)
def test_without_gaps_nothing_changes(name: str) -> None:
    image, missing = scene()
    filled = filled_by(name, image, np.zeros_like(missing))
    np.testing.assert_array_equal(filled.mean, image)
    assert not filled.std.any()


@pytest.mark.parametrize("name", METHODS)
def test_with_nothing_but_gaps_nothing_is_invented(name: str) -> None:
    image, missing = scene()
    assert np.isnan(filled_by(name, image, np.ones_like(missing)).mean).all()


@pytest.mark.parametrize("name", METHODS)
def test_a_seed_decides_all_chance(name: str) -> None:
    image, missing = scene()
    first, same, other = (filled_by(name, image, missing, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.mean, same.mean)
    np.testing.assert_array_equal(first.std, same.std)
    assert np.array_equal(first.mean, other.mean) == (name != "direct-sampling")


def test_loops_are_compiled_where_no_folder_may_be_written_to() -> None:
    """Numba finds no place to keep code of a file that isn't there, as where all places are read-only."""
    space: dict[str, object] = {}
    exec(compile("def twice(number):\n    return 2 * number\n", "/nowhere/loop.py", "exec"), space)
    with pytest.raises(RuntimeError, match="cannot cache"):
        njit(cache=True)(space["twice"])
    assert compiled(space["twice"])(21) == 42
