"""The status of scenes, by the files in the folder alone and with Slurm, and what the merge writes."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np
import pystac
import pytest
import rasterio
from making import write_geotiff, write_scene
from pystac.extensions.projection import ProjectionExtension
from rasterio.transform import Affine

from landsat_fill.cluster import slurm
from landsat_fill.cluster.archive import Archive, Array, ManifestLine, RoundFacts, lines_of, manifest_text
from landsat_fill.cluster.reports import State, _outline, busy_targets, merge, scene_states
from landsat_fill.cluster.slurm import QueuedTask, Slurm, SlurmError
from landsat_fill.errors import InputError, OutputError
from landsat_fill.io import Claim, find_inputs
from landsat_fill.pipeline.plan import plan_jobs
from landsat_fill.pipeline.request import OutputRequest
from landsat_fill.scene import Grid


class Told:
    """A Slurm that says what a test has it say."""

    def __init__(self, queue=None, ended=None):
        self._queue, self._ended = queue, ended or {}

    def queue(self, _jobs):
        return self._queue

    def ended(self, _jobs):
        return self._ended


@pytest.fixture
def archive(tmp_path):
    """Return an archive of four scenes in two tasks: 0 and 2 are task 1's, 1 and 3 task 2's."""
    return begun(Archive(tmp_path), 4, tasks=2)


def begun(archive, count, *, tasks, overwrite=False):
    lines = [ManifestLine(f"/in/{n}.tif", archive.folder / f"{n}_filled.tif") for n in range(count)]
    one = archive.next_round()
    one.create(RoundFacts("typed", tasks, overwrite, "0"), manifest_text(lines), "", "")
    one.note_jobs([Array("12", 0)], None)
    return archive


def report(archive, task, number, status, error=None):
    path = archive.rounds[-1].folder / "reports" / f"{task}.jsonl"
    row = {"target": str(archive.folder / f"{number}_filled.tif"), "status": status, "error": error}
    row["time"] = "2020-01-01T00:00:00"  # before any output of these tests
    with path.open("a") as file:
        file.write(json.dumps(row) + "\n")


def write_output(path):
    """Write an output as versions without marks did."""
    tags = {"LANDSAT_FILL_VERSION": "0"}
    pixels = np.zeros((1, 1, 1), np.uint8)
    write_geotiff(path, pixels, georeferenced=False, describe=lambda dataset: dataset.update_tags(**tags))


def states(archive, told=None):
    return [(one.state, one.reason) for one in scene_states(archive, told)]


def test_files_alone_tell_what_is_done_running_failed_and_missing(archive, tmp_path):
    write_output(tmp_path / "0_filled.tif")
    report(archive, 2, 1, "failed", "it is broken")
    with Claim(tmp_path / "2_filled.tif"):
        found = states(archive)
    assert [state for state, _ in found] == [State.DONE, State.FAILED, State.RUNNING, State.MISSING]
    assert found[1][1] == "it is broken"
    assert "process" in found[2][1]
    assert "never began" in found[3][1]


def test_slurm_adds_what_waits_and_why(archive):
    queue = {
        ("12", 1): QueuedTask("RUNNING", "None", "N/A"),
        ("12", 2): QueuedTask("PENDING", "BeginTime", "2026-07-01T12:00:00"),
    }
    assert (
        states(archive, Told(queue))
        == [(State.WAITING, "its task runs"), (State.WAITING, "BeginTime, may start 2026-07-01T12:00:00")] * 2
    )


def test_what_runs_or_waits_is_not_handed_in_again(archive, tmp_path):
    queue = {("12", 1): QueuedTask("RUNNING", "None", "N/A")}
    with Claim(tmp_path / "1_filled.tif"):
        busy = busy_targets(archive, Told(queue))
    assert {path.name for path in busy} == {"0_filled.tif", "1_filled.tif", "2_filled.tif"}
    assert busy_targets(Archive(tmp_path / "another"), Told(queue)) == set()


def test_a_round_is_one_submission_s(archive):
    one = archive.next_round()
    one.folder.mkdir()
    with pytest.raises(OutputError, match="another submission"):
        one.create(RoundFacts("typed", 1, False, "0"), "", "", "")


def test_accounts_add_how_a_silent_task_ended(archive):
    found = states(archive, Told({}, {("12", 2): "OUT_OF_MEMORY"}))
    assert found[1] == (State.MISSING, "its task ended: OUT_OF_MEMORY")
    assert "never began" in found[0][1]


def test_without_accounts_the_end_of_its_log_tells_how_a_silent_task_ended(archive):
    logs = archive.rounds[-1].folder / "logs"
    (logs / "task-2.log").write_text(
        "x" * 9999 + "\nslurmstepd: error: *** JOB 14 CANCELLED DUE TO TIME LIMIT ***\nerror: terminated\n"
    )
    (logs / "task-1.log").write_text("")
    assert "CANCELLED DUE TO TIME LIMIT" in states(archive)[1][1]
    assert states(archive)[0][1].endswith("ends with: nothing")


def test_a_scene_given_up_is_missing_with_the_reason(archive):
    report(archive, 1, 0, "stopped", "time was up before the scene was filled")
    assert states(archive)[0] == (State.MISSING, "time was up before the scene was filled")


def test_what_failed_and_was_filled_later_is_done(archive, tmp_path, samples):
    from landsat_fill.api import fill_file

    report(archive, 1, 0, "failed", "the disk was full")
    fill_file(samples / "slc_off.tif", tmp_path / "0_filled.tif", method="nearest")
    assert states(archive)[0] == (State.DONE, "")


def test_a_foreign_file_in_the_way_is_no_success(archive, tmp_path):
    (tmp_path / "0_filled.tif").write_text("mine")
    report(archive, 1, 0, "failed", "there is one that landsat-fill didn't write")
    assert states(archive)[0][0] is State.FAILED


def test_the_last_round_that_had_a_scene_counts(archive):
    report(archive, 1, 0, "failed", "it is broken")
    begun(archive, 1, tasks=1)
    assert states(archive, Told({("12", 1): QueuedTask("RUNNING", "None", "N/A")}))[0][0] is State.WAITING
    report(archive, 1, 0, "failed", "it still is")
    assert states(archive)[0] == (State.FAILED, "it still is")


def test_an_output_from_before_an_overwriting_round_is_not_its_success(tmp_path):
    write_output(tmp_path / "0_filled.tif")
    archive = begun(Archive(tmp_path), 1, tasks=1, overwrite=True)
    began_ns = archive.rounds[0].began_ns
    import os

    os.utime(tmp_path / "0_filled.tif", ns=(began_ns - 1, began_ns - 1))
    assert states(archive)[0][0] is State.MISSING
    os.utime(tmp_path / "0_filled.tif", ns=(began_ns, began_ns))
    assert states(archive)[0][0] is State.DONE


def test_a_row_that_was_cut_off_is_passed_over(archive):
    report(archive, 1, 0, "failed", "it is broken")
    path = archive.rounds[-1].folder / "reports" / "1.jsonl"
    path.write_text(path.read_text() + '{"target": "/x", "sta')
    assert states(archive)[0][0] is State.FAILED


def test_a_folder_that_is_no_archive_is_said(tmp_path):
    with pytest.raises(InputError, match="cluster submit"):
        scene_states(Archive(tmp_path), None)


def answering(monkeypatch, answers):
    """Let Slurm's commands print what a test has them print."""

    def answer(command):
        if command[0] not in answers:
            raise SlurmError(f"there is no {command[0]}")
        return answers[command[0]]

    monkeypatch.setattr(slurm, "_run", answer)
    monkeypatch.setattr(slurm.shutil, "which", lambda name: name if name in answers else None)


