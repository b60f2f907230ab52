"""Cokriging against what theory says of bands whose variograms are proportional."""

from __future__ import annotations

import numpy as np
import pytest

from landsat_fill.methods import Context, create_method
from landsat_fill.methods.cokriging import overall_covariances, regression_at
from landsat_fill.pipeline.arrays import fill_array
from landsat_fill.scene import Filled, Gaps

SIDE_PX = 160


def rough_field(seed: int) -> np.ndarray:
    """A field whose variogram rises as land's does, `(row, col)`."""
    frequency = np.hypot(np.fft.fftfreq(SIDE_PX)[:, None], np.fft.fftfreq(SIDE_PX))
    noise = np.fft.fft2(np.random.default_rng(seed).normal(size=(SIDE_PX, SIDE_PX)))
    return np.fft.ifft2(noise / (frequency + 0.01) ** 1.5).real


def two_bands(correlation: float) -> np.ndarray:
    first, own = rough_field(1), rough_field(2)
    second = correlation * first + np.sqrt(1 - correlation**2) * own
    return np.stack([first, 3000 - 25 * second])


def stripes(width_px: int) -> np.ndarray:
    rows, cols = np.mgrid[:SIDE_PX, :SIDE_PX]
    return (rows + cols // 6) % 33 < width_px


def filled_by(name: str, truth: np.ndarray, missing: np.ndarray) -> Filled:
    spoilt = np.where(missing, np.nan, truth)
    return fill_array(spoilt, Gaps(missing, ~missing), create_method(name), context=Context(threads=2))


def error(filled: Filled, truth: np.ndarray, missing: np.ndarray) -> float:
    return float(np.sqrt(np.mean((filled.mean - truth)[0][missing[0]] ** 2)))


@pytest.fixture(scope="module")
def kriging_error() -> float:
    """Return the error of kriging on the first band, which is the same whatever the second band is."""
    truth = two_bands(0.0)[:1]
    return error(filled_by("kriging", truth, stripes(8)[None]), truth, stripes(8)[None])


@pytest.mark.parametrize("correlation", [0.0, 0.95])
def test_another_band_takes_away_what_it_explains(correlation: float, kriging_error: float) -> None:
    truth = two_bands(correlation)
    missing = np.stack([stripes(8), np.zeros((SIDE_PX, SIDE_PX), bool)])
    both = filled_by("cokriging", truth, missing)
    ratio = error(both, truth, missing) / kriging_error
    assert ratio == pytest.approx(np.sqrt(1 - correlation**2), abs=0.03)
    covered = np.abs(both.mean - truth)[missing] < 1.645 * both.std[missing]
    assert 0.86 < covered.mean() < 0.94


def test_where_all_bands_are_missing_it_is_kriging() -> None:
    truth = two_bands(0.9)
    missing = np.stack([stripes(8), np.roll(stripes(8), 2, axis=0)])
    alone, both = (filled_by(name, truth, missing) for name in ("kriging", "cokriging"))
    shared = missing.all(0)
    np.testing.assert_array_equal(both.mean[:, shared], alone.mean[:, shared])
    np.testing.assert_array_equal(both.std[:, shared], alone.std[:, shared])
    others = missing & ~shared
    assert (both.mean[others] != alone.mean[others]).mean() > 0.9
    assert (both.std <= alone.std).all()


def test_a_band_without_usable_pixels_nearby_is_not_used() -> None:
    truth = two_bands(0.9)
    missing = np.stack([stripes(8), np.zeros((SIDE_PX, SIDE_PX), bool)])
    usable = ~missing
    usable[1, :, : SIDE_PX - 8] = False  # the second band is cloudy but for its right end
    gaps = Gaps(missing, usable)
    alone, both = (fill_array(truth, gaps, create_method(name)) for name in ("kriging", "cokriging"))
    cloudy = missing[0].copy()
    cloudy[:, SIDE_PX - 8 :] = False
    np.testing.assert_array_equal(both.mean[0][cloudy], alone.mean[0][cloudy])


def test_a_regression_is_that_of_the_differences_around() -> None:
    truth = two_bands(0.9)
    usable = np.ones((SIDE_PX, SIDE_PX), bool)
    overall = overall_covariances(truth[None], np.broadcast_to(usable, (1, 2, *usable.shape)))
    place = np.array([[80, 90]])
    slopes, unexplained_share = regression_at(place, truth, usable, overall)
    around = truth[:, 64:97, 74:107]
    steps = np.concatenate([np.diff(around, axis=axis).reshape(2, -1) for axis in (1, 2)], axis=1)
    slope = (steps[0] @ steps[1]) / (steps[1] @ steps[1])
    assert slopes[0, 0] == pytest.approx(slope, rel=0.03)
    unexplained = 1 - (steps[0] @ steps[1]) ** 2 / ((steps[1] @ steps[1]) * (steps[0] @ steps[0]))
    assert unexplained_share[0] == pytest.approx(unexplained, abs=0.02)
