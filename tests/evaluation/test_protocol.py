"""A whole evaluation: the same pixels for all methods, and one failure isn't the end."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from landsat_fill.errors import InputError, UsageError
from landsat_fill.evaluation import (
    REFERENCE,
    RealStripes,
    Sampling,
    SimulatedStripes,
    evaluate,
    method_label,
    summarise_groups,
)
from landsat_fill.evaluation.figures import calibration_curves
from landsat_fill.evaluation.metrics import NOMINAL_PCT
from landsat_fill.evaluation.results import ALL_BANDS
from landsat_fill.methods import Context, MethodInfo
from landsat_fill.methods.interpolation import InverseDistance
from landsat_fill.scene import Filled, Gaps

STRIPES = SimulatedStripes.of_width(6)
ONE_THREAD = Context(threads=1)


@dataclass(frozen=True)
class Constant:
    """Fills with one number, and says how sure it is."""

    info: ClassVar[MethodInfo] = MethodInfo("constant", "one number", "none", halo_px=0, gives_std=True)
    number: float = 100.0
    std: float = 10.0

    def fill(self, image: np.ndarray, _gaps: Gaps, _context: Context) -> Filled:
        return Filled(np.full(image.shape, self.number), np.full(image.shape, self.std))


@dataclass(frozen=True)
class Honest:
    """Knows the one number of the scene and how far its noise strays."""

    info: ClassVar[MethodInfo] = MethodInfo("honest", "calibrated", "none", halo_px=0, gives_std=True)
    sure: float = 1.0

    def fill(self, image: np.ndarray, _gaps: Gaps, _context: Context) -> Filled:
        return Filled(np.full(image.shape, 120.0), np.full(image.shape, 12.0 / self.sure))


@dataclass(frozen=True)
class Peeking:
    """Returns whatever the image holds at the pixels it should fill."""

    info: ClassVar[MethodInfo] = MethodInfo("peeking", "cheats", "none", halo_px=0)

    def fill(self, image: np.ndarray, _gaps: Gaps, _context: Context) -> Filled:
        return Filled(image.copy())


@dataclass(frozen=True)
class Broken:
    """Fails on images of a certain width."""

    info: ClassVar[MethodInfo] = MethodInfo("broken", "fails", "none", halo_px=0)
    width_px: int = 100

    def fill(self, image: np.ndarray, _gaps: Gaps, _context: Context) -> Filled:
        if image.shape[-1] == self.width_px:
            raise ValueError("a bug in a method")
        return Filled(np.zeros(image.shape))


def test_every_method_band_pattern_and_seed_has_a_record(make_scene):
    scene = make_scene()
    patterns = [STRIPES, SimulatedStripes.of_share(15)]
    results = evaluate([scene], [Constant()], patterns, seeds=(0, 1), context=ONE_THREAD)
    assert not results.failures
    assert results.methods == ("inverse-distance", "constant")
    keys = {(r.scene, r.pattern, r.seed, r.method, r.band) for r in results.records.itertuples()}
    assert keys == {
        ("clean", pattern, seed, method, band)
        for pattern in ("6 px", "15 %")
        for seed in (0, 1)
        for method in results.methods
        for band in ("blue", "green", "red", ALL_BANDS)
    }
    assert len(results.records) == len(keys)


def test_all_methods_are_scored_on_the_same_pixels(make_scene):
    results = evaluate([make_scene()], [Constant(), Constant(90)], [STRIPES], context=ONE_THREAD)
    for band in ("blue", "green", "red", ALL_BANDS):
        assert len({r.hidden for r in results.records.itertuples() if r.band == band}) == 1


def test_a_constant_scores_what_it_must(make_scene):
    values = np.full((1, 96, 100), 130, dtype=np.uint8)
    results = evaluate([make_scene(values=values)], [Constant(100, 15)], [STRIPES], context=ONE_THREAD)
    scores = next(r for r in results.records.itertuples() if r.method == "constant std=15" and r.band == "blue")
    assert (scores.rmse, scores.mae, scores.bias) == (30, 30, -30)
    assert scores.coverage_90 == 0
    assert 20 < scores.crps < 30
    reference = next(r for r in results.records.itertuples() if r.method == "inverse-distance")
    assert reference.rmse == 0


def test_a_method_that_peeks_finds_nothing(make_scene):
    results = evaluate([make_scene()], [Peeking()], [STRIPES], context=ONE_THREAD)
    peeking = [r for r in results.records.itertuples() if r.method == "peeking"]
    assert peeking
    assert all(scores.unfilled_pct == 100 for scores in peeking)
    assert all(scores.r2 < 0.01 for scores in peeking)


def test_what_is_scored_is_what_would_be_stored(make_scene):
    values = np.full((1, 96, 100), 250, dtype=np.uint8)
    results = evaluate([make_scene(values=values)], [Constant(1e6), Constant(250.4)], [STRIPES])
    found = {r.method: r.bias for r in results.records.itertuples() if r.band == "blue"}
    assert found["constant number=1000000.0"] == 5
    assert found["constant number=250.4"] == 0


def test_the_reference_is_not_scored_twice(make_scene):
    methods = [InverseDistance(), InverseDistance(smoothing=0)]
    results = evaluate([make_scene()], methods, [STRIPES], context=ONE_THREAD)
    assert results.methods == ("inverse-distance", "inverse-distance smoothing=0")
    assert method_label(REFERENCE) == "inverse-distance"


def test_scenes_of_the_same_name_get_unique_names(make_scene):
    scene = make_scene()
    methods = [Constant(), Constant()]
    results = evaluate([scene, scene], methods, [STRIPES], context=ONE_THREAD)
    assert {r.scene for r in results.records.itertuples()} == {"clean", "clean (2)"}
    assert len(results.records) == 2 * 2 * 4
    with pytest.raises(UsageError, match="different names"):
        evaluate([scene], [], [STRIPES, STRIPES])


def test_a_method_that_fails_does_not_stop_the_others(make_scene):
    scenes = [make_scene("wide"), make_scene("narrow", (3, 96, 70))]
    results = evaluate(scenes, [Broken(), Constant()], [STRIPES], context=ONE_THREAD)
    (failure,) = results.failures
    assert (failure.scene, failure.method, failure.pattern) == ("wide", "broken", "6 px")
    assert isinstance(failure.error, ValueError)
    assert {r.scene for r in results.records.itertuples() if r.method == "broken"} == {"narrow"}
    assert {r.scene for r in results.records.itertuples() if r.method == "constant"} == {"wide", "narrow"}


def test_a_scene_that_cannot_be_read_does_not_stop_the_others(make_scene):
    lost = make_scene("lost")
    Path(lost.bands[0].dataset).unlink()
    results = evaluate([lost, make_scene("here")], [], [STRIPES], context=ONE_THREAD)
    (failure,) = results.failures
    assert (failure.scene, failure.method) == ("lost", "")
    assert isinstance(failure.error, InputError)
    assert {r.scene for r in results.records.itertuples()} == {"here"}


def test_a_pattern_that_misses_an_image_is_a_failure_of_that_pattern(make_scene):
    values = np.zeros((1, 40, 40), dtype=np.uint8)
    values[0, 0, 0] = 9
    scene = make_scene(values=values, nodata=0)
    results = evaluate([scene], [], [STRIPES], context=ONE_THREAD)
    assert [f.pattern for f in results.failures] == ["6 px"]
    assert isinstance(results.failures[0].error, UsageError)
    assert results.records.empty
    assert results.example is None


def test_nodata_is_neither_hidden_nor_evidence(make_scene):
    values = np.full((1, 96, 100), 130, dtype=np.uint8)
    values[:, :, 50:] = 0
    results = evaluate([make_scene(values=values, nodata=0)], [], [STRIPES], context=ONE_THREAD)
    scores = next(r for r in results.records.itertuples() if r.band == "blue")
    assert 0 < scores.hidden < 96 * 50
    assert scores.rmse == 0


def test_a_large_scene_is_sampled(make_scene):
    scene = make_scene(shape=(1, 200, 210))
    sampling = Sampling(window_px=64, windows=3)
    first = evaluate([scene], [], [STRIPES], context=ONE_THREAD, sampling=sampling)
    again = evaluate([scene], [], [STRIPES], context=ONE_THREAD, sampling=sampling)
    names = {r.scene for r in first.records.itertuples()}
    assert len(names) == 3
    assert all(name.startswith("clean@") for name in names)
    assert names == {r.scene for r in again.records.itertuples()}
    hidden = [r.hidden_pct for r in first.records.itertuples()]
    assert all(10 < percent < 30 for percent in hidden)


def test_windows_outside_the_footprint_are_passed_over(make_scene):
    values = np.full((1, 256, 256), 90, dtype=np.uint8)
    values[:, 64:] = 0
    scene = make_scene(values=values, nodata=0)
    sampling = Sampling(window_px=64, windows=2)
    results = evaluate([scene], [], [STRIPES], context=ONE_THREAD, sampling=sampling)
    assert {r.scene.split("@")[1].split(",")[0] for r in results.records.itertuples()} == {"0"}
    empty = make_scene("empty", values=np.zeros((1, 256, 256), dtype=np.uint8), nodata=0)
    (failure,) = evaluate([empty], [], [STRIPES], context=ONE_THREAD, sampling=sampling).failures
    assert "half observed" in str(failure.error)


def test_progress_goes_from_nothing_to_all(make_scene):
    seen: list[tuple[float, str]] = []
    evaluate(
        [make_scene()],
        [Constant()],
        [STRIPES],
        context=ONE_THREAD,
        on_progress=lambda share, what: seen.append((share, what)),
    )
    assert [share for share, _ in seen] == [0, 0.5, 1]
    assert seen[1][1] == "clean · 6 px · constant"


def test_scales_are_recorded(make_scene):
    results = evaluate([make_scene(scale=0.0001)], [], [STRIPES], context=ONE_THREAD)
    assert {r.scale for r in results.records.itertuples()} == {0.0001}


def test_the_example_shows_the_crop_with_the_most_to_fill(make_scene):
    values = np.full((3, 320, 330), 100, dtype=np.uint8)
    values[:, 160:, 160:320] += np.random.default_rng(0).integers(0, 90, (160, 160), dtype=np.uint8)
    results = evaluate([make_scene(values=values)], [Constant()], [STRIPES], context=ONE_THREAD)
    example = results.example
    assert example is not None
    assert example.drawn_bands == (2, 1, 0)
    assert example.truth.shape == (3, 160, 160)
    assert np.array_equal(example.truth, values[:, 160:, 160:320])
    assert list(example.fills) == ["inverse-distance", "constant"]
    assert np.array_equal(example.composite("constant")[~example.hidden], example.truth[~example.hidden])


def test_real_gaps_can_be_laid_over(make_scene):
    lost = np.zeros((60, 60), dtype=bool)
    lost[20:28] = True
    results = evaluate([make_scene()], [], [RealStripes("LE07", lost)], context=ONE_THREAD)
    assert {r.pattern for r in results.records.itertuples()} == {"LE07"}
    assert not math.isnan(results.records["rmse"][0])


@pytest.mark.parametrize("nothing", ["scene", "pattern", "seed"])
def test_nothing_to_evaluate(make_scene, nothing):
    given = {
        "scene": [] if nothing == "scene" else [make_scene()],
        "pattern": [] if nothing == "pattern" else [STRIPES],
        "seed": () if nothing == "seed" else (0,),
    }
    with pytest.raises(UsageError, match=f"at least one {nothing}"):
        evaluate(given["scene"], [], given["pattern"], seeds=given["seed"])


def test_calibration_separates_a_calibrated_method_from_an_overconfident_one(make_scene):
    noise = np.random.default_rng(0).normal(120, 12, (1, 300, 300))
    scene = make_scene(values=noise.round().astype(np.uint8))
    results = evaluate([scene], [Honest(), Honest(sure=3.0)], [SimulatedStripes.of_width(14)])
    curves = calibration_curves(results)
    assert set(curves) == {"honest", "honest sure=3.0"}
    assert curves["honest"] == pytest.approx(list(NOMINAL_PCT), abs=4)
    assert all(sure < pct - 4 for sure, pct in zip(curves["honest sure=3.0"], NOMINAL_PCT, strict=True))


def test_groups_are_compared(make_scene):
    bright, dark = np.full((1, 96, 100), 200, np.uint8), np.full((1, 96, 100), 90, np.uint8)
    noise = np.random.default_rng(0).integers(0, 10, bright.shape, dtype=np.uint8)
    scenes = [make_scene("dark", values=dark + noise), make_scene("bright", values=bright + noise)]
    results = evaluate(scenes, [Constant(95)], [STRIPES], groups=["trained on", "new"], context=ONE_THREAD)
    assert results.groups == ("trained on", "new")
    found = {(g.group, g.method): g for g in summarise_groups(results).itertuples()}
    known, new = found["trained on", "constant number=95"], found["new", "constant number=95"]
    assert known.shift == 1
    assert new.shift == pytest.approx(new.rmse_ratio / known.rmse_ratio)
    assert new.shift > 10
    assert all(g.shift == 1 for g in found.values() if g.method == "inverse-distance")
    with pytest.raises(UsageError, match="group for each of 2 scenes"):
        evaluate(scenes, [], [STRIPES], groups=["trained on"])


def test_one_group_is_nothing_to_compare(make_scene):
    assert summarise_groups(evaluate([make_scene()], [], [STRIPES], groups=["one"])).empty
    assert summarise_groups(evaluate([make_scene()], [], [STRIPES])).empty


def test_a_method_runs_where_it_can(make_scene):
    results = evaluate([make_scene()], [Constant()], [STRIPES], context=ONE_THREAD, device="auto")
    assert results.devices == ("cpu", "cpu")
    with pytest.raises(UsageError, match="a device that a method runs on"):
        evaluate([make_scene()], [Constant()], [STRIPES], context=ONE_THREAD, device="gpu")


def test_context_reaches_the_method(make_scene):
    seen = []

    class Spy(Constant):
        def fill(self, image, gaps, context):
            seen.append(context)
            return super().fill(image, gaps, context)

    evaluate([make_scene()], [Spy()], [STRIPES], context=replace(ONE_THREAD, device="cpu"))
    assert seen[0].pixel_size_m == pytest.approx(30)
    assert [band.colour for band in seen[0].bands] == ["blue", "green", "red"]
    assert seen[0].threads == 1
