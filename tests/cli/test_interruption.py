"""However a run is stopped, it leaves either the old file or the new one, and no other files."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SECONDS = 240
"""For what ends by itself: nothing depends on it where all is well."""
INTERRUPTED = (130, -signal.SIGINT)
"""A shell calls both 130. CPython ends itself by the signal where it arrived while a library was imported."""
STOPPED = 75
SLOW = ("-m", "diffusion", "--rounds", "120")
CUT_OFF = ("-m", "diffusion", "--rounds", "400")
"""For scenes that are never finished: slow enough to be caught on the way by any machine."""
MANY = "abcdefgh"
"""Scenes of a batch that gets a signal to stop: more than it can fill before the signal arrives."""
FILLING_SECONDS = 0.1


@pytest.fixture
def large(make):
    """Return a scene that a slow method takes seconds to fill: it can be stopped on the way."""
    return make("large.tif", count=2, height=1200, width=1000, compress="deflate", tiled=True)


def hear_interrupts():
    """Undo what a shell does to its background jobs, and a test run may be one: they ignore SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def started(*arguments):
    command = [sys.executable, "-m", "landsat_fill", *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=hear_interrupts
    )


def wait_for_partial(folder, process, *, at_least_bytes=1000):
    """Wait until a file is being written, and some of the scene is filled."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        partials = list(folder.glob(".*.partial"))
        sizes = [file.stat().st_size for path in partials for file in path.rglob("*.tif")]
        if partials and sum(sizes) >= at_least_bytes:
            time.sleep(FILLING_SECONDS)
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    raise AssertionError("nothing was written")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_killed_run_leaves_no_output_and_the_next_one_cleans_up(large, run, tmp_path):
    process = started(large.path, *CUT_OFF)
    wait_for_partial(tmp_path, process)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert "large_filled.tif" not in names(tmp_path)

    assert run(large.path, "-m", "nearest").code == 0
    assert names(tmp_path) == [
        ".large_filled.tif.done", "large.tif", "large_fill.tif", "large_filled.tif", "report.jsonl"
    ]  # fmt: skip


@pytest.mark.slow
def test_a_killed_run_leaves_the_old_file(large, run, tmp_path):
    assert run(large.path, "-m", "nearest").code == 0
    before = (tmp_path / "large_filled.tif").read_bytes()
    process = started(large.path, *CUT_OFF, "--overwrite")
    wait_for_partial(tmp_path, process)
    process.kill()
    process.communicate()
    assert (tmp_path / "large_filled.tif").read_bytes() == before


def test_ctrl_c_ends_with_130_and_leaves_nothing(large, tmp_path):
    process = started(large.path, *CUT_OFF)
    wait_for_partial(tmp_path, process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode in INTERRUPTED
    assert "interrupted" in err
    assert "Traceback" not in out + err
    assert names(tmp_path) == ["large.tif"]


def test_termination_ends_with_143_and_leaves_nothing(large, tmp_path):
    process = started(large.path, *CUT_OFF)
    wait_for_partial(tmp_path, process)
    process.terminate()
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 143
    assert "terminated" in err
    assert "Traceback" not in out + err
    assert names(tmp_path) == ["large.tif"]


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_signal_lets_the_running_scenes_be_finished_and_begins_no_other(make, tmp_path, jobs):
    for name in MANY:
        make(f"in/{name}.tif", count=1, height=600, width=600)
    (tmp_path / "out").mkdir()
    process = started(tmp_path / "in", "-o", tmp_path / "out", "--jobs", jobs, *SLOW)
    wait_for_partial(tmp_path / "out", process)
    process.send_signal(signal.SIGUSR1)
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == STOPPED, out + err
    left = int(re.search(r"(\d) left", out)[1])
    done = [name for name in names(tmp_path / "out") if name.endswith("_filled.tif")]
    assert len(done) == len(MANY) - left >= 1
    assert not [name for name in names(tmp_path / "out") if ".partial" in name or ".claim" in name]

    again = started(tmp_path / "in", "-o", tmp_path / "out", *SLOW)
    out, _ = again.communicate(timeout=SECONDS)
    assert again.returncode == 0
    assert f"{left} filled · {len(done)} skipped" in out


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_scene_that_is_not_finished_in_time_is_given_up(make, tmp_path, jobs):
    for name in ("a.tif", "b.tif"):
        make(f"in/{name}", count=2, height=1200, width=1000)
    (tmp_path / "out").mkdir()
    process = started(tmp_path / "in", "-o", tmp_path / "out", "--jobs", jobs, "--grace", "0.2", *CUT_OFF)
    wait_for_partial(tmp_path / "out", process, at_least_bytes=0)
    process.send_signal(signal.SIGUSR1)
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == STOPPED, out + err
    assert "time was up before the scene was filled" in out
    assert "Traceback" not in out + err
    assert names(tmp_path / "out") == ["report.jsonl"]


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds the processes of a batch in /proc")
def test_the_processes_of_a_killed_batch_end_cleanly(make, tmp_path):
    """They get no signal; they notice that their connection to the batch is closed."""
    for name in ("a.tif", "b.tif", "c.tif"):
        make(f"in/{name}", count=2, height=1200, width=1000)
    (tmp_path / "out").mkdir()
    process = started(tmp_path / "in", "-o", tmp_path / "out", "--jobs", "2", *CUT_OFF)
    wait_for_partial(tmp_path / "out", process)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.kill()
    process.communicate(timeout=SECONDS)
    until = time.monotonic() + SECONDS
    while any(Path(f"/proc/{pid}/fd").exists() and lives(pid) for pid in children):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert not names(tmp_path / "out")


def lives(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    "whom", ["all, as a terminal does", pytest.param("the first, as kill does", marks=pytest.mark.slow)]
)
def test_ctrl_c_stops_the_processes_of_a_batch_quietly(make, tmp_path, whom):
    for name in ("a.tif", "b.tif", "c.tif"):
        make(f"in/{name}", count=2, height=1200, width=1000)
    (tmp_path / "out").mkdir()
    command = ["in", "-o", "out", "--jobs", "2", *CUT_OFF]
    process = subprocess.Popen(
        [sys.executable, "-m", "landsat_fill", *command],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, start_new_session=True,
        preexec_fn=hear_interrupts,
    )  # fmt: skip
    wait_for_partial(tmp_path / "out", process)
    (os.killpg if whom.startswith("all") else os.kill)(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode in INTERRUPTED, out + err
    assert "interrupted" in err
    assert "Traceback" not in out + err
    assert not [name for name in names(tmp_path / "out") if ".partial" in name]


def test_a_full_disk_is_said_and_leaves_nothing(make, tmp_path):
    """The limit on a file's size stands for the disk's: both refuse a write halfway."""
    made = make("large.tif", count=3, height=1200, width=1000)
    limit = made.path.stat().st_size // 2
    result = subprocess.run(
        [sys.executable, "-m", "landsat_fill", str(made.path), "-m", "nearest"],
        capture_output=True, text=True, check=False, timeout=SECONDS,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip
    assert result.returncode == 1, result.stdout + result.stderr
    assert "expected to write" in result.stdout
    assert "large_filled.tif" in result.stdout
    assert "Traceback" not in result.stdout + result.stderr
    assert names(tmp_path) == ["large.tif", "report.jsonl"]


@pytest.mark.slow
def test_a_full_disk_leaves_no_product_folder(samples, tmp_path):
    product = samples / "LE07_L1TP_299299_20050704_20200914_02_T1"
    result = subprocess.run(
        [sys.executable, "-m", "landsat_fill", str(product), "-o", "out", "--co", "COMPRESS=NONE"],
        capture_output=True, text=True, check=False, timeout=SECONDS, cwd=tmp_path,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )  # fmt: skip
    assert result.returncode == 1, result.stdout + result.stderr
    assert "Traceback" not in result.stdout + result.stderr
    assert names(tmp_path / "out") == ["report.jsonl"]


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds the processes of a batch in /proc")
def test_a_killed_process_of_a_batch_costs_its_scenes_and_no_others(make, tmp_path):
    for name in ("a.tif", "b.tif", "c.tif"):
        make(f"in/{name}", count=2, height=1200, width=1000)
    (tmp_path / "out").mkdir()
    process = started(tmp_path / "in", "-o", tmp_path / "out", "--jobs", "2", *SLOW)
    wait_for_partial(tmp_path / "out", process)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    workers = [pid for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(int(workers[0]), signal.SIGKILL)
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 1, out + err
    assert "it was killed (SIGKILL) while this scene was being filled" in out
    assert "2 filled · 1 failed" in out  # the process beside it, and one that took its place, went on
    assert "Traceback" not in out + err
    found = names(tmp_path / "out")
    assert sum(f"{name}_filled.tif" in found for name in "abc") == 2

    again = started(tmp_path / "in", "-o", tmp_path / "out", *SLOW)
    out, _ = again.communicate(timeout=SECONDS)
    assert again.returncode == 0
    assert "1 filled · 2 skipped" in out
    assert not [name for name in names(tmp_path / "out") if ".claim" in name]
    assert not [name for name in names(tmp_path / "out") if ".partial" in name]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems don't limit address space")
@pytest.mark.parametrize("method", ["nearest", "band-unet"])
def test_too_little_address_space_is_an_error_at_once(monkeypatch, make, run, tmp_path, method):
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: (700_000 << 10, -1))
    ended = run(make("a.tif").path, "-m", method)
    assert (ended.code, names(tmp_path)) == (1, ["a.tif"])
    assert f"MiB of address space for {method}, but ulimit -v allows 683 MiB" in ended.err
