"""Reads the pixels that are to be hidden: the one place here that touches files."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.errors import InputError
from landsat_fill.io.reading import SceneReader
from landsat_fill.scene import Window
from landsat_fill.tiling import tile_windows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from landsat_fill.scene import Scene

BRIGHTEST = 2.0
"""What no reflectance exceeds but by chance: clouds and snow under a low sun reach 1.6, Level 2's top."""

_SHUFFLE_SEED = 0
_LEAST_OBSERVED_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Sampling:
    """How much of a large scene is read: a few square windows instead of 59 million pixels a band.

    A scene with no more pixels than these windows have together is read whole.

    Attributes:
        window_px: Side of a window.
        windows: How many windows of a scene are scored, spread at random but always the same ones.
    """

    window_px: int = 1024
    windows: int = 4

    def images_of(self, scene: Scene) -> int:
        """Return how many images a scene gives, at most."""
        return 1 if self.is_whole(scene) else self.windows

    def is_whole(self, scene: Scene) -> bool:
        """Return whether a scene is small enough to be read whole."""
        return scene.grid.height * scene.grid.width <= self.windows * self.window_px**2


@dataclass(frozen=True, slots=True)
class ObservedImage:
    """Some pixels of a scene.

    Attributes:
        name: The scene's name, with the corner of the window if it isn't the whole scene.
        scene: Where they come from.
        values: `(band, row, col)` in stored numbers.
        observed: Which of them are observations.
        scales: What each band's stored numbers are multiplied with to get its physical unit, 1 if nothing is
            said.
    """

    name: str
    scene: Scene
    values: NDArray[np.generic]
    observed: NDArray[np.bool_]
    scales: tuple[float, ...]

    @property
    def reflectance(self) -> float:
        """What stored numbers are multiplied with to get reflectances; NaN where the units don't tell.

        Scales must be alike and bring all but the brightest thousandth below `BRIGHTEST`; without a scale
        only real numbers are taken for reflectances.
        """
        scale = self.scales[0]
        told = scale != 1 or self.values.dtype.kind == "f"
        if len(set(self.scales)) > 1 or not told or not self.observed.any():
            return math.nan
        bright = float(np.percentile(self.values[self.observed].astype(np.float64), 99.9)) * scale
        return scale if bright < BRIGHTEST else math.nan


def read_images(scene: Scene, sampling: Sampling) -> Iterator[ObservedImage]:
    """Yield the scene as one image, or windows of a large one that are at least half observed.

    Raises:
        InputError: If it can't be read, or no window is observed well enough.
    """
    whole = Window(0, 0, scene.grid.height, scene.grid.width)
    with SceneReader(scene) as reader:
        scales = _scales(scene)
        if sampling.is_whole(scene):
            yield ObservedImage(scene.name, scene, *reader.read(whole), scales)
            return
        found = 0
        for window in _candidates(whole, sampling):
            values, observed = reader.read(window)
            if np.mean(observed) < _LEAST_OBSERVED_SHARE:
                continue
            found += 1
            name = f"{scene.name}@{window.row},{window.col}"
            yield ObservedImage(name, scene, values, observed, scales)
            if found == sampling.windows:
                return
    if not found:
        raise InputError(
            f"expected a window of {sampling.window_px} px in {scene.name} that is at least half observed, "
            "but found none",
            hint="give smaller windows, or another scene",
        )


def _candidates(whole: Window, sampling: Sampling) -> list[Window]:
    """Return the windows of full size in an order that is random, but always the same."""
    height, width = min(sampling.window_px, whole.height), min(sampling.window_px, whole.width)
    full = [w for w in tile_windows(whole, sampling.window_px) if (w.height, w.width) == (height, width)]
    order = np.random.default_rng(_SHUFFLE_SEED).permutation(len(full))
    return [full[i] for i in order]


def _scales(scene: Scene) -> tuple[float, ...]:
    from landsat_fill.io.gdal_session import open_dataset

    scales: dict[str, tuple[float, ...]] = {}
    for dataset in {band.dataset for band in scene.bands}:
        with open_dataset(dataset) as source:
            scales[dataset] = source.scales
    return tuple(scales[band.dataset][band.index - 1] for band in scene.bands)
