"""Shares of fills, found from known numbers."""

from __future__ import annotations

import numpy as np
import pytest

from landsat_fill.methods.dip_blend import best_shares

TRUTH = np.random.default_rng(0).normal(0, 1, 20_000)


def with_errors(*deviations):
    generator = np.random.default_rng(1)
    return np.stack([TRUTH + generator.normal(0, deviation, TRUTH.size) for deviation in deviations])


def test_errors_that_go_apart_are_weighed_by_their_variance():
    np.testing.assert_allclose(best_shares(TRUTH, with_errors(1, 2)), [0.8, 0.2], atol=0.02)


def test_what_will_be_gained_counts():
    np.testing.assert_allclose(best_shares(TRUTH, with_errors(2, 1), gained=3), [0.5, 0.5], atol=0.03)


def test_a_fill_that_only_repeats_another_with_noise_gets_nothing():
    first = with_errors(1)[0]
    worse = first + np.random.default_rng(2).normal(0, 1, TRUTH.size)
    shares = best_shares(TRUTH, np.stack([worse, first, first - 5]))
    np.testing.assert_allclose(shares, [0, 1, 0], atol=0.03)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_shares_are_shares(count):
    shares = best_shares(TRUTH, with_errors(*range(count)))
    assert shares.sum() == pytest.approx(1)
    assert (shares >= 0).all()
