"""What the merge writes: a report, a summary, and items that STAC's own library reads."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pystac
import pytest
import rasterio
from making import write_scene
from pystac.extensions.projection import ProjectionExtension
from rasterio.transform import Affine

from landsat_fill.cluster.archive import Archive, RoundFacts, lines_of, manifest_text
from landsat_fill.cluster.merging import _outline, merge
from landsat_fill.cluster.status import scene_states
from landsat_fill.io import find_inputs
from landsat_fill.pipeline.plan import plan_jobs
from landsat_fill.pipeline.request import OutputRequest
from landsat_fill.scene import Grid


@pytest.fixture(scope="module")
def merged(samples, run, tmp_path_factory):
    """Return the folder of an archive of the samples, filled and merged, and its summary."""
    out = tmp_path_factory.mktemp("archive") / "filled"
    found, _ = find_inputs([str(samples / "slc_off.tif"), str(next(samples.glob("LE07_*")))])
    one = Archive(out).next_round()
    manifest = manifest_text(lines_of(plan_jobs(found, OutputRequest(target=out))))
    one.create(RoundFacts("typed", 1, False, "0"), manifest, "", "")
    ended = run(
        "fill", "--manifest", one.manifest, "--report", one.folder / "reports" / "1.jsonl", "-m", "nearest", "--preview"
    )
    assert ended.code == 0, ended.err
    return out, merge(Archive(out), scene_states(Archive(out), None))


def test_the_report_has_a_row_a_scene_and_the_summary_the_counts(merged):
    out, summary = merged
    rows = [json.loads(line) for line in (out / "report.jsonl").read_text().splitlines()]
    assert [row["status"] for row in rows] == ["filled", "filled"]
    assert summary["done"] == summary["scenes"] == 2
    assert summary["pixels filled"] == sum(row["tally"]["filled"] for row in rows)
    assert summary["not done"] == summary["without item"] == []
    assert json.loads((out / "summary.json").read_text()) == summary


def test_items_tell_where_when_and_which_files(merged):
    out, _ = merged
    items = {item.id: item for item in pystac.ItemCollection.from_file(str(out / "items.json"))}
    product = items["LE07_L1TP_299299_20050704_20200914_02_T1_filled"]
    assert product.datetime == datetime(2005, 7, 4, tzinfo=UTC)
    assert product.properties["platform"] == "landsat-7"
    assert {"preview"} < set(product.assets)
    plain = items["slc_off_filled"]
    assert set(plain.assets) == {"data", "fill", "preview"}
    with rasterio.open(out / "slc_off_filled.tif") as dataset:
        projection = ProjectionExtension.ext(plain)
        assert projection.shape == list(dataset.shape)
        assert projection.transform == list(dataset.transform)[:6]
        assert projection.epsg == dataset.crs.to_epsg()
    assert len(plain.assets["data"].extra_fields["bands"]) == dataset.count
    for item in items.values():
        assert all((out / asset.href).is_file() for asset in item.assets.values())
        assert item.bbox[0] < item.bbox[2]
        assert item.bbox[1] < item.bbox[3]


def test_a_scene_without_a_date_has_the_span_it_may_be_of(merged):
    out, _ = merged
    items = {item.id: item for item in pystac.ItemCollection.from_file(str(out / "items.json"))}
    plain = items["slc_off_filled"]
    assert plain.datetime is None
    assert plain.properties["start_datetime"] < plain.properties["end_datetime"]


def test_merging_again_changes_nothing(merged, run):
    out, _ = merged
    before = {name: (out / name).read_bytes() for name in ("report.jsonl", "summary.json", "items.json")}
    assert run("cluster", "merge", out).code == 0
    assert before == {name: (out / name).read_bytes() for name in before}


def test_a_scene_at_the_antimeridian_is_cut():
    grid = Grid(7000, 8000, Affine(30, 0, 2.2e5, 0, -30, 7.3e6), rasterio.crs.CRS.from_epsg(32601))
    geometry, bbox = _outline(grid)
    assert geometry["type"] == "MultiPolygon"
    assert bbox[0] > 170
    assert bbox[2] < -170


def test_a_scene_without_a_place_has_none():
    assert _outline(Grid(10, 10, Affine.identity(), None)) == (None, None)


def test_shards_run_by_hand_are_merged(run, tmp_path, monkeypatch):
    for name in ("a", "b", "c", "d/e"):
        write_scene(tmp_path / "in" / f"{name}.tif", count=1)
    (tmp_path / "in" / "f.tif").write_bytes(b"II*\0no image")
    out, cwd = tmp_path / "out", tmp_path / "elsewhere"
    cwd.mkdir()
    monkeypatch.chdir(tmp_path)
    command = ("fill", "in", "-o", "out", "-m", "nearest", "--fill-layer", "none")
    assert run(*command, "--shard", "1/2", "--report", "elsewhere/one.jsonl").code == 0
    assert run(*command, "--shard", "2/2").code == 1
    (cwd / "one.jsonl").write_text("half a li")  # as after a full disk: the marks of the outputs remain
    (out / ".g_filled.tif.partial").mkdir()  # what a killed run leaves
    monkeypatch.chdir(cwd)

    ended = run("cluster", "merge", out, "--report", cwd / "one.jsonl")

    assert ended.code == 1
    assert "6 scenes: 4 done · 1 failed · 1 missing" in ended.out
    rows = {
        row["target"].rpartition("/")[2]: row
        for row in map(json.loads, (out / "report.jsonl").read_text().splitlines())
    }
    assert {name: row["status"] for name, row in rows.items()} == {
        **dict.fromkeys(("a_filled.tif", "b_filled.tif", "c_filled.tif", "e_filled.tif"), "filled"),
        "f_filled.tif": "failed",
        "g_filled.tif": "missing",
    }
    assert "a run ended while it filled this scene" in rows["g_filled.tif"]["error"]
    summary = json.loads((out / "summary.json").read_text())
    assert summary["pixels filled"] == sum(row["tally"]["filled"] for row in rows.values() if row.get("tally"))
    items = pystac.ItemCollection.from_file(str(out / "items.json"))
    assert {item.id for item in items} == {"a_filled", "b_filled", "c_filled", "d/e_filled"}
    assert run("cluster", "status", out).out.startswith("6 scenes: 4 done")
    assert run("cluster", "merge", out, "--report", cwd / "none.jsonl").code == 1
