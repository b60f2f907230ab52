"""Measures what an archive of thousands of scenes takes: the start of a run, scenes an hour, the commands.

It is filled whole, once by one run of several processes (`--through jobs`), by shards one after the other
(`shards`), or by a Slurm of one node (`slurm`). Its scenes are small, and a handful of distinct ones under
many names, so that what is measured is what we do for each, not the disk.

python tests/benchmarks/bench_archive.py --scenes 10000
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from processes import keep_bytecode, machine, measure
from small_archive import make_archive, slurm
from tables import figure_table, show

COMMAND = [sys.executable, "-m", "landsat_fill"]
STARTS = ("nearest", "tension-spline", "band-unet")
WAYS = ("jobs", "shards", "slurm")
DISTINCT = 20
"""Scenes that are made; the others are further names of them."""


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description="Measure what an archive of small scenes takes.")
    parser.add_argument("--scenes", type=int, default=10_000)
    parser.add_argument("--side", type=int, default=128, help="pixels of a side (default 128)")
    parser.add_argument("--scenes-per-task", type=int, default=100)
    parser.add_argument("--shards", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--method", default="tension-spline")
    parser.add_argument("--through", default="jobs,shards", help=f"some of {','.join(WAYS)} (default jobs,shards)")
    options = parser.parse_args()
    show(machine())
    with tempfile.TemporaryDirectory(prefix="landsat-fill-") as name:
        folder = Path(name)
        files = make_archive(folder / "scenes", options.scenes, options.side, distinct=DISTINCT)
        os.chdir(folder)
        keep_bytecode(folder / "bytecode")
        starts(files)
        for way in options.through.split(","):
            if way == "slurm":
                with slurm(cpus=os.cpu_count() or 1) as cluster:
                    os.environ.update(cluster.environment)
                    through_slurm(options, folder, cluster)
            else:
                {"jobs": through_jobs, "shards": through_shards}[way](options)


def starts(files: list[Path]) -> None:
    """Print what the start of a run takes: of runs of one scene and of eleven, what is left without any."""
    table = figure_table("method", "start, wall s", "start, CPU s", "a scene of these, wall s", "CPU s")
    for method in STARTS:
        costs = []
        measure([[*COMMAND, *files[:2], "-o", f"start_{method}", "-m", method, "-q", "--jobs", "2"]])
        for count in (1, 11):
            out = f"start_{method}_{count}"
            costs.append(measure([[*COMMAND, *files[:count], "-o", out, "-m", method, "-q"]]))
        walls, cpus = [cost.wall_s for cost in costs], [cost.cpu_s for cost in costs]
        scene = [(many - one) / 10 for one, many in (walls, cpus)]
        starts = [walls[0] - scene[0], cpus[0] - scene[1]]
        table.add_row(method, *(f"{figure:.2f}" for figure in (*starts, *scene)))
    show(table)


def through_jobs(options: argparse.Namespace) -> None:
    """Print what one run of several processes takes for all scenes, and for none, once all are done."""
    fill = [*COMMAND, "scenes", "-o", "by_jobs", "-m", options.method, "--jobs", str(options.jobs)]
    table = figure_table(
        f"{options.scenes:,} scenes, {options.method}, --jobs {options.jobs}", "wall s", "CPU s", "scenes an hour"
    )
    for what, command in (("plan (--dry-run)", [*fill, "--dry-run"]), ("fill", fill), ("again, all done", fill)):
        cost = measure([command])
        an_hour = f"{3600 * options.scenes / cost.wall_s:,.0f}" if what == "fill" else ""
        table.add_row(what, f"{cost.wall_s:.1f}", f"{cost.cpu_s:.1f}", an_hour)
    show(table)


def through_shards(options: argparse.Namespace) -> None:
    """Print what shards take, one after the other, `--jobs` scenes at once in each."""
    fill = [*COMMAND, "scenes", "-o", "by_shards", "-m", options.method, "--jobs", str(options.jobs)]
    costs = [measure([[*fill, "--shard", f"{one}/{options.shards}"]]) for one in range(1, options.shards + 1)]
    wall_s, cpu_s = (sum(getattr(cost, what) for cost in costs) for what in ("wall_s", "cpu_s"))
    table = figure_table(
        f"{options.scenes:,} scenes, {options.method}, --jobs {options.jobs}", "wall s", "CPU s", "scenes an hour"
    )
    table.add_row(
        f"{options.shards} shards in turn", f"{wall_s:.1f}", f"{cpu_s:.1f}", f"{3600 * options.scenes / wall_s:,.0f}"
    )
    show(table)


def through_slurm(options: argparse.Namespace, folder: Path, cluster: object) -> None:
    """Print what the archive takes on Slurm, and each command that looks at all of it."""
    out = folder / "filled"
    costs = {}

    def timed(what: str, *arguments: str) -> None:
        costs[what] = measure([[*COMMAND, "cluster", *arguments]])

    per_task = str(options.scenes_per_task)
    limits = ("--cpus", "1", "--mem", "500M", "--time", "1:00:00")
    timed("submit", "submit", "scenes", "-o", "filled", "-m", options.method, "--scenes-per-task", per_task, *limits)
    began = time.perf_counter()
    merge = json.loads((out / "cluster" / "1" / "jobs.json").read_text())["merge"]
    while cluster.call("squeue", "--noheader", "--me", "--format=%j") != "landsat-fill-merge":  # type: ignore[attr-defined]
        if not cluster.call("squeue", "--noheader", f"--jobs={merge}"):  # type: ignore[attr-defined]
            break
        time.sleep(0.2)
    filling = time.perf_counter() - began
    while cluster.call("squeue", "--noheader", "--me"):  # type: ignore[attr-defined]
        time.sleep(0.2)
    timed("status", "status", "filled")
    timed("resubmit of nothing", "resubmit", "filled")
    timed("merge", "merge", "filled")
    done = json.loads((out / "summary.json").read_text())["done"]
    table = figure_table(f"{options.scenes:,} scenes, {per_task} a task, {options.method}", "")
    table.add_row("all tasks, s", f"{filling:.0f}")
    table.add_row("scenes an hour", f"{3600 * done / filling:,.0f}")
    table.add_row("between the end of a task and the next one's first line, s", f"{median_gap(out):.1f}")
    table.add_row("scenes done", f"{done:,}")
    for what, cost in costs.items():
        table.add_row(f"{what}, wall s", f"{cost.wall_s:.1f}")
        table.add_row(f"{what}, CPU s", f"{cost.cpu_s:.1f}")
    show(table)


def median_gap(out: Path) -> float:
    """Return the median time a processor is without scenes between two tasks, by the logs."""
    spans = []
    for log in out.glob("cluster/1/logs/*task-*.log"):
        stamps = [line[:19] for line in log.read_text().splitlines() if line[:2] == "20"]
        spans.append((datetime.fromisoformat(stamps[0]), datetime.fromisoformat(stamps[-1])))
    ends = sorted(end for _, end in spans)
    begins = sorted(begin for begin, _ in spans)[os.cpu_count() or 1 :]
    gaps = sorted((begin - end).total_seconds() for begin, end in zip(begins, ends, strict=False))
    return gaps[len(gaps) // 2] if gaps else 0.0


if __name__ == "__main__":
    main()
