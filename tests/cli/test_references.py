"""Filling from other dates, from the command line to the tags."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
from making import landscape, stripes, write_geotiff

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("tiny_models")

SHAPE = (3, 80, 100)
CLEAN = landscape(SHAPE, "uint8", 3)
GAPS = stripes(SHAPE, apart_px=0)
OTHER_GAPS = np.roll(GAPS, 15, axis=1)


def write(path: Path, pixels: np.ndarray, names=("blue", "green", "red"), **where) -> Path:
    def describe(dataset):
        dataset.descriptions = names

    return write_geotiff(path, pixels, nodata=0, describe=describe, **where)


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    return write(tmp_path / "scene_20040819.tif", np.where(GAPS, 0, CLEAN).astype(np.uint8))


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A complete reference, one with gaps elsewhere, and the scene's neighbour, which lies far away."""
    folder = tmp_path / "archive"
    write(folder / "near_20040820.tif", (0.8 * CLEAN + 10).astype(np.uint8))
    write(folder / "gaps_20040803.tif", np.where(OTHER_GAPS, 0, 200.0 * CLEAN + 3).astype(np.uint16))
    write(folder / "far_20040819.tif", CLEAN, transform=rasterio.Affine(30, 0, 700_000, 0, -30, 1_200_000))
    return folder


