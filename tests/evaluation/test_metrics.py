"""Scores of bands and of all of them, against numbers worked out by hand and against other libraries."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pytorch_msssim import ms_ssim, ssim

from landsat_fill.evaluation.metrics import (
    NOMINAL_PCT,
    SCORES,
    coverages,
    data_limits,
    error_scores,
    multi_scale_similarity,
    multi_scale_window_px,
    ranked_probability_score,
    score_bands,
    score_together,
    similarity_map,
    spectral_angle_deg,
    stripe_visibility,
)
from landsat_fill.evaluation.trials import Trial, hide
from landsat_fill.scene import Filled


def stripe(height: int = 12, width: int = 8) -> np.ndarray:
    hidden = np.zeros((height, width), dtype=bool)
    hidden[4:8] = True
    return hidden


def test_visibility_by_hand():
    # One column: observed steps 2 and 2, border steps 3 and 5, one step of 1 inside.
    composite = np.array([[0.0], [2.0], [5.0], [6.0], [1.0], [3.0]])
    hidden = np.array([[0], [0], [1], [1], [0], [0]], dtype=bool)
    found = stripe_visibility(composite, hidden, ~hidden)
    assert found["border_step"] == pytest.approx((3 + 5) / (2 * 2))
    assert found["inner_step"] == pytest.approx(1 / 2)
    assert found["stripe_index"] == pytest.approx((1 + 1 / 2) / 2)


def test_the_truth_itself_is_about_invisible():
    generator = np.random.default_rng(0)
    image = np.cumsum(generator.normal(0, 5, (400, 300)), axis=0)
    hidden = np.zeros(image.shape, dtype=bool)
    hidden[10::33] = hidden[11::33] = hidden[12::33] = True
    found = stripe_visibility(image, hidden, ~hidden)
    assert found["border_step"] == pytest.approx(1, abs=0.1)
    assert found["inner_step"] == pytest.approx(1, abs=0.1)


def test_an_offset_shows_at_the_border_and_a_flat_fill_inside():
    image = np.random.default_rng(0).normal(100, 2, (60, 40))
    hidden = np.zeros(image.shape, dtype=bool)
    hidden[20:30] = True
    brighter = np.where(hidden, image + 50, image)
    flat = np.where(hidden, 100.0, image)
    assert stripe_visibility(brighter, hidden, ~hidden)["border_step"] > 10
    assert stripe_visibility(brighter, hidden, ~hidden)["inner_step"] == pytest.approx(1, abs=0.2)
    assert stripe_visibility(flat, hidden, ~hidden)["inner_step"] == 0


def test_the_stripe_index_counts_edges_and_blur_alike():
    image = np.random.default_rng(0).normal(100, 2, (600, 40))
    hidden = np.zeros(image.shape, dtype=bool)
    hidden[20:590:33] = hidden[21:590:33] = hidden[22:590:33] = True
    index = {
        name: stripe_visibility(np.where(hidden, fill, image), hidden, ~hidden)["stripe_index"]
        for name, fill in {"truth": image, "bright": image + 4, "flat": 100.0, "blurred": 0.5 * image + 50}.items()
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
    assert found["border_step"] == pytest.approx(1)
    assert found["inner_step"] == pytest.approx(1)


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
    assert math.isnan(found["border_step"])
    assert math.isnan(found["inner_step"])
    assert math.isnan(found["stripe_index"])


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


TRUTH = np.array([1.0, 2.0, 3.0, 4.0])
FILL = np.array([2.0, 2.0, 1.0, 4.0])  # errors 1, 0, -2, 0


def scores(truth: np.ndarray, fill: np.ndarray, data_range: float = 1.0) -> dict[str, float]:
    return error_scores(truth, fill, data_range)


NUMBERS = st.floats(-1e4, 1e4, width=32)
PAIRS = hnp.arrays(np.float32, (2, 30), elements=NUMBERS)


def test_scores_by_hand():
    assert scores(TRUTH, FILL)["rmse"] == pytest.approx(math.sqrt(5 / 4))
    assert scores(TRUTH, FILL)["mae"] == pytest.approx(3 / 4)
    assert scores(TRUTH, FILL)["bias"] == pytest.approx(-1 / 4)
    assert scores(TRUTH, FILL)["r2"] == pytest.approx(1 - 5 / 5)
    # Deviations: truth -1.5 -0.5 0.5 1.5, fill -0.25 -0.25 -1.25 1.75; products 2.5, squares 5 and 4.75.
    assert scores(TRUTH, FILL)["pearson_r2"] == pytest.approx(2.5**2 / (5 * 4.75))


def test_a_wrong_gain_costs_determination_and_not_correlation():
    fill = 3 * TRUTH + 10
    assert scores(TRUTH, fill)["pearson_r2"] == pytest.approx(1)
    assert scores(TRUTH, fill)["r2"] < 0


def test_the_mean_of_the_truth_explains_nothing():
    assert scores(TRUTH, np.full(4, 2.5))["r2"] == pytest.approx(0)


def test_constant_truth_has_no_r2():
    assert math.isnan(scores(np.ones(3), np.zeros(3))["r2"])
    assert math.isnan(scores(np.ones(3), np.arange(3.0))["pearson_r2"])
    assert math.isnan(scores(np.arange(3.0), np.ones(3))["pearson_r2"])


def test_peak_signal_to_noise():
    assert scores(TRUTH, TRUTH + 1, 10.0)["psnr_db"] == pytest.approx(20)
    assert scores(TRUTH, TRUTH, 10.0)["psnr_db"] == math.inf


def test_one_dead_pixel_does_not_stretch_the_range():
    truth = np.tile(np.arange(101.0), 1000)
    truth[0] = 60000
    low, high = data_limits(np.append(truth, np.nan))
    assert (low, high) == (0, 100)


def test_the_range_of_a_constant_band_is_not_empty():
    low, high = data_limits(np.full(10, 7.0))
    assert high > low == 7


@given(PAIRS)
def test_rmse_bounds_mae_bounds_bias(pair):
    rmse = scores(*pair)["rmse"]
    mae = scores(*pair)["mae"]
    assert rmse >= mae * (1 - 1e-9)
    assert mae >= abs(scores(*pair)["bias"]) * (1 - 1e-9)


@given(PAIRS)
def test_correlation_never_lies_below_determination(pair):
    assume(np.ptp(pair[0]) > 1 and np.ptp(pair[1]) > 1)
    determination = scores(*pair)["r2"]
    correlation = scores(*pair)["pearson_r2"]
    assert determination <= correlation + 1e-6
    assert 0 <= correlation <= 1 + 1e-9


@given(hnp.arrays(np.float32, 30, elements=NUMBERS))
def test_a_perfect_fill(truth):
    assert scores(truth, truth)["rmse"] == 0
    assert scores(truth, truth)["bias"] == 0
    if np.ptp(truth) > 1:
        assert scores(truth, truth)["r2"] == 1
        assert scores(truth, truth)["pearson_r2"] == pytest.approx(1)


def test_small_integers_do_not_wrap_around():
    assert scores(np.array([200], np.uint8), np.array([10], np.uint8))["bias"] == -190


def pair(side: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(side)
    truth = np.clip(np.cumsum(generator.normal(0, 0.05, (side, side)), axis=1) + 0.5, 0, 1)
    return truth, np.clip(truth + generator.normal(0, 0.05, truth.shape), 0, 1)


def test_the_map_is_that_of_pytorch_msssim():
    truth, fill = pair(64)
    tensors = [torch.from_numpy(values)[None, None] for values in (truth, fill)]
    # It leaves out a border of half a window; so does this.
    inner = similarity_map(truth, fill)[5:-5, 5:-5]
    assert inner.mean() == pytest.approx(float(ssim(*tensors, data_range=1.0)), abs=1e-6)


def test_a_perfect_fill_is_similar_everywhere():
    truth, _ = pair(40)
    assert similarity_map(truth, truth) == pytest.approx(1)


def test_damage_stays_where_it_is():
    truth, _ = pair(60)
    fill = truth.copy()
    fill[30, 30] += 0.5
    similarity = similarity_map(truth, fill)
    assert similarity[30, 30] < 0.9
    assert similarity[:24] == pytest.approx(1)
    assert similarity[:, :24] == pytest.approx(1)


@pytest.mark.parametrize(
    ("side_px", "window_px"),
    [(32, None), (33, 3), (64, 3), (65, 5), (96, 5), (97, 7), (128, 7), (160, 9), (161, 11), (8000, 11)],
)
def test_the_multi_scale_window_fits_the_image(side_px, window_px):
    assert multi_scale_window_px(side_px) == window_px


@pytest.mark.parametrize("shape", [(33, 80), (64, 64), (128, 131), (161, 175), (203, 340)])
def test_multi_scale_similarity_is_that_of_pytorch_msssim(shape):
    truth, fill = (values[: shape[0], : shape[1]] for values in pair(max(shape)))
    tensors = [torch.from_numpy(np.ascontiguousarray(values))[None, None] for values in (truth, fill)]
    window_px = multi_scale_window_px(min(shape))
    expected = float(ms_ssim(*tensors, data_range=1.0, win_size=window_px))
    assert 0.3 < expected < 0.999
    assert multi_scale_similarity(truth, fill) == pytest.approx(expected, abs=1e-6)
    assert multi_scale_similarity(truth, truth) == pytest.approx(1)


def test_the_negative_of_an_image_has_nothing_of_it():
    truth, _ = pair(64)
    assert multi_scale_similarity(truth, 1 - truth) == 0


def test_a_small_image_has_none():
    truth, fill = pair(32)
    assert np.isnan(multi_scale_similarity(truth, fill))


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
    assert ranked_probability_score(np.array([7.0]), np.array([7.0]), np.array([3.0])) == pytest.approx(expected)


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
        std: ranked_probability_score(truth, np.zeros_like(truth), np.full_like(truth, std)) for std in (1.0, 2.0, 4.0)
    }
    assert min(scores, key=lambda std: scores[std]) == 2.0


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


def test_the_scores_of_a_trial_by_hand():
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


def test_a_perfect_fill_of_a_trial():
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
