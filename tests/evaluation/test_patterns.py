"""Patterns hide what they say they hide."""

from __future__ import annotations

import numpy as np
import pytest

from landsat_fill.evaluation.trials import FLOOR_WIDTHS_PX, PAPER_PERCENTAGES, RealStripes, SimulatedStripes

SHAPE = (2, 330, 200)


@pytest.mark.parametrize("percent", PAPER_PERCENTAGES)
def test_shares_of_the_paper(percent):
    pattern = SimulatedStripes.of_share(percent)
    assert pattern.label == f"{percent:g} %"
    hidden = pattern.draw(SHAPE, np.random.default_rng(0))
    assert hidden.shape == SHAPE
    assert 100 * hidden.mean() == pytest.approx(percent, abs=0.3)


@pytest.mark.parametrize("width_px", FLOOR_WIDTHS_PX)
def test_widths(width_px):
    pattern = SimulatedStripes.of_width(width_px, ragged_px=0.0, band_shift_px=0.0)
    assert pattern.label == f"{width_px:g} px"
    hidden = pattern.draw(SHAPE, np.random.default_rng(0))
    assert hidden.mean() == pytest.approx(width_px / pattern.model.period_px, abs=0.02)


@pytest.mark.parametrize("make", [SimulatedStripes.of_width, SimulatedStripes.of_share])
def test_without_a_band_shift_all_bands_lose_the_same_pixels(make):
    alike = make(20, band_shift_px=0.0).draw(SHAPE, np.random.default_rng(0))
    assert np.array_equal(alike[0], alike[1])
    unlike = make(20).draw(SHAPE, np.random.default_rng(0))
    assert 0 < np.mean(unlike[0] != unlike[1]) < 0.1


def test_seeds_move_the_stripes():
    pattern = SimulatedStripes.of_width(8)
    first, again, other = (pattern.draw(SHAPE, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_real_stripes_fit_any_image():
    lost = np.zeros((330, 90), dtype=bool)
    for row in range(10, 330, 33):
        lost[row : row + 8] = True
    hidden = RealStripes("LE07", lost).draw(SHAPE, np.random.default_rng(0))
    assert hidden.shape == SHAPE
    assert hidden.mean() == pytest.approx(8 / 33, abs=0.04)
