"""How scenes stand, by what lies in the folder alone, and by what Slurm adds."""

from __future__ import annotations

import json

import numpy as np
import pytest
from making import write_geotiff

from landsat_fill.cluster import slurm
from landsat_fill.cluster.archive import Archive, Array, ManifestLine, RoundFacts, manifest_text
from landsat_fill.cluster.slurm import QueuedTask, Slurm, SlurmError
from landsat_fill.cluster.status import State, busy_targets, scene_states
from landsat_fill.errors import InputError, OutputError
from landsat_fill.io import Claim


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