def test_what_slurm_prints_is_understood(monkeypatch):
    answering(
        monkeypatch,
        {
            "squeue": "12|1|RUNNING|None|2026-07-01T12:00:00\n12|2|PENDING|Resources|N/A\n"
            "13|N/A|PENDING|Dep|N/A\n99|1|RUNNING|None|N/A\n",
            "sacct": "12_1|FAILED|1:0\n12_2|CANCELLED by 0|0:0\n12_3|FAILED|0:9\n12_4|TIMEOUT|0:0\n"
            "12_5|RUNNING|0:0\n12_6|PENDING|0:0\n12_[7-9]|PENDING|0:0\n13|COMPLETED|0:0\n",
            "scontrol": "MaxJobCount             = 10000\nMaxArraySize            = 501\n",
            "sbatch": "42;mountain\n",
        },
    )
    cluster = Slurm()
    assert cluster.queue(["12", "13"]) == {
        ("12", 1): QueuedTask("RUNNING", "None", "2026-07-01T12:00:00"),
        ("12", 2): QueuedTask("PENDING", "Resources", "N/A"),
    }
    assert cluster.ended(["12"]) == {
        ("12", 1): "FAILED, exit code 1",
        ("12", 2): "CANCELLED by 0",
        ("12", 3): "FAILED, killed by signal 9",
        ("12", 4): "TIMEOUT",
    }
    assert cluster.max_array_size() == 501
    assert cluster.submit(["sbatch", __file__]) == "42"


def test_without_slurm_nothing_is_known_of_the_queue(monkeypatch, archive):
    answering(monkeypatch, {})
    assert Slurm().queue(["12"]) is None
    assert Slurm().ended(["12"]) == {}
    assert {state for state, _ in states(archive, Slurm())} == {State.MISSING}


def test_a_command_that_is_not_there_is_said_with_a_way_out(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SlurmError, match="expected Slurm's command sbatch") as raised:
        Slurm().submit(["sbatch", str(tmp_path)])
    assert "--shard" in raised.value.hint


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
