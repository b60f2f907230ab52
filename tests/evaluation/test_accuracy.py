"""Scores of flat arrays against numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from landsat_fill.evaluation import metrics

TRUTH = np.array([1.0, 2.0, 3.0, 4.0])
FILL = np.array([2.0, 2.0, 1.0, 4.0])  # errors 1, 0, -2, 0

NUMBERS = st.floats(-1e4, 1e4, width=32)
PAIRS = hnp.arrays(np.float32, (2, 30), elements=NUMBERS)


def test_scores_by_hand():
    assert metrics.root_mean_square_error(TRUTH, FILL) == pytest.approx(math.sqrt(5 / 4))
    assert metrics.mean_absolute_error(TRUTH, FILL) == pytest.approx(3 / 4)
    assert metrics.bias(TRUTH, FILL) == pytest.approx(-1 / 4)
    assert metrics.determination(TRUTH, FILL) == pytest.approx(1 - 5 / 5)
    # Deviations: truth -1.5 -0.5 0.5 1.5, fill -0.25 -0.25 -1.25 1.75; products 2.5, squares 5 and 4.75.
    assert metrics.squared_correlation(TRUTH, FILL) == pytest.approx(2.5**2 / (5 * 4.75))


def test_a_wrong_gain_costs_determination_and_not_correlation():
    fill = 3 * TRUTH + 10
    assert metrics.squared_correlation(TRUTH, fill) == pytest.approx(1)
    assert metrics.determination(TRUTH, fill) < 0


def test_the_mean_of_the_truth_explains_nothing():
    assert metrics.determination(TRUTH, np.full(4, 2.5)) == pytest.approx(0)


def test_constant_truth_has_no_r2():
    assert math.isnan(metrics.determination(np.ones(3), np.zeros(3)))
    assert math.isnan(metrics.squared_correlation(np.ones(3), np.arange(3.0)))
    assert math.isnan(metrics.squared_correlation(np.arange(3.0), np.ones(3)))


def test_peak_signal_to_noise():
    assert metrics.peak_signal_to_noise_db(1.0, 10.0) == pytest.approx(20)
    assert metrics.peak_signal_to_noise_db(0.0, 10.0) == math.inf


def test_one_dead_pixel_does_not_stretch_the_range():
    truth = np.tile(np.arange(101.0), 1000)
    truth[0] = 60000
    low, high = metrics.data_limits(np.append(truth, np.nan))
    assert (low, high) == (0, 100)


def test_the_range_of_a_constant_band_is_not_empty():
    low, high = metrics.data_limits(np.full(10, 7.0))
    assert high > low == 7


@given(PAIRS)
def test_rmse_bounds_mae_bounds_bias(pair):
    rmse = metrics.root_mean_square_error(*pair)
    mae = metrics.mean_absolute_error(*pair)
    assert rmse >= mae * (1 - 1e-9)
    assert mae >= abs(metrics.bias(*pair)) * (1 - 1e-9)


@given(PAIRS)
def test_correlation_never_lies_below_determination(pair):
    assume(np.ptp(pair[0]) > 1 and np.ptp(pair[1]) > 1)
    determination = metrics.determination(*pair)
    correlation = metrics.squared_correlation(*pair)
    assert determination <= correlation + 1e-6
    assert 0 <= correlation <= 1 + 1e-9


@given(hnp.arrays(np.float32, 30, elements=NUMBERS))
def test_a_perfect_fill(truth):
    assert metrics.root_mean_square_error(truth, truth) == 0
    assert metrics.bias(truth, truth) == 0
    if np.ptp(truth) > 1:
        assert metrics.determination(truth, truth) == 1
        assert metrics.squared_correlation(truth, truth) == pytest.approx(1)


def test_small_integers_do_not_wrap_around():
    assert metrics.bias(np.array([200], np.uint8), np.array([10], np.uint8)) == -190
