"""Sources of the pixels of training samples: patches on disk, or scenes.

All of them can be sent to the worker processes of a data loader. Each process opens its own mapped files and
rasters.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from landsat_fill.errors import InputError
from landsat_fill.io import SceneReader
from landsat_fill.scene import Window
from landsat_fill.training.gap_bank import random_window, require_room, unpacked

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from landsat_fill.scene import Scene

    Cube = tuple[NDArray[np.generic], NDArray[np.bool_]]


STEP_PX = 6
"""Rows between two compared pixels: from the middle of a wide gap to its edge."""

SCENE_WEIGHT = 0.5
"""Weight of the scene in the squared error scale of a patch. With the patch alone, a lake would count as much
as a town."""


def squared_steps(values: NDArray[Any], observed: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the sum and number of squared differences of observed pixels `STEP_PX` rows apart, `(band,)`.

    Args:
        values: `(band, row, col)`; unobserved values don't matter.
        observed: True where a value is an observation.
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

    Args:
        scene: Mean squared steps of the scene's bands.
        patch: Mean squared steps of the patch's bands.
    """
    scale = np.sqrt(SCENE_WEIGHT * scene + (1 - SCENE_WEIGHT) * patch)
    return np.where(scale > 0, scale, 1.0).astype(np.float32)


HELD_BYTES = 128 << 20
"""Scenes up to this size are held in memory; larger ones are read in windows."""

PROBED_WINDOWS = 16
"""Number of windows for the error scale of a large scene."""

_PROBING_SEED = 0


class Images(Protocol):
    """The pixels of one scene."""

    @property
    def name(self) -> str:
        """The scene's name."""
        ...

    @property
    def bands(self) -> int:
        """Number of bands."""
        ...

    @property
    def patches(self) -> int:
        """Number of adjacent patches that fit into the scene."""
        ...

    @property
    def squared_step(self) -> NDArray[np.float64]:
        """Its error scale squared, `(band,)`; see `error_scale`."""
        ...

    def crop(self, size_px: int, bands: NDArray[np.int64], generator: np.random.Generator) -> Cube:
        """Return the stored numbers of a random window, and which are observations, `(band, row, col)`.

        Raises:
            InputError: If the pixels can't be read.
        """
        ...


class MappedArray:
    """A `.npy` file that each process maps to memory at its first use."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._array: NDArray[np.generic] | None = None

    def __reduce__(self) -> tuple[type[MappedArray], tuple[Path]]:
        return MappedArray, (self._path,)

    @property
    def array(self) -> NDArray[np.generic]:
        """The array.

        Raises:
            InputError: If the file is missing or damaged.
        """
        if self._array is None:
            try:
                self._array = np.load(self._path, mmap_mode="r")
            except (OSError, ValueError) as error:
                raise InputError(
                    f"expected an array in {self._path}, but got an error: {error}",
                    hint="Make the dataset again with `landsat-fill dataset`.",
                ) from error
        return self._array

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return self.array.shape

    def __getitem__(self, index: int) -> NDArray[Any]:
        """Return one item of the array."""
        item: NDArray[Any] = self.array[index]
        return item


@dataclass(frozen=True, slots=True, eq=False)
class StoredPatches:
    """The patches of a scene in a dataset.

    Attributes:
        name: The scene's name.
        bands: Number of bands.
        patches: Number of patches.
        squared_step: Squared error scale, `(band,)`.
        values: Stored numbers, `(patch, band, row, col)`.
        observed: Observed pixels as packed bits; None if all are observed.
    """

    name: str
    bands: int
    patches: int
    squared_step: NDArray[np.float64]
    values: MappedArray
    observed: MappedArray | None

    def crop(self, size_px: int, bands: NDArray[np.int64], generator: np.random.Generator) -> Cube:
        """Return a random window of a random patch; see `Images.crop`."""
        patch = int(generator.integers(self.patches))
        stored = self.values[patch]
        side_px = stored.shape[-1]
        rows, cols = random_window(side_px, side_px, size_px, generator).slices
        values = stored[bands, rows, cols]
        if self.observed is None:
            return values, np.ones(values.shape, np.bool_)
        bits = self.observed[patch][bands, rows]
        return values, unpacked(bits, side_px)[:, :, cols]


class WholeScene:
    """A scene held in memory."""

    def __init__(self, scene: Scene, size_px: int) -> None:
        """Read the scene, or raise InputError."""
        height, width = scene.grid.height, scene.grid.width
        self.name, self.bands = scene.name, len(scene.bands)
        self.patches = patches_worth(scene, size_px)
        with SceneReader(scene) as reader:
            self._values, self._observed = reader.read(Window(0, 0, height, width))
        self.squared_step = mean_squared_step(self._values, self._observed)

    def crop(self, size_px: int, bands: NDArray[np.int64], generator: np.random.Generator) -> Cube:
        """Return a random window; see `Images.crop`."""
        _, height, width = self._values.shape
        rows, cols = random_window(height, width, size_px, generator).slices
        return self._values[bands, rows, cols], self._observed[bands, rows, cols]


class SceneWindows:
    """A scene too large for memory, read window by window."""

    def __init__(self, scene: Scene, size_px: int) -> None:
        """Estimate the error scale from some windows, or raise InputError."""
        self.name, self.bands = scene.name, len(scene.bands)
        self.patches = patches_worth(scene, size_px)
        self._scene = scene
        self._own = _OwnReader()
        generator = np.random.default_rng(_PROBING_SEED)
        every = np.arange(self.bands)
        steps = [squared_steps(*self.crop(size_px, every, generator)) for _ in range(PROBED_WINDOWS)]
        total, pairs = (np.sum(part, axis=0) for part in zip(*steps, strict=True))
        self.squared_step = total / np.maximum(pairs, 1)

    def crop(self, size_px: int, bands: NDArray[np.int64], generator: np.random.Generator) -> Cube:
        """Return a random window; see `Images.crop`."""
        grid = self._scene.grid
        window = random_window(grid.height, grid.width, size_px, generator)
        values, observed = self._own.of(self._scene).read(window)
        return values[bands], observed[bands]


@dataclass(slots=True)
class _OwnReader:
    """Open readers, one for each process and thread."""

    _open: dict[tuple[int, int], SceneReader] = field(default_factory=dict)

    def of(self, scene: Scene) -> SceneReader:
        key = os.getpid(), threading.get_ident()
        if key not in self._open:
            self._open[key] = SceneReader(scene).__enter__()
        return self._open[key]

    def __reduce__(self) -> tuple[type[_OwnReader], tuple[()]]:
        return _OwnReader, ()


def open_images(scene: Scene, size_px: int) -> Images:
    """Return the pixels of a scene, or raise InputError if it is smaller than a patch or can't be read."""
    require_room(scene, size_px)
    value_bytes = max(np.dtype(band.dtype).itemsize for band in scene.bands) + 1
    is_small = scene.grid.height * scene.grid.width * len(scene.bands) * value_bytes <= HELD_BYTES
    return WholeScene(scene, size_px) if is_small else SceneWindows(scene, size_px)


def patches_worth(scene: Scene, size_px: int) -> int:
    """Return how many adjacent patches fit into a scene, at least one."""
    return max(scene.grid.height * scene.grid.width // size_px**2, 1)
