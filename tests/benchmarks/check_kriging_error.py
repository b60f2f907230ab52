"""Compares kriging's error on Gaussian fields with the least there is, and how often its intervals hold.

python tests/benchmarks/check_kriging_error.py; exits with 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import math

import numpy as np
from gaussian_field import gaussian_field, least_variance
from tables import figure_table, show

from landsat_fill.evaluation import SimulatedStripes
from landsat_fill.methods import Context, create_method
from landsat_fill.pipeline.arrays import fill_array
from landsat_fill.scene import Gaps

SIDE_PX = 400
PIXELS = 300
"""Missing pixels whose least error is worked out."""
MOST_EXCESS = 0.02
COVER = (0.88, 0.92)
WIDTHS_PX = (4, 8, 14)


def _spherical(range_px: float):
    return lambda h: np.where(h < range_px, 1 - 1.5 * h / range_px + 0.5 * (h / range_px) ** 3, 0)


def _matern(range_px: float):
    return lambda h: (1 + math.sqrt(3) * h / range_px) * np.exp(-math.sqrt(3) * h / range_px)


def _with_nugget(nugget: float, structure):
    return lambda h: np.where(h == 0, nugget, 0.0) + (1 - nugget) * structure(h)


FIELDS = {
    "exponential, range 10 px": lambda h: np.exp(-h / 10),
    "exponential, nugget 0.2": _with_nugget(0.2, lambda h: np.exp(-h / 10)),
    "spherical, range 20 px, nugget 0.05": _with_nugget(0.05, _spherical(20)),
    "Matérn 3/2, range 7 px, nugget 0.01": _with_nugget(0.01, _matern(7)),
}


def main() -> None:
    """Read the command line, fill the fields, print the table, and exit with 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description="Compare kriging's error with the least there is.")
    parser.add_argument("--fields", type=int, default=6, help="fields of each variogram (default 6)")
    count = parser.parse_args().fields
    table = figure_table("variogram", "width px", "RMSE", "least", "ratio", "cover 90")
    missed = False
    for name, covariance in FIELDS.items():
        truth = np.stack([gaussian_field(covariance, SIDE_PX, seed) for seed in range(count)])
        for width_px in WIDTHS_PX:
            pattern = SimulatedStripes.of_width(width_px).draw((1, SIDE_PX, SIDE_PX), np.random.default_rng(0))
            missing = np.broadcast_to(pattern, truth.shape)
            filled = fill_array(truth, Gaps(missing, ~missing), create_method("kriging"), context=Context(threads=2))
            hidden = np.argwhere(pattern[0])
            some = np.random.default_rng(1).choice(hidden, PIXELS, replace=False)
            least = math.sqrt(np.mean([least_variance(covariance, pattern[0], pixel) for pixel in some]))
            error = (filled.mean - truth)[missing]
            rmse = float(np.sqrt(np.mean(error**2)))
            cover = float(np.mean(np.abs(error) < 1.645 * filled.std[missing]))
            missed = missed or rmse > (1 + MOST_EXCESS) * least or not COVER[0] <= cover <= COVER[1]
            table.add_row(
                name, f"{width_px}", f"{rmse:.4f}", f"{least:.4f}", f"{rmse / least:.3f}", f"{100 * cover:.1f} %"
            )
    show(f"{count} fields of {SIDE_PX} × {SIDE_PX} pixels; least from {PIXELS} of the missing pixels", table)
    if missed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
