"""Which holes are filled, and which observed pixels are believed, is the user's choice."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio

PRODUCT = "LE07_L1TP_299299_20050704_20200914_02_T1"
SURFACE = ("-m", "tension-spline")
"""What a surface through the evidence does with a cloud can be told beforehand."""


@pytest.fixture
def lake(make):
    """Return a scene with stripes and a hole cut out of it, and where the hole is."""
    made = make(count=1, height=200, width=200)
    row, col = np.mgrid[0:200, 0:200]
    hole = (row - 95) ** 2 + (col - 95) ** 2 < 35**2
    with rasterio.open(made.path, "r+") as dataset:
        pixels = dataset.read(1)
        pixels[hole] = 0
        dataset.write(pixels, 1)
    return made, hole


def filled(made):
    with rasterio.open(made.path.with_name("scene_filled.tif")) as dataset:
        return dataset.read(1) != 0


def core(hole):
    """Return the middle of the hole, away from stripes that touch it."""
    middle = np.zeros_like(hole)
    middle[85:105, 85:105] = True
    return middle & hole


def test_wide_holes_are_left_without_being_asked(lake, run):
    made, hole = lake
    ended = run(made.path)
    assert ended.code == 0
    assert "left" in ended.out
    assert "--largest-gap or --holes every" in ended.out
    assert not filled(made)[core(hole)].any()
    row, col = np.mgrid[0:200, 0:200]
    away = (row - 95) ** 2 + (col - 95) ** 2 > 60**2
    assert filled(made)[made.missing[0] & away].all()


def test_every_hole(lake, run):
    made, _ = lake
    assert run(made.path, "--holes", "every").code == 0
    assert filled(made).all()


def test_a_largest_gap_wide_enough(lake, run):
    made, _ = lake
    assert run(made.path, "--largest-gap", "80").code == 0
    assert filled(made).all()


def test_a_largest_gap_narrower_than_the_stripes(lake, run):
    made, _ = lake
    assert run(made.path, "--largest-gap", "2").code == 0
    assert filled(made)[made.missing[0]].mean() < 0.2


def test_stripes_only(lake, run):
    made, hole = lake
    with rasterio.open(made.path, "r+") as dataset:
        pixels = dataset.read(1)
        pixels[20:24, 150:154] = 0  # a small round hole that no scan made
        dataset.write(pixels, 1)
    ended = run(made.path, "--holes", "stripes")
    assert ended.code == 0
    done = filled(made)
    away = ~hole
    away[18:26, 148:156] = False
    away[50:140, 50:140] = False
    assert done[made.missing[0] & away].mean() > 0.95
    assert not done[core(hole)].any()
    assert not (done[20:24, 150:154] & ~made.missing[0, 20:24, 150:154]).any()


def test_holes_that_are_left_are_marked(lake, run):
    made, hole = lake
    assert run(made.path).code == 0
    with rasterio.open(made.path.with_name("scene_fill.tif")) as dataset:
        codes = dataset.read(1)
    assert (codes[core(hole)] == 2).all()
    np.testing.assert_array_equal(codes == 4, filled(made) & ((made.missing[0]) | hole))


@pytest.fixture
def product(samples):
    return samples / PRODUCT


def read(path):
    with rasterio.open(path) as dataset:
        return dataset.read(1)


def outputs(folder, band):
    return read(folder / f"{PRODUCT}_filled" / f"{PRODUCT}_{band}.TIF")


def test_clouds_are_no_evidence_where_distrusted(product, run, tmp_path):
    for name, options in {"plain": [], "distrusted": ["--distrust", "cloud,dilated-cloud"]}.items():
        assert run(product, "-o", tmp_path / name, "--bands", "B1", *SURFACE, *options).code == 0
    before = read(product / f"{PRODUCT}_B1.TIF")
    cloud = (read(product / f"{PRODUCT}_QA_PIXEL.TIF") & 0b1010) != 0
    plain, distrusted = outputs(tmp_path / "plain", "B1"), outputs(tmp_path / "distrusted", "B1")
    np.testing.assert_array_equal(distrusted[before != 0], before[before != 0])
    changed = plain != distrusted
    assert changed.any()
    # A cloud is brighter than the ground: without it, what lies in the gaps beside it is darker.
    assert distrusted[changed].mean() < plain[changed].mean()
    assert (cloud & (before != 0)).any()


def test_clouds_are_filled_over_where_asked(product, run, tmp_path):
    ended = run(product, "-o", tmp_path, "--bands", "B1", *SURFACE, "--refill", "cloud", "--holes", "every")
    assert ended.code == 0, ended.said
    before, after = read(product / f"{PRODUCT}_B1.TIF"), outputs(tmp_path, "B1")
    cloud = (read(product / f"{PRODUCT}_QA_PIXEL.TIF") & 0b1000) != 0
    replaced = cloud & (before != 0)
    assert (after[replaced] != before[replaced]).mean() > 0.9
    clear = ~cloud & (before != 0)
    np.testing.assert_array_equal(after[clear], before[clear])
    codes = read(tmp_path / f"{PRODUCT}_filled" / f"{PRODUCT}_fill.tif")
    np.testing.assert_array_equal(codes == 3, replaced)


def test_pixels_that_usgs_interpolated_are_filled_anew_where_asked(product, run, tmp_path):
    ended = run(product, "-o", tmp_path, "--bands", "B3", "--refill", "interpolated")
    assert ended.code == 0, ended.said
    before, after = read(product / f"{PRODUCT}_B3.TIF"), outputs(tmp_path, "B3")
    in_gap_mask = read(product / "gap_mask" / f"{PRODUCT}_GM_B3.TIF") == 0
    interpolated = in_gap_mask & (before != 0)
    assert interpolated.any()
    codes = read(tmp_path / f"{PRODUCT}_filled" / f"{PRODUCT}_fill.tif")
    np.testing.assert_array_equal(codes == 3, interpolated)
    kept = (before != 0) & ~in_gap_mask
    np.testing.assert_array_equal(after[kept], before[kept])


@pytest.mark.parametrize("option", ["--distrust", "--refill"])
@pytest.mark.parametrize(
    ("flag", "said"), [("cloud", "expected a quality band"), ("interpolated", "expected a gap_mask file")]
)
def test_a_scene_that_cannot_answer_says_so(make, run, option, flag, said):
    made = make(count=1)
    ended = run(made.path, option, flag)
    assert ended.code == 1
    assert said in ended.out
    assert not made.path.with_name("scene_filled.tif").exists()


def test_provenance_names_the_choices(make, run):
    import json

    made = make(count=1)
    assert run(made.path, "--holes", "every", "--largest-gap", "7", "--seed", "3").code == 0
    with rasterio.open(made.path.with_name("scene_filled.tif")) as dataset:
        options = json.loads(dataset.tags()["LANDSAT_FILL_OPTIONS"])
    assert (options["holes"], options["largest_gap_px"], options["seed"]) == ("every", 7, 3)
