"""The parts of training samples: pixels of clean scenes, from patches on disk or scenes, and gaps of real ones.

All of them can be sent to the worker processes of a data loader. Each process opens its own mapped files and
rasters.
"""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from landsat_fill.errors import InputError
from landsat_fill.io import SceneReader
from landsat_fill.pipeline.survey import survey_scene
from landsat_fill.scene import Window
from landsat_fill.training.dataset_manifest import stored_array

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from landsat_fill.scene import Scene
    from landsat_fill.training.dataset_manifest import MappedArray, SceneFacts

    Cube = tuple[NDArray[np.generic], NDArray[np.bool_]]


def grid_starts(length_px: int, size_px: int, stride_px: int) -> list[int]:
    """Return the starts of pieces along a side, none if it is too short; the last piece ends at its end."""
    last = length_px - size_px
    if last < 0:
        return []
    starts = list(range(0, last + 1, stride_px))
    return starts if starts[-1] == last else [*starts, last]


def require_room(scene: Scene, size_px: int) -> None:
    """Raise InputError for a scene that is smaller than a patch."""
    height, width = scene.grid.height, scene.grid.width
    if min(height, width) < size_px:
        raise InputError(
            f"expected a scene of at least {size_px} × {size_px} pixels, but {scene.name} has {height} × {width}",
            hint="Choose a smaller --size, or leave the scene out.",
        )


def random_window(height: int, width: int, size_px: int, generator: np.random.Generator) -> Window:
    """Return a square anywhere in an image."""
    row = int(generator.integers(height - size_px + 1))
    col = int(generator.integers(width - size_px + 1))
    return Window(row, col, size_px, size_px)


MISSING_SHARES = (0.01, 0.7)
"""Limits of the missing share of a crop. A larger share is a cloud or the edge of the swath."""


class GapBank:
    """Draws gaps from the crops of one or several scenes."""

    def __init__(self, packed: Sequence[NDArray[np.uint8] | MappedArray]) -> None:
        """Take the crops of each scene, `(crop, band, row, byte)`."""
        self._packed = tuple(packed)
        # The square root limits the weight of a large scene, whose many crops are similar.
        weights = np.sqrt([crops.shape[0] for crops in self._packed])
        self._cumulated = np.cumsum(weights) / weights.sum()

    def draw(self, bands: int, size_px: int, generator: np.random.Generator) -> NDArray[np.bool_]:
        """Return the missing pixels `(band, row, col)` of a random part of a crop, randomly mirrored.

        Each band gets the gaps of a random band of the scene. Crops aren't rotated, because stripes never run
        along the track.
        """
        crops = self._packed[int(np.searchsorted(self._cumulated, generator.random(), side="right"))]
        count, available, height, _ = crops.shape
        order = np.resize(generator.permutation(available), bands)
        missing = unpacked(crops[int(generator.integers(count))][order], height)
        row, col = generator.integers(height - size_px + 1, size=2)
        up, left = generator.choice((-1, 1), 2)
        cropped: NDArray[np.bool_] = missing[:, row : row + size_px, col : col + size_px][:, ::up, ::left]
        return cropped


def packed(pixels: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return booleans `(…, col)` as bits, eight columns a byte."""
    return np.packbits(pixels, axis=-1)


def unpacked(bits: NDArray[np.uint8], width: int) -> NDArray[np.bool_]:
    """Return the booleans of packed bits."""
    return np.unpackbits(bits, axis=-1, count=width).view(np.bool_)


def cut_gaps(scene: Scene, size_px: int, *, on_progress: Callable[[float], None] | None = None) -> NDArray[np.uint8]:
    """Return crops of the missing pixels of an SLC-off scene, `(crop, band, row, byte)`, packed.

    Pixels outside the footprint are not missing. Crops are adjacent; the last ones end at the scene's edge.

    Args:
        scene: The scene.
        size_px: Side of a crop in pixels, a multiple of 8.
        on_progress: Called with the share of rows done, 0 to 1.

    Raises:
        InputError: If the scene can't be read, is smaller than a crop, or has no crop with enough gaps and
            observed pixels.
    """
    crops = [packed(missing) for missing in _missing_crops(scene, size_px, on_progress or (lambda _: None))]
    if not crops:
        low, high = MISSING_SHARES
        raise InputError(
            f"expected an area of {size_px} px in {scene.name} with {low:.0%} to {high:.0%} missing, but found none",
            hint="Take gaps from an SLC-off scene (acquired after 2003-05-31), away from nadir; where its "
            "gaps hold a number that isn't marked as nodata, mark it first.",
        )
    return np.stack(crops)


def _missing_crops(scene: Scene, size_px: int, on_progress: Callable[[float], None]) -> Iterator[NDArray[np.bool_]]:
    require_room(scene, size_px)
    height, width = scene.grid.height, scene.grid.width
    rows, cols = grid_starts(height, size_px, size_px), grid_starts(width, size_px, size_px)
    with SceneReader(scene) as reader:
        survey = survey_scene(reader, scene, threads=1, on_progress=lambda share: on_progress(share / 2))
        for row in rows:
            strip = Window(row, 0, size_px, width)
            missing = survey.footprint.inside(strip) & ~reader.read(strip)[1]
            for col in cols:
                crop = missing[:, :, col : col + size_px]
                if MISSING_SHARES[0] <= crop.mean() <= MISSING_SHARES[1]:
                    yield crop
            on_progress(0.5 + (row + size_px) / height / 2)


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
