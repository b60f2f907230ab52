"""Asks how far the draws of a method differ, against its standard deviation and against the truth.

python tests/benchmarks/check_draws.py CLEAN.tif…; on hidden pixels: the draws' own deviation as a share of
the one that is written, how often the truth lies between the least and the largest draw (with draws from the
truth's own distribution, n - 1 of n + 1 times), the steps between neighbours of a draw as a share of the
truth's, and how far the correlations of bands in what draws add to the mean are from those in what the truth
adds to it, on average over pairs: the farther, the more tinted a draw looks.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import numpy as np
from hidden_crop import hidden_crop
from tables import figure_table, show

from landsat_fill.methods import Context, create_method
from landsat_fill.pipeline.arrays import fill_array

if TYPE_CHECKING:
    from landsat_fill.scene import Filled

METHODS = (("convlnp", {}), ("convlnp", {"variant": "128"}), ("direct-sampling", {}))


def main() -> None:
    """Read the command line, draw fills of the middle of each scene, and print how they differ."""
    parser = argparse.ArgumentParser(description="Compare draws with the deviation and the truth.")
    parser.add_argument("scenes", nargs="+", help="scenes without gaps")
    parser.add_argument("--width", type=float, default=8, help="width of the stripes in pixels (default 8)")
    parser.add_argument("--size", type=int, default=160, help="side of the crops in pixels (default 160)")
    parser.add_argument("--draws", type=int, default=8, help="fills to draw (default 8)")
    options = parser.parse_args()
    expected = (options.draws - 1) / (options.draws + 1)
    table = figure_table(
        "method",
        "deviation of draws / std",
        f"truth among draws ({expected:.2f})",
        "steps / truth's",
        "correlations of bands off",
    )
    for name, given in METHODS:
        scores = [_scores(path, name, given, options) for path in options.scenes]
        label = " ".join([name, *(f"{key}={value}" for key, value in given.items())])
        table.add_row(label, *(f"{score:.2f}" for score in np.nanmean(scores, axis=0)))
    show(f"median or mean of hidden pixels, mean over bands and scenes; {options.draws} draws", table)


def _scores(path: str, name: str, given: dict[str, str], options: argparse.Namespace) -> np.ndarray:
    """Return the four scores, means over bands, and the last over pairs of them: NaN for a single band."""
    image, trial = hidden_crop(path, options.size, options.width)
    context = Context(threads=2, realizations=options.draws)
    filled = fill_array(trial.image, trial.gaps, create_method(name, given), context=context)
    found = []
    for band, hidden in enumerate(trial.hidden):
        draws = filled.realizations[:, band]  # (draw, row, col)
        pixels, truth = draws[:, hidden], image[band][hidden]
        pairs = hidden[1:] & hidden[:-1]
        found.append(
            (
                np.median(pixels.std(axis=0, ddof=1) / filled.std[band][hidden]),
                np.mean((pixels.min(axis=0) <= truth) & (truth <= pixels.max(axis=0))),
                _step(draws[0], pairs) / _step(image[band], pairs),
            )
        )
    return np.array([*np.mean(found, axis=0), _correlations_off(filled, image, trial.hidden.all(axis=0))])


def _correlations_off(filled: Filled, image: np.ndarray, hidden: np.ndarray) -> float:
    """Return how far draws' correlations of bands are from the truth's, where all bands are hidden."""
    bands = len(image)
    if bands < 2:
        return float("nan")
    added = [layers[:, hidden] - filled.mean[:, hidden] for layers in (image, *filled.realizations)]
    truth, *draws = (np.corrcoef(each) for each in added)
    pairs = np.triu_indices(bands, 1)
    return float(np.abs(np.mean(draws, axis=0) - truth)[pairs].mean())


def _step(band: np.ndarray, pairs: np.ndarray) -> float:
    """Return the mean step between a row and the next where both pixels are hidden."""
    return float(np.abs(np.diff(band, axis=0))[pairs].mean())


if __name__ == "__main__":
    main()
