"""The options of `landsat-fill evaluate`, on a scene small enough for a test."""

from __future__ import annotations

import json
import re
import sys

import numpy as np
import pytest
from making import landscape, write_geotiff
from rasterio.transform import Affine

from landsat_fill.cli.evaluate import EPILOG, OPTIONS_EXAMPLE, labels_of, methods_of
from landsat_fill.errors import UsageError
from landsat_fill.evaluation import method_label
from landsat_fill.methods.registry import BEST_METHOD

FAST = ("-m", "nearest", "--width", "6")


@pytest.fixture
def clean(make):
    """Return the file of a small scene without gaps."""

    def made(name: str = "clean.tif"):
        return make(name, gaps=False).path

    return made


class TestMethodLists:
    """What `-m` means."""

    def test_options_follow_colons(self):
        methods, left_out = methods_of(["nearest,inverse-distance:smoothing=0:max-distance-px=9,harmonic"])
        labels = [method_label(method) for method in methods]
        assert labels[0] == "nearest"
        assert labels[1].startswith("inverse-distance ")
        assert "smoothing=0" in labels[1]
        assert "max-distance-px=9.0" in labels[1]
        assert labels[2] == "harmonic"
        assert left_out == {}

    def test_a_method_may_come_again_with_other_options(self):
        methods, _ = methods_of(["inverse-distance:smoothing=0", "inverse-distance:smoothing=1,inverse-distance"])
        assert len(set(methods)) == 3

    @pytest.mark.slow
    def test_all_are_those_that_can_run_here(self):
        methods, left_out = methods_of(["all"])
        names = [method.info.name for method in methods]
        assert {"nearest", "harmonic", "inverse-distance", "tension-spline"} <= set(names)
        assert not set(names) & set(left_out)
        assert all(left_out.values())

    def test_a_comma_for_a_colon_is_explained(self):
        with pytest.raises(UsageError, match="'smoothing=0'") as caught:
            methods_of(["inverse-distance,smoothing=0"])
        assert "colon" in str(caught.value.hint)

    def test_an_unknown_option(self):
        with pytest.raises(UsageError, match="an option of inverse-distance"):
            methods_of(["inverse-distance:smothing=0"])

    def test_shown_rows_are_named_as_they_were_given(self):
        methods, _ = methods_of(["nearest,inverse-distance:smoothing=0,inverse-distance"])
        assert labels_of("inverse-distance", methods) == ["inverse-distance smoothing=0", "inverse-distance"]
        assert labels_of("inverse-distance:smoothing=0,nearest", methods) == ["inverse-distance smoothing=0", "nearest"]
        with pytest.raises(UsageError, match="--show"):
            labels_of("harmonic", methods)

    def test_auto_is_shown_under_the_name_of_the_method_it_means(self):
        methods, _ = methods_of(["auto"])
        assert labels_of("auto", methods) == [BEST_METHOD]

    def test_every_advertised_example_can_be_typed(self):
        lists = re.findall(r"-m (\S+)", EPILOG + OPTIONS_EXAMPLE)
        assert len(lists) >= 4
        for text in lists:
            assert methods_of([re.sub(r":weights=[^,]*", "", text)])[0]


def test_markdown_quotes_the_command(clean, run, tmp_path):
    page = tmp_path / "scores.md"
    assert run("evaluate", clean(), *FAST, "--markdown", page).code == 0
    text = page.read_text(encoding="utf-8")
    assert f"evaluate {tmp_path}" in text
    assert f"-m nearest --width 6 --markdown {page}" in text
    assert "| `nearest` |" in text


@pytest.mark.parametrize("option", ["--csv", "--json-file", "--figure", "--markdown"])
def test_no_file_is_replaced_unasked(clean, run, tmp_path, option):
    target = tmp_path / "scores.png"
    target.write_text("mine")
    ended = run("evaluate", clean(), *FAST, option, target)
    assert ended.code == 1
    assert "--overwrite" in ended.err
    assert target.read_text() == "mine"
    if option != "--figure":
        assert run("evaluate", clean(), *FAST, option, target, "--overwrite").code == 0
        assert target.read_bytes() != b"mine"


def test_the_scene_itself_is_never_replaced(clean, run):
    path = clean()
    before = path.read_bytes()
    assert run("evaluate", path, *FAST, "--csv", path, "--overwrite").code == 1
    assert path.read_bytes() == before


def test_two_outputs_need_two_names(clean, run, tmp_path):
    both = ("--csv", tmp_path / "a", "--markdown", tmp_path / "a")
    assert run("evaluate", clean(), *FAST, *both).code == 2


def test_groups_are_told_apart(clean, run, tmp_path):
    known, new = clean("known.tif"), clean("new.tif")
    rows = tmp_path / "all.json"
    ended = run("evaluate", new, "--group", f"trained on={known}", *FAST, "--json-file", rows)
    assert ended.code == 0
    assert "others / trained on" in ended.out
    told = json.loads(rows.read_text())
    assert {(r["place"], r["group"]) for r in told["records"]} == {("known", "trained on"), ("new", "others")}
    assert {(g["group"], g["method"]) for g in told["groups"]} == {
        (group, method) for group in ("trained on", "others") for method in ("nearest", "inverse-distance")
    }


def test_a_group_needs_a_name(clean, run):
    assert run("evaluate", "--group", clean(), *FAST).code == 2


def test_without_a_band_shift_all_bands_lose_the_same_pixels(clean, run, tmp_path):
    hidden = {}
    for shift in ("0", "6"):
        rows = tmp_path / f"{shift}.json"
        assert run("evaluate", clean(), *FAST, "--band-shift", shift, "--json-file", rows).code == 0
        records = json.loads(rows.read_text())["records"]
        hidden[shift] = {r["hidden"] for r in records if r["band"] != "all"}
    assert len(hidden["0"]) == 1
    assert len(hidden["6"]) > 1


