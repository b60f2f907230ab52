"""Times `landsat-fill --help`, which must answer at once.

python tests/benchmarks/bench_startup.py
"""

from __future__ import annotations

import argparse

from processes import landsat_fill, machine, measure, median_cost
from tables import figure_table, show

BAR_S = 0.25
COMMANDS = (["--version"], ["--help"], ["fill", "--help"], ["methods"])


def main() -> None:
    """Read the command line, time the commands, and print the table."""
    parser = argparse.ArgumentParser(description="Time how soon landsat-fill answers.")
    parser.add_argument("--runs", type=int, default=10, help="runs of each command (default 10)")
    options = parser.parse_args()
    show(f"median of {options.runs} runs; {machine()}")
    table = figure_table("command", "wall s", "CPU s", "peak MiB", "bar s")
    for arguments in COMMANDS:
        command = [str(landsat_fill()), *arguments]
        measure([command])  # Files come from the disk, and modules are compiled, once.
        cost = median_cost([measure([command]) for _ in range(options.runs)])
        bar = f"{BAR_S}" if arguments == ["--help"] else ""
        name = " ".join(["landsat-fill", *arguments])
        table.add_row(name, f"{cost.wall_s:.3f}", f"{cost.cpu_s:.3f}", f"{cost.peak_mib:.0f}", bar)
    show(table)


if __name__ == "__main__":
    main()
