"""Times kriging on a million pixels and direct sampling on a quarter of one, six bands with 22 % missing.

python tests/benchmarks/bench_geostatistics.py
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from processes import landsat_fill, machine, measure, median_cost
from tables import figure_table, show

MAKER = Path(__file__).with_name("geostatistics_scene.py")
CASES = (("kriging", 1000, 40.0), ("direct-sampling", 500, 120.0))
"""Method, side of the scene in pixels, and most seconds on two cores."""


def main() -> None:
    """Read the command line, time the methods, and print the table."""
    parser = argparse.ArgumentParser(description="Time the geostatistical methods.")
    parser.add_argument("--runs", type=int, default=2, help="runs of each (default 2)")
    options = parser.parse_args()
    show(f"median of {options.runs} runs; {machine()}")
    table = figure_table("method", "side px", "wall s", "CPU s", "peak MiB", "bar s")
    with tempfile.TemporaryDirectory(prefix="landsat-fill-") as folder:
        for method, side_px, bar_s in CASES:
            clean, gappy, filled = (Path(folder, f"{name}_{side_px}.tif") for name in ("clean", "gappy", "filled"))
            subprocess.run([sys.executable, MAKER, str(side_px), clean], check=True)
            measure([[landsat_fill(), "simulate", clean, "-o", gappy, "--missing", "22%"]])
            command = [landsat_fill(), gappy, "-o", filled, "-m", method, "--overwrite"]
            measure([command])  # compiles the loops, once
            cost = median_cost([measure([command]) for _ in range(options.runs)])
            figures = f"{cost.wall_s:.1f}", f"{cost.cpu_s:.1f}", f"{cost.peak_mib:.0f}", f"{bar_s:g}"
            table.add_row(method, f"{side_px}", *figures)
    show(table)


if __name__ == "__main__":
    main()
