"""Choosing references by small windows: shifts, undeclared fill, agreement, and what covers the gaps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from making import NORTH_UP, stripes, write_geotiff
from scipy.ndimage import gaussian_filter
from scipy.ndimage import shift as moved

from landsat_fill.io import SceneReader, one_input, open_input
from landsat_fill.pipeline.reference_choice import choose_references, sample_windows
from landsat_fill.pipeline.reference_scenes import find_references
from landsat_fill.pipeline.request import ReferenceRequest
from landsat_fill.scene import Gaps, Window

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = (3, 120, 128)
GAPS = stripes(SHAPE, apart_px=0)


def ground(seed: int = 0, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """Texture of a few pixels, alike in all bands, about 100 ± 20."""
    generator = np.random.default_rng(seed)
    common = gaussian_filter(generator.standard_normal(shape[1:]), 2.0)
    own = gaussian_filter(generator.standard_normal(shape), (0, 2.0, 2.0))
    cube = common + 0.3 * own
    return 100 + 20 * cube / cube.std()


def write(path: Path, pixels: np.ndarray, nodata: float | None = 0, **where) -> Path:
    def describe(dataset):
        dataset.descriptions = ("blue", "green", "red")

    return write_geotiff(path, pixels, nodata=nodata, describe=describe, **where)


@pytest.fixture
def choose(tmp_path: Path):
    """Return a function that writes the scene and references, and chooses: names used, facts by name, readers."""

    def choose_here(references: dict[str, tuple[np.ndarray, float | None]], **limits):
        pixels = np.where(GAPS, 0, ground().round()).astype(np.uint8)
        scene = open_input(one_input(write(tmp_path / "scene.tif", pixels)))[0]
        for name, (values, nodata) in references.items():
            write(tmp_path / "refs" / f"{name}.tif", values, nodata)
        request = ReferenceRequest(archives=(str(tmp_path / "refs"),), **limits)
        found, refused = find_references(scene, request)
        with SceneReader(scene) as reader:

            def read(window: Window):
                values, observed = reader.read(window)
                return values, Gaps(~observed, observed)

            chosen, facts = choose_references(scene, read, found, request)
        return chosen, {one.name: one for one in (*facts, *refused)}

    return choose_here


def test_windows_lie_inside_and_cover_small_grids():
    assert sample_windows(100, 90) == [Window(0, 0, 100, 90)]
    windows = sample_windows(8000, 7000)
    assert len(windows) == 16
    assert max(one.row + one.height for one in windows) == 8000


@pytest.mark.parametrize(("down", "right"), [(0.1, 0.0), (0.0, -1.0), (1.0, 0.5), (-3.0, 3.0)])
def test_shifts_are_measured_and_those_above_a_quarter_are_corrected(choose, down, right):
    values = moved(ground(), (0, down, right), order=3, mode="reflect").astype(np.float32)
    (one,), _ = choose({"other": (values, None)})
    assert one.facts.shift_px == pytest.approx((down, right), abs=0.1)
    with one:
        read = one.read(Window(0, 0, *SHAPE[1:]))
    inner = np.s_[0, :, 8:-8, 8:-8]
    error = np.abs(read.values[inner] - ground()[:, 8:-8, 8:-8]).mean()
    if max(abs(down), abs(right)) < 0.25:
        assert not one.facts.notes
        assert not any(one.regridding.shift_px)
        np.testing.assert_array_equal(read.values[0], values)
    else:
        assert any("which is corrected" in note for note in one.facts.notes)
        assert error < 1.5
    assert one.facts.agreement > 0.98


def test_without_alignment_shifts_are_only_reported(choose):
    (one,), _ = choose({"other": (np.roll(ground(), 1, axis=2).astype(np.float32), None)}, align=False)
    assert not any(one.regridding.shift_px)
    (note,) = one.facts.notes
    assert "columns off" in note
    assert "corrected" not in note


def test_reflectance_agrees_with_8_bit_numbers(choose):
    values = (ground() * 40 + 7000).astype(np.uint16)
    (one,), _ = choose({"other": (values, 0)})
    assert one.facts.agreement > 0.98
    assert one.facts.covers == 1
    (note,) = one.facts.notes
    assert "its numbers spread 40 times as wide as the scene's" in note


def test_gaps_that_the_nodata_does_not_declare_are_found(choose):
    theirs = np.roll(GAPS, 16, axis=1)
    values = np.where(theirs, 0, ground()).astype(np.float32)
    (one,), _ = choose({"other": (values, None)})
    assert one.missing_numbers == (0.0,)
    assert any("isn't" in note or "aren't used" in note for note in one.facts.notes)
    with one:
        usable = one.read(Window(0, 0, *SHAPE[1:])).usable[0]
    np.testing.assert_array_equal(usable, ~theirs)


def test_the_best_is_chosen_first_and_then_what_it_lacks(choose):
    half = np.where(np.arange(SHAPE[2]) < 64, ground(), 0).astype(np.float32)
    noisy = (ground() + 12 * np.random.default_rng(3).standard_normal(SHAPE)).astype(np.float32)
    chosen, facts = choose({"half": (half, 0), "noisy": (noisy, 0), "else": (ground(9).astype(np.float32), 0)}, most=2)
    assert [one.facts.name for one in chosen] == ["noisy", "half"]
    assert facts["half"].covers == pytest.approx(0.5, abs=0.05)
    assert facts["half"].used
    assert not facts["else"].used
    assert facts["else"].reason == "others agree better or cover more"
    assert facts["else"].agreement < 0.05


def test_a_reference_with_the_same_gaps_covers_nothing(choose):
    chosen, facts = choose({"same": (np.where(GAPS, 0, ground()).astype(np.float32), 0)})
    assert not chosen
    assert facts["same"].reason == "it covers none of the gaps"


def test_a_file_that_is_cut_off_is_passed_over(tmp_path, choose):
    write(tmp_path / "refs" / "cut.tif", ground().astype(np.float32), 0, compress="deflate")
    whole = (tmp_path / "refs" / "cut.tif").read_bytes()
    (tmp_path / "refs" / "cut.tif").write_bytes(whole[: len(whole) // 2])
    chosen, facts = choose({"good": (ground().astype(np.float32), 0)})
    assert [one.facts.name for one in chosen] == ["good"]
    assert "cut.tif" in facts["cut"].reason


def test_finer_pixels_lie_where_those_of_the_scene_do(choose, tmp_path):
    fine = np.repeat(np.repeat(ground(), 2, axis=1), 2, axis=2).astype(np.float32)
    where = {"transform": NORTH_UP @ NORTH_UP.scale(0.5)}
    write(tmp_path / "refs" / "fine.tif", fine, 0, **where)
    (one,), _ = choose({})
    assert one.facts.shift_px == pytest.approx((0, 0), abs=0.05)
    assert one.facts.agreement > 0.99
