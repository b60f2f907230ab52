"""A batch in several processes or on several machines: shards, bounded memory, runs that meet."""

from __future__ import annotations

import threading
import time

import pytest

from landsat_fill.io import Claim
from landsat_fill.pipeline import resources
from landsat_fill.pipeline.resources import choose_devices
from landsat_fill.pipeline.workers import JobQueue


def filled(folder):
    return sorted(path.name.removesuffix("_filled.tif") for path in folder.glob("*_filled.tif"))


def test_shards_together_fill_each_scene_once(make, run, tmp_path):
    for name in "abcde":
        make(f"in/{name}.tif", count=1)
    out = tmp_path / "out"
    assert "3 filled" in run(tmp_path / "in", "-o", out, "-m", "nearest", "--shard", "1/2").out
    assert filled(out) == ["a", "c", "e"]
    assert "2 filled" in run(tmp_path / "in", "-o", out, "-m", "nearest", "--shard", "2/2").out
    assert filled(out) == ["a", "b", "c", "d", "e"]


def test_more_shards_than_scenes_leave_some_without_work(make, run, tmp_path):
    make("in/a.tif", count=1)
    ended = run(tmp_path / "in", "-o", tmp_path / "out", "-m", "nearest", "--shard", "2/2")
    assert ended.code == 0
    assert "nothing to do" in ended.out


@pytest.mark.parametrize("shard", ["0/2", "3/2", "two"])
def test_what_is_no_shard_is_a_usage_error(make, run, shard):
    ended = run(make().path, "--shard", shard)
    assert ended.code == 2
    assert "--shard I/N" in ended.err


def test_outputs_that_two_shards_would_share_are_refused_in_each(make, run, tmp_path):
    for folder in ("one", "two"):
        make(f"{folder}/a.tif", count=1)
    ended = run(tmp_path / "one" / "a.tif", tmp_path / "two" / "a.tif", "-o", tmp_path / "out", "--shard", "1/2")
    assert ended.code == 2
    assert "a different output for each input" in ended.err


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_scene_that_another_run_has_is_waited_for(make, run, tmp_path, jobs):
    for name in "abc":
        make(f"in/{name}.tif", count=1)
    out = tmp_path / "out"
    out.mkdir()
    claim = Claim(out / "a_filled.tif")
    claim.__enter__()

    def give_back():
        until = time.monotonic() + 60
        while len(filled(out)) < 2 and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(1.5)
        claim.__exit__(None, None, None)

    threading.Thread(target=give_back).start()
    ended = run(tmp_path / "in", "-o", out, "-m", "nearest", "--jobs", jobs)
    assert ended.code == 0, ended.said
    assert "a: process" in ended.out
    assert "3 filled" in ended.out
    assert ended.out.index("filled: b") < ended.out.index("filled: a")


def test_a_scene_that_another_run_has_done_is_skipped(make, run, tmp_path, monkeypatch):
    """Between the plan and the claim, the other run comes to its end."""
    from landsat_fill.pipeline import fill_scene as module

    made = make("a.tif", count=1)
    really = module.attempt

    def meet(*arguments):
        monkeypatch.setattr(module, "attempt", really)
        assert run(made.path, "-m", "nearest").code == 0
        return really(*arguments)

    monkeypatch.setattr(module, "attempt", meet)
    ended = run(made.path, "-m", "nearest")
    assert ended.code == 0
    assert "1 skipped" in ended.out


@pytest.mark.parametrize(("memory", "at_once"), [("100M", 1), ("64G", 2)])
def test_scenes_wait_until_there_is_memory(make, spawn, tmp_path, memory, at_once):
    """With room for one scene, no two are filled at once, though there are two processes."""
    for name in "abcd":
        make(f"in/{name}.tif", count=1, height=300, width=300)
    (tmp_path / "out").mkdir()
    most, ended_yet = [0], threading.Event()

    def watch():
        while not ended_yet.wait(0.002):
            begun = {path.name[:2] for path in (tmp_path / "out").glob(".*.partial")}
            most[0] = max(most[0], len(begun))

    watcher = threading.Thread(target=watch)
    watcher.start()
    ended = spawn(
        tmp_path / "in", "-o", tmp_path / "out", "-m", "diffusion", "--rounds", "60", "--jobs", "2",
        "--memory", memory, "--json",
    )  # fmt: skip
    ended_yet.set()
    watcher.join()
    assert most == [at_once]
    assert ended.code == 0, ended.said
    assert filled(tmp_path / "out") == ["a", "b", "c", "d"]


@pytest.mark.parametrize("text", ["much", "0", "-1G", "G"])
def test_what_is_no_memory_is_a_usage_error(make, run, text):
    ended = run(make().path, "-m", "nearest", "--memory", text)
    assert ended.code == 2
    assert "--memory" in ended.err


class _Info:
    name, devices = "network", ("cpu", "cuda")


@pytest.mark.parametrize(
    ("asked", "processes", "broken", "expected"),
    [
        ("auto", 1, (), ["cuda:0"]),
        ("auto", 2, (), ["cuda:0", "cuda:1"]),
        ("auto", 8, (), ["cuda:0", "cuda:1", "cuda:2"]),
        ("auto", 3, (1,), ["cuda:0", "cuda:2"]),
        ("cuda", 3, (), ["cuda:0", "cuda:1", "cuda:2"]),
        ("cuda:1", 3, (), ["cuda:1"]),
        ("cpu", 3, (), ["cpu"]),
    ],
)
def test_processes_are_spread_over_graphics_processors(monkeypatch, asked, processes, broken, expected):
    class Torch:
        class cuda:  # noqa: N801
            device_count = staticmethod(lambda: 3)

    monkeypatch.setattr(resources, "import_torch", lambda: Torch)
    problem = {f"cuda:{number}": "it is broken" for number in broken}
    monkeypatch.setattr(resources, "_cuda_problem", problem.get)
    assert list(choose_devices(asked, _Info, processes)) == expected


def test_a_job_taken_elsewhere_is_not_looked_at_all_the_time(make, monkeypatch):
    from landsat_fill.io import find_inputs
    from landsat_fill.pipeline.plan import plan_jobs
    from landsat_fill.pipeline.request import OutputRequest

    (job,) = plan_jobs(find_inputs([str(make().path)])[0], OutputRequest())
    said = []
    waiting = JobQueue([job], said.append)
    assert waiting.next() is job
    waiting.postpone(job)
    assert said
    assert waiting.next() is None
    assert waiting
    later = time.monotonic() + 60
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert waiting.next() is job
