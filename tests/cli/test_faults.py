"""Whatever is wrong with a file, a folder or a call is said in a line with a hint, and ends with its code."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import rasterio
from making import write_geotiff

PRODUCT = "LE07_L1TP_299299_20050704_20200914_02_T1"


def files(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and path.name != "report.jsonl")


def test_a_truncated_tiff(make, run, tmp_path):
    made = make(height=200, compress="deflate")
    made.path.write_bytes(made.path.read_bytes()[:-500])
    ended = run(made.path)
    assert ended.code == 1
    assert "it was cut off after" in ended.out
    assert "Download or copy it again" in ended.out
    assert files(tmp_path) == ["scene.tif"]


def test_a_tiff_that_is_damaged_inside(make, run, tmp_path):
    made = make(height=200, compress="deflate", count=1)
    content = bytearray(made.path.read_bytes())
    with rasterio.open(made.path) as dataset:
        start = int(dataset.get_tag_item("BLOCK_OFFSET_0_1", "TIFF", bidx=1))
    content[start : start + 200] = bytes(200)
    made.path.write_bytes(content)
    ended = run(made.path)
    assert ended.code == 1
    assert "expected to read" in ended.out
    assert "damaged" in ended.out
    assert files(tmp_path) == ["scene.tif"]


@pytest.mark.parametrize(
    ("content", "said"), [("this is no raster", "GDAL can read"), ("", "which is empty (0 bytes)")]
)
def test_a_file_that_is_no_raster(run, tmp_path, content, said):
    (tmp_path / "scene.tif").write_text(content)
    ended = run(tmp_path / "scene.tif")
    assert ended.code == 1
    assert said in ended.out
    assert files(tmp_path) == ["scene.tif"]


def test_an_archive_that_is_none(run, tmp_path):
    (tmp_path / f"{PRODUCT}.tar").write_text("this is no archive")
    ended = run(tmp_path / f"{PRODUCT}.tar")
    assert ended.code == 1
    assert f"{PRODUCT}.tar" in ended.out
    assert files(tmp_path) == [f"{PRODUCT}.tar"]


def test_an_empty_folder(run, tmp_path):
    (tmp_path / "empty").mkdir()
    ended = run(tmp_path / "empty")
    assert ended.code == 1
    assert "expected GeoTIFFs, archives or product folders" in ended.out
    assert not (tmp_path / "empty_filled").exists()


def test_a_glob_that_matches_nothing(run, tmp_path):
    ended = run(tmp_path / "*.tif")
    assert ended.code == 1
    assert "expected files that match" in ended.out


@pytest.mark.parametrize("method", ["tension-spline", "kriging", "cokriging", "direct-sampling", "band-unet"])
def test_a_band_without_any_observed_pixel_is_copied(make, run, opened, tiny_models, method):
    def empty_second_band(dataset):
        dataset.descriptions = ("blue", "green", "red")

    made = make(describe=empty_second_band)
    with rasterio.open(made.path, "r+") as dataset:
        dataset.write(np.zeros((80, 100), np.uint8), 2)
    ended = run(made.path, "-m", method)
    assert ended.code == 0, ended.said
    assert "no pixel is observed in green: copied as it is" in ended.out
    filled = opened(made.path.with_name("scene_filled.tif")).read()
    assert (filled[1] == 0).all()
    assert (filled[[0, 2]] > 0).all()
    alone = run(made.path, "--bands", "blue,red", "-m", method, "--name", "alone")
    assert alone.code == 0
    np.testing.assert_array_equal(opened(made.path.with_name("alone.tif")).read(), filled[[0, 2]])


@pytest.mark.parametrize("size", [(20, 15), (80, 100), (700, 40)])
def test_an_empty_tile_is_copied_and_the_others_are_filled(make, run, opened, tmp_path, size):
    made = make("tiles/a.tif", count=1)
    empty = make("tiles/b.tif", count=1, height=size[0], width=size[1])
    with rasterio.open(empty.path, "r+") as dataset:
        dataset.write(np.zeros((1, *size), np.uint8))
    ended = run(made.path.parent, "-o", tmp_path / "out", "-m", "kriging")
    assert ended.code == 0, ended.said
    assert "no pixel is observed: there is nothing to fill from" in ended.out
    assert "1 filled · 1 without gaps" in ended.out
    assert not opened(tmp_path / "out" / "b_filled.tif").read().any()


def test_a_band_of_one_value(make, run, opened):
    made = make()
    with rasterio.open(made.path, "r+") as dataset:
        dataset.write(np.where(made.missing[1], 0, 42).astype(np.uint8), 2)
    assert run(made.path).code == 0
    with opened(made.path.with_name("scene_filled.tif")) as dataset:
        assert (dataset.read(2) == 42).all()


def test_a_scene_without_gaps_is_copied_and_the_user_told(make, run, opened):
    made = make(gaps=False, compress="deflate")
    ended = run(made.path)
    assert ended.code == 0
    assert "no gaps" in ended.out
    with opened(made.path) as before, opened(made.path.with_name("scene_filled.tif")) as after:
        np.testing.assert_array_equal(after.read(), before.read())
        assert after.profile == before.profile


@pytest.mark.parametrize(("height", "width"), [(80, 1), (1, 80), (1, 1), (2, 3)])
def test_the_smallest_scenes(make, run, opened, height, width):
    made = make(height=height, width=width, gaps=height > 2, count=1)
    ended = run(made.path, "--holes", "every")
    assert ended.code == 0, ended.said
    with opened(made.path) as before, opened(made.path.with_name("scene_filled.tif")) as after:
        observed = before.read() != 0
        np.testing.assert_array_equal(after.read()[observed], before.read()[observed])
        assert after.shape == before.shape


def test_an_output_folder_with_a_file_in_the_way(make, run, tmp_path):
    made = make()
    (tmp_path / "out").write_text("a file")
    ended = run(made.path, "-o", tmp_path / "out" / "there" / "scene.tif")
    assert ended.code == 1
    assert "expected to write" in ended.said
    assert "Traceback" not in ended.said
    assert files(tmp_path) == ["out", "scene.tif"]


def test_an_output_folder_that_is_a_file(make, run, tmp_path):
    made = make()
    (tmp_path / "out").write_text("a file")
    ended = run(made.path, "-o", tmp_path / "out")
    assert ended.code == 1
    assert (tmp_path / "out").read_text() == "a file"


def test_a_product_folder_that_cannot_be_made(samples, run, tmp_path):
    (tmp_path / "out").write_text("a file")
    ended = run(samples / PRODUCT, "-o", tmp_path / "out")
    assert ended.code == 1
    assert "hint:  Choose" in ended.said or "hint: Choose" in ended.said


def test_a_report_that_cannot_be_written_costs_no_scene(make, run, tmp_path):
    for name in ("a.tif", "b.tif"):
        make(name, count=1)
    (tmp_path / "rows").mkdir()
    ended = run(tmp_path / "a.tif", tmp_path / "b.tif", "--report", tmp_path / "rows")
    assert ended.code == 1
    assert "2 filled" in ended.out
    assert str(tmp_path / "rows") in ended.err
    assert ended.err.startswith("error: expected to write")
    assert ended.err.count("expected to write") == 1
    assert {"a_filled.tif", "b_filled.tif"} <= set(files(tmp_path))


def test_a_foreign_file_in_the_way_is_kept(make, run, tmp_path):
    made = make()
    (tmp_path / "scene_filled.tif").write_text("mine")
    ended = run(made.path)
    assert ended.code == 1
    assert "landsat-fill didn't write" in ended.out
    assert "--overwrite" in ended.out
    assert (tmp_path / "scene_filled.tif").read_text() == "mine"
    assert files(tmp_path) == ["scene.tif", "scene_filled.tif"]
    assert run(made.path, "--overwrite").code == 0


@pytest.mark.parametrize("name", ["scene_fill.tif", "scene.png"])
def test_a_foreign_layer_or_picture_in_the_way_is_kept(make, run, tmp_path, name):
    made = make()
    (tmp_path / name).write_text("mine")
    ended = run(made.path, "--preview")
    assert ended.code == 1
    assert "--overwrite" in ended.out
    assert (tmp_path / name).read_text() == "mine"
    assert files(tmp_path) == sorted(["scene.tif", name])


def test_a_picture_that_cannot_be_written_leaves_nothing(make, run, tmp_path):
    made = make()
    (tmp_path / "scene.png").mkdir()
    ended = run(made.path, "--preview")
    assert ended.code == 1
    assert "scene.png" in ended.out
    assert files(tmp_path) == ["scene.tif"]


@pytest.mark.parametrize("options", [["--name", "{name}"], ["-o", "SCENE"], ["-o", "LINK"]])
@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
def test_an_input_is_never_its_own_output(make, run, tmp_path, options, overwrite):
    made = make()
    (tmp_path / "link.tif").symlink_to(made.path)
    before = made.path.read_bytes()
    places = {"SCENE": made.path, "LINK": tmp_path / "link.tif"}
    ended = run(made.path, *[places.get(option, option) for option in options], *overwrite)
    assert ended.code == 2
    assert "never overwritten" in ended.err
    assert made.path.read_bytes() == before


@pytest.mark.parametrize("command", [["mask", "-o"], ["simulate", "--width", "6", "-o"]], ids=["mask", "simulate"])
def test_no_command_overwrites_its_input(make, run, command):
    made = make(gaps=command[0] == "mask")
    before = made.path.read_bytes()
    ended = run(*command, made.path, made.path, "--overwrite")
    assert ended.code == 1, ended.said
    assert "is the input itself" in ended.err
    assert made.path.read_bytes() == before


def test_tile_does_not_overwrite_its_input(make, run, tmp_path):
    made = make("scene.tif")
    before = made.path.read_bytes()
    ended = run("tile", made.path, "-o", tmp_path, "--size", "64", "--overwrite")
    assert made.path.read_bytes() == before
    assert ended.code == 1


def test_an_unknown_method(make, run, tmp_path):
    made = make()
    ended = run(made.path, "-m", "inverse-distanse")
    assert ended.code == 2
    assert "Did you mean 'inverse-distance'?" in ended.err
    assert "`landsat-fill methods` lists them" in ended.err
    assert files(tmp_path) == ["scene.tif"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--holes", "narow"], "Did you mean 'narrow'?"),
        (["--fill-layer", "band"], "Did you mean 'bands'?"),
        (["--distrust", "clouds"], "Did you mean 'cloud'?"),
        (["--largest-gap", "0"], "--largest-gap"),
        (["--jobs", "0"], "--jobs"),
        (["-m", "tension-spline", "--device", "cuda"], "expected a device that tension-spline runs on (cpu)"),
        (["--co", "COMPRESS"], "expected --co NAME=VALUE"),
        (["--co", "COMPRESS"], "hint:  Put an equals sign"),
        (["--memory", "much"], "hint:  For example: --memory 8G"),
        (["-O", "smoothing"], "expected -O NAME=VALUE"),
        (["-m", "harmonic", "--uncertainty"], "has none"),
        (["--nodata", "none"], "--nodata"),
    ],
)
def test_a_value_out_of_range(make, run, tmp_path, options, said):
    made = make()
    ended = run(made.path, *options)
    assert ended.code == 2
    assert said in ended.err
    assert files(tmp_path) == ["scene.tif"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--bands", "1", "--bands", "2"], "expected --bands once, but got it 2 times"),
        (["-m", "nearest", "--method=harmonic"], "expected --method once"),
        (["--align", "--no-align"], "expected --align / --no-align once"),
        (["--co", "A=1", "--co", "A=2"], "expected one value of A, but got 1 and 2"),
        (["-m", "inverse-distance", "--smoothing", "0", "-O", "smoothing=1"], "expected one value of smoothing"),
    ],
)
def test_an_option_given_twice_is_never_dropped(make, run, tmp_path, options, said):
    made = make()
    ended = run(made.path, *options)
    assert ended.code == 2
    assert said in ended.err
    assert files(tmp_path) == ["scene.tif"]


def test_no_command_drops_an_option_silently(run):
    ended = run("info", "scene.tif", "--bands", "1", "--bands", "2")
    assert ended.code == 2
    assert "expected --bands once" in ended.err


def test_an_unknown_creation_option_value(make, run, tmp_path):
    made = make()
    ended = run(made.path, "--co", "COMPRESS=ZIPP")
    assert ended.code in (1, 2)
    assert "ZIPP" in ended.said
    assert files(tmp_path) == ["scene.tif"]


def test_an_unknown_band(make, run, tmp_path):
    made = make()
    ended = run(made.path, "--bands", "1,9")
    assert ended.code == 1
    assert "got '9'" in ended.out
    assert "It has 1 (" in ended.out
    assert files(tmp_path) == ["scene.tif"]


def test_a_file_name_for_several_inputs(make, run, tmp_path):
    made = [make(name, count=1) for name in ("a.tif", "b.tif")]
    ended = run(*(one.path for one in made), "-o", tmp_path / "out.tif")
    assert ended.code == 2
    assert "expected -o to be a folder for several inputs" in ended.err
    assert files(tmp_path) == ["a.tif", "b.tif"]


def test_no_input(run, tmp_path):
    (tmp_path / "list.txt").write_text("")
    assert run("fill", "--overwrite").code == 2
    assert run("--from-file", tmp_path / "no.txt").code == 1


@pytest.mark.parametrize(
    ("profile", "said"),
    [({"height": 200, "width": 256}, "256 × 256 pixels"), ({"crs": "EPSG:32627"}, "the scene's CRS EPSG:32626")],
    ids=["wrong size", "wrong CRS"],
)
def test_a_gap_file_of_another_scene(samples, run, tmp_path, profile, said):
    product = shutil.copytree(samples / PRODUCT, tmp_path / PRODUCT)
    gap_file = product / "gap_mask" / f"{PRODUCT}_GM_B3.TIF"
    with rasterio.open(gap_file) as dataset:
        changed = dataset.profile | profile
    write_geotiff(gap_file, np.ones((1, changed["height"], changed["width"]), np.uint8), **changed)
    ended = run(product)
    assert ended.code == 1
    assert "the gap_mask of band B3" in ended.out
    assert said in ended.out
    assert not (tmp_path / f"{PRODUCT}_filled").exists()


@pytest.mark.parametrize("part", ["request", "layers", "scenes", "row"])
def test_an_output_whose_mark_lacks_a_part_counts_as_done(part, make, run, tmp_path):
    made, target = make("scene.tif", count=1, height=40, width=50), tmp_path / "out" / "out.tif"
    fill = (made.path, "-o", target, "-m", "harmonic")
    assert run(*fill).code == 0
    mark = target.with_name(".out.tif.done")
    content = json.loads(mark.read_text())
    del content["facts"][part]
    mark.write_text(json.dumps(content))
    again = run(*fill)
    assert again.code == 0, again.said
    assert f"{mark.name} can't be read: the outputs count as done without it" in again.said.replace("\n", "")
    assert "already done" in again.said
    assert run(*fill, "--overwrite").code == 0
    assert json.loads(mark.read_text())["facts"].keys() == content["facts"].keys() | {part}
