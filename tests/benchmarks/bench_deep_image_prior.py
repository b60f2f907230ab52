"""Times the deep image prior on a tile of 256 pixels and six bands, the fast setting and the paper's.

python tests/benchmarks/bench_deep_image_prior.py
python tests/benchmarks/bench_deep_image_prior.py --scene CLEAN.tif --paper    # r² of both on a real crop
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from processes import machine
from tables import figure_table, show

from landsat_fill.evaluation import SimulatedStripes, hide
from landsat_fill.evaluation.metrics import error_scores
from landsat_fill.evaluation.trials import Sampling, read_images
from landsat_fill.io import find_inputs, open_input
from landsat_fill.methods import Context, create_method
from landsat_fill.pipeline.arrays import fill_array
from landsat_fill.pipeline.resources import choose_device

BAR_S = 180


def main() -> None:
    """Read the command line, fill one crop with each setting, and print the table."""
    parser = argparse.ArgumentParser(description="Time the deep image prior on one crop.")
    parser.add_argument("--scene", help="a clean scene to cut the crop from; the generated sample if not given")
    parser.add_argument("--size", type=int, default=256, help="side of the crop in pixels")
    parser.add_argument("--missing", type=float, default=55.0, help="percentage of it that is hidden")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--paper", action="store_true", help="the paper's setting, too: ten times as long")
    parser.add_argument("--iterations", type=int, help="take so few and multiply the seconds; r² then means nothing")
    options = parser.parse_args()
    image, observed = _crop(options.scene, options.size)
    lost = SimulatedStripes.of_share(options.missing, band_shift_px=0).draw(image.shape, np.random.default_rng(0))
    trial = hide(image, observed, lost)
    show(f"{image.shape[0]} bands of {image.shape[1]} × {image.shape[2]}; {machine()}")
    table = figure_table("method", "wall s", "CPU s", "bar s", "r²")
    for name, given in _contenders(paper=options.paper):
        share = 1.0
        if options.iterations and name == "deep-image-prior":
            all_iterations = create_method(name, given).fit_settings.iterations
            share = options.iterations / all_iterations
            given = {**given, "iterations": options.iterations}
        method = create_method(name, given)
        device = choose_device(options.device if "cuda" in method.info.devices else "cpu", method.info)
        wall, cpu = time.perf_counter(), time.process_time()
        filled = fill_array(trial.image, trial.gaps, method, context=Context(threads=options.threads, device=device))
        wall, cpu = (time.perf_counter() - wall) / share, (time.process_time() - cpu) / share
        r2 = [
            error_scores(trial.truth[band][hidden], filled.mean[band][hidden], 1.0)["r2"]
            for band, hidden in enumerate(trial.hidden)
        ]
        label = " ".join([name, *(f"{key}={value}" for key, value in given.items())])
        bar = f"{BAR_S}" if given.get("setting", "fast") == "fast" and name == "deep-image-prior" else ""
        table.add_row(label, f"{wall:.1f}", f"{cpu:.1f}", bar, f"{np.mean(r2):.3f}")
    show(table)


def _contenders(*, paper: bool) -> list[tuple[str, dict[str, object]]]:
    contenders: list[tuple[str, dict[str, object]]] = [
        ("tension-spline", {}),
        ("deep-image-prior", {}),
        ("deep-image-prior", {"blend": False}),
    ]
    return contenders + [("deep-image-prior", {"setting": "paper"})] * paper


def _crop(scene: str | None, size_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Return values and what is observed of one window of a scene."""
    path = scene or str(Path(__file__).resolve().parents[2] / "sample_data" / "clean.tif")
    found, bad = find_inputs([path])
    if bad:
        sys.exit(f"expected a scene, but got {path}")
    image = next(read_images(open_input(found[0])[0], Sampling(size_px, 1)))
    return image.values[:, :size_px, :size_px], image.observed[:, :size_px, :size_px]


if __name__ == "__main__":
    main()
