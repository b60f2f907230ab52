"""What info, mask, simulate, methods and evaluate tell and write."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest
import rasterio
from making import write_geotiff

PRODUCT = "LE07_L1TP_299299_20050704_20200914_02_T1"


def pixels(path):
    with rasterio.open(path) as dataset:
        return dataset.read()


class TestInfo:
    """`landsat-fill info`."""

    def test_it_tells_what_a_product_is(self, samples, run):
        ended = run("info", samples / PRODUCT)
        assert ended.code == 0
        for fact in (PRODUCT, "LE07", "2005-07-04", "SLC off", "EPSG:32626", "30 m", "15 m", "B6_VCID_1"):
            assert fact in ended.out
        assert "QA_PIXEL" in ended.out
        assert "gap_mask" in ended.out
        assert "period 33" in ended.out

    def test_as_json(self, samples, run):
        ended = run("info", samples / "slc_off.tif", "--json")
        (told,) = map(json.loads, ended.out.splitlines())
        clean, gappy = pixels(samples / "clean.tif"), pixels(samples / "slc_off.tif")
        for number, band in enumerate(told["bands"]):
            inside = clean[number] != 0
            lost = 100 * np.count_nonzero(inside & (gappy[number] == 0)) / np.count_nonzero(inside)
            assert band["missing_percent"] == pytest.approx(lost, abs=0.2)
            assert band["outside_percent"] == pytest.approx(100 * (~inside).mean(), abs=0.2)
        assert told["stripes"]["period_px"] == pytest.approx(33, abs=0.5)
        assert told["stripes"]["tilt_deg"] == pytest.approx(9.7, abs=1)
        assert (told["rows"], told["columns"], told["pixel_size_m"]) == (512, 512, 30)

    def test_a_scene_without_stripes(self, make, run):
        ended = run("info", make(gaps=False).path)
        assert ended.code == 0
        assert "no stripes" in ended.out

    def test_one_bad_file_does_not_hide_the_others(self, make, run, tmp_path):
        made = make()
        (tmp_path / "bad.tif").write_text("no raster")
        ended = run("info", tmp_path / "bad.tif", tmp_path / "nowhere.tif", made.path)
        assert ended.code == 1
        assert "3 columns" not in ended.out
        assert "80 rows × 100 columns" in ended.out
        assert "bad" in ended.err
        assert "nowhere.tif" in ended.err

    def test_an_input_is_never_written(self, make, run, tmp_path):
        made = make()
        assert run("info", made.path).code == 0
        assert [path.name for path in tmp_path.iterdir()] == ["scene.tif"]


class TestMask:
    """`landsat-fill mask`."""

    def test_a_layer_a_band(self, make, run, tmp_path):
        made = make(height=150)
        ended = run("mask", made.path, "-o", tmp_path / "gaps.tif")
        assert ended.code == 0
        assert f"{100 * made.missing.mean():.2f} % missing" in ended.out
        np.testing.assert_array_equal(pixels(tmp_path / "gaps.tif"), np.where(made.missing, 2, 1))

    def test_one_layer(self, make, run, tmp_path):
        made = make(height=150)
        assert run("mask", made.path, "-o", tmp_path / "gaps.tif", "--any-band", "-q").out == ""
        layer = pixels(tmp_path / "gaps.tif")
        np.testing.assert_array_equal(layer[0], np.where(made.missing.any(axis=0), 2, 1))
        with rasterio.open(tmp_path / "gaps.tif") as dataset:
            assert dataset.colormap(1)[2] == (215, 48, 39, 255)
            assert dataset.tags()["CODE_2"] == "missing"
            assert dataset.crs.to_epsg() == 32637

    def test_outside_the_footprint_is_told_from_gaps(self, samples, run, tmp_path):
        assert run("mask", samples / "slc_off.tif", "-o", tmp_path / "gaps.tif").code == 0
        layer, clean, gappy = (
            pixels(tmp_path / "gaps.tif"),
            pixels(samples / "clean.tif"),
            pixels(samples / "slc_off.tif"),
        )
        expected = np.where(gappy != 0, 1, np.where(clean != 0, 2, 0))
        assert (layer == expected).mean() > 0.998

    def test_the_grids_of_a_product_go_to_files_of_their_own(self, samples, run, tmp_path):
        assert run("mask", samples / PRODUCT, "-o", tmp_path / "gaps.tif").code == 0
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            "gaps.tif", "gaps_panchromatic.tif", "gaps_thermal.tif",
        ]  # fmt: skip

    def test_a_file_in_the_way_is_kept(self, make, run, tmp_path):
        made = make()
        (tmp_path / "gaps.tif").write_text("mine")
        assert run("mask", made.path, "-o", tmp_path / "gaps.tif").code == 1
        assert (tmp_path / "gaps.tif").read_text() == "mine"

    def test_a_folder_of_several_scenes_is_refused(self, make, run, tmp_path):
        for name in ("in/a.tif", "in/b.tif"):
            make(name, count=1)
        ended = run("mask", tmp_path / "in", "-o", tmp_path / "gaps.tif")
        assert ended.code == 2
        assert "expected one scene" in ended.err


class TestSimulate:
    """`landsat-fill simulate`."""

    def test_a_share_is_lost(self, make, run, tmp_path):
        made = make(gaps=False, height=400, width=300)
        ended = run("simulate", made.path, "-o", tmp_path / "gappy.tif", "--missing", "35%")
        assert ended.code == 0
        lost = pixels(tmp_path / "gappy.tif") == 0
        assert lost.mean() == pytest.approx(0.35, abs=0.03)
        assert f"{100 * lost.mean():.2f} % lost" in ended.out
        np.testing.assert_array_equal(pixels(tmp_path / "gappy.tif")[~lost], made.clean[~lost])

    def test_a_width(self, make, run, tmp_path):
        made = make(gaps=False, height=400, width=300, count=1)
        assert run("simulate", made.path, "-o", tmp_path / "gappy.tif", "--width", "8").code == 0
        lost = pixels(tmp_path / "gappy.tif")[0] == 0
        assert lost.mean() == pytest.approx(8 / 33, abs=0.03)

    def test_a_seed_decides(self, make, run, tmp_path):
        made = make(gaps=False, height=200, count=1)
        for name, seed in (("a", 1), ("b", 1), ("c", 2)):
            arguments = ["--width", "8", "--seed", seed, "-o", tmp_path / f"{name}.tif"]
            assert run("simulate", made.path, *arguments).code == 0
        a, b, c = (pixels(tmp_path / f"{name}.tif") for name in "abc")
        assert (a == b).all()
        assert (a != c).any()

    def test_the_gaps_of_a_real_scene(self, make, run, tmp_path):
        clean, gappy = make("clean.tif", gaps=False, height=150), make("gappy.tif", height=150)
        out = tmp_path / "out.tif"
        assert run("simulate", clean.path, "-o", out, "--gaps-from", gappy.path).code == 0
        assert (pixels(out) == 0).mean() == pytest.approx(gappy.missing.mean(), abs=0.05)

    def test_filling_it_again_comes_close_to_the_truth(self, make, run, tmp_path):
        made = make(gaps=False, height=200, count=2)
        assert run("simulate", made.path, "-o", tmp_path / "gappy.tif", "--width", "6").code == 0
        assert run(tmp_path / "gappy.tif").code == 0
        error = pixels(tmp_path / "gappy_filled.tif").astype(float) - made.clean
        assert np.abs(error).max() < 40

    @pytest.mark.parametrize(
        ("options", "hint"),
        [
            (["--missing", "120%"], "For example: --missing 22."),
            (["--missing", "much"], "For example: --missing 22."),
            (["--width", "6", "--gaps-from", "x.tif"], "Leave out --gaps-from"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, make, run, tmp_path, options, hint):
        made = make(gaps=False)
        ended = run("simulate", made.path, "-o", tmp_path / "out.tif", *options)
        assert ended.code == 2
        assert hint in ended.err_in_a_line
        assert not (tmp_path / "out.tif").exists()

    def test_a_number_for_lost_pixels_is_needed(self, make, run, tmp_path):
        made = make(gaps=False, told_by="name")
        arguments = [made.path, "-o", tmp_path / "out.tif", "--width", "6"]
        assert run("simulate", *arguments).code == 2
        assert run("simulate", *arguments, "--nodata", "0").code == 0
        with rasterio.open(tmp_path / "out.tif") as dataset:
            assert dataset.nodata == 0

    @pytest.mark.parametrize("told_by", ["mask", "alpha", "nan"])
    def test_what_says_that_pixels_are_missing_says_so_of_lost_ones(self, make, run, tmp_path, told_by):
        dtype = "float32" if told_by == "nan" else "uint8"
        made = make(gaps=False, told_by=told_by, dtype=dtype, height=150, count=1)
        arguments = ["-o", tmp_path / "out.tif", "--width", "6"]
        arguments += [] if told_by == "nan" else ["--nodata", "0"]
        ended = run("simulate", made.path, *arguments)
        assert ended.code == 0, ended.said
        ended = run("info", tmp_path / "out.tif", "--json")
        assert json.loads(ended.out)["bands"][0]["missing_percent"] == pytest.approx(100 * 6 / 33, abs=3)


class TestMethods:
    """`landsat-fill methods`."""

    def test_all_are_listed(self, run):
        ended = run("methods")
        assert ended.code == 0
        for name in ("biharmonic", "diffusion", "harmonic", "inverse-distance", "navier-stokes", "nearest"):
            assert name in ended.out
        assert ended.out.count("(default)") == 1

    def test_one_is_explained(self, run):
        ended = run("methods", "inverse-distance")
        assert ended.code == 0
        for fact in ("GDALFillNodata", "--smoothing", "0 to", "--max-distance-px"):
            assert fact in ended.out

    def test_auto_is_the_best(self, run):
        assert "band-unet" in run("methods", "auto").out

    def test_an_unknown_one(self, run):
        ended = run("methods", "harmonics")
        assert ended.code == 2
        assert "Did you mean 'harmonic'?" in ended.err

    def test_as_json(self, run):
        listed = json.loads(run("methods", "--json").out)
        assert {"name", "summary", "source", "options", "gives_std", "devices"} <= set(listed[0])


class TestEvaluate:
    """`landsat-fill evaluate`, on a scene small enough for a test."""

    @pytest.fixture(scope="class")
    @staticmethod
    def results(tmp_path_factory, samples):
        from typer.testing import CliRunner

        from landsat_fill.cli.app import app

        folder = tmp_path_factory.mktemp("evaluate")
        with rasterio.open(samples / "clean.tif") as dataset:
            window = rasterio.windows.Window(200, 150, 192, 192)
            cut = dataset.read([1, 2, 3, 4], window=window)
            where = {"crs": dataset.crs, "transform": dataset.window_transform(window), "nodata": dataset.nodata}
        write_geotiff(folder / "clean.tif", cut, photometric="MINISBLACK", **where)
        arguments = [folder / "clean.tif", "-m", "nearest,harmonic", "--width", "6"]
        arguments += ["--csv", folder / "rows.csv", "--json-file", folder / "all.json"]
        arguments += ["--figure", folder / "figure.png"]
        result = CliRunner().invoke(app, ["evaluate", *map(str, arguments)])
        assert result.exit_code == 0, result.output
        return folder, result.stdout

    def test_the_table_names_methods_and_the_reference(self, results):
        _, said = results
        for word in ("nearest", "harmonic", "inverse-distance", "RMSE", "hidden pixels"):
            assert word in said

    def test_rows_are_scores_of_hidden_pixels(self, results):
        folder, _ = results
        with (folder / "rows.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        scores = {row["method"]: float(row["rmse"]) for row in rows if row["band"] == "all"}
        assert scores["harmonic"] < scores["nearest"]

    def test_json_and_figure_are_written(self, results):
        folder, _ = results
        assert json.loads((folder / "all.json").read_text())
        assert (folder / "figure.png").read_bytes()[:4] == b"\x89PNG"

    def test_an_unknown_method(self, samples, run):
        ended = run("evaluate", samples / "clean.tif", "-m", "harmonics")
        assert ended.code == 2
        assert "Did you mean 'harmonic'?" in ended.err

    def test_a_bad_list_of_widths(self, samples, run):
        ended = run("evaluate", samples / "clean.tif", "-m", "nearest", "--width", "4;8")
        assert ended.code == 2
        assert "For example: --width 4,8,14." in ended.err_in_a_line

    def test_nothing_to_evaluate(self, run, tmp_path):
        assert run("evaluate", tmp_path / "nowhere.tif", "-m", "nearest").code == 1


def test_a_copy_of_a_product_is_told_by_its_names_alone(samples, run, tmp_path):
    """Without its MTL file a product is still one."""
    product = shutil.copytree(samples / PRODUCT, tmp_path / PRODUCT)
    (product / f"{PRODUCT}_MTL.txt").unlink()
    told = [json.loads(line) for line in run("info", product, "--json").out.splitlines()]
    assert len(told) == 3
    assert told[0]["sensor"] == "LE07"
    assert told[0]["slc_off"] is True
