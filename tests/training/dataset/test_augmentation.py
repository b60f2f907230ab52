"""What is drawn keeps within what is said, and pixels are only moved."""

from __future__ import annotations

import numpy as np
import pytest

from landsat_fill.training.samples import (
    Augmentation,
    draw_bands,
    draw_holes,
    draw_stripes,
    simulated_gaps,
    turned,
)

USUAL = Augmentation()


def test_there_are_eight_turns_and_the_first_is_none():
    cube = np.arange(2 * 3 * 3).reshape(2, 3, 3)
    ways = [turned(cube, turn) for turn in range(8)]
    np.testing.assert_array_equal(ways[0], cube)
    assert len({way.tobytes() for way in map(np.ascontiguousarray, ways)}) == 8
    for way in ways:
        for band, of_band in zip(way, cube, strict=True):
            assert sorted(band.ravel()) == sorted(of_band.ravel())


def test_stripes_are_within_their_ranges():
    models = [draw_stripes(USUAL, np.random.default_rng(number)) for number in range(2000)]
    widths = np.array([model.width_px for model in models])
    periods = np.array([model.period_px for model in models])
    tilts = np.array([model.tilt_deg for model in models])
    shifts = np.array([model.band_shift_px for model in models])
    assert widths.min() >= 2
    assert widths.max() <= 15.5
    assert (periods - widths >= USUAL.least_ground_px).all()
    assert ((periods >= 30) & (periods <= 42)).mean() == pytest.approx(0.86, abs=0.06)
    assert periods.min() < 27
    assert periods.max() > 55
    assert ((np.abs(tilts) >= 7) & (np.abs(tilts) <= 13)).mean() == pytest.approx(0.92, abs=0.04)
    assert np.abs(tilts).max() <= 30
    assert (tilts > 0).mean() == pytest.approx(0.5, abs=0.06)
    assert (shifts > 8).mean() == pytest.approx(0.08, abs=0.03)
    assert all(0 <= model.ragged_px <= 1 for model in models)


def test_gaps_are_drawn_for_each_band():
    gaps = simulated_gaps((4, 64, 64), USUAL, np.random.default_rng(1))
    assert gaps.shape == (4, 64, 64)
    assert gaps.any()
    assert not gaps.all()


def test_bands_come_once_each_and_mostly_in_order():
    draws = [draw_bands(6, 4, USUAL, np.random.default_rng(number)) for number in range(400)]
    assert all(len(set(draw.tolist())) == 4 for draw in draws)
    assert set(np.concatenate(draws).tolist()) == set(range(6))
    in_order = np.mean([(np.diff(draw) > 0).all() for draw in draws])
    assert in_order == pytest.approx(0.5 + 0.5 / 24, abs=0.08)


def test_holes_are_as_frequent_and_as_large_as_said():
    holes = [draw_holes(96, USUAL, np.random.default_rng(number)) for number in range(1000)]
    some = [hole for hole in holes if hole is not None]
    assert len(some) / len(holes) == pytest.approx(USUAL.hole_share, abs=0.04)
    most_px = USUAL.holes[1] * np.pi * (USUAL.hole_radius_px[1] + 1) ** 2
    assert all(hole.shape == (96, 96) and hole.sum() <= most_px for hole in some)
