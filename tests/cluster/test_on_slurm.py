"""Archives through a real Slurm of one node, with what goes wrong on a cluster.

A scene whose claim a test holds keeps its task busy without work, for as long as the test likes.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import numpy as np
import pystac
import pytest
import rasterio

import landsat_fill
from landsat_fill.cluster.archive import Archive
from landsat_fill.io import Claim

pytestmark = pytest.mark.slurm

METHOD = ("-m", "nearest")
LEAD_S = 45
PACKAGE_FOLDER = str(Path(landsat_fill.__file__).parents[1])
SMALL = ("--cpus", 1, "--mem", "300M", "--time", 30)


def submitted(run, scenes, out, *options):
    """Hand in an archive, and return its arrays and its merging job."""
    ended = run("cluster", "submit", scenes, "-o", out, *METHOD, *SMALL, *options)
    assert ended.code == 0, ended.out + ended.err
    return jobs_of(out)


def jobs_of(out):
    last = Archive(out).rounds[-1]
    return [array.job for array in last.arrays], json.loads((last.folder / "jobs.json").read_text())["merge"]


def states_of(run, out):
    ended = run("cluster", "status", out, "--json")
    return {Path(row["source"]).name[10:16]: row for row in map(json.loads, ended.out.splitlines())}


def log(out, task, number=1):
    path = out / "cluster" / str(number) / "logs" / f"task-{task}.log"
    return path.read_text() if path.exists() else ""


def rows(out):
    return [row for one in Archive(out).rounds for row in one.rows()]


def target(scenes, out, number):
    (source,) = scenes.glob(f"LE07_L1TP_{number:06d}_*")
    return out / f"{source.stem}_filled.tif"


def same_pixels(one, other):
    with rasterio.open(one) as first, rasterio.open(other) as second:
        np.testing.assert_array_equal(first.read(), second.read())


@pytest.fixture(scope="module")
def nearly_out_of_time(running_slurm, write_scene, tmp_path_factory):
    """Return an archive, handed in before the other tests begin, whose task its time limit will stop."""
    folder = tmp_path_factory.mktemp("limit")
    write_scene(folder / "scenes" / "a.tif", 1)
    out = folder / "filled"
    claim = Claim(made(out / "a_filled.tif"))
    with claim:
        environment = os.environ | running_slurm.environment | {"PYTHONPATH": PACKAGE_FOLDER}
        command = ["cluster", "submit", folder / "scenes", "-o", out, *METHOD]
        limits = ["--time", 2, "--lead", LEAD_S, "--cpus", 1, "--mem", "300M", "--no-merge"]
        subprocess.run(
            [sys.executable, "-m", "landsat_fill", *map(str, [*command, *limits])],
            env=environment, check=True, capture_output=True, timeout=60,
        )  # fmt: skip
        yield out, claim


@pytest.fixture(autouse=True)
def begun_early(nearly_out_of_time):
    """Let the time of that archive run while the other tests do."""


def test_a_corrupt_scene_fails_alone_and_the_merge_tells_of_all(slurm, run, archive, tmp_path):
    scenes, out = archive(6, corrupt=(3,)), tmp_path / "filled"
    (job,), merge = submitted(run, scenes, out, "--array-size", 2)
    slurm.wait_for_end(job, merge)

    assert sorted(slurm.states(job).values()) == ["COMPLETED", "FAILED"]
    assert slurm.restarts(f"{job}_2") == 0, "an ordinary error must not go back into the queue"
    assert "FAILED" in slurm.states(merge).values(), "the merge must tell of the scene that failed"
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["scenes"], summary["done"], summary["failed"]) == (6, 5, 1)
    assert "GDAL can read" in summary["not done"][0]["reason"]
    report = [json.loads(line) for line in (out / "report.jsonl").read_text().splitlines()]
    assert [row["status"] for row in report].count("filled") == 5

    items = pystac.ItemCollection.from_file(str(out / "items.json"))
    assert len(items) == 5
    assert all((out / asset.href).exists() for item in items for asset in item.assets.values())

    serial = tmp_path / "serial"
    assert run(scenes, "-o", serial, *METHOD).code == 1
    for number in (0, 1, 2, 4, 5):
        same_pixels(target(scenes, out, number), target(scenes, serial, number))

    states = states_of(run, out)
    assert {number for number, row in states.items() if row["state"] == "failed"} == {"000003"}
    again = run("cluster", "resubmit", out, "--dry-run")
    listed = [line for line in again.out.splitlines() if "\t" in line]
    assert len(listed) == 1
    assert "000003" in listed[0]


def test_a_task_that_runs_out_of_time_goes_back_and_goes_on(slurm, run, archive, tmp_path):
    scenes, out = archive(3), tmp_path / "filled"
    with Claim(made(target(scenes, out, 1))):
        (job,), merge = submitted(run, scenes, out, "--array-size", 1)
        slurm.wait(lambda: target(scenes, out, 2).exists())
        slurm.warn(f"{job}_1")
        slurm.wait(lambda: "back into the queue" in log(out, 1))
        states = states_of(run, out)
        assert states["000001"]["state"] in ("waiting", "running")
    slurm.wait_for_end(job, merge)

    text = log(out, 1)
    assert "stop requested: no further scene starts" in text
    assert "1 left" in text
    assert re.search(r"start 1,.*start 2,", text, re.DOTALL), text
    assert "3 scenes: 1 to fill, 2 already done" in text
    assert slurm.restarts(f"{job}_1") == 1
    assert sorted(row["status"] for row in rows(out)) == ["filled"] * 3, "each scene is filled once"
    assert set(slurm.states(job).values()) == {"COMPLETED"}
    assert set(slurm.states(merge).values()) == {"COMPLETED"}, "afterany waits for tasks that went back"


def test_a_task_goes_back_a_bounded_number_of_times(slurm, run, archive, tmp_path):
    scenes, out = archive(1), tmp_path / "filled"
    with Claim(made(target(scenes, out, 0))):
        (job,), _ = submitted(run, scenes, out, "--requeues", 0, "--no-merge")
        slurm.wait(lambda: "looked at again later" in log(out, 1))
        slurm.warn(f"{job}_1")
        slurm.wait_for_end(job)
    assert "out of time with scenes left, after 1 starts" in log(out, 1)
    assert set(slurm.states(job).values()) == {"FAILED"}


def test_what_was_cancelled_and_killed_is_handed_in_again(slurm, run, archive, tmp_path):
    scenes, out = archive(4), tmp_path / "filled"
    with Claim(made(target(scenes, out, 0))), Claim(made(target(scenes, out, 1))):
        (job,), merge = submitted(run, scenes, out, "--array-size", 4)
        for task in (1, 2):
            slurm.wait(lambda task=task: "looked at again later" in log(out, task))
        slurm.call("scancel", f"{job}_1")
        os.kill(process_of(out, task=2), signal.SIGKILL)
        slurm.wait_for_end(job, merge)
    assert slurm.states(job)["1"] == "CANCELLED"
    assert slurm.states(job)["2"] == "FAILED"
    assert slurm.restarts(f"{job}_2") == 0
    states = states_of(run, out)
    assert [states[f"00000{n}"]["state"] for n in range(4)] == ["missing", "missing", "done", "done"]
    assert "CANCELLED" in states["000000"]["reason"]
    assert "Killed" in states["000001"]["reason"]

    ended = run("cluster", "resubmit", out, "--time", 20)
    assert ended.code == 0, ended.err
    (again,), merge = jobs_of(out)
    assert "2 scenes in 1 task: job" in ended.out
    assert Archive(out).rounds[-1].facts.options == {"time": "20"}
    slurm.wait_for_end(again, merge)
    assert all(row["state"] == "done" for row in states_of(run, out).values())
    assert set(slurm.states(merge).values()) == {"COMPLETED"}
    assert "nothing to submit" in run("cluster", "resubmit", out).out
    assert all(path.name.endswith(".done") for path in out.glob(".*"))


def test_two_gpus_go_to_two_tasks_and_the_third_waits(slurm, run, archive, tmp_path):
    scenes, out = archive(3), tmp_path / "filled"
    with Claim(made(target(scenes, out, 0))), Claim(made(target(scenes, out, 1))):
        (job,), _ = submitted(run, scenes, out, "--array-size", 3, "--gpus", 1, "--no-merge")
        for task in (1, 2):
            slurm.wait(lambda task=task: "looked at again later" in log(out, task))
        assert slurm.states(job)["3"] == "PENDING"
        state = states_of(run, out)["000002"]
        assert state["state"] == "waiting"
        assert "Resources" in state["reason"]
    slurm.wait_for_end(job)
    given = [re.search(r"GPUs (\S+)", log(out, task))[1] for task in (1, 2, 3)]
    assert sorted(given[:2]) == ["0", "1"]
    assert given[2] in ("0", "1")


def test_an_archive_larger_than_the_largest_array_is_several(slurm, run, archive, tmp_path):
    scenes, out = archive(5), tmp_path / "filled"
    jobs, merge = submitted(run, scenes, out, "--scenes-per-task", 1, "--throttle", 4)
    assert len(jobs) == 2
    slurm.wait_for_end(*jobs, merge)
    assert [len(slurm.states(job)) for job in jobs] == [4, 1]
    assert set(slurm.states(merge).values()) == {"COMPLETED"}
    assert json.loads((out / "summary.json").read_text())["done"] == 5
    logs = sorted(path.name for path in (out / "cluster" / "1" / "logs").glob("*task*"))
    assert logs == ["after-4-task-1.log", *(f"task-{n}.log" for n in range(1, 5))]


def test_without_the_callers_environment_the_setup_and_an_inner_srun_work(slurm, run, archive, tmp_path):
    scenes, out = archive(1), tmp_path / "filled"
    setup = tmp_path / "setup.sh"
    setup.write_text(f"export PYTHONPATH={os.environ['PYTHONPATH']}\nsrun --ntasks=1 env | grep -c ^PATH=\n")
    (job,), merge = submitted(run, scenes, out, "--sbatch-arg=--export=NONE", "--setup", setup)
    slurm.wait_for_end(job, merge)
    assert target(scenes, out, 0).exists(), log(out, 1)
    assert log(out, 1).startswith("1\n")


def test_two_arrays_that_meet_fill_each_scene_once(slurm, run, archive, tmp_path):
    """The same script handed in twice by hand; what one has begun, the other doesn't."""
    scenes, out = archive(4), tmp_path / "filled"
    (first,), _ = submitted(run, scenes, out, "--array-size", 2, "--no-merge")
    second = slurm.call("sbatch", "--parsable", str(out / "cluster" / "1" / "fill.sbatch"))
    slurm.wait_for_end(first, second)
    assert set(slurm.states(first).values()) | set(slurm.states(second).values()) == {"COMPLETED"}
    assert sorted(row["status"] for row in rows(out)) == ["filled"] * 4


def test_the_time_limit_sends_a_task_back(slurm, nearly_out_of_time):
    """The last test, for it waits for the clock. Slurm may warn a minute early."""
    out, claim = nearly_out_of_time
    slurm.wait(lambda: "back into the queue" in log(out, 1))
    begun, warned = (
        datetime.strptime(re.search(rf"(\d\d:\d\d:\d\d)  {text}", log(out, 1))[1], "%H:%M:%S")
        for text in ("landsat-fill", "stop requested")
    )
    # It began before its first line: how long before is the machine's affair.
    assert (warned - begun).seconds <= 2 * 60 - LEAD_S + 5
    claim.__exit__(None, None, None)
    (job,), _ = jobs_of(out)
    slurm.wait_for_end(job)
    assert "start 2," in log(out, 1)
    assert (out / "a_filled.tif").exists()


def made(path):
    """Return a path whose folder exists, so that a claim can be laid there before the first task does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def process_of(out, task):
    """Return the process of a task's `fill`."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                words = (folder / "cmdline").read_bytes().decode().split("\0")
            except OSError:
                continue
            if f"{task}/4" in words and str(out / "cluster" / "1" / "manifest.tsv") in words:
                return int(folder.name)
    raise AssertionError(f"no process of task {task}")