def pixels(path: Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        return dataset.read()


def rows(report: Path) -> list[dict]:
    return [json.loads(line) for line in report.read_text().splitlines()]


def test_a_named_reference_is_used_and_recorded(run, scene, archive, tmp_path):
    out = tmp_path / "out" / "filled.tif"
    ended = run(scene, "--reference", archive / "near_20040820.tif", "-o", out)
    assert ended.code == 0, ended.said
    assert "with the help of 1 of 1 references: near_20040820 (2004-08-20)" in ended.said
    filled = pixels(out)
    np.testing.assert_array_equal(filled[~GAPS], CLEAN[~GAPS])
    assert np.abs(filled[GAPS].astype(float) - CLEAN[GAPS]).mean() < 2
    codes = pixels(out.with_name("filled_fill.tif"))[0]
    assert (codes[GAPS[0]] == 5).mean() > 0.95
    assert (codes[~GAPS[0]] == 1).all()
    with rasterio.open(out) as dataset:
        tags = dataset.tags()
    assert tags["LANDSAT_FILL_METHOD"] == "multi-date"
    (one,) = json.loads(tags["LANDSAT_FILL_REFERENCES"])
    assert (one["name"], one["date"], one["days"], one["used"]) == ("near_20040820", "2004-08-20", 1, True)
    assert one["covers"] == 1
    (row,) = rows(tmp_path / "out" / "report.jsonl")
    assert [reference["name"] for reference in row["references"]] == ["near_20040820"]
    with rasterio.open(out.with_name("filled_std.tif")) as dataset:
        std = dataset.read()
    assert (std[GAPS] >= 0).all()
    assert (std[~GAPS] == 0).all()


def test_the_tags_name_the_method_that_fills_where_no_reference_serves(run, scene, archive, tmp_path):
    out = tmp_path / "out.tif"
    ended = run(scene, "--references", archive, "--within", "0", "-o", out)
    assert ended.code == 0, ended.said
    assert "filled from the scene alone" in ended.said
    with rasterio.open(out) as dataset:
        assert dataset.tags()["LANDSAT_FILL_METHOD"] == "band-unet"


def test_a_method_for_further_bands_uses_references(run, scene, archive, tmp_path):
    out = tmp_path / "out.tif"
    near = archive / "near_20040820.tif"
    ended = run(scene, "--reference", near, "-m", "cokriging", "-o", out)
    assert ended.code == 0, ended.said
    assert "with the help of 1 of 1 references: near_20040820" in ended.said
    alone = tmp_path / "alone.tif"
    assert run(scene, "-m", "cokriging", "-o", alone).code == 0
    errors = [np.abs(pixels(path)[GAPS].astype(float) - CLEAN[GAPS]).mean() for path in (out, alone)]
    assert errors[0] < 0.5 * errors[1]
    np.testing.assert_array_equal(pixels(out)[~GAPS], CLEAN[~GAPS])
    assert (pixels(tmp_path / "out_fill.tif")[0][GAPS[0]] == 5).mean() > 0.9
    assert (pixels(tmp_path / "alone_fill.tif")[0][GAPS[0]] == 4).all()
    with rasterio.open(out) as dataset:
        assert "near_20040820" in dataset.tags()["LANDSAT_FILL_REFERENCES"]


def test_the_source_layer_names_the_reference_of_each_pixel(run, scene, archive, tmp_path):
    out = tmp_path / "out.tif"
    ended = run(
        scene, "--references", archive, "-m", "llhm", "-o", out, "--fill-layer", "source", "--max-references", "2"
    )
    assert ended.code == 0, ended.said
    with rasterio.open(tmp_path / "out_fill.tif") as dataset:
        codes, tags = dataset.read(1), dataset.tags()
    (row,) = rows(tmp_path / "report.jsonl")
    assert [one["name"] for one in row["references"]] == ["near_20040820", "gaps_20040803"]
    assert row["references_not_used"] == 1
    names = {int(name[5:]): text for name, text in tags.items() if name.startswith("CODE_")}
    assert "near_20040820 (2004-08-20)" in names[5]
    assert "gaps_20040803 (2004-08-03)" in names[6]
    assert set(np.unique(codes[GAPS[0]])) <= {4, 5, 6}
    assert (codes[GAPS[0]] == 5).mean() > 0.9


def test_what_no_reference_shows_is_filled_from_the_scene(run, scene, tmp_path):
    half = np.where(np.arange(SHAPE[2]) < 50, 0.8 * CLEAN + 10, 0).astype(np.uint8)
    reference = write(tmp_path / "half_20040820.tif", half)
    out = tmp_path / "out.tif"
    assert run(scene, "--reference", reference, "-m", "llhm", "-o", out).code == 0
    codes = pixels(tmp_path / "out_fill.tif")[0]
    assert (codes[:, 52:][GAPS[0][:, 52:]] == 4).all()
    assert (codes[:, :40][GAPS[0][:, :40]] == 5).mean() > 0.9
    assert run(scene, "-o", tmp_path / "single.tif").code == 0
    np.testing.assert_array_equal(pixels(out)[:, :, 52:], pixels(tmp_path / "single.tif")[:, :, 52:])


def test_without_a_reference_that_serves_the_fill_is_that_of_the_scene_alone(run, scene, archive, tmp_path):
    for name in ("near_20040820", "gaps_20040803"):
        (archive / f"{name}.tif").unlink()
    ended = run(scene, "--references", archive, "-o", tmp_path / "out.tif")
    assert ended.code == 0
    assert "no reference serves this scene (it doesn't overlap the scene)" in ended.said
    assert run(scene, "-o", tmp_path / "single.tif").code == 0
    np.testing.assert_array_equal(pixels(tmp_path / "out.tif"), pixels(tmp_path / "single.tif"))


def test_a_reference_of_another_year_brings_a_warning(run, scene, tmp_path):
    reference = write(tmp_path / "old_20010820.tif", (0.8 * CLEAN + 10).astype(np.uint8))
    ended = run(scene, "--reference", reference, "-m", "llhm", "-o", tmp_path / "out.tif")
    assert "warning: a reference of another year" in ended.said


def test_bands_that_are_matched_by_order_bring_a_note(run, scene, tmp_path):
    reference = write(tmp_path / "plain_20040820.tif", CLEAN, names=("a", "b", "c"))
    ended = run(scene, "--reference", reference, "-m", "llhm", "-o", tmp_path / "out.tif")
    assert "matched by their order" in ended.said


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("-m", "llhm"), 2, "expected references for llhm"),
        (("-m", "harmonic", "--reference", "{near}"), 2, "expected a method that uses references"),
        (("--within", "3"), 2, "expected limits of days and season only together with references"),
        (("--reference", "{scene}"), 1, "it is the scene itself"),
        (("--reference", "{far}"), 1, "it doesn't overlap the scene"),
        (("--reference", "nowhere.tif"), 1, "nowhere.tif"),
        (("--references", "nowhere"), 1, "nowhere"),
        (("--reference", "{near}", "--within", "0"), 1, "it lies 1 days apart"),
    ],
)
def test_errors(run, scene, archive, tmp_path, words, code, said):
    paths = {"near": archive / "near_20040820.tif", "far": archive / "far_20040819.tif", "scene": scene}
    ended = run(scene, *(word.format(**paths) for word in words), "-o", tmp_path / "out" / "o.tif")
    assert ended.code == code, ended.said
    assert said in ended.said
    assert not (tmp_path / "out" / "o.tif").exists()


