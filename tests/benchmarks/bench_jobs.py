"""Times `--jobs 2` against `--jobs 1` on 200 small scenes, in turns.

python tests/benchmarks/bench_jobs.py
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from processes import keep_bytecode, landsat_fill, machine, measure
from tables import figure_table, show

BAR = 1.6


def main() -> None:
    """Read the command line, time both, and print the table."""
    parser = argparse.ArgumentParser(description="Time --jobs 2 against --jobs 1.")
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--side", type=int, default=256, help="pixels of a side (default 256)")
    parser.add_argument("--method", default="tension-spline")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    show(machine())
    with tempfile.TemporaryDirectory(prefix="landsat-fill-") as name:
        folder = Path(name)
        make = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); "
        make += "from pathlib import Path; from small_archive import make_archive; "
        make += f"make_archive(Path({str(folder / 'scenes')!r}), {options.scenes}, {options.side})"
        measure([[sys.executable, "-c", make]])  # apart: what this process holds would count as its children's
        keep_bytecode(folder / "bytecode")
        few = [folder / "scenes" / f"scene_{number:05d}.tif" for number in range(2)]
        measure([[landsat_fill(), *few, "-o", folder / "few", "-m", options.method, "--jobs", "2"]])
        costs: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
        for _ in range(options.runs):
            for jobs, seen in costs.items():
                out = folder / f"filled_{jobs}"
                shutil.rmtree(out, ignore_errors=True)
                command = [landsat_fill(), folder / "scenes", "-o", out, "-m", options.method, "--jobs", str(jobs)]
                cost = measure([command])
                seen.append((cost.wall_s, cost.cpu_s))
    table = figure_table(f"{options.scenes} scenes, {options.method}", "wall s", "CPU s", "scenes an hour")
    medians = {}
    for jobs, seen in costs.items():
        medians[jobs] = statistics.median(wall for wall, _ in seen)
        cpu = statistics.median(cpu for _, cpu in seen)
        table.add_row(
            f"--jobs {jobs}", f"{medians[jobs]:.1f}", f"{cpu:.1f}", f"{3600 * options.scenes / medians[jobs]:,.0f}"
        )
    ratios = [one[0] / two[0] for one, two in zip(costs[1], costs[2], strict=True)]
    show(table, f"speed-up {statistics.median(ratios):.2f} (bar {BAR}), the median of {options.runs} turns")


if __name__ == "__main__":
    main()
