"""Times how soon a training patch is there: from a dataset's mapped file, and from a compressed GeoTIFF.

python tests/benchmarks/bench_patches.py
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import rasterio
from processes import machine
from rasterio.windows import Window
from tables import figure_table, show

if TYPE_CHECKING:
    from collections.abc import Callable

BANDS, SIDE_PX, PATCH_PX = 6, 2048, 128


def main() -> None:
    """Read the command line, time the three ways in turns, and print the table."""
    parser = argparse.ArgumentParser(description="Time how soon a training patch is there.")
    parser.add_argument("--patches", type=int, default=200, help="patches of each way (default 200)")
    options = parser.parse_args()
    generator = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as place:
        mapped, scene = _written(Path(place), generator)
        across = SIDE_PX // PATCH_PX
        patches = np.load(mapped, mmap_mode="r")
        # An archive is larger than GDAL's cache, which this one scene isn't.
        with rasterio.Env(GDAL_CACHEMAX=1), rasterio.open(scene) as dataset:

            def window(number: int) -> Window:
                return Window(number % across * PATCH_PX, number // across * PATCH_PX, PATCH_PX, PATCH_PX)

            def opened_anew(number: int) -> None:
                with rasterio.open(scene) as fresh:
                    fresh.read(window=window(number))

            ways: dict[str, Callable[[int], object]] = {
                "mapped file of patches": lambda number: np.array(patches[number]),
                "GeoTIFF, kept open": lambda number: dataset.read(window=window(number)),
                "GeoTIFF, opened anew": opened_anew,
            }
            seconds: dict[str, list[float]] = {name: [] for name in ways}
            for number in generator.integers(across**2, size=options.patches):
                for name, read in ways.items():
                    began = time.perf_counter()
                    read(int(number))
                    seconds[name].append(time.perf_counter() - began)
    show(f"{PATCH_PX} px, {BANDS} bands of 16 bits, median of {options.patches} patches; {machine()}")
    table = figure_table("read from", "ms")
    for name, taken in seconds.items():
        table.add_row(name, f"{1000 * statistics.median(taken):.3f}")
    show(table)


def _written(folder: Path, generator: np.random.Generator) -> tuple[Path, Path]:
    """Return the same noise as patches in a `.npy` file, and as a scene in a GeoTIFF."""
    cube = generator.integers(7000, 14000, (BANDS, SIDE_PX, SIDE_PX), np.uint16)
    mapped, scene = folder / "patches.npy", folder / "scene.tif"
    across = SIDE_PX // PATCH_PX
    cut = cube.reshape(BANDS, across, PATCH_PX, across, PATCH_PX).transpose(1, 3, 0, 2, 4)
    np.save(mapped, cut.reshape(-1, BANDS, PATCH_PX, PATCH_PX))
    form = {"driver": "GTiff", "tiled": True, "compress": "deflate", "blockxsize": 256, "blockysize": 256}
    shape = {"width": SIDE_PX, "height": SIDE_PX, "count": BANDS, "dtype": "uint16"}
    with rasterio.open(scene, "w", crs="EPSG:32637", **form, **shape) as dataset:
        dataset.write(cube)
    return mapped, scene


if __name__ == "__main__":
    main()
