"""Steps at the borders of gaps, and spectra across bands."""

from __future__ import annotations

import math

import numpy as np
import pytest

from landsat_fill.evaluation.metrics import spectral_angle_deg, stripe_visibility


def stripe(height: int = 12, width: int = 8) -> np.ndarray:
    hidden = np.zeros((height, width), dtype=bool)
    hidden[4:8] = True
    return hidden


def test_by_hand():
    # One column: observed steps 2 and 2, border steps 3 and 5, one step of 1 inside.
    composite = np.array([[0.0], [2.0], [5.0], [6.0], [1.0], [3.0]])
    hidden = np.array([[0], [0], [1], [1], [0], [0]], dtype=bool)
    found = stripe_visibility(composite, hidden, ~hidden)
    assert found.border_step == pytest.approx((3 + 5) / (2 * 2))
    assert found.inner_step == pytest.approx(1 / 2)
    assert found.stripe_index == pytest.approx((1 + 1 / 2) / 2)


def test_the_truth_itself_is_about_invisible():
    generator = np.random.default_rng(0)
    image = np.cumsum(generator.normal(0, 5, (400, 300)), axis=0)
    hidden = np.zeros(image.shape, dtype=bool)
    hidden[10::33] = hidden[11::33] = hidden[12::33] = True
    found = stripe_visibility(image, hidden, ~hidden)
    assert found.border_step == pytest.approx(1, abs=0.1)
    assert found.inner_step == pytest.approx(1, abs=0.1)


def test_an_offset_shows_at_the_border_and_a_flat_fill_inside():
    image = np.random.default_rng(0).normal(100, 2, (60, 40))
    hidden = np.zeros(image.shape, dtype=bool)
    hidden[20:30] = True
    brighter = np.where(hidden, image + 50, image)
    flat = np.where(hidden, 100.0, image)
    assert stripe_visibility(brighter, hidden, ~hidden).border_step > 10
    assert stripe_visibility(brighter, hidden, ~hidden).inner_step == pytest.approx(1, abs=0.2)
    assert stripe_visibility(flat, hidden, ~hidden).inner_step == 0


def test_the_stripe_index_counts_edges_and_blur_alike():
    image = np.random.default_rng(0).normal(100, 2, (600, 40))
    hidden = np.zeros(image.shape, dtype=bool)
    hidden[20:590:33] = hidden[21:590:33] = hidden[22:590:33] = True
    index = {
        name: stripe_visibility(np.where(hidden, fill, image), hidden, ~hidden).stripe_index
        for name, fill in {
            "truth": image,
            "bright": image + 4,
            "flat": 100.0,
            "blurred": 0.5 * image + 50,
        }.items()
    }
    assert index["truth"] < 0.1
    assert index["blurred"] > index["truth"] + 0.1
    assert index["bright"] > index["truth"] + 0.1
    assert index["flat"] > index["blurred"] + 0.1


def test_a_direction_is_compared_with_itself():
    # Steps of 1 down and 9 across; a border that is crossed downwards only must not be measured by the 9.
    rows, cols = np.mgrid[:12, :8]
    image = rows + 9.0 * cols
    found = stripe_visibility(image, stripe(), ~stripe())
    assert found.border_step == pytest.approx(1)
    assert found.inner_step == pytest.approx(1)


def test_pixels_that_are_neither_are_left_out():
    image = np.random.default_rng(0).normal(size=(12, 8))
    outside = np.zeros(image.shape, dtype=bool)
    outside[:, 6:] = True
    usable = ~stripe() & ~outside
    first = stripe_visibility(image, stripe() & ~outside, usable)
    second = stripe_visibility(np.where(outside, np.nan, image), stripe() & ~outside, usable)
    assert first == second


def test_nothing_to_compare():
    everything = np.ones((5, 5), dtype=bool)
    found = stripe_visibility(np.zeros((5, 5)), everything, ~everything)
    assert math.isnan(found.border_step)
    assert math.isnan(found.inner_step)
    assert math.isnan(found.stripe_index)


def test_angle_by_hand():
    truth = np.array([1.0, 0.0]).reshape(2, 1, 1)
    fill = np.array([1.0, 1.0]).reshape(2, 1, 1)
    hidden = np.array([False, True]).reshape(2, 1, 1)
    assert spectral_angle_deg(truth, fill, hidden) == pytest.approx(45)


def test_brightness_is_no_angle():
    truth = np.random.default_rng(0).uniform(1, 9, (4, 5, 5))
    hidden = np.ones(truth.shape, dtype=bool)
    assert spectral_angle_deg(truth, 3 * truth, hidden) == pytest.approx(0, abs=1e-5)


def test_only_hidden_and_fully_observed_pixels_count():
    truth = np.array([[[1.0, 1.0, 1.0, 1.0]], [[0.0, 0.0, np.nan, 0.0]]])  # (2, 1, 4)
    fill = np.array([[[0.0, 1.0, 5.0, 1.0]], [[1.0, 1.0, 5.0, 0.0]]])
    hidden = np.zeros(truth.shape, dtype=bool)
    hidden[1, 0, 1] = hidden[0, 0, 2] = True
    assert spectral_angle_deg(truth, fill, hidden) == pytest.approx(45)


def test_one_band_has_no_angle():
    one = np.ones((1, 2, 2))
    assert math.isnan(spectral_angle_deg(one, one, one.astype(bool)))
