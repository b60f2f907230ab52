"""Methods that fill from another date: what each undoes exactly, and what it leaves."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio

from landsat_fill.methods import Context, TilePlace, create_method
from landsat_fill.scene import Gaps, Reference, Window

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = (1, 2, 70, 80)


def terrain(seed: int = 1) -> np.ndarray:
    rows, cols = np.mgrid[: SHAPE[2], : SHAPE[3]]
    hills = 400 + 60 * np.sin(rows / 7) + 50 * np.cos(cols / 9)
    return (hills + np.random.default_rng(seed).normal(0, 20, SHAPE)).astype(np.float32)


def stripes(width_px: int = 8) -> Gaps:
    rows, cols = np.mgrid[: SHAPE[2], : SHAPE[3]]
    missing = np.stack([(rows + cols // 6 + band) % 24 < width_px for band in range(SHAPE[1])])[None]
    return Gaps(missing, ~missing)


def shown(*values: np.ndarray, usable: np.ndarray | None = None) -> Context:
    seen = np.ones(SHAPE, bool) if usable is None else usable
    return Context(references=tuple(Reference(each, seen, tuple(range(SHAPE[1]))) for each in values))


@pytest.mark.parametrize(
    ("name", "gain", "offset"),
    [("llhm", 0.4, 30), ("llhm", 1, 0), ("llhm", 2.9, -500), ("wlr", 0.1, 40), ("wlr", 7, -900), ("wlr", -2, 3000)]
    + [("nspi", 1, offset) for offset in (-150, 0, 900)]
    + [("llhm", 115, -9), ("llhm", 2e-4, 0.1), ("nspi", 115, -9), ("nspi", 2e-4, 0.1)],  # other units
)
def test_a_change_of_the_kind_a_method_assumes_is_undone_exactly(name: str, gain: float, offset: float) -> None:
    before, gaps = terrain(), stripes()
    truth = before * np.float32(gain) + np.float32(offset)
    image = np.where(gaps.usable, truth, np.nan)
    filled = create_method(name).fill(image, gaps, shown(before)).mean
    reached = gaps.missing & np.isfinite(filled)
    assert reached.sum() > 0.95 * gaps.missing.sum()
    np.testing.assert_allclose(filled[reached], truth[reached], rtol=1e-4)


@pytest.mark.parametrize("name", ["llhm", "nspi", "mnspi"])
def test_a_reference_in_other_units_is_brought_to_the_images_by_numbers_of_the_scene(name: str) -> None:
    before, gaps = terrain(), stripes()
    image = np.where(gaps.usable, before, np.nan)
    said: list[str] = []
    alike, other = (
        create_method(name).prepare(image, gaps, replace(shown(before * gain), notify=said.append)).fill
        for gain in np.float32([2, 1e-4])
    )
    (note,) = said
    assert "by a gain of 1e+04" in note
    # Half of the scene alone would have another gain.
    half = np.s_[..., :40]
    part = Gaps(gaps.missing[half], gaps.usable[half])
    seen = Reference(before[half] * np.float32(1e-4), np.ones(part.missing.shape, bool), (0, 1))
    found = other(image[half], part, Context(references=(seen,))).mean
    expected = alike(image[half], part, Context(references=(replace(seen, values=before[half]),))).mean
    reached = part.missing & np.isfinite(found) & np.isfinite(expected)
    np.testing.assert_allclose(found[reached], expected[reached], rtol=1e-3)


@pytest.mark.parametrize("name", ["llhm", "wlr", "nspi", "mnspi"])
def test_another_date_beats_the_image_alone(name: str) -> None:
    before, gaps = terrain(), stripes()
    truth = before + np.random.default_rng(2).normal(0, 5, SHAPE).astype(np.float32)
    image = np.where(gaps.usable, truth, np.nan)
    alone = create_method("harmonic").fill(image, gaps, Context()).mean
    filled = create_method(name).fill(image, gaps, shown(before)).mean
    reached = gaps.missing & np.isfinite(filled)
    assert reached.sum() > 0.95 * gaps.missing.sum()
    assert np.std((filled - truth)[reached]) < 0.7 * np.std((alone - truth)[reached])


@pytest.mark.parametrize("name", ["llhm", "wlr", "nspi", "mnspi"])
def test_what_the_first_reference_leaves_the_next_one_fills(name: str) -> None:
    before, later, gaps = terrain(), terrain(5), stripes()
    image = np.where(gaps.usable, before, np.nan)
    seen = np.ones(SHAPE, bool)
    seen[..., 40:] = False
    first = Reference(np.where(seen, before, 0), seen, (0, 1))
    second = Reference(later, ~seen, (0, 1))
    method = create_method(name)
    one, other, both = (
        method.fill(image, gaps, Context(references=references)).mean
        for references in ((first,), (second,), (first, second))
    )
    if name != "wlr":  # which fills all pixels
        assert np.isnan(one[gaps.missing & ~seen]).all()
        np.testing.assert_array_equal(both[gaps.missing & ~seen], other[gaps.missing & ~seen])
    np.testing.assert_array_equal(
        both[gaps.missing & seen & np.isfinite(one)], one[gaps.missing & seen & np.isfinite(one)]
    )


@pytest.mark.parametrize("name", ["llhm", "nspi", "mnspi"])
def test_the_halo_is_left_unfilled(name: str) -> None:
    before, gaps = terrain(), stripes()
    image = np.where(gaps.usable, before, np.nan)
    wanted = Window(20, 10, 30, 40)
    method = create_method(name)
    whole = method.fill(image, gaps, shown(before)).mean
    part = method.fill(image, gaps, replace(shown(before), tiles=(TilePlace(wanted=wanted),))).mean
    inside = np.zeros(SHAPE, bool)
    inside[:, :, *wanted.slices] = True
    np.testing.assert_array_equal(part[gaps.missing & inside], whole[gaps.missing & inside])
    assert np.isnan(part[gaps.missing & ~inside]).all()


def test_llhm_leaves_a_pixel_with_fewer_than_144_common_ones() -> None:
    before, gaps = terrain(), stripes()
    seen = np.zeros(SHAPE, bool)
    seen[..., :10, :10] = True  # at most 100 pixels
    image = np.where(gaps.usable, before, np.nan)
    filled = create_method("llhm").fill(image, gaps, shown(before, usable=seen)).mean
    assert np.isnan(filled[gaps.missing]).all()


def test_llhm_takes_the_ratio_of_deviations_where_the_slope_is_not_to_be_trusted() -> None:
    gaps = stripes()
    image = np.where(gaps.usable, terrain(1), np.nan)
    unlike = np.random.default_rng(9).normal(0, 1, SHAPE).astype(np.float32)
    filled = create_method("llhm").fill(image, gaps, shown(unlike * 30)).mean
    spread = np.nanstd(filled[gaps.missing]) / np.std(terrain(1))
    assert spread > 0.7  # a slope near 0 would flatten it


def test_mnspi_trusts_the_image_at_the_edge_of_a_hole_and_the_reference_in_its_middle() -> None:
    missing = np.zeros(SHAPE, bool)
    missing[..., 20:50, 25:55] = True
    gaps = Gaps(missing, ~missing)
    before = terrain()
    truth = before + 100  # which the reference undoes exactly, and similar pixels in the image don't
    image = np.where(gaps.usable, truth, np.nan)
    error = np.abs(create_method("mnspi").fill(image, gaps, shown(before)).mean - truth)[0]
    assert error[:, 33:37, 38:42].mean() < 0.5 * error[:, 20:24, 25:29].mean()


@pytest.mark.real_data
@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
def test_mnspi_agrees_with_its_authors_program(real_data: Path) -> None:
    def read(name: str) -> np.ndarray:
        with rasterio.open(real_data / "pairs" / "ohioriver_usa" / f"tm_ohioriver_usa_{name}.tif") as file:
            return file.read()

    cloudy, clear, expected = read("20080724_cloudy"), read("20080606"), read("20080724_mnspi_idl_output")
    missing = np.broadcast_to(read("20080724_cloudmask") > 0, cloudy.shape)[None]
    reference = Reference(clear[None].astype(np.float32), np.ones(missing.shape, bool), (0, 1, 2))
    image = np.where(missing, 0, cloudy).astype(np.float32)
    filled = create_method("mnspi").fill(image, Gaps(missing, ~missing), Context(threads=2, references=(reference,)))
    # The program cuts decimals off.
    difference = np.floor(filled.mean[missing]) - expected[missing[0]]
    assert (difference == 0).mean() > 0.98
    assert np.sqrt(np.mean(difference**2)) < 0.25
