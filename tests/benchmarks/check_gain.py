"""Asks how far a fill changes when a scene is given in other units: by gains and offsets.

python tests/benchmarks/check_gain.py CLEAN.tif…; of pixels hidden under stripes of 14 px, with the numbers of
the scene as reflectance, as surface reflectance of Collection 2 and as large ones, brought back: the mean
change as a share of the RMS error, and the largest.
"""

from __future__ import annotations

import argparse

import numpy as np
from hidden_crop import hidden_crop
from tables import figure_table, show

from landsat_fill.methods import Context, create_method
from landsat_fill.pipeline.arrays import fill_array

UNITS = ((1e-4, 0.0), (2.75e-5, -0.2), (300.0, 7000.0))
"""Gains and offsets."""


def main() -> None:
    """Read the command line, fill the middle of each scene in several units, and print the changes."""
    parser = argparse.ArgumentParser(description="Compare fills of one scene in several units.")
    parser.add_argument("scenes", nargs="+", help="scenes without gaps")
    parser.add_argument("--method", default="band-unet", help="a learned method (default band-unet)")
    parser.add_argument("--size", type=int, default=320, help="side of the crops in pixels (default 320)")
    options = parser.parse_args()
    table = figure_table("precision", "mean change / error", "largest change / error")
    for precision in ("float32", "bfloat16"):
        changes = [_changes(path, options.method, precision, options.size) for path in options.scenes]
        mean, largest = np.mean([one[0] for one in changes]), np.max([one[1] for one in changes])
        table.add_row(precision, f"{100 * mean:.4f} %", f"{100 * largest:.2f} %")
    show(f"{options.method}: change by gains and offsets, in RMS errors of the band", table)


def _changes(path: str, name: str, precision: str, size_px: int) -> tuple[float, float]:
    """Return the mean and the largest change, in RMS errors of the band."""
    image, trial = hidden_crop(path, size_px, 14)
    method = create_method(name, {"precision": precision})

    def filled(gain: float, offset: float) -> np.ndarray:
        scaled = (trial.image.astype(np.float64) * gain + offset).astype(np.float32)
        found = fill_array(scaled, trial.gaps, method, context=Context(threads=2)).mean
        return (found.astype(np.float64) - offset) / gain

    plain = filled(1.0, 0.0)
    means, largest = [], []
    for gain, offset in UNITS:
        change = np.abs(filled(gain, offset) - plain)
        for band, hidden in enumerate(trial.hidden):
            error = np.sqrt(np.mean((plain[band] - image[band])[hidden] ** 2))
            means.append(change[band][hidden].mean() / error)
            largest.append(change[band][hidden].max() / error)
    return float(np.mean(means)), float(np.max(largest))


if __name__ == "__main__":
    main()
