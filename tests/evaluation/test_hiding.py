"""Hidden numbers must be gone, and only hidden ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from landsat_fill.errors import UsageError
from landsat_fill.evaluation.trials import hide

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


@pytest.mark.parametrize(
    "dtype", [np.uint8, np.int16, np.uint16, np.uint32, np.int32, np.float32, np.float64]
)
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