def test_an_impossible_device(clean, run):
    ended = run("evaluate", clean(), *FAST, "--device", "toaster")
    assert ended.code == 2
    assert "toaster" in ended.err


def test_the_stripe_index_and_the_worst_place_are_in_the_table(clean, run):
    said = run("evaluate", clean(), *FAST, "--threads", "1").out
    for word in ("stripe index", "worst", "SSIM"):
        assert word in said


def test_a_preset_writes_its_page_and_refuses_other_gaps(clean, run, tmp_path):
    page = tmp_path / "page.md"
    arguments = ("evaluate", clean("scene.tif"), "--preset", "paper-bands", "-m", "nearest", "--window", "48")
    ended = run(*arguments, "--markdown", page)
    assert ended.code == 0, ended.said
    text = page.read_text(encoding="utf-8")
    assert "--preset paper-bands" in text
    assert "`nearest · bands alone`" in text
    ended = run(*arguments, "--width", "4")
    assert ended.code == 2
    assert "expected --preset without --width" in ended.err_in_a_line


def test_a_figure_that_cannot_be_drawn_is_refused_before_scoring(clean, run, tmp_path, monkeypatch):
    monkeypatch.setattr("landsat_fill.evaluation.evaluate", None)
    ended = run("evaluate", clean(), *FAST, "--figure", tmp_path / "scores.docx")
    assert ended.code == 2
    assert "expected a figure to end in" in ended.err_in_a_line
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    ended = run("evaluate", clean(), *FAST, "--figure", tmp_path / "scores.png")
    assert ended.code == 1
    assert "matplotlib" in ended.err_in_a_line


def test_progress_is_told_without_a_terminal(clean, run):
    ended = run("evaluate", clean(), *FAST, "--threads", "1")
    assert re.search(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  +\d+ %", ended.err, re.MULTILINE)
    assert "\r" not in ended.err


def test_seeds_that_change_nothing_are_told(clean, make, run):
    gaps = make("slc_off.tif").path
    ended = run("evaluate", clean(), "-m", "nearest", "--gaps-from", gaps, "--seeds", "2")
    assert ended.code == 0, ended.err
    assert "fit in only one place" in ended.err_in_a_line


class TestReferences:
    SHAPE = (3, 72, 80)

    @pytest.fixture
    def pair(self, tmp_path):
        """Return a clean scene and a folder with a reference, darker and in 16 bits, of the next day."""
        truth = landscape(self.SHAPE, "uint8")
        target = write_geotiff(tmp_path / "target_20040819.tif", truth)
        write_geotiff(tmp_path / "refs" / "next_20040820.tif", (0.8 * truth + 20).astype(np.uint16))
        return target, tmp_path / "refs"

    def test_methods_with_and_without_references_fill_the_same_pixels(self, pair, run, tmp_path):
        target, folder = pair
        for words in (("--reference", folder / "next_20040820.tif"), ("--references", folder)):
            rows = tmp_path / f"{words[0]}.json"
            ended = run("evaluate", target, *words, "-m", "llhm", "-m", "harmonic", "--width", "6", "--json-file", rows)
            assert ended.code == 0, ended.said
            assert "references: next_20040820 (2004-08-20)" in ended.said
            records = [one for one in json.loads(rows.read_text())["records"] if one["band"] != "all"]
            assert {one["method"] for one in records} == {"inverse-distance", "llhm", "harmonic"}
            assert len({one["hidden"] for one in records}) == 1  # all bands lose the same pixels
            ratios = {one["method"]: one["rmse_ratio"] for one in json.loads(rows.read_text())["summary"]}
            assert ratios["llhm"] < 0.2 < ratios["harmonic"]

    @pytest.mark.slow
    @pytest.mark.usefixtures("tiny_models")
    def test_auto_uses_references(self, pair, run):
        target, folder = pair
        assert "multi-date" in run("evaluate", target, "--references", folder, "-m", "auto", "--width", "6").out

    def test_errors(self, pair, run):
        target, folder = pair
        ended = run("evaluate", target, "-m", "llhm")
        assert ended.code == 2
        assert "expected references for llhm" in ended.err_in_a_line
        ended = run("evaluate", target, "--references", folder, "-m", "llhm", "--preset", "paper-bands")
        assert ended.code == 2
        ended = run("evaluate", target, "--reference", target, "-m", "llhm", "--width", "6")
        assert ended.code == 1
        assert "it is the scene itself" in ended.err_in_a_line
        (folder / "next_20040820.tif").unlink()
        far = landscape(self.SHAPE, "uint8")
        write_geotiff(folder / "far.tif", far, transform=Affine(30, 0, 700_000, 0, -30, 1_200_000))
        ended = run("evaluate", target, "--references", folder, "-m", "llhm", "-m", "harmonic", "--width", "6")
        assert ended.code == 1
        assert "expected a reference that serves target_20040819" in ended.err_in_a_line
        assert "harmonic" in ended.out

    def test_windows_of_a_large_scene_get_the_references_of_their_place(self, pair, run, tmp_path):
        target, folder = pair
        rows = tmp_path / "rows.json"
        ended = run(
            "evaluate", target, "--references", folder, "-m", "llhm", "--width", "6",
            "--window", "36", "--windows", "2", "--json-file", rows,
        )  # fmt: skip
        assert ended.code == 0, ended.said
        ratios = {one["method"]: one["rmse_ratio"] for one in json.loads(rows.read_text())["summary"]}
        assert ratios["llhm"] < 0.3
