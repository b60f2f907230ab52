"""Score fills of SLC-off scenes by images that another sensor took a day apart.

    python tests/benchmarks/bench_series.py SCENES/ TRUTHS/ --clouds TRUTHS/cfmask

The names of all images end in a date. Each scene is filled from the others of its folder if TRUTHS/ has an image of the
day before or after, on the same grid and with the same bands. The image is fitted to the scene by a line for each band,
at observed pixels. The error of a method is the RMSE at filled pixels divided by that of `inverse-distance`: the mean
over bands and scenes.
With `--clouds`, only pixels count whose code in `NAME_cfmask.tif` is 0 or 1: clear land and water.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

import numpy as np
import rasterio
from tables import table_row

from landsat_fill.methods import method_class

BASE = "inverse-distance"
FILLED_CODE, OBSERVED_CODE = 4, 1
"""Smallest code of a filled pixel in the fill layer, and the code of an observed one."""


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenes", type=Path)
    parser.add_argument("truths", type=Path)
    parser.add_argument("--clouds", type=Path)
    parser.add_argument("--methods", default="multi-date,clear,llhm,gnspi,band-unet")
    options = parser.parse_args()
    methods = options.methods.split(",")
    truths = {day_of(path): path for path in sorted(options.truths.glob("*.tif"))}
    rows = []
    sys.stdout.write(table_row(["scene", *methods]) + table_row(["-"] * (len(methods) + 1)))
    for scene in sorted(options.scenes.glob("*.tif")):
        truth = next((path for day, path in truths.items() if abs((day - day_of(scene)).days) == 1), None)
        if truth is None:
            continue
        clear = None if options.clouds is None else pixels(options.clouds / f"{truth.stem}_cfmask.tif")[0] <= 1
        base = errors(scene, truth, clear, BASE)
        rows.append([float((errors(scene, truth, clear, method) / base).mean()) for method in methods])
        sys.stdout.write(table_row([scene.stem, *(f"{error:.3f}" for error in rows[-1])]))
        sys.stdout.flush()
    sys.stdout.write(table_row(["mean", *(f"{error:.3f}" for error in np.mean(rows, axis=0))]))


def day_of(path: Path) -> date:
    """Return the date at the end of a file's name."""
    digits = path.stem[-8:]
    return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))


def errors(scene: Path, truth: Path, clear: np.ndarray | None, method: str) -> np.ndarray:
    """Return the RMSE of each band at the pixels that a method fills."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "filled.tif"
        others = ["--references", str(scene.parent)] if method_class(method).info.needs_references else []
        command = [sys.executable, "-m", "landsat_fill", "fill", str(scene), "-m", method, "-o", str(output), "-q"]
        subprocess.run([*command, "--no-uncertainty", *others], check=True)
        filled, codes = pixels(output), pixels(output.with_name("filled_fill.tif"))[0]
    seen = pixels(truth)
    counted = (seen > 0).all(axis=0) if clear is None else clear
    observed, gaps = (codes == OBSERVED_CODE) & counted, (codes >= FILLED_CODE) & counted
    found = []
    for values, there in zip(filled, seen, strict=True):
        gain, offset = np.polyfit(there[observed], values[observed], 1)
        found.append(np.sqrt(np.mean((values[gaps] - (gain * there[gaps] + offset)) ** 2)))
    return np.array(found)


def pixels(path: Path) -> np.ndarray:
    """Return the values of a file, `(band, row, col)`."""
    with rasterio.open(path) as dataset:
        return dataset.read().astype(np.float64)


if __name__ == "__main__":
    main()
