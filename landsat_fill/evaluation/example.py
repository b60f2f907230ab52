"""A crop of one trial, kept to be drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.scene import Filled, Window
from landsat_fill.tiling import tile_windows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from landsat_fill.evaluation.hiding import Trial
    from landsat_fill.evaluation.images import ObservedImage

EXAMPLE_PX = 160
"""Side of the crop: five scan periods, so that single pixels can still be seen."""

NATURAL_COLOUR = ("red", "green", "blue")


@dataclass(frozen=True, slots=True)
class Example:
    """A crop of one trial. Arrays are `(band, row, col)`; all bands are kept.

    Attributes:
        scene: The image's name.
        pattern: The pattern's label.
        shown: Indexes of the three bands to show as red, green and blue, or of one to show as grey.
        truth: The true numbers, NaN where nothing was observed.
        hidden: The hidden pixels.
        fills: What each method would have stored at them, by label; NaN elsewhere.
    """

    scene: str
    pattern: str
    shown: tuple[int, ...]
    truth: NDArray[np.floating]
    hidden: NDArray[np.bool_]
    fills: Mapping[str, Filled]

    def composite(self, method: str) -> NDArray[np.floating]:
        """Return the truth with its hidden pixels as a method filled them."""
        return np.where(self.hidden, self.fills[method].mean, self.truth)


def crop_example(image: ObservedImage, pattern: str, trial: Trial, fills: Mapping[str, Filled]) -> Example:
    """Return the crop of a trial in which there is most to fill: where hidden numbers vary most."""
    shown = _shown_bands(image)
    windows = tile_windows(Window(0, 0, *trial.truth.shape[1:]), EXAMPLE_PX)
    crop = max(windows, key=lambda window: _detail(trial, shown, window)).slices

    def cut(filled: Filled) -> Filled:
        std = None if filled.std is None else filled.std[:, *crop].copy()
        return Filled(filled.mean[:, *crop].copy(), std)

    return Example(
        scene=image.name,
        pattern=pattern,
        shown=shown,
        truth=trial.truth[:, *crop].copy(),
        hidden=trial.hidden[:, *crop].copy(),
        fills={label: cut(filled) for label, filled in fills.items()},
    )


def _shown_bands(image: ObservedImage) -> tuple[int, ...]:
    """Return the bands of natural colour; else the third to first, as blue comes first; else one."""
    colours = [band.band.colour if band.band else None for band in image.scene.bands]
    if all(colour in colours for colour in NATURAL_COLOUR):
        return tuple(colours.index(colour) for colour in NATURAL_COLOUR)
    return (2, 1, 0) if len(colours) >= 3 else (0,)


def _detail(trial: Trial, shown: tuple[int, ...], window: Window) -> float:
    """Return the variance of a window's hidden numbers, relative to the image's, times their count."""
    detail = 0.0
    for band in shown:
        truth, hidden = trial.truth[band][window.slices], trial.hidden[band][window.slices]
        if hidden.any():
            spread = float(np.nanvar(trial.truth[band])) or 1.0
            detail += float(np.var(truth[hidden])) / spread * int(np.count_nonzero(hidden))
    return detail
