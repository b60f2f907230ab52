"""Measures peak memory on a full-size scene and on one of twice the height, which must cost no more.

python tests/benchmarks/bench_memory.py --methods inverse-distance,harmonic
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from full_scene_files import add_scene_options, full_scene
from processes import landsat_fill, machine, measure
from tables import figure_table, show

BAR_MIB = 1536


def main() -> None:
    """Read the command line, fill both scenes with each method, and print the table."""
    parser = argparse.ArgumentParser(description="Measure peak memory at one and at two heights of a scene.")
    add_scene_options(parser)
    parser.add_argument("--methods", default="inverse-distance,harmonic", help="methods, with commas between")
    options = parser.parse_args()
    heights = (options.rows, 2 * options.rows)
    scenes = [full_scene(options.folder, rows, options.cols) for rows in heights]
    show(f"{options.cols} columns, 6 bands; {machine()}")
    table = figure_table("method", *(f"{rows:,} rows, MiB" for rows in heights), "ratio", "bar MiB")
    with tempfile.TemporaryDirectory(dir=options.folder) as place:
        output = Path(place) / "filled.tif"
        for method in options.methods.split(","):
            peaks_mib = [
                measure(
                    [[landsat_fill(), "fill", scene.path, "-o", output, "-m", method, "--overwrite", "-q"]]
                ).peak_mib
                for scene in scenes
            ]
            ratio = peaks_mib[1] / peaks_mib[0]
            table.add_row(method, *(f"{peak:,.0f}" for peak in peaks_mib), f"{ratio:.2f}", f"{BAR_MIB:,}")
    show(table)


if __name__ == "__main__":
    main()
