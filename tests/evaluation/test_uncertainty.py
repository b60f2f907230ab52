"""Forecasts whose honesty is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from landsat_fill.evaluation.metrics import NOMINAL_PCT, coverages, ranked_probability_score


def test_coverage_by_hand():
    truth = np.zeros(4)
    mean = np.array([1.6, 1.7, -1.6, -3.2])
    found = coverages(truth, mean, np.array([1.0, 1.0, 1.0, 2.0]))
    # The 90 % interval reaches 1.645, the 80 % one 1.282, the 95 % one 1.960 standard deviations.
    assert (found[80], found[90], found[95]) == (0, 0.75, 1)


def test_an_honest_forecast_covers_what_it_says():
    generator = np.random.default_rng(0)
    mean, std = generator.normal(50, 20, 200_000), generator.uniform(1, 9, 200_000)
    truth = generator.normal(mean, std)
    for pct, share in coverages(truth, mean, std).items():
        assert share == pytest.approx(pct / 100, abs=0.005)
    sure, modest = coverages(truth, mean, std / 2), coverages(truth, mean, std * 2)
    assert all(100 * sure[pct] < pct < 100 * modest[pct] for pct in NOMINAL_PCT)


def test_ranked_probability_score_of_a_hit():
    # At z = 0 the closed form is σ · (2 / √(2π) − 1 / √π).
    expected = 3 * (2 / math.sqrt(2 * math.pi) - 1 / math.sqrt(math.pi))
    assert ranked_probability_score(np.array([7.0]), np.array([7.0]), np.array([3.0])) == pytest.approx(
        expected
    )


def test_ranked_probability_score_is_the_integral_it_stands_for():
    from scipy.special import ndtr

    truth, mean, std = 4.0, 2.5, 1.3
    grid = np.linspace(-30, 40, 700_001)
    squared = (ndtr((grid - mean) / std) - (grid >= truth)) ** 2
    integral = np.sum(squared) * (grid[1] - grid[0])
    score = ranked_probability_score(np.array([truth]), np.array([mean]), np.array([std]))
    assert score == pytest.approx(integral, rel=1e-4)


def test_without_spread_it_is_the_absolute_error():
    truth, mean = np.array([1.0, 5.0]), np.array([4.0, 4.0])
    assert ranked_probability_score(truth, mean, np.zeros(2)) == pytest.approx(2.0)
    assert ranked_probability_score(truth, mean, np.full(2, 1e-9)) == pytest.approx(2.0)


def test_the_true_spread_scores_best():
    generator = np.random.default_rng(1)
    truth = generator.normal(0, 2, 50_000)
    scores = {
        std: ranked_probability_score(truth, np.zeros_like(truth), np.full_like(truth, std))
        for std in (1.0, 2.0, 4.0)
    }
    assert min(scores, key=lambda std: scores[std]) == 2.0
