"""Samples are pieces of their scene: true, reproducible, and never showing what they hide."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest

from landsat_fill.errors import InputError, UsageError
from landsat_fill.training import pixels_and_gaps
from landsat_fill.training.dataset import open_samples
from landsat_fill.training.dataset_writing import Cutting, write_dataset
from landsat_fill.training.pixels_and_gaps import STEP_PX
from landsat_fill.training.samples import PLAIN, Augmentation, draw_bands, draw_holes, draw_stripes, turned

WITHOUT_LOSS = Augmentation(lost_band_share=0.0)


def drawn(source, number=0, bands=None):
    return source.sample(np.random.default_rng(number), bands)


def same(one, other):
    return all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in ("values", "usable", "hidden", "scale")
    )


@pytest.fixture(params=["folder", "whole scenes", "windows"])
def make_source(request, write, slc_off, tmp_path, monkeypatch):
    """Return a function that opens scenes in each of the ways there are."""

    def make(*scenes, size_px=64, **options):
        if request.param == "folder":
            write_dataset(scenes, [slc_off.scene], tmp_path / "data", Cutting(72, 72, 0.4))
            return open_samples(tmp_path / "data", size_px=size_px, **options)
        if request.param == "windows":
            monkeypatch.setattr(pixels_and_gaps, "HELD_BYTES", 0)
        return open_samples(scenes, size_px=size_px, gaps_from=[slc_off.scene], **options)

    return make


@pytest.mark.parametrize(("dtype", "nodata"), [("uint8", 0), ("int16", -999), ("float32", float("nan"))])
def test_a_sample_is_sound(make_source, write, dtype, nodata):
    missing = np.zeros((4, 100, 120), bool)
    missing[2, 40:60, 50:70] = True
    source = make_source(write(dtype=dtype, missing=missing, nodata=nodata).scene, augmentation=WITHOUT_LOSS)
    for number in range(10):
        sample = drawn(source, number)
        assert sample.values.shape == sample.usable.shape == sample.hidden.shape == (4, 64, 64)
        assert (sample.values.dtype, sample.scale.dtype) == (np.float32, np.float32)
        assert sample.values.flags.c_contiguous
        assert sample.usable.flags.c_contiguous
        assert not (sample.usable & sample.hidden).any()
        assert np.isfinite(sample.values).all()
        never = ~(sample.usable | sample.hidden)
        assert not sample.values[never].any()
        assert sample.usable.mean(axis=(1, 2)).min() >= 0.2
        assert sample.hidden.mean() >= 0.01
        for values, usable in zip(sample.values, sample.usable, strict=True):
            assert abs(values[usable].mean()) <= 1e-4 * np.abs(values).max()
        assert (sample.scale > 0).all()


def test_values_are_those_of_the_scene(make_source, write):
    made = write(shape=(3, 72, 72), dtype="uint16")
    source = make_source(made.scene, size_px=72, augmentation=replace(WITHOUT_LOSS, shuffled_share=0.0))
    ways = set()
    for number in range(40):
        sample = drawn(source, number)
        assert (sample.usable | sample.hidden).all()
        for turn in range(8):
            truth = turned(made.values, turn).astype(float)
            offset = np.array([(truth[b] - sample.values[b])[sample.usable[b]].mean() for b in range(3)])
            if np.allclose(sample.values + offset[:, None, None], truth, atol=0.01):
                ways.add(turn)
                break
        else:
            pytest.fail("a sample that isn't the scene, however turned")
    assert ways == set(range(8))


def test_the_same_generator_gives_the_same_sample(make_source, write):
    source = make_source(write("a", seed=1).scene, write("b", (6, 90, 90), east_km=200, seed=2).scene)
    copied = pickle.loads(pickle.dumps(source))
    for number in range(5):
        sample = drawn(source, number, 3)
        assert same(sample, drawn(source, number, 3))
        assert same(sample, drawn(copied, number, 3))
    assert not same(drawn(source, 0, 3), drawn(source, 1, 3))


def test_bands_are_subsets_in_any_order(make_source, write):
    flat = np.zeros((4, 80, 80), bool)
    made = write(shape=flat.shape, dtype="int16")
    # Bands are recognised by their error scale, so each one gets another contrast.
    source = make_source(made.scene, augmentation=replace(WITHOUT_LOSS, shuffled_share=1.0))
    assert drawn(source, bands=None).values.shape[0] == 4
    orders = {tuple(np.argsort(drawn(source, number, 4).scale)) for number in range(8)}
    assert len(orders) > 1
    for bands in (1, 2, 3):
        assert drawn(source, bands=bands).values.shape == (bands, 64, 64)
    with pytest.raises(UsageError, match="from 1 to 4"):
        drawn(source, bands=5)


def test_scenes_with_too_few_bands_are_passed_over(make_source, write):
    few, many = write("few", (3, 90, 90), seed=1), write("many", (6, 90, 90), east_km=200, seed=2)
    source = make_source(few.scene, many.scene)
    assert source.most_bands == 6
    assert {drawn(source, number, 5).values.shape[0] for number in range(10)} == {5}
    assert {drawn(source, number).values.shape[0] for number in range(20)} == {3, 6}


def test_a_lost_band_is_neither_usable_nor_scored(write):
    source = open_samples([write().scene], size_px=64, augmentation=Augmentation(lost_band_share=1.0))
    for number in range(5):
        sample = drawn(source, number)
        lost = ~(sample.usable | sample.hidden).any(axis=(1, 2))
        assert lost.sum() == 1
    assert drawn(source, bands=1).usable.any()


def test_validation_samples_keep_the_orientation_of_the_scene(write):
    made = write(shape=(3, 72, 72))
    source = open_samples([made.scene], size_px=72, training=False)
    assert source.augmentation == PLAIN
    for number in range(5):
        sample = drawn(source, number)
        left = made.values - sample.values
        np.testing.assert_allclose(left, left[:, :1, :1] * np.ones_like(left), atol=1e-3)


def test_large_offsets_keep_small_differences(write):
    made = write(dtype="float64")
    raised = pixels_and_gaps.SceneImages(made.scene, 64)
    values, observed = raised._held
    raised._held = (values + 1e7, observed)
    source = open_samples([made.scene], size_px=64)
    plain = drawn(source, 3)
    source._images = (raised,)
    np.testing.assert_allclose(drawn(source, 3).values, plain.values, atol=1e-6)


def test_the_scale_follows_the_contrast(write):
    made = write(shape=(2, 200, 200), dtype="float64")
    weak = open_samples([made.scene], size_px=64)
    sample = drawn(weak, 1)
    strong = pixels_and_gaps.SceneImages(made.scene, 64)
    values, observed = strong._held
    strong._held = (50 * values, observed)
    strong.squared_step = strong.squared_step * 2500
    weak._images = (strong,)
    np.testing.assert_allclose(drawn(weak, 1).scale, 50 * sample.scale, rtol=1e-5)
    rows = made.values[:, STEP_PX:] - made.values[:, :-STEP_PX]
    np.testing.assert_allclose(sample.scale, np.sqrt((rows**2).mean(axis=(1, 2))), rtol=0.5)


def test_a_scene_without_any_difference_has_a_scale(write):
    made = write()
    flat = pixels_and_gaps.SceneImages(made.scene, 64)
    flat._held[0][:] = 7
    flat.squared_step[:] = 0
    source = open_samples([made.scene], size_px=64)
    source._images = (flat,)
    np.testing.assert_array_equal(drawn(source).scale, 1)


def test_what_is_hardly_observed_ends_with_an_error(write):
    missing = np.ones((2, 80, 80), bool)
    missing[:, :5] = False
    source = open_samples([write(shape=missing.shape, missing=missing, nodata=0).scene], size_px=64)
    with pytest.raises(InputError, match="enough observed"):
        drawn(source)


def test_invalid_sizes_and_scenes_are_refused(write):
    made = write()
    with pytest.raises(UsageError, match="multiple of 8"):
        open_samples([made.scene], size_px=60)
    with pytest.raises(UsageError, match="got none"):
        open_samples([], size_px=64)
    with pytest.raises(InputError, match="at least 128"):
        open_samples([made.scene], size_px=128)


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