@pytest.mark.slow
def test_every_scene_of_a_folder_from_the_others(run, scene, archive, tmp_path):
    """SLC-off scenes help each other; in two processes or one, the pixels are the same."""
    folder = tmp_path / "scenes"
    write(folder / "one_20040819.tif", np.where(GAPS, 0, CLEAN).astype(np.uint8))
    write(folder / "two_20040803.tif", np.where(OTHER_GAPS, 0, 0.8 * CLEAN + 10).astype(np.uint8))
    for jobs in ("1", "2"):
        ended = run(folder, "--references", folder, "-m", "llhm", "-o", tmp_path / jobs, "-j", jobs)
        assert ended.code == 0, ended.said
    for name in ("one_20040819", "two_20040803"):
        made = [pixels(tmp_path / jobs / f"{name}_filled.tif") for jobs in ("1", "2")]
        np.testing.assert_array_equal(made[0], made[1])
        used = [r["references"] for r in rows(tmp_path / "1" / "report.jsonl") if r["name"] == name]
        assert [one["name"] for one in used[0]] == [{"o": "two_20040803", "t": "one_20040819"}[name[0]]]
    for shard in ("1/2", "2/2"):
        assert run(folder, "--references", folder, "-m", "llhm", "-o", tmp_path / "s", "--shard", shard).code == 0
    for name in ("one_20040819", "two_20040803"):
        np.testing.assert_array_equal(
            pixels(tmp_path / "s" / f"{name}_filled.tif"), pixels(tmp_path / "1" / f"{name}_filled.tif")
        )


class TestDone:
    @pytest.fixture
    def fill(self, run, scene, archive, tmp_path):
        def fill_here(*more):
            return run(scene, "--references", archive, "-m", "llhm", "-o", tmp_path / "out" / "o.tif", *more)

        assert fill_here().code == 0
        return fill_here

    def test_the_same_request_is_skipped(self, fill, run, scene, archive, tmp_path):
        assert "1 already done" in fill().said
        assert "1 already done" in fill("--refresh").said
        other = f"{archive}/"
        assert (
            "1 already done" in run(scene, "--references", other, "-m", "llhm", "-o", tmp_path / "out" / "o.tif").said
        )

    def test_another_request_is_refused_with_the_difference(self, fill):
        ended = fill("--max-references", "2")
        assert ended.code == 1
        assert "largest number of references: 4, but 2 is requested" in ended.said

    def test_a_grown_folder_is_noted_and_refreshed_on_request(self, fill, archive, tmp_path):
        before = pixels(tmp_path / "out" / "o.tif")
        write(archive / "better_20040819.tif", CLEAN)
        ended = fill()
        assert ended.code == 0
        assert "1 new reference since; --refresh fills again" in ended.said
        np.testing.assert_array_equal(pixels(tmp_path / "out" / "o.tif"), before)
        dry = fill("--dry-run", "--json")
        row = json.loads(dry.out.splitlines()[-1])
        assert (row["action"], row["notes"]) == ("skip", ["1 new reference since; --refresh fills again"])
        ended = fill("--preview")
        assert ended.code == 1
        assert "added files wouldn't match" in ended.said
        assert '"fill"' in fill("--refresh", "--dry-run", "--json").out
        ended = fill("--refresh")
        assert ended.code == 0
        assert "better_20040819" in ended.said
        assert "new reference" not in fill().said
        mark = json.loads((tmp_path / "out" / ".o.tif.done").read_text())
        assert "better_20040819.tif" in mark["facts"]["candidates"]


