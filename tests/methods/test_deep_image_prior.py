"""What the deep image prior promises beside the contract of all methods."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from landsat_fill.errors import UsageError
from landsat_fill.methods import Context, create_method
from landsat_fill.methods.dip_blend import PriorImage, best_shares, distances_px, error_by_distance
from landsat_fill.methods.dip_fit import FitsInProgress
from landsat_fill.methods.holdout import held_out
from landsat_fill.pipeline.arrays import fill_array
from landsat_fill.scene import Gaps, Window

TINY = {"channels": 8, "scales": 3, "iterations": 60, "runs": 2, "precision": "float32"}
CONTEXT = Context(threads=2)


class Memory:
    """A shelf without files."""

    def __init__(self):
        self.kept = {}
        self.most = None

    def get(self, name):
        return self.kept.get(name)

    def put(self, name, content):
        if self.most is not None and len(self.kept) >= self.most:
            raise KeyboardInterrupt
        self.kept[name] = content

    def drop(self, name):
        self.kept.pop(name, None)


def tiny(**options):
    return create_method("deep-image-prior", {**TINY, **options})


def scene(bands=2, height=64, width=64, width_px=9):
    generator = np.random.default_rng(0)
    rows, cols = np.mgrid[:height, :width]
    planes = [90 + 40 * np.sin(rows / (6 + band)) + 30 * np.cos(cols / 9 + band) for band in range(bands)]
    image = (np.stack(planes) + generator.normal(0, 3, (bands, height, width))).astype(np.float32)
    missing = np.stack([(rows + cols // 16 - 13) % 30 < width_px] * bands)
    return image, Gaps(missing, ~missing)


def errors(filled, image, gaps):
    return (filled.mean - image)[gaps.missing]


def test_it_fits_the_image_and_estimates_its_error():
    image, gaps = scene()
    filled = fill_array(image, gaps, tiny(iterations=100), context=CONTEXT)
    wrong = errors(filled, image, gaps)
    assert np.sqrt(np.mean(wrong**2)) < 0.4 * image[gaps.missing].std()
    inside = np.abs(wrong) < 1.645 * filled.std[gaps.missing]
    assert 0.75 < inside.mean() <= 1


def test_the_network_alone_fills_too():
    """Not the spline that is mixed in: an hourglass finds the waves by itself."""
    image, gaps = scene()
    filled = fill_array(image, gaps, tiny(blend=False, iterations=120), context=CONTEXT)
    assert np.sqrt(np.mean(errors(filled, image, gaps) ** 2)) < 0.6 * image[gaps.missing].std()


@pytest.mark.parametrize(
    "options",
    [{"setting": "paper"}, {"input": "meshgrid"}, {"skip_channels": 0}, {"skips": 1}, {"each_band": True}],
    ids=str,
)
def test_the_papers_variants_fill(options):
    image, gaps = scene()
    filled = fill_array(image, gaps, tiny(iterations=4, **options), context=CONTEXT)
    assert np.isfinite(filled.mean).all()
    low, high = image[gaps.usable].min(), image[gaps.usable].max()
    assert low - 30 <= filled.mean.min() <= filled.mean.max() <= high + 30


def test_the_papers_setting_is_the_papers():
    settings = create_method("deep-image-prior", {"setting": "paper"}).fit_settings
    assert (settings.channels, settings.skip_channels, settings.scales, settings.iterations) == (128, 128, 5, 1500)
    assert (settings.learning_rate, settings.input_noise, settings.input_channels) == (0.01, 0.1, 4)


def test_a_band_filled_alone_does_not_depend_on_the_others():
    image, gaps = scene()
    other = image.copy()
    other[1] = other[1, ::-1]
    first, second = (
        fill_array(one, gaps, tiny(iterations=4, blend=False, each_band=True), context=CONTEXT)
        for one in (image, other)
    )
    np.testing.assert_array_equal(first.mean[0], second.mean[0])
    together = fill_array(other, gaps, tiny(iterations=4, blend=False), context=CONTEXT)
    assert not np.array_equal(together.mean[0], first.mean[0])


def test_a_seed_decides_everything():
    image, gaps = scene()
    first, same, other = (
        fill_array(image, gaps, tiny(iterations=4, blend=False), context=Context(threads=2, seed=seed)).mean
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)


def test_the_type_of_the_numbers_does_not_matter():
    image, gaps = scene(1)
    expected, *found = (
        fill_array(np.round(image).astype(dtype), gaps, tiny(iterations=4), context=CONTEXT).mean
        for dtype in (np.float32, np.uint16, np.float64)
    )
    for fill in found:
        np.testing.assert_allclose(fill, expected, atol=0.5)


def test_no_gaps_ask_for_nothing(monkeypatch):
    image, gaps = scene()
    none = Gaps(np.zeros_like(gaps.missing), np.ones_like(gaps.usable))
    monkeypatch.setattr(FitsInProgress, "__init__", None)
    filled = fill_array(image, none, tiny(), context=CONTEXT)
    np.testing.assert_array_equal(filled.mean, image)


def test_all_gaps_stay_unfilled():
    image, gaps = scene()
    every = Gaps(np.ones_like(gaps.missing), np.zeros_like(gaps.usable))
    assert np.isnan(fill_array(image, every, tiny(), context=CONTEXT).mean).all()


def fits_of(method, count=2):
    image, gaps = scene()
    values = np.where(gaps.usable, (image - 90) / 40, 0).astype(np.float32)
    nothing = (np.empty((0, *values.shape[1:]), np.float32), np.empty((0, *values.shape[1:]), bool))
    one = PriorImage(values, gaps, (32, 64), method.fit_settings, seed=0, percent=7, beside=nothing)
    return [one.fit(run) for run in range(count)]


def in_progress(fits, method):
    return FitsInProgress(fits, method.fit_settings, seed=0, device="cpu", bfloat16=False)


def test_fits_side_by_side_are_those_alone():
    """As a graphics processor works them: a loss, a moving average and weights of each one's own."""
    method = tiny(iterations=10)
    fits = fits_of(method)
    together = in_progress(fits, method)
    together.run()
    for number, fit in enumerate(fits):
        alone = in_progress([fit], method)
        alone.run()
        np.testing.assert_allclose(together.best[number], alone.best[0], atol=0.06)


