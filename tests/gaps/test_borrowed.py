from __future__ import annotations

import numpy as np
import pytest

from landsat_fill.errors import UsageError
from landsat_fill.gaps.simulation import StripeModel, gaps_from, simulate_gaps


def even_stripes(height: int, width: int) -> np.ndarray:
    """Return stripes of 9 rows every 33, that drop a row every 6 columns."""
    row, col = np.mgrid[:height, :width]
    return (row - col // 6) % 33 < 9


def test_gaps_are_cut_out_of_a_larger_pattern_as_they_are() -> None:
    pattern = np.random.default_rng(0).random((2, 40, 50)) < 0.4
    gaps = gaps_from(pattern, (2, 30, 35), np.random.default_rng(1))
    places = [
        np.array_equal(gaps, pattern[:, row : row + 30, col : col + 35])
        for row in range(11)
        for col in range(16)
    ]
    assert sum(places) == 1


@pytest.mark.parametrize("size", [(300, 60), (70, 500), (400, 400)])
def test_a_small_pattern_is_repeated_without_a_seam(size: tuple[int, int]) -> None:
    gaps = gaps_from(even_stripes(100, 120), (1, *size), np.random.default_rng(2))[0]
    everywhere = even_stripes(size[0] + 33, size[1] + 6)
    shifted = [
        np.array_equal(gaps, everywhere[row : row + size[0], col : col + size[1]])
        for row in range(33)
        for col in range(6)
    ]
    assert any(shifted)


def test_a_small_ragged_pattern_keeps_its_share_and_its_tilt() -> None:
    pattern = simulate_gaps((1, 101, 101), StripeModel(width_px=9), np.random.default_rng(3))
    gaps = gaps_from(pattern, (1, 400, 400), np.random.default_rng(4))[0]
    assert gaps.mean() == pytest.approx(pattern.mean(), abs=0.03)
    slope = np.tan(np.deg2rad(9.7))
    straightened = np.stack([np.roll(gaps[:, col], -round(slope * col)) for col in range(400)], axis=1)
    assert straightened[:300].mean(axis=1).std() > 0.8 * gaps.std()


def test_every_band_gets_a_pattern() -> None:
    one = even_stripes(80, 80)
    gaps = gaps_from(one, (3, 50, 50), np.random.default_rng(5))
    assert gaps.shape == (3, 50, 50)
    assert np.array_equal(gaps[0], gaps[2])
    two = np.stack([one, np.roll(one, 5, axis=0)])
    gaps = gaps_from(two, (3, 50, 50), np.random.default_rng(5))
    assert np.array_equal(gaps[0], gaps[2])
    assert not np.array_equal(gaps[0], gaps[1])


def test_a_place_with_gaps_is_chosen() -> None:
    pattern = np.zeros((200, 1000), bool)
    pattern[:, :300] = even_stripes(200, 300)
    shares = [gaps_from(pattern, (1, 64, 64), np.random.default_rng(seed)).mean() for seed in range(20)]
    assert min(shares) > 0.03


@pytest.mark.parametrize(("fill", "share"), [(False, "0%"), (True, "100%")])
def test_a_pattern_without_gaps_is_refused(fill: bool, share: str) -> None:
    with pytest.raises(UsageError, match=f"but got {share} missing") as caught:
        gaps_from(np.full((1, 50, 50), fill), (1, 20, 20), np.random.default_rng(0))
    assert "SLC-off" in str(caught.value.hint)
