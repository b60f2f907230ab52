"""Compares the histogram of filled pixels with that of the hidden truth and of the observed pixels.

python tests/benchmarks/check_histogram.py CLEAN.tif…; Kolmogorov-Smirnov distances, 0 for equal histograms.
"""

from __future__ import annotations

import argparse

import numpy as np
import rasterio
from scipy.stats import ks_2samp
from tables import figure_table, show

from landsat_fill.evaluation import SimulatedStripes
from landsat_fill.methods import Context, create_method
from landsat_fill.pipeline import fill_array
from landsat_fill.scene import Gaps

LARGEST_PX = 300


def main() -> None:
    """Read the command line, fill the middle of each scene, and print the distances."""
    parser = argparse.ArgumentParser(description="Compare histograms of filled and of observed pixels.")
    parser.add_argument("scenes", nargs="+", help="scenes without gaps")
    parser.add_argument("--width", type=float, default=8, help="width of the stripes in pixels (default 8)")
    options = parser.parse_args()
    table = figure_table(
        "scene", "to observed: a draw", "kriging", "to truth: a draw", "kriging", "RMSE ratio"
    )
    for path in options.scenes:
        with rasterio.open(path) as dataset:
            top, left = (max((size - LARGEST_PX) // 2, 0) for size in dataset.shape)
            window = ((top, top + LARGEST_PX), (left, left + LARGEST_PX))
            image = dataset.read(window=window, masked=True, out_dtype="float32").filled(np.nan)
        observed = np.isfinite(image)
        hidden = (
            SimulatedStripes.of_width(options.width).draw(image.shape, np.random.default_rng(0)) & observed
        )
        gaps = Gaps(hidden, observed & ~hidden)
        context = Context(threads=2, draws=1)
        sampled = fill_array(image, gaps, create_method("direct-sampling"), context=context)
        kriged = fill_array(image, gaps, create_method("kriging"), context=Context(threads=2)).mean
        distances = [
            [
                ks_2samp(fill[band][hidden[band]], image[band][against[band]]).statistic
                for against in (gaps.usable, hidden)
                for fill in (sampled.draws[0], kriged)
            ]
            for band in range(len(image))
        ]
        ratio = np.sqrt(np.mean((sampled.mean - image)[hidden] ** 2) / np.mean((kriged - image)[hidden] ** 2))
        means = [f"{mean:.4f}" for mean in np.mean(distances, axis=0)]
        table.add_row(path.rsplit("/", 1)[-1], *means, f"{ratio:.3f}")
    show(
        f"mean over bands, stripes of {options.width:g} px; RMSE ratio: mean of the draws by kriging's", table
    )


if __name__ == "__main__":
    main()