def test_a_fit_goes_on_from_its_state_exactly():
    method = replace(tiny(), iterations=60)  # a state is kept after 50
    fits = fits_of(method, 1)
    states = []
    whole = in_progress(fits, method)
    whole.run(keep=states.append)
    assert states
    resumed = in_progress(fits, method)
    resumed.resume(states[0])
    resumed.run()
    np.testing.assert_array_equal(resumed.best, whole.best)
    assert resumed.held_error == whole.held_error


def test_a_fit_that_diverges_goes_back():
    method = tiny(iterations=30)
    work = in_progress(fits_of(method, 2), method)
    steps = 0

    def spoil(_state):
        pass

    step = work._step

    def spoiling_step():
        nonlocal steps
        steps += 1
        if steps == 15:
            with torch.no_grad():
                work._network.exit.weight[:2] += 50  # the first hourglass's
        return step()

    work._step = spoiling_step
    work.run(keep=spoil)
    exit_weights = work._network.exit.weight.detach()
    assert exit_weights[:2].abs().max() < 5
    assert np.abs(work.best).max() < 5


def test_what_is_done_is_not_done_again(monkeypatch):
    image, gaps = scene()
    shelf = Memory()
    kept = replace(CONTEXT, shelf=shelf)
    expected = fill_array(image, gaps, tiny(iterations=4), context=CONTEXT).mean
    first = fill_array(image, gaps, tiny(iterations=4), context=kept).mean
    np.testing.assert_array_equal(first, expected)
    assert len(shelf.kept) == 2  # a run each, and no states
    monkeypatch.setattr(FitsInProgress, "run", None)
    np.testing.assert_array_equal(fill_array(image, gaps, tiny(iterations=4), context=kept).mean, expected)


def test_progress_reports_the_held_out_error():
    image, gaps = scene()
    reports = []
    context = replace(CONTEXT, progress=lambda share, text: reports.append((share, text)))
    fill_array(image, gaps, tiny(iterations=10), context=context)
    assert reports[-1][0] == 1
    assert "held-out error" in reports[-1][1]


@pytest.mark.parametrize("options", [{"setting": "slow"}, {"input": "zeros"}, {"precision": "half"}], ids=str)
def test_words_that_mean_nothing_are_refused(options):
    with pytest.raises(UsageError, match="expected --"):
        create_method("deep-image-prior", options)


@pytest.mark.parametrize("width_px", [1, 2, 5, 15, 20])
def test_gaps_of_any_width_leave_something_to_hold_back(width_px):
    _, gaps = scene(2, 128, 128, width_px)
    held = held_out(gaps, (0, 0), fold=0, seed=0, percent=7)
    assert np.count_nonzero(held) > 100


def test_held_out_pixels_are_observed_and_few_and_of_the_scene():
    _, gaps = scene(2, 128, 128)
    folds = [held_out(gaps, (0, 0), fold=fold, seed=0, percent=7) for fold in (0, 1)]
    for held in folds:
        assert held.any()
        assert not (held & ~gaps.usable).any()
        assert np.count_nonzero(held) <= 0.07 * np.count_nonzero(gaps.usable)
        # Beside every held-out pixel's stripe rows are left that the network sees.
        assert (distances_px(gaps.usable & ~held)[held] < 12).all()
    assert not (folds[0] & folds[1]).any()


def test_errors_grow_with_the_distance_and_never_fall():
    generator = np.random.default_rng(0)
    distances = generator.uniform(1, 12, 5000)
    found = error_by_distance(distances, (0.1 * distances * generator.standard_normal(5000)) ** 2)
    assert found is not None
    grid = np.linspace(1, 30, 50)
    assert (np.diff(found(grid)) >= 0).all()
    np.testing.assert_allclose(found(np.array([6.0])), 0.36, rtol=0.2)
    assert error_by_distance(distances[:10], distances[:10]) is None


def test_the_same_place_holds_back_the_same_pixels_in_every_tile():
    _, gaps = scene(1, 128, 128, width_px=3)
    window = Window(32, 64, 96, 64)
    part = Gaps(gaps.missing[:, *window.slices], gaps.usable[:, *window.slices])
    whole = held_out(gaps, (0, 0), fold=0, seed=3, percent=30)[:, *window.slices]
    tile = held_out(part, (32, 64), fold=0, seed=3, percent=30)
    inner = np.s_[:, 40:]
    np.testing.assert_array_equal(whole[inner], tile[inner])


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
