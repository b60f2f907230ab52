"""Hidden numbers must be gone, and only hidden ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from landsat_fill.errors import UsageError
from landsat_fill.evaluation.trials import PAPER_PERCENTAGES, RealStripes, SimulatedStripes, hide

SHAPE = (2, 3, 4)
BOOLEANS = hnp.arrays(np.bool_, SHAPE)


@given(hnp.arrays(np.uint8, SHAPE), BOOLEANS, BOOLEANS)
def test_every_pixel_is_hidden_or_usable_or_was_never_observed(values, observed, pattern):
    if not (observed & pattern).any() or not (observed & ~pattern).any():
        with pytest.raises(UsageError):
            hide(values, observed, pattern)
        return
    trial = hide(values, observed, pattern)
    assert np.array_equal(trial.hidden, observed & pattern)
    assert np.array_equal(trial.gaps.usable, observed & ~pattern)
    assert np.array_equal(np.isnan(trial.image), ~trial.gaps.usable)
    assert np.array_equal(trial.image[trial.gaps.usable], values[trial.gaps.usable])
    assert np.array_equal(np.isnan(trial.truth), ~observed)
    assert np.array_equal(trial.truth[observed], values[observed])


@given(st.integers(0, 255))
def test_what_a_method_is_given_does_not_depend_on_the_hidden_numbers(number):
    values = np.arange(24, dtype=np.uint8).reshape(SHAPE)
    pattern = np.zeros(SHAPE, dtype=bool)
    pattern[:, 1] = True
    other = values.copy()
    other[pattern] = number
    everything = np.ones(SHAPE, dtype=bool)
    first, second = hide(values, everything, pattern), hide(other, everything, pattern)
    assert first.image.tobytes() == second.image.tobytes()


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.uint32, np.int32, np.float32, np.float64])
def test_stored_numbers_survive_as_floats(dtype):
    largest = np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else np.finfo(dtype).max
    values = np.array([[[1, largest, 3]]], dtype=dtype)
    trial = hide(values, np.ones((1, 1, 3), dtype=bool), np.array([[[False, False, True]]]))
    assert trial.image.dtype in (np.float32, np.float64)
    assert trial.image[0, 0, 1] == largest
    assert trial.image[0, 0, 1].astype(dtype) == largest


def test_input_stays_as_it_was():
    values = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
    before = values.copy()
    pattern = np.zeros(values.shape, dtype=bool)
    pattern[0, 1] = True
    trial = hide(values, np.ones(values.shape, dtype=bool), pattern)
    trial.image[:] = 0
    trial.truth[:] = 0
    assert np.array_equal(values, before)


def test_shapes_must_agree():
    with pytest.raises(UsageError, match=r"one shape .*\(1, 2, 2\), \(2, 2\) and \(1, 2, 2\)"):
        hide(np.zeros((1, 2, 2)), np.ones((2, 2), dtype=bool), np.ones((1, 2, 2), dtype=bool))


PATTERNS_SHAPE = (2, 330, 200)


@pytest.mark.parametrize("percent", PAPER_PERCENTAGES)
def test_shares_of_the_paper(percent):
    pattern = SimulatedStripes.of_share(percent)
    assert pattern.label == f"{percent:g} %"
    hidden = pattern.draw(PATTERNS_SHAPE, np.random.default_rng(0))
    assert hidden.shape == PATTERNS_SHAPE
    assert 100 * hidden.mean() == pytest.approx(percent, abs=0.3)


@pytest.mark.parametrize("width_px", (4.0, 8.0, 14.0))
def test_widths(width_px):
    pattern = SimulatedStripes.of_width(width_px, ragged_px=0.0, band_shift_px=0.0)
    assert pattern.label == f"{width_px:g} px"
    hidden = pattern.draw(PATTERNS_SHAPE, np.random.default_rng(0))
    assert hidden.mean() == pytest.approx(width_px / pattern.model.period_px, abs=0.02)


@pytest.mark.parametrize("make", [SimulatedStripes.of_width, SimulatedStripes.of_share])
def test_without_a_band_shift_all_bands_lose_the_same_pixels(make):
    alike = make(20, band_shift_px=0.0).draw(PATTERNS_SHAPE, np.random.default_rng(0))
    assert np.array_equal(alike[0], alike[1])
    unlike = make(20).draw(PATTERNS_SHAPE, np.random.default_rng(0))
    assert 0 < np.mean(unlike[0] != unlike[1]) < 0.1


def test_seeds_move_the_stripes():
    pattern = SimulatedStripes.of_width(8)
    first, again, other = (pattern.draw(PATTERNS_SHAPE, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_real_stripes_fit_any_image():
    lost = np.zeros((330, 90), dtype=bool)
    for row in range(10, 330, 33):
        lost[row : row + 8] = True
    hidden = RealStripes("LE07", lost).draw(PATTERNS_SHAPE, np.random.default_rng(0))
    assert hidden.shape == PATTERNS_SHAPE
    assert hidden.mean() == pytest.approx(8 / 33, abs=0.04)
