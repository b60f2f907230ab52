"""Writes the figures of the table of methods, `landsat_fill/methods/measured.json`, and README's table.

    landsat-fill evaluate sample_data/clean.tif --width 4,8,14 --json-file scores.json
    landsat-fill evaluate sample_data/clean.tif --width 4,8,14 -m direct-sampling --json-file more.json
    python tests/benchmarks/bench_methods.py scores.json more.json --seconds band-unet=166,harmonic=53 \\
        --time telea,nearest

Errors come from the files. Seconds are those of a full scene of 8,000 × 7,000 pixels and six bands on two
cores: `--seconds` takes what `bench_full_scene.py` measured; those of `--time` are computed from the
processor time that a method takes for a crop of the sample scene, on the line through the methods of
`--seconds`, and marked so. What isn't measured keeps the figures it has.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

import landsat_fill
from landsat_fill.cli.about import MEASURED, markdown_table
from landsat_fill.scene import Window, tile_windows

ROOT = Path(__file__).resolve().parents[2]
FULL_SCENE_PX = (8000, 7000)
CROP = (slice(200, 456), slice(200, 456))
"""The part of the sample scene that methods are timed on; it lies inside the footprint."""


def main() -> None:
    """Read the command line, update the file, and print the table."""
    parser = argparse.ArgumentParser(description="Write the figures of the table of methods.")
    parser.add_argument("scores", nargs="*", type=Path, help="files that `evaluate --json-file` wrote")
    parser.add_argument("--seconds", default="", help="NAME=SECONDS of full scenes, with commas between")
    parser.add_argument("--computed", default="", help="the same, computed from a smaller scene")
    parser.add_argument("--time", default="", help="methods whose seconds are computed, with commas between")
    options = parser.parse_args()
    path = Path(str(MEASURED))
    figures = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for file in options.scores:
        for row in json.loads(file.read_text(encoding="utf-8"))["summary"]:
            name = row["method"].split(" ")[0]
            if row["pattern"] == "all" and row["rmse_ratio"] is not None:
                figures.setdefault(name, {})["error"] = round(row["rmse_ratio"], 3)
    measured, computed = _seconds(options.seconds), _seconds(options.computed)
    for given in (measured, computed):
        for name, seconds in given.items():
            figures.setdefault(name, {}).update(full_scene_s=seconds, computed=given is computed)
    if options.time:
        slope, base = np.polyfit([work_s(name) for name in measured], list(measured.values()), 1)
        for method in options.time.split(","):
            seconds = round(base + slope * work_s(method))
            figures.setdefault(method.split(":")[0], {}).update(full_scene_s=seconds, computed=True)
    path.write_text(json.dumps(dict(sorted(figures.items())), indent=2) + "\n", encoding="utf-8")
    readme = ROOT / "README.md"
    before, _, rest = readme.read_text(encoding="utf-8").partition("| method |")
    readme.write_text(f"{before}{markdown_table()}\n\n{rest.partition(chr(10) * 2)[2]}", encoding="utf-8")


def _seconds(text: str) -> dict[str, float]:
    """Return the numbers of `NAME=SECONDS,NAME=SECONDS`."""
    pairs = (pair.partition("=") for pair in text.split(",") if pair)
    return {name: float(seconds) for name, _, seconds in pairs}


def work_s(method: str) -> float:
    """Return the processor seconds of a crop, times the pixels of a full scene over its own.

    Args:
        method: `NAME` or `NAME:OPTION=VALUE`.
    """
    name, *pairs = method.split(":")
    options = dict(pair.split("=", 1) for pair in pairs)
    info = next(info for info in landsat_fill.list_methods() if info.name == name)
    scene = landsat_fill.open_scene(ROOT / "sample_data" / "slc_off.tif")
    values, missing = scene.values[:, *CROP], scene.missing[:, *CROP]
    landsat_fill.fill_array(values[:, :64, :64], missing[:, :64, :64], method=name, options=options)  # compiled
    began = time.process_time()
    landsat_fill.fill_array(values, missing, method=name, options=options)
    seconds = time.process_time() - began
    return seconds * _worked_px(info, FULL_SCENE_PX) / _worked_px(info, values.shape[1:])


def _worked_px(info: landsat_fill.MethodInfo, size: tuple[int, ...]) -> int:
    """Return the pixels of all tiles of an image, with their halos."""
    tiles = [
        tile.expanded(info.halo_px, size[0], size[1])
        for tile in tile_windows(Window(0, 0, size[0], size[1]), info.tile_px)
    ]
    return sum(tile.height * tile.width for tile in tiles)


if __name__ == "__main__":
    main()
