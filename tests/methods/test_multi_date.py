"""Regressions on other dates with a network for the rest: when references are trusted, and when not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
from making import landscape, stripes

import landsat_fill
from landsat_fill.errors import UsageError
from landsat_fill.methods import Context, create_method
from landsat_fill.methods.date_predictions import bands_fitted_together, stacked
from landsat_fill.methods.kernels.node_loops import fit_around
from landsat_fill.methods.multi_date import MultiDate
from landsat_fill.pipeline.arrays import fill_array
from landsat_fill.pipeline.lattice import View, prepared
from landsat_fill.pipeline.tiles import cut_reference, fill_with_references
from landsat_fill.scene import Gaps, Reference, Window

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = (3, 160, 180)
TRUTH = landscape(SHAPE, "float32") * 250
MISSING = stripes(SHAPE, 8, apart_px=0)
GAPS = Gaps(MISSING, ~MISSING)
IMAGE = np.where(MISSING, np.nan, TRUTH)


def reference(values: np.ndarray, usable: np.ndarray | None = None, matches=(0, 1, 2)) -> Reference:
    there = np.ones(values.shape, bool) if usable is None else usable
    return Reference(values[None].astype(np.float32), there[None], matches)


def fill(*references: Reference, threads: int = 1, **options):
    return fill_array(
        IMAGE,
        GAPS,
        create_method("multi-date", options),
        context=Context(threads=threads),
        references=references,
        fallback=create_method("auto"),
    )


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values[MISSING] ** 2)))


ALONE = {}


def alone() -> np.ndarray:
    if not ALONE:
        ALONE["mean"] = fill_array(IMAGE, GAPS, create_method("auto"), context=Context(threads=1)).mean
    return ALONE["mean"]


def test_a_perfect_linear_reference_is_used():
    changed = np.stack([0.5 * TRUTH[0] + 9, 40 * TRUTH[1] + 7000, 300 - TRUTH[2]])
    filled = fill(reference(changed))
    assert rms(filled.mean - TRUTH) < 0.25 * rms(alone() - TRUTH)
    assert (filled.sources[MISSING] == 1).all()
    np.testing.assert_array_equal(filled.mean[~MISSING], TRUTH[~MISSING])
    assert (filled.std[~MISSING] == 0).all()
    assert (filled.std[MISSING] >= 0).all()


def test_bands_may_be_mixed_in_a_reference():
    mixed = np.stack([0.5 * TRUTH[0] + TRUTH[1] + 9, TRUTH[1] - TRUTH[2], 300 - TRUTH[2]])
    assert rms(fill(reference(mixed)).mean - TRUTH) < 0.5 * rms(alone() - TRUTH)


@pytest.mark.parametrize("kind", ["noise", "another place", "constant", "upside down"])
def test_a_useless_reference_costs_nothing(kind):
    values = {
        "noise": np.random.default_rng(1).normal(100, 20, SHAPE),
        "another place": np.roll(landscape(SHAPE, "float32", 5) * 250, 40, axis=2),
        "constant": np.full(SHAPE, 7.0),
        "upside down": TRUTH[:, ::-1],
    }[kind]
    filled = fill(reference(values))
    assert rms(filled.mean - TRUTH) < 1.01 * rms(alone() - TRUTH)


def test_without_a_usable_reference_the_fill_is_exactly_that_of_the_image():
    unusable = reference(TRUTH, np.zeros(SHAPE, bool))
    unmatched = reference(TRUTH, matches=(None, None, None))
    for references in ((unusable,), (unmatched,), (unusable, unmatched)):
        filled = fill(*references)
        np.testing.assert_array_equal(filled.mean, alone())
        assert not filled.sources.any()


def test_a_useless_reference_beside_a_good_one_takes_nothing_away():
    good, noise = reference(0.8 * TRUTH + 5), reference(np.random.default_rng(1).normal(100, 20, SHAPE))
    both, one = fill(noise, good), fill(good)
    assert rms(both.mean - TRUTH) < 1.1 * rms(one.mean - TRUTH) + 0.01 * TRUTH.std()
    assert (both.sources[MISSING] == 2).mean() > 0.95


def test_references_complement_each_other():
    left = np.broadcast_to(np.arange(SHAPE[2]) < 100, SHAPE)
    filled = fill(reference(0.8 * TRUTH + 5, left), reference(200 - 0.5 * TRUTH, ~left))
    assert rms(filled.mean - TRUTH) < 0.05 * TRUTH.std()
    assert (filled.sources[left & MISSING] == 1).all()
    assert (filled.sources[~left & MISSING] == 2).all()


def test_what_references_do_not_show_is_filled_from_the_image():
    left = np.broadcast_to(np.arange(SHAPE[2]) < 90, SHAPE)
    filled = fill(reference(0.8 * TRUTH, left))
    assert np.isfinite(filled.mean[MISSING]).all()
    assert np.isfinite(filled.std[MISSING]).all()
    np.testing.assert_array_equal(filled.mean[~left & MISSING], alone()[~left & MISSING])
    assert not filled.sources[~left & MISSING].any()


def test_numbers_of_a_reference_do_not_matter():
    usable = np.random.default_rng(2).random(SHAPE) > 0.1
    one, other = (fill(reference(values, usable)) for values in (0.8 * TRUTH + 5, 40 * TRUTH + 7000))
    assert rms(one.mean - other.mean) < 1e-2 * TRUTH.std()


def test_threads_do_not_matter():
    good = reference(0.8 * TRUTH + 5)
    np.testing.assert_array_equal(fill(good).mean, fill(good, threads=4).mean)


def test_tiles_and_strips_give_the_same_pixels():
    shape = (2, 400, 330)
    truth, missing = landscape(shape, "float32") * 250, stripes(shape, 8)
    noisy = truth + np.random.default_rng(0).normal(0, 10, shape) * (np.arange(330) > 200)
    others = (Reference(noisy[None].astype(np.float32), np.ones((1, *shape), bool), (0, 1)),)
    image, gaps = np.where(missing, 0, truth), Gaps(missing, ~missing)

    def read(window: Window) -> View:
        part = (slice(None), *window.slices)
        cut = tuple(cut_reference(one, [window]) for one in others)
        return View(image[part], Gaps(missing[part], ~missing[part]), cut)

    context, fallback = Context(threads=1), create_method("auto")
    fitted = prepared(create_method("multi-date"), shape[1:], read, context)
    whole = fill_with_references(image, gaps, Window(0, 0, *shape[1:]), fitted, fallback, context, others)
    method = MultiDate()
    object.__setattr__(method, "info", replace(method.info, tile_px=96))
    small = replace(fitted, method=method)
    halo_px = small.info.halo_px
    found = []
    for top in range(0, 400, 192):
        strip = Window(top, 0, min(192, 400 - top), 330)
        outer = strip.expanded(halo_px, *shape[1:])
        part = (slice(None), *outer.slices)
        cut = tuple(cut_reference(one, [outer]) for one in others)
        own = Gaps(missing[part], ~missing[part])
        origin = (outer.row, 0)
        found.append(
            fill_with_references(image[part], own, strip.within(outer), small, fallback, context, cut, origin=origin)
        )
    mean = np.concatenate([one.mean for one in found], axis=1)
    np.testing.assert_allclose(mean[missing], whole.mean[missing], atol=1e-4 * truth.std())
    sources = np.concatenate([one.sources for one in found], axis=1)
    np.testing.assert_array_equal(sources, whole.sources)


def test_bands_are_fitted_together_where_most_of_their_pixels_are_shared():
    known = np.zeros((3, 100), bool)
    known[0, :80] = known[1, 10:] = True
    ((bands, shared),) = bands_fitted_together(known)
    assert bands == [0, 1]
    np.testing.assert_array_equal(np.flatnonzero(shared), np.arange(10, 80))
    known[1, :60] = False
    alone = bands_fitted_together(known)
    assert [bands for bands, _ in alone] == [[0], [1]]
    np.testing.assert_array_equal([pixels for _, pixels in alone], known[:2])


def test_a_slow_change_does_not_disturb_the_local_regression():
    shape = (1, 48, 48)
    detail = np.random.default_rng(0).normal(size=shape)
    haze = np.broadcast_to(np.arange(48) / 16, shape)
    features = (np.rint((detail + haze) * 1024) / 1024).astype(np.float32)
    residuals = (np.rint((detail / 2 - 3 * haze) * 1024) / 1024).astype(np.float32)
    known, corrected = ~stripes(shape, 8, apart_px=0)[0], np.zeros(shape, np.float32)
    fit_around(features, residuals, known, np.ones_like(known), np.array([0, 0]), 8, 1, 1.0, 30, corrected)
    slope = np.polyfit(detail[0][~known], corrected[0][~known], 1)[0]
    assert slope == pytest.approx(0.5, abs=0.1)


def test_a_stack_counts_a_reference_where_all_its_matched_bands_are_usable():
    usable = np.ones(SHAPE, bool)
    usable[1, :5] = False
    two = (reference(TRUTH, usable, (0, None, 2)), reference(TRUTH, usable))
    stack = stacked(two, 0)
    assert stack.values.shape[0] == 5
    assert set(np.unique(stack.patterns[:5])) == {1}
    assert set(np.unique(stack.patterns[5:])) == {3}
    assert not stack.values[2:, :5].any()
    with pytest.raises(UsageError, match="at most 8 references for multi-date, but got 9"):
        stacked(two[:1] * 9, 0)


WASHINGTON = "etm_washington_usa_046028_20010811.tif", "tm_washington_usa_047027_20010810.tif"
SLC_OFF = "etm_washington_usa_046027_20050721.tif"
OTHERS = ("047027_20050813", "046028_20050619", "046027_20040718", "047027_20040725")


def filled_file(scene: Path, target: Path, **how: object) -> tuple[np.ndarray, np.ndarray]:
    """Return the filled bands and the codes of the fill layer, as written."""
    landsat_fill.fill_file(scene, target, **how)
    return values_of(target), values_of(target.with_name(f"{target.stem}_fill.tif"))[0]


def values_of(path: Path) -> np.ndarray:
    with rasterio.open(path) as file:
        return file.read()


def rmse(found: np.ndarray, truth: np.ndarray, where: np.ndarray) -> float:
    return float(np.sqrt(np.mean((found.astype(np.float64) - truth)[:, where] ** 2)))


@pytest.mark.real_data
def test_a_real_scene_from_the_day_before(real_data: Path, tmp_path: Path) -> None:
    """Stripes of 8 pixels are hidden from a clean scene."""
    clean, other = (real_data / "pairs" / "washington" / name for name in WASHINGTON)
    with rasterio.open(clean) as file:
        truth, profile, names = file.read(), file.profile, file.descriptions
    rows, cols = np.mgrid[: truth.shape[1], : truth.shape[2]]
    hidden = (rows + cols // 6) % 33 < 8
    scene = tmp_path / "scene_20010811.tif"
    with rasterio.open(scene, "w", **profile) as file:
        file.write(np.where(hidden, profile["nodata"], truth).astype(truth.dtype))
        file.descriptions = names
    found, codes = filled_file(scene, tmp_path / "dates.tif", reference=other)
    alone, _ = filled_file(scene, tmp_path / "alone.tif", method="band-unet")
    np.testing.assert_array_equal(found[:, ~hidden], truth[:, ~hidden])
    assert (codes[hidden] == 5).mean() > 0.9
    assert rmse(found, truth, hidden) < 0.5 * rmse(alone, truth, hidden)


@pytest.mark.real_data
def test_a_real_slc_off_scene_from_other_slc_off_dates(real_data: Path, tmp_path: Path) -> None:
    """Scored against the Thematic Mapper of the day before."""
    folder = real_data / "slc_off" / "washington"
    scene = folder / SLC_OFF
    others = [folder / f"etm_washington_usa_{name}.tif" for name in OTHERS]
    found, codes = filled_file(scene, tmp_path / "dates.tif", reference=others)
    alone, _ = filled_file(scene, tmp_path / "alone.tif", method="band-unet")
    before = values_of(real_data / "pairs" / "washington" / "tm_washington_usa_047027_20050720.tif")
    observed = (values_of(scene) > 0).all(axis=0)
    np.testing.assert_array_equal(found[:, observed], values_of(scene)[:, observed])
    scored = ~observed & (before > 0).all(axis=0) & (found > 0).all(axis=0)
    assert (codes[scored] == 5).mean() > 0.5
    assert rmse(found, before, scored) < 0.75 * rmse(alone, before, scored)
