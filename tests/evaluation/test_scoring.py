"""Scores of a trial: only hidden pixels count, and all of them."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from landsat_fill.evaluation.scoring import SCORES, score_bands, score_together
from landsat_fill.evaluation.trials import Trial, hide
from landsat_fill.scene import Filled

SHAPE = (2, 24, 24)


def make_trial(seed: int = 0, *, unobserved: bool = False) -> Trial:
    generator = np.random.default_rng(seed)
    values = generator.integers(20, 200, SHAPE).astype(np.uint8)
    observed = np.ones(SHAPE, dtype=bool)
    if unobserved:
        observed[:, :, :3] = False
    pattern = np.zeros(SHAPE, dtype=bool)
    pattern[0, 8:13] = True
    pattern[1, 9:12] = True
    return hide(values, observed, pattern)


def scores_of(trial: Trial, filled: Filled) -> tuple[SimpleNamespace, ...]:
    bands = score_bands(trial, filled)
    first, second = bands
    assert first is not None
    assert second is not None
    found = (first, second, score_together(trial, filled, bands))
    return tuple(SimpleNamespace(**(dict.fromkeys(SCORES, math.nan) | scores)) for scores in found)


def same(first: SimpleNamespace, second: SimpleNamespace) -> bool:
    return all(
        a == b or (math.isnan(a) and math.isnan(b))
        for a, b in zip(vars(first).values(), vars(second).values(), strict=True)
    )


def test_by_hand():
    trial = make_trial()
    error = np.where(trial.hidden, np.array([3.0, -4.0])[:, None, None], 0)
    first, second, together = scores_of(trial, Filled(trial.truth + error))
    assert (first.hidden, second.hidden, together.hidden) == (5 * 24, 3 * 24, 8 * 24)
    assert (first.rmse, first.mae, first.bias) == pytest.approx((3, 3, 3))
    assert (second.rmse, second.mae, second.bias) == pytest.approx((4, 4, -4))
    assert together.rmse == pytest.approx(math.sqrt((5 * 9 + 3 * 16) / 8))
    assert together.mae == pytest.approx((5 * 3 + 3 * 4) / 8)
    assert together.bias == pytest.approx((5 * 3 - 3 * 4) / 8)
    assert together.r2 == pytest.approx((first.r2 + second.r2) / 2)
    low, high = np.percentile(trial.truth[0], (0.1, 99.9))
    assert first.psnr_db == pytest.approx(20 * math.log10((high - low) / 3))


def test_a_perfect_fill():
    trial = make_trial(unobserved=True)
    for scores in scores_of(trial, Filled(trial.truth, np.zeros(SHAPE))):
        assert (scores.rmse, scores.mae, scores.bias, scores.crps) == (0, 0, 0, 0)
        assert (scores.r2, scores.coverage_90, scores.unfilled_pct) == (1, 1, 0)
        assert scores.pearson_r2 == pytest.approx(1)
        assert scores.psnr_db == math.inf
        assert (scores.ssim, scores.ssim_hidden) == pytest.approx((1, 1))
    assert scores.spectral_angle_deg == pytest.approx(0, abs=1e-5)


@given(hnp.arrays(np.float32, SHAPE, elements=st.floats(-1e6, 1e6, width=32)))
def test_what_a_method_says_of_other_pixels_is_not_looked_at(garbage):
    trial = make_trial(unobserved=True)
    fill = np.random.default_rng(1).uniform(20, 200, SHAPE)
    clean = Filled(np.where(trial.hidden, fill, np.nan), np.where(trial.hidden, 9.0, np.nan))
    dirty = Filled(np.where(trial.hidden, fill, garbage), np.where(trial.hidden, 9.0, np.abs(garbage)))
    for one, other in zip(scores_of(trial, clean), scores_of(trial, dirty), strict=True):
        assert same(one, other)


@given(st.integers(0, 2**32 - 1))
def test_bounds(seed):
    trial = make_trial(seed)
    fill = np.random.default_rng(seed).uniform(-300, 600, SHAPE)
    for scores in scores_of(trial, Filled(fill, np.full(SHAPE, 5.0))):
        assert scores.rmse >= scores.mae >= abs(scores.bias)
        assert scores.r2 <= scores.pearson_r2 <= 1
        assert 0 <= scores.coverage_90 <= 1
        assert 0 <= scores.crps <= scores.mae
        assert -1 <= scores.ssim_hidden <= scores.ssim <= 1
        assert scores.border_step >= 0


def test_giving_up_never_pays():
    trial = make_trial()
    half = np.where(trial.hidden, trial.truth, np.nan)
    half[:, :, :12] = np.nan
    first, _, together = scores_of(trial, Filled(half))
    assert first.unfilled_pct == together.unfilled_pct == 50
    mean = np.mean(trial.truth[0][trial.gaps.usable[0]])
    left = trial.truth[0, 8:13, :12]
    assert first.rmse == pytest.approx(math.sqrt(np.sum((left - mean) ** 2) / (5 * 24)))
    assert first.hidden == 5 * 24


def test_unfilled_pixels_have_no_forecast():
    trial = make_trial()
    mean = np.where(trial.hidden, trial.truth, np.nan)
    mean[:, :, :12] = np.nan
    first, *_ = scores_of(trial, Filled(mean, np.full(SHAPE, 0.1)))
    assert first.coverage_90 == 1
    assert first.crps < 0.1


def test_without_a_std_there_is_no_forecast():
    trial = make_trial()
    for scores in scores_of(trial, Filled(trial.truth + 1)):
        assert math.isnan(scores.coverage_90)
        assert math.isnan(scores.crps)


def test_a_band_without_hidden_pixels_has_no_scores():
    values = np.random.default_rng(0).integers(1, 99, SHAPE)
    pattern = np.zeros(SHAPE, dtype=bool)
    pattern[1, 5:8] = True
    trial = hide(values, np.ones(SHAPE, dtype=bool), pattern)
    filled = Filled(np.where(trial.hidden, trial.truth + 2, np.nan))
    bands = score_bands(trial, filled)
    assert bands[0] is None
    together = score_together(trial, filled, bands, seconds=1.5)
    assert together["rmse"] == pytest.approx(2)
    assert together["spectral_angle_deg"] > 0
    assert together["seconds"] == 1.5


def test_a_band_that_is_hidden_whole_has_no_scores_but_is_counted():
    values = np.random.default_rng(0).integers(1, 99, SHAPE)
    pattern = np.zeros(SHAPE, dtype=bool)
    pattern[0] = True
    pattern[1, 5:8] = True
    trial = hide(values, np.ones(SHAPE, dtype=bool), pattern)
    first, second, _ = scores_of(trial, Filled(np.where(trial.hidden, np.nan, trial.truth)))
    assert first.unfilled_pct == second.unfilled_pct == 100
    assert math.isnan(first.rmse)
    assert second.rmse > 0


@pytest.mark.parametrize(("gain", "offset"), [(1.0, 0.0), (257.0, 0.0), (0.0001, 0.0), (40.0, 5000.0)])
def test_unitless_scores_do_not_depend_on_the_radiometry(gain, offset):
    trial = make_trial()
    fill = trial.truth + np.random.default_rng(0).normal(0, 10, SHAPE)
    other = Trial(trial.image * gain + offset, trial.truth * gain + offset, trial.gaps)
    first, *_ = scores_of(trial, Filled(fill))
    second, *_ = scores_of(other, Filled(fill * gain + offset))
    for name in ("r2", "pearson_r2", "psnr_db", "ssim", "ssim_hidden", "border_step", "inner_step"):
        assert getattr(first, name) == pytest.approx(getattr(second, name), rel=1e-3), name
    assert second.rmse == pytest.approx(first.rmse * gain, rel=1e-3)


def test_similarity_of_hidden_pixels_is_not_diluted_by_the_others():
    trial = make_trial()
    first, *_ = scores_of(trial, Filled(np.where(trial.hidden, 100.0, np.nan)))
    assert first.ssim_hidden < first.ssim - 0.3


def test_multi_scale_similarity_is_scored_when_asked_for():
    values = np.random.default_rng(0).integers(20, 200, (1, 64, 64)).astype(np.uint8)
    pattern = np.zeros(values.shape, dtype=bool)
    pattern[0, 20:26] = True
    trial = hide(values, np.ones(values.shape, dtype=bool), pattern)
    (scores,) = score_bands(trial, Filled(np.where(trial.hidden, 100.0, np.nan)))
    assert scores is not None
    assert 0 < scores["ms_ssim"] < 1
