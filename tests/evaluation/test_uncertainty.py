"""Forecasts whose honesty is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from landsat_fill.evaluation.uncertainty import coverage_90, ranked_probability_score


def test_coverage_by_hand():
    truth = np.zeros(4)
    mean = np.array([1.6, 1.7, -1.6, -3.2])
    assert coverage_90(truth, mean, np.array([1.0, 1.0, 1.0, 2.0])) == 0.75


def test_an_honest_forecast_covers_nine_in_ten():
    generator = np.random.default_rng(0)
    mean, std = generator.normal(50, 20, 200_000), generator.uniform(1, 9, 200_000)
    truth = generator.normal(mean, std)
    assert coverage_90(truth, mean, std) == pytest.approx(0.9, abs=0.005)
    assert coverage_90(truth, mean, std / 2) < 0.65


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
