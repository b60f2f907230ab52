"""Writes the figures of the table of methods, `landsat_fill/methods/measured.json`, and prints the table.

    landsat-fill evaluate sample_data/clean.tif --width 4,8,14 --json-file scores.json
    landsat-fill evaluate sample_data/clean.tif --width 4,8,14 -m direct-sampling --json-file more.json
    python tests/benchmarks/bench_methods.py scores.json more.json --seconds tension-spline=46 --time telea

Errors come from the files. Seconds are those of a full scene of 8,000 × 7,000 pixels and six bands on two
cores: `--seconds` takes what `bench_full_scene.py` measured; those of `--time` are computed from the
processor time that a method takes for the sample scene, relative to the first method of `--seconds`, and
marked so. What isn't measured keeps the figures it has.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import landsat_fill
from landsat_fill.cli.methods_and_models import MEASURED, markdown_table
from landsat_fill.scene import Window, tile_windows

ROOT = Path(__file__).resolve().parents[2]
FULL_SCENE_PX = (8000, 7000)


def main() -> None:
    """Read the command line, update the file, and print the table."""
    parser = argparse.ArgumentParser(description="Write the figures of the table of methods.")
    parser.add_argument("scores", nargs="*", type=Path, help="files that `evaluate --json-file` wrote")
    parser.add_argument("--seconds", default="", help="NAME=SECONDS of full scenes, with commas between")
    parser.add_argument("--time", default="", help="methods whose seconds are computed, with commas between")
    options = parser.parse_args()
    path = Path(str(MEASURED))
    figures = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for file in options.scores:
        for row in json.loads(file.read_text(encoding="utf-8"))["summary"]:
            name = row["method"].split(" ")[0]
            if row["pattern"] == "all" and row["rmse_ratio"] is not None:
                figures.setdefault(name, {})["error"] = round(row["rmse_ratio"], 3)
    measured = {
        name: float(seconds)
        for name, _, seconds in (pair.partition("=") for pair in options.seconds.split(",") if pair)
    }
    for name, seconds in measured.items():
        figures.setdefault(name, {}).update(full_scene_s=seconds, computed=False)
    if options.time:
        yardstick = next(iter(measured))
        unit = measured[yardstick] / full_scene_work_s(yardstick)
        for method in options.time.split(","):
            seconds = round(unit * full_scene_work_s(method))
            figures.setdefault(method.split(":")[0], {}).update(full_scene_s=seconds, computed=True)
    path.write_text(json.dumps(dict(sorted(figures.items())), indent=2) + "\n", encoding="utf-8")
    print(markdown_table())  # noqa: T201


def full_scene_work_s(method: str) -> float:
    """Return what a full scene takes if it is like the sample: processor seconds by tiles with halos.

    Args:
        method: `NAME` or `NAME:OPTION=VALUE`.
    """
    name, *pairs = method.split(":")
    options = dict(pair.split("=", 1) for pair in pairs)
    scene = landsat_fill.open_scene(ROOT / "sample_data" / "slc_off.tif")
    info = next(info for info in landsat_fill.list_methods() if info.name == name)
    corner = scene.values[:, 200:264, 200:264]
    landsat_fill.fill_array(corner, corner == 0, method=name, options=options)  # compiles and loads
    began = time.process_time()
    landsat_fill.fill_array(scene.values, scene.missing, method=name, options=options)
    seconds = time.process_time() - began
    return seconds * _worked_px(info, FULL_SCENE_PX) / _worked_px(info, scene.values.shape[1:])


def _worked_px(info: landsat_fill.MethodInfo, size: tuple[int, ...]) -> int:
    """Return the pixels of all tiles of an image, with their halos."""
    tiles = [
        tile.expanded(info.halo_px, size[0], size[1])
        for tile in tile_windows(Window(0, 0, size[0], size[1]), info.tile_px)
    ]
    return sum(tile.height * tile.width for tile in tiles)


if __name__ == "__main__":
    main()
