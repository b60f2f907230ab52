"""Looks for seams where tiles meet inside of gaps: steps of the fill there, and elsewhere around.

python tests/benchmarks/check_seams.py CLEAN.tif --method deep-image-prior:runs=2:iterations=100:channels=16
Steps are mean absolute differences between neighbouring missing pixels, in deviations of the band.
"""

from __future__ import annotations

import argparse

import numpy as np
import rasterio
from tables import figure_table, show

from landsat_fill.cli.evaluate import methods_of
from landsat_fill.evaluation import SimulatedStripes, hide, method_label
from landsat_fill.methods import Context
from landsat_fill.pipeline.arrays import fill_array

AROUND_PX = 20
"""How far from a border "around" reaches."""


def main() -> None:
    """Read the command line, fill the upper left of a scene, and print the steps at each tile border."""
    parser = argparse.ArgumentParser(description="Measure seams between tiles.")
    parser.add_argument("scene", help="a scene without gaps")
    parser.add_argument("--method", default="deep-image-prior", help="a method, NAME:OPTION=VALUE")
    parser.add_argument("--size", type=int, nargs=2, default=(320, 600), help="rows and columns")
    parser.add_argument("--width", type=float, default=10, help="width of the stripes in pixels")
    parser.add_argument("--tile", type=int, default=256, help="where to look: multiples of so many pixels")
    parser.add_argument("--draw", action="store_true", help="look at a draw, of methods that draw")
    options = parser.parse_args()
    height, width = options.size
    with rasterio.open(options.scene) as dataset:
        image = dataset.read(window=((0, height), (0, width)), masked=True, out_dtype="float32").filled(np.nan)
    lost = SimulatedStripes.of_width(options.width).draw(image.shape, np.random.default_rng(0))
    trial = hide(image, np.isfinite(image), lost)
    table = figure_table("method", "border", "step there", "around", "in the truth", "pixels")
    for method in methods_of([f"{options.method},tension-spline"])[0]:
        context = Context(threads=2, realizations=int(options.draw and method.info.gives_realizations))
        found = fill_array(trial.image, trial.gaps, method, context=context)
        filled = found.mean if found.realizations is None else found.realizations[0]
        for axis, name in ((1, "row"), (2, "column")):
            for border in range(options.tile, image.shape[axis], options.tile):
                steps = _steps(filled, trial.hidden, image, axis, border)
                table.add_row(
                    method_label(method), f"{name} {border}", *(f"{step:.3f}" for step in steps[:3]), f"{steps[3]:,}"
                )
    show(table)


def _steps(
    filled: np.ndarray, hidden: np.ndarray, truth: np.ndarray, axis: int, border: int
) -> tuple[float, float, float, int]:
    """Return the mean step across a border, of those around, and of the truth, and how many it is of."""
    spread = np.nanstd(truth, axis=(1, 2), keepdims=True)
    steps, true_steps = (np.abs(np.diff(image / spread, axis=axis)) for image in (filled, truth))
    size = truth.shape[axis]
    both = hidden.take(range(1, size), axis=axis) & hidden.take(range(size - 1), axis=axis)

    def mean_at(of: np.ndarray, places: list[int]) -> float:
        return float(of.take(places, axis=axis)[both.take(places, axis=axis)].mean())

    places = range(max(border - AROUND_PX, 0), min(border + AROUND_PX, size - 1))
    around = [place for place in places if place != border - 1]
    count = int(np.count_nonzero(both.take(border - 1, axis=axis)))
    return mean_at(steps, [border - 1]), mean_at(steps, around), mean_at(true_steps, [border - 1]), count


if __name__ == "__main__":
    main()
