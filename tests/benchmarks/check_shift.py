"""Asks how far a fill changes when a scene is cropped elsewhere: by multiples of 8 px, and by others.

python tests/benchmarks/check_shift.py CLEAN.tif…; the RMS of the change as a share of the RMS error, of
pixels hidden under stripes of 8 px and farther from the crops' edges than the method's halo.
"""

from __future__ import annotations

import argparse

import numpy as np
from hidden_crop import hidden_crop
from tables import figure_table, show

from landsat_fill.methods import Context, create_method
from landsat_fill.pipeline.arrays import fill_array
from landsat_fill.scene import Gaps

SHIFTS_PX = (8, 4, 3, 1)


def main() -> None:
    """Read the command line, fill the middle of each scene and crops of it, and print the changes."""
    parser = argparse.ArgumentParser(description="Compare fills of crops that begin at different pixels.")
    parser.add_argument("scenes", nargs="+", help="scenes without gaps")
    parser.add_argument("--methods", default="band-unet,convcnp,unet,partialconv,tension-spline")
    parser.add_argument("--size", type=int, default=448, help="side of the crops in pixels (default 448)")
    options = parser.parse_args()
    table = figure_table("method", *(f"{shift_px} px" for shift_px in SHIFTS_PX))
    for name in options.methods.split(","):
        changes = np.mean([_changes(path, name, options.size) for path in options.scenes], axis=0)
        table.add_row(name, *(f"{change:.3f}" for change in changes))
    show("RMS of the change by a shift / RMS error, mean over bands and scenes", table)


def _changes(path: str, name: str, size_px: int) -> np.ndarray:
    """Return the change of each shift, the mean over bands."""
    image, trial = hidden_crop(path, size_px, 8)
    method = create_method(name)
    halo_px = method.info.halo_px
    inner = slice(halo_px, -halo_px)

    def filled(shift_px: int) -> np.ndarray:
        part = (..., slice(shift_px, None), slice(shift_px, None))
        gaps = Gaps(trial.gaps.missing[part], trial.gaps.usable[part])
        whole = np.full(image.shape, np.nan, np.float32)
        whole[part] = fill_array(trial.image[part], gaps, method, context=Context(threads=2)).mean
        return whole[:, inner, inner]

    hidden, truth, before = trial.hidden[:, inner, inner], image[:, inner, inner], filled(0)
    error = _rms(before - truth, hidden)
    return np.array([np.mean(_rms(filled(shift_px) - before, hidden) / error) for shift_px in SHIFTS_PX])


def _rms(values: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Return the root mean square of each band's pixels."""
    return np.array([np.sqrt(np.mean(band[own] ** 2)) for band, own in zip(values, pixels, strict=True)])


if __name__ == "__main__":
    main()
