"""Which holes are filled, and which observed pixels are believed, is the user's choice."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio

PRODUCT = "LE07_L1TP_299299_20050704_20200914_02_T1"
SURFACE = ("-m", "tension-spline")
"""It is known beforehand what a surface through the observed pixels does with a cloud."""


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


def striped(path, gap, *, dtype="uint8", nodata=None, outside=None):
    """Write a band whose gaps are a number, and return the land and the gaps."""
    rows, cols = np.mgrid[:300, :300]
    land = 100 + 20 * np.sin(cols / 25) + 20 * np.cos(rows / 30) + np.random.default_rng(0).normal(0, 2, (300, 300))
    gaps = np.mod(rows + 0.14 * cols, 33) < 9
    data = np.where(gaps, gap, land).astype(dtype)
    if outside is not None:
        data[:, :40] = outside
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=1,
        height=300,
        width=300,
        dtype=dtype,
        nodata=nodata,
        crs="EPSG:32614",
        transform=rasterio.Affine(30, 0, 0, 0, -30, 0),
    ) as file:
        file.write(data[None])
    return land, gaps


@pytest.mark.parametrize(
    ("gap", "options"),
    [
        (0, {"dtype": "float32"}),
        (0, {"nodata": 255}),
        (255, {"nodata": 0, "outside": 0}),
        (255, {"outside": 0}),
        (-9999, {"dtype": "int16"}),
    ],
)
def test_a_number_that_makes_stripes_is_named_with_the_option_that_helps(tmp_path, run, gap, options):
    path = tmp_path / "scene.tif"
    striped(path, gap, **options)
    said = " ".join(run(path, "-m", "nearest").out.split())
    assert f"the number {gap} makes stripes" in said
    assert f"--nodata {gap}" in said
    assert "--refill faint" not in said


def test_a_number_that_was_declared_makes_no_stripes(tmp_path, run):
    path = tmp_path / "scene.tif"
    _, gaps = striped(path, 0, dtype="float32")
    assert "makes stripes" not in run(path, "-m", "nearest", "--nodata", "0").out
    assert (read(path.with_name("scene_filled.tif"))[gaps] > 50).all()


@pytest.fixture
def resampled(tmp_path):
    """Return a scene that was shifted by a third of a pixel without nodata being declared, and the truth."""
    from rasterio.warp import Resampling, reproject

    land, _ = striped(tmp_path / "before.tif", 0)
    there = {
        "src_transform": rasterio.Affine(30, 0, 0, 0, -30, 0),
        "dst_transform": rasterio.Affine(30, 0, 10, 0, -30, -10),
        "src_crs": "EPSG:32614",
        "dst_crs": "EPSG:32614",
        "resampling": Resampling.cubic,
    }
    with rasterio.open(tmp_path / "before.tif") as file:
        before, profile = file.read(1), file.profile
    data, truth = np.zeros_like(before), np.zeros(before.shape)
    reproject(before, data, **there)
    reproject(land, truth, **there)
    path = tmp_path / "scene.tif"
    with rasterio.open(path, "w", **{**profile, "nodata": 0, "transform": there["dst_transform"]}) as file:
        file.write(data, 1)
    return path, data, truth


def test_rows_mixed_with_nodata_are_no_evidence_and_a_warning_says_so(resampled, run):
    path, before, truth = resampled
    ended = run(path, "-m", "nearest")
    said = " ".join(ended.out.split())
    assert "px beside each gap are mixed with nodata" in said
    assert "--refill faint" in said
    after = read(path.with_name("scene_filled.tif"))
    np.testing.assert_array_equal(after[before != 0], before[before != 0])
    gaps = before == 0
    assert np.sqrt(((after - truth)[gaps] ** 2).mean()) < truth.std() / 2


def test_rows_mixed_with_nodata_are_filled_anew_where_asked_and_the_warning_ends(resampled, run):
    path, _, truth = resampled
    ended = run(path, "-m", "nearest", "--refill", "faint")
    assert ended.code == 0
    assert "warning" not in ended.out
    after = read(path.with_name("scene_filled.tif"))
    inner = (slice(5, -5), slice(5, -5))
    assert np.abs(after - truth)[inner].max() < 40
    assert np.sqrt(((after - truth)[inner] ** 2).mean()) < truth.std() / 3


def test_clouds_wider_than_the_largest_gap_stay_and_a_line_says_so(product, run, tmp_path):
    ended = run(product, "-o", tmp_path, "--bands", "B1", "-m", "nearest", "--refill", "cloud", "--largest-gap", "8")
    said = " ".join(ended.out.split())
    assert "observed pixels named by --refill stay as they are" in said
    assert "--holes every" in said


def test_a_wide_hole_has_no_tile_edges_and_a_deviation_that_grows_inward(tmp_path, run):
    rows, cols = np.mgrid[:300, :700]
    land = 100 + cols / 10 + np.random.default_rng(0).normal(0, 3, rows.shape)
    off_px = np.hypot(rows - 150, cols - 512)
    hole = off_px < 120
    path = tmp_path / "scene.tif"
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=1,
        height=300,
        width=700,
        dtype="float32",
        nodata=0,
        crs="EPSG:32614",
        transform=rasterio.Affine(30, 0, 0, 0, -30, 0),
    ) as file:
        file.write(np.where(hole, 0, land).astype("float32"), 1)
    ended = run(path, "-m", "kriging", "--holes", "every")
    assert "lie in holes wider than 33 px" in " ".join(ended.out.split())
    after, std = read(path.with_name("scene_filled.tif")), read(path.with_name("scene_std.tif"))
    inside = off_px < 90
    steps = np.abs(np.diff(after, axis=1))[inside[:, 1:] & inside[:, :-1]]
    assert steps.max() < 2
    assert np.abs(after - land)[off_px < 60].mean() < 10
    rings = [std[(off_px >= near) & (off_px < near + 20)].mean() for near in (100, 80, 60, 40, 20, 0)]
    assert all(np.diff(rings) >= -0.01 * rings[0])
    assert rings[-1] > rings[0]
