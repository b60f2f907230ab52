"""Times whole processes on a full-size scene against GDAL's own tools, compressed in and compressed out.

    python tests/benchmarks/bench_full_scene.py --methods inverse-distance,harmonic --runs 3
    python tests/benchmarks/bench_full_scene.py --methods band-unet:precision=float32,band-unet:no-uncertainty

The contenders take turns (A B C A B C), so that a machine that gets busier slows all of them; the ratios are
the medians over the turns.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from full_scene_files import add_scene_options, full_scene
from gdal_tools import filled_path, filling_commands
from processes import Cost, landsat_fill, machine, measure, median_cost
from tables import figure_table, show

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.table import Table

YARDSTICK = "GDAL, -si 3"
TIME_BARS = {"inverse-distance": 1.0, "harmonic": 4.0}
"""How many times as long as the yardstick a method may take."""


def main() -> None:
    """Read the command line, let the contenders take turns, and print the table."""
    parser = argparse.ArgumentParser(description="Time whole processes on a full-size scene.")
    add_scene_options(parser)
    parser.add_argument(
        "--methods",
        default="inverse-distance,harmonic",
        help="methods, with commas between; flags of one follow it with colons: band-unet:precision=float32",
    )
    parser.add_argument("--runs", type=int, default=3, help="turns (default 3)")
    options = parser.parse_args()
    scene = full_scene(options.folder, options.rows, options.cols)
    methods = options.methods.split(",")
    show(f"{options.rows} × {options.cols} × 6, {options.runs} turns; {machine()}")
    costs: dict[str, list[Cost]] = {}
    sizes_mb: dict[str, float] = {}
    with tempfile.TemporaryDirectory(dir=options.folder) as place:
        folder = Path(place)
        output = folder / "filled.tif"
        contenders = {
            YARDSTICK: (filling_commands(scene.path, folder, smoothing=3), filled_path(folder)),
            "GDAL, -si 0": (filling_commands(scene.path, folder, smoothing=0), filled_path(folder)),
        }
        for method in methods:
            command = [landsat_fill(), "fill", scene.path, "-o", output, "--overwrite", "-q"]
            contenders[method] = ([[*command, *_flags(method)]], output)
        for _ in range(options.runs):
            for name, (commands, written) in contenders.items():
                costs.setdefault(name, []).append(measure(commands))
                sizes_mb[name] = written.stat().st_size / 1e6
                # Otherwise, the tools would find files to overwrite.
                for file in folder.iterdir():
                    file.unlink()
    show(_table(costs, sizes_mb))


def _flags(method: str) -> list[str]:
    """Return the words of the command line for `NAME:FLAG=VALUE:FLAG`."""
    name, *flags = method.split(":")
    words = [f"--{flag}".split("=", 1) for flag in flags]
    return ["-m", name, *(word for pair in words for word in pair)]


def _table(costs: Mapping[str, Sequence[Cost]], sizes_mb: Mapping[str, float]) -> Table:
    """Return seconds, memory and file size of each contender, and its seconds over the yardstick's."""
    table = figure_table("contender", "wall s", "CPU s", "peak MiB", "file MB", "× wall", "× CPU", "bar ×")
    yardstick = costs[YARDSTICK]
    for name, turns in costs.items():
        pairs = list(zip(turns, yardstick, strict=True))
        cost = median_cost(turns)
        table.add_row(
            name,
            f"{cost.wall_s:.1f}",
            f"{cost.cpu_s:.1f}",
            f"{cost.peak_mib:,.0f}",
            f"{sizes_mb[name]:.0f}",
            f"{statistics.median(own.wall_s / other.wall_s for own, other in pairs):.2f}",
            f"{statistics.median(own.cpu_s / other.cpu_s for own, other in pairs):.2f}",
            f"{TIME_BARS[name]:g}" if name in TIME_BARS else "",
        )
    return table


if __name__ == "__main__":
    main()
