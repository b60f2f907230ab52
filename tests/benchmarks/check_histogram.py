"""Compares the histogram of filled pixels with that of the observed pixels and of the hidden truth.

python tests/benchmarks/check_histogram.py CLEAN.tif…; Kolmogorov-Smirnov distances, 0 for equal histograms.
Exits with 1 if draws are farther from the observed pixels than kriging, on average.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from hidden_crop import hidden_crop
from scipy.stats import ks_2samp
from tables import figure_table, show

from landsat_fill.methods import Context, create_method
from landsat_fill.pipeline.arrays import fill_array

METHODS = (("direct-sampling", {}), ("direct-sampling", {"differences": False}), ("kriging", {}))
Z_90 = 1.6449


def main() -> None:
    """Read the command line, fill the middle of each scene, and print the distances."""
    parser = argparse.ArgumentParser(description="Compare histograms of filled and of observed pixels.")
    parser.add_argument("scenes", nargs="+", help="scenes without gaps")
    parser.add_argument("--width", type=float, default=8, help="width of the stripes in pixels (default 8)")
    parser.add_argument("--size", type=int, default=160, help="side of the crops in pixels (default 160)")
    options = parser.parse_args()
    table = figure_table("scene", "method", "to observed", "to truth", "RMSE / kriging's", "cover 90")
    rows = np.array([_scores(path, options.size, options.width) for path in options.scenes])
    names = [path.rsplit("/", 1)[-1] for path in options.scenes]
    for name, scores in zip([*names, "mean"], [*rows, rows.mean(axis=0)], strict=True):
        for (method, given), row in zip(METHODS, scores, strict=True):
            label = " ".join([method, *(f"{key}={value}" for key, value in given.items())])
            table.add_row(name, label, *(f"{score:.3f}" for score in row))
    show(f"mean over bands, stripes of {options.width:g} px; distances of a draw, errors of the mean", table)
    if rows[:, 0, 0].mean() >= rows[:, -1, 0].mean():
        sys.exit(1)


def _scores(path: str, size_px: int, width_px: float) -> np.ndarray:
    """Return of each method the distances to observed pixels and to the truth, RMSE ratio and cover."""
    image, trial = hidden_crop(path, size_px, width_px)
    scores = []
    for name, given in METHODS:
        method = create_method(name, given)
        filled = fill_array(
            trial.image,
            trial.gaps,
            method,
            context=Context(threads=2, realizations=int(method.info.gives_realizations)),
        )
        drawn = filled.mean if filled.realizations is None else filled.realizations[0]
        found = []
        for band, hidden in enumerate(trial.hidden):
            error = (filled.mean - image)[band][hidden]
            found.append(
                (
                    ks_2samp(drawn[band][hidden], image[band][trial.gaps.usable[band]]).statistic,
                    ks_2samp(drawn[band][hidden], image[band][hidden]).statistic,
                    np.sqrt(np.mean(error**2)),
                    np.mean(np.abs(error) <= Z_90 * filled.std[band][hidden]),
                )
            )
        scores.append(found)
    result = np.array(scores)  # (method, band, score)
    result[:, :, 2] /= result[-1:, :, 2]
    return result.mean(axis=1)


if __name__ == "__main__":
    main()
