"""A crop of one trial, kept to be drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.evaluation.accuracy import data_limits
from landsat_fill.scene import Filled, Window
from landsat_fill.tiling import tile_windows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
        detail: How much detail the hidden pixels have, to choose between examples.
        truth: The true numbers, NaN where nothing was observed.
        hidden: The hidden pixels.
        fills: What each method would have stored at them, by label; NaN elsewhere.
    """

    scene: str
    pattern: str
    shown: tuple[int, ...]
    detail: float
    truth: NDArray[np.floating]
    hidden: NDArray[np.bool_]
    fills: Mapping[str, Filled]

    def composite(self, method: str) -> NDArray[np.floating]:
        """Return the truth with its hidden pixels as a method filled them."""
        return np.where(self.hidden, self.fills[method].mean, self.truth)


def crop_example(image: ObservedImage, pattern: str, trial: Trial, fills: Mapping[str, Filled]) -> Example:
    """Return the crop of a trial that has the most detail to fill."""
    shown = _shown_bands(image)
    windows = tile_windows(Window(0, 0, *trial.truth.shape[1:]), EXAMPLE_PX)
    details = _details(trial, shown, windows)
    best = int(np.argmax(details))
    crop = windows[best].slices

    def cut(filled: Filled) -> Filled:
        std = None if filled.std is None else filled.std[:, *crop].copy()
        return Filled(filled.mean[:, *crop].copy(), std)

    return Example(
        scene=image.name,
        pattern=pattern,
        shown=shown,
        detail=details[best],
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


def _details(trial: Trial, shown: tuple[int, ...], windows: Sequence[Window]) -> list[float]:
    """Return for each window the sum of steps between hidden neighbours, in units of the bands' ranges.

    Clouds stretch the range and are smooth inside: a cloudy crop is seldom the one to show.
    """
    details = [0.0] * len(windows)
    for band in shown:
        hidden = trial.hidden[band]
        if not hidden.any():
            continue
        low, high = data_limits(trial.truth[band])
        steps = np.abs(np.diff(trial.truth[band], axis=1)) / (high - low)
        steps = np.where(hidden[:, 1:] & hidden[:, :-1], steps, 0)
        for number, window in enumerate(windows):
            details[number] += float(np.sum(steps[window.slices]))
    return details
