"""Makes other dates of the simulated full-size scene, as references for `bench_full_scene.py`.

    python tests/benchmarks/make_other_dates.py --count 20 dates/
    python tests/benchmarks/bench_full_scene.py --methods band-unet,multi-date:reference=dates/date_20010101.tif

Each has gains, haze and noise of its own. All but the first have gaps, a few rows away from those of the scene.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import rasterio
from full_scene_files import add_scene_options, full_scene
from rasterio.windows import Window

ROWS = 512
SHIFT_ROWS = 9


def main() -> None:
    """Read the command line and write the dates."""
    parser = argparse.ArgumentParser(description="Make other dates of the simulated full-size scene.")
    add_scene_options(parser)
    parser.add_argument("output", type=Path, help="folder to write to")
    parser.add_argument("--count", type=int, default=1, help="number of dates (default 1)")
    options = parser.parse_args()
    scene = full_scene(options.folder, options.rows, options.cols)
    options.output.mkdir(parents=True, exist_ok=True)
    for number in range(options.count):
        make_date(scene.path, options.output / f"date_{2001 + number}0101.tif", number)


def make_date(scene: Path, target: Path, number: int) -> None:
    """Write a date with the scene's ground and stored as the scene is."""
    generator = np.random.default_rng(number)
    with rasterio.open(scene) as source, rasterio.open(target, "w", **source.profile) as written:
        gains = generator.uniform(0.7, 1.0, (source.count, 1, 1))
        haze = generator.uniform(0, 20, (source.count, 1, 1))
        for row in range(0, source.height, ROWS):
            window = Window(0, row, source.width, min(ROWS, source.height - row))
            values = _without_gaps(source.read(window=window))
            noise = generator.normal(0, 1.5, values.shape)
            made = np.clip(np.rint(values * gains + haze + noise), 1, 255).astype(np.uint8)
            made[values == 0] = 0
            if number:
                above = Window(0, max(row - number * SHIFT_ROWS, 0), source.width, window.height)
                made[source.read(window=above) == 0] = 0
            written.write(made, window=window)


def _without_gaps(values: np.ndarray) -> np.ndarray:
    """Return values `(band, row, col)`, each 0 replaced by what is observed above it, or below, within a strip."""
    rows = np.arange(values.shape[1])[None, :, None]
    above = np.maximum.accumulate(np.where(values > 0, rows, -1), axis=1)
    below = np.minimum.accumulate(np.where(values > 0, rows, len(rows[0]))[:, ::-1], axis=1)[:, ::-1]
    nearest = np.where(above >= 0, above, np.minimum(below, len(rows[0]) - 1))
    return np.take_along_axis(values, nearest, axis=1)


if __name__ == "__main__":
    main()