class TestReferencesCommand:
    def test_rows_say_what_would_be_used_and_why(self, run, scene, archive):
        ended = run("references", scene, archive, "--json")
        assert ended.code == 0, ended.said
        found = [json.loads(line) for line in ended.out.splitlines()]
        assert [one["name"] for one in found if one["used"]] == ["near_20040820", "gaps_20040803"]
        assert found[0]["agreement"] > 0.95
        assert found[0]["days"] == 1
        assert {one["name"]: one["reason"] for one in found}["far_20040819"] == "it doesn't overlap the scene"
        heading, *lines = run("references", scene, archive).out.splitlines()
        assert heading.split() == ["days", "clear", "covers", "shift", "agrees", "reference"]
        assert lines[0].split()[:4] == ["use", "+1", "100%", "100%"]
        assert lines[0].endswith(" near_20040820")
        assert lines[1].startswith("    2004-08-20; usable at 100% of the gap pixels")
        assert len(lines[0]) - len("near_20040820") + len("LE07_L1TP_046028_20010811_20200917_02_T1") <= 80

    def test_an_index_gives_the_same_fill(self, run, scene, archive, tmp_path):
        index = tmp_path / "archive.json"
        ended = run("references", "--index", archive, "-o", index)
        assert ended.code == 0, ended.said
        assert "3 acquisitions" in ended.said
        for name, source in (("folder", archive), ("index", index)):
            assert run(scene, "--references", source, "-m", "llhm", "-o", tmp_path / f"{name}.tif").code == 0
        np.testing.assert_array_equal(pixels(tmp_path / "folder.tif"), pixels(tmp_path / "index.tif"))

    def test_errors(self, run, scene, archive):
        assert run("references", scene).code == 2
        assert run("references", "--index", archive).code == 2


@pytest.mark.slow
def test_a_time_series_takes_all_dates(run, scene, tmp_path):
    days = [f"2003{month:02}15" for month in range(1, 11)]
    for number, day in enumerate(days):
        write(tmp_path / "dates" / f"a_{day}.tif", ((0.7 + 0.02 * number) * CLEAN).astype(np.uint8))
    out = tmp_path / "out.tif"
    ended = run(scene, "--references", tmp_path / "dates", "-m", "time-series", "-o", out)
    assert ended.code == 0, ended.said
    assert "10 of 10 references" in ended.said
    codes = pixels(tmp_path / "out_fill.tif")[0]
    assert (codes[GAPS[0]] == 5).all()
    assert np.abs(pixels(out)[GAPS].astype(float) - CLEAN[GAPS]).mean() < 4


def test_wide_holes_keep_the_codes_of_references(run, archive, tmp_path):
    """With --holes every, a backdrop fills the inside of wide holes."""
    pixels_there = np.where(GAPS, 0, CLEAN).astype(np.uint8)
    pixels_there[:, 20:70, 30:90] = 0
    hole = write(tmp_path / "hole_20040819.tif", pixels_there)
    reference = archive / "near_20040820.tif"
    ended = run(hole, "--reference", reference, "-m", "llhm", "--holes", "every", "-o", tmp_path / "out.tif")
    assert ended.code == 0, ended.said
    codes = pixels(tmp_path / "out_fill.tif")[0]
    assert (codes == 5).any()
    assert (codes[pixels_there[0] == 0] >= 4).all()
