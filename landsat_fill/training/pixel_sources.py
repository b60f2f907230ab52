"""Sources of the pixels of training samples: patches on disk, or scenes.

All of them can be sent to the worker processes of a data loader. Each process opens its own mapped files and
rasters.
"""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from landsat_fill.io import SceneReader
from landsat_fill.scene import Window
from landsat_fill.training.dataset_manifest import stored_array
from landsat_fill.training.gap_bank import random_window, require_room, unpacked

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from landsat_fill.scene import Scene
    from landsat_fill.training.dataset_manifest import MappedArray, SceneFacts

    Cube = tuple[NDArray[np.generic], NDArray[np.bool_]]


STEP_PX = 6
"""Rows between two compared pixels: from the middle of a wide gap to its edge."""

SCENE_WEIGHT = 0.5
"""Weight of the scene in the squared error scale of a patch. With the patch alone, a lake would count as much
as a town."""


def squared_steps(values: NDArray[Any], observed: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the sum and number of squared differences of observed pixels `STEP_PX` rows apart, `(band,)`.

    Both arguments are `(band, row, col)`; unobserved values don't matter.
    """
    both = observed[:, STEP_PX:] & observed[:, :-STEP_PX]
    with np.errstate(invalid="ignore", over="ignore"):
        steps = values[:, STEP_PX:].astype(np.float64) - values[:, :-STEP_PX]
    steps[~both] = 0.0
    return np.einsum("brc,brc->b", steps, steps), np.count_nonzero(both, axis=(1, 2))


def mean_squared_step(values: NDArray[Any], observed: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the mean squared difference of observed pixels `STEP_PX` rows apart, `(band,)`; 0 for none."""
    total, pairs = squared_steps(values, observed)
    mean: NDArray[np.float64] = total / np.maximum(pairs, 1)
    return mean


def error_scale(scene: NDArray[np.float64], patch: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the expected RMS error of a simple interpolation, `(band,)`, positive; 1 in a constant band.

    `scene` and `patch` are mean squared steps of their bands.
    """
    scale = np.sqrt(SCENE_WEIGHT * scene + (1 - SCENE_WEIGHT) * patch)
    return np.where(scale > 0, scale, 1.0).astype(np.float32)


HELD_BYTES = 128 << 20
"""Scenes up to this size are held in memory; larger ones are read in windows."""

PROBED_WINDOWS = 16
"""Number of windows for the error scale of a large scene."""

_PROBING_SEED = 0


class Images(ABC):
    """The pixels of one scene.

    Attributes:
        name: Name of the scene.
        bands: Number of bands.
        patches: Number of adjacent patches that fit into the scene, at least one.
        squared_step: Squared error scale, `(band,)`; see `error_scale`.
    """

    name: str
    bands: int
    patches: int
    squared_step: NDArray[np.float64]

    @abstractmethod
    def crop(self, size_px: int, bands: NDArray[np.int64], generator: np.random.Generator) -> Cube:
        """Return the stored numbers of a random window, and which are observations, `(band, row, col)`.

        Raises:
            InputError: If the pixels can't be read.
        """


class StoredPatches(Images):
    """The patches of a scene in a dataset."""

    def __init__(self, folder: Path, facts: SceneFacts, side_px: int) -> None:
        """Take the files of a scene with patches of a side, or raise InputError if they don't match the facts."""
        self.name, self.bands, self.patches = facts.name, len(facts.bands), facts.patches
        self.squared_step = np.array([band.squared_step for band in facts.bands])
        shape = (self.patches, self.bands, side_px, side_px)
        self._values = stored_array(folder / facts.values, shape)
        self._observed: MappedArray | None = None  # None if all pixels are observed
        if facts.observed is not None:
            self._observed = stored_array(folder / facts.observed, (*shape[:3], side_px // 8))

    def crop(self, size_px: int, bands: NDArray[np.int64], generator: np.random.Generator) -> Cube:
        """Return a random window of a random patch; see `Images.crop`."""
        patch = int(generator.integers(self.patches))
        stored = self._values[patch]
        side_px = stored.shape[-1]
        rows, cols = random_window(side_px, side_px, size_px, generator).slices
        values = stored[bands, rows, cols]
        if self._observed is None:
            return values, np.ones(values.shape, np.bool_)
        bits = self._observed[patch][bands, rows]
        return values, unpacked(bits, side_px)[:, :, cols]


class SceneImages(Images):
    """A scene, held in memory or, if it is too large, read window by window."""

    def __init__(self, scene: Scene, size_px: int) -> None:
        """Read the scene, or raise InputError if it is smaller than a patch or can't be read."""
        require_room(scene, size_px)
        height, width = scene.grid.height, scene.grid.width
        self.name, self.bands = scene.name, len(scene.bands)
        self.patches = patches_in(scene, size_px)
        self._scene = scene
        self._readers = _Readers()
        self._held: Cube | None = None
        value_bytes = max(np.dtype(band.dtype).itemsize for band in scene.bands) + 1
        if height * width * self.bands * value_bytes <= HELD_BYTES:
            with SceneReader(scene) as reader:
                self._held = reader.read(Window(0, 0, height, width))
            self.squared_step = mean_squared_step(*self._held)
        else:
            generator = np.random.default_rng(_PROBING_SEED)
            every_band = np.arange(self.bands)
            steps = [squared_steps(*self.crop(size_px, every_band, generator)) for _ in range(PROBED_WINDOWS)]
            total, pairs = (np.sum(part, axis=0) for part in zip(*steps, strict=True))
            self.squared_step = total / np.maximum(pairs, 1)

    def crop(self, size_px: int, bands: NDArray[np.int64], generator: np.random.Generator) -> Cube:
        """Return a random window; see `Images.crop`."""
        grid = self._scene.grid
        window = random_window(grid.height, grid.width, size_px, generator)
        if self._held is None:
            values, observed = self._readers.reader_of(self._scene).read(window)
        else:
            values, observed = self._held[0][:, *window.slices], self._held[1][:, *window.slices]
        return values[bands], observed[bands]


class _Readers:
    """Open readers of a scene, one for each process and thread. A copy in another process starts empty."""

    def __init__(self) -> None:
        self._open: dict[tuple[int, int], SceneReader] = {}

    def reader_of(self, scene: Scene) -> SceneReader:
        key = os.getpid(), threading.get_ident()
        if key not in self._open:
            self._open[key] = SceneReader(scene).__enter__()
        return self._open[key]

    def __reduce__(self) -> tuple[type[_Readers], tuple[()]]:
        return _Readers, ()


def patches_in(scene: Scene, size_px: int) -> int:
    """Return how many adjacent patches fit into a scene, at least one."""
    return max(scene.grid.height * scene.grid.width // size_px**2, 1)
