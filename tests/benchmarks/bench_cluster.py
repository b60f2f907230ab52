"""Fills 200 small scenes through a real Slurm while things go wrong; compares with a serial run bit by bit.

One scene is corrupt. One task is killed (SIGKILL), one cancelled, and one gets the signal that Slurm sends before
the time limit. Then the missing scenes are submitted again. Root may have Slurm installed
for this; otherwise, it must be there.

python tests/benchmarks/bench_cluster.py
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from processes import machine
from small_archive import digests, make_archive, slurm
from tables import figure_table, show

if TYPE_CHECKING:
    from collections.abc import Callable

CORRUPT = 77
COMMAND = [sys.executable, "-m", "landsat_fill"]
PATIENCE_S = 1800


def main() -> None:
    """Run it, print what was done and found, and exit with 1 if anything isn't as it must be."""
    parser = argparse.ArgumentParser(description="Fill an archive through Slurm while things go wrong.")
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--side", type=int, default=256, help="pixels of a side (default 256)")
    parser.add_argument("--tasks", type=int, default=20)
    parser.add_argument("--method", default="tension-spline")
    options = parser.parse_args()
    show(machine())
    with tempfile.TemporaryDirectory(prefix="landsat-fill-") as name, slurm() as cluster:
        os.environ.update(cluster.environment)
        folder = Path(name)
        files = make_archive(folder / "scenes", options.scenes, options.side)
        files[CORRUPT].write_text("no raster")
        out = folder / "filled"
        call = ["cluster", "submit", "scenes", "-o", "filled", "-m", options.method]
        said(folder, *call, "--array-size", str(options.tasks), "--time", "30", "--cpus", "1", "--mem", "500M")
        began = time.perf_counter()
        break_things(cluster, out, options.tasks)
        wait(lambda: not cluster.call("squeue", "--noheader", "--me"))
        said(folder, "cluster", "status", "filled")
        said(folder, "cluster", "resubmit", "filled")
        wait(lambda: not cluster.call("squeue", "--noheader", "--me"))
        seconds = time.perf_counter() - began
        said(folder, "cluster", "status", "filled")
        again = said(folder, "cluster", "resubmit", "filled", "--dry-run", shown=False)
        subprocess.run(
            [*COMMAND, "scenes", "-o", "serial", "-m", options.method, "-q"], cwd=folder, check=False,
            capture_output=True,
        )  # fmt: skip
        judge(options.scenes, out, folder / "serial", again, seconds)


def break_things(cluster: Any, out: Path, tasks: int) -> None:
    """Kill a task, cancel one, and tell one to stop, each when it has filled a scene or two."""
    job = json.loads((out / "cluster" / "1" / "jobs.json").read_text())["arrays"][0]["job"]

    def kill(task: int) -> None:
        os.kill(process_of(out, task, tasks), signal.SIGKILL)

    def cancel(task: int) -> None:
        cluster.call("scancel", f"{job}_{task}")

    def tell_to_stop(task: int) -> None:
        cluster.warn(f"{job}_{task}")

    for task, break_it in ((2, kill), (3, cancel), (4, tell_to_stop)):
        log = out / "cluster" / "1" / "logs" / f"task-{task}.log"
        wait(lambda log=log: log.exists() and "filled:" in log.read_text())
        break_it(task)
        show(f"task {task}: {break_it.__name__}")


def process_of(out: Path, task: int, tasks: int) -> int:
    """Return the process of a task's `fill`."""
    manifest = str(out / "cluster" / "1" / "manifest.tsv")
    for folder in Path("/proc").iterdir():
        try:
            words = (folder / "cmdline").read_text().split("\0") if folder.name.isdecimal() else []
        except OSError:
            continue
        if manifest in words and f"{task}/{tasks}" in words:
            return int(folder.name)
    raise SystemExit(f"expected a process of task {task}, but there is none")


def judge(scenes: int, out: Path, serial: Path, again: str, seconds: float) -> None:
    """Print what was found against what must be, and exit with 1 where they differ."""
    rows = [
        json.loads(line)
        for path in (out / "cluster").glob("*/reports/*.jsonl")
        for line in path.read_text().splitlines()
    ]
    filled = Counter(row["target"] for row in rows if row["status"] == "filled")
    ours, theirs = digests(out), digests(serial)
    restarts = sum(len(re.findall(r"start [2-9]", path.read_text())) for path in out.glob("cluster/1/logs/task-*.log"))
    facts = {
        "scenes filled": (len(filled), scenes - 1),
        "filled more than once": (sum(count > 1 for count in filled.values()), 0),
        "files that differ from the serial run's": (
            sum(ours.get(name) != theirs.get(name) for name in set(ours) | set(theirs)), 0,
        ),
        "files half-written": (sum(".partial" in path.name for path in out.rglob("*")), 0),
        "tasks that went back into the queue": (restarts, 1),
        "scenes to hand in another time": (sum("\t" in line for line in again.splitlines()), 1),
        "of these the corrupt one": (int(f"scene_{CORRUPT:05d}.tif\t" in again), 1),
        "items": (len(json.loads((out / "items.json").read_text())["features"]), scenes - 1),
    }  # fmt: skip
    table = figure_table("after the faults and one resubmit", "seen", "must be")
    for name, (seen, must) in facts.items():
        table.add_row(name, str(seen), str(must))
    show(table, f"{seconds:.0f} s from handing in to the end of the second merge")
    if any(seen != must for seen, must in facts.values()):
        raise SystemExit(1)


def said(folder: Path, *arguments: str, shown: bool = True) -> str:
    """Return what a command prints, after showing both."""
    ended = subprocess.run([*COMMAND, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if shown:
        show(f"$ landsat-fill {' '.join(arguments)}", ended.stdout + ended.stderr)
    return ended.stdout


def wait(what: Callable[[], bool]) -> None:
    """Wait until something is so."""
    until = time.monotonic() + PATIENCE_S
    while not what():
        if time.monotonic() > until:
            raise SystemExit(f"waited for more than {PATIENCE_S} s")
        time.sleep(0.1)


if __name__ == "__main__":
    main()
