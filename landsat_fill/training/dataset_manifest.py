"""The files of a dataset's folder: the manifest and the mapped arrays.

    manifest.json                   the content of the folder, and its sources
    scenes/000_NAME.npy             patches (patch, band, row, col), in the scene's own data type
    scenes/000_NAME.observed.npy    which pixels are observations, as bits; only where not all are
    gaps/000_NAME.npy               missing pixels of a real SLC-off scene, (crop, band, row, byte), as bits

`.npy` files are memory-mapped, so nothing is decompressed, and all workers share the cache of the operating
system. A patch is read fifty times as fast as a window of a compressed GeoTIFF
(tests/benchmarks/bench_patches.py).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from landsat_fill.errors import InputError
from landsat_fill.schema import from_json, require_inside

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


FORMAT = "landsat-fill-dataset/1"
"""Version of the format; other versions aren't read."""

MANIFEST_NAME = "manifest.json"


@dataclass(frozen=True, slots=True)
class BandFacts:
    """One band of a scene in a dataset; statistics of the observed pixels, in stored numbers."""

    name: str
    mean: float
    std: float
    min: float
    max: float
    squared_step: float  # mean squared difference of pixels a few rows apart; see `error_scale`


@dataclass(frozen=True, slots=True)
class SceneFacts:
    """One scene of a dataset. Facts that the scene doesn't have are None."""

    name: str
    source: str
    sensor: str | None  # `LE07`, `LT05`, …
    acquired: str | None  # the day, `2001-06-10`
    dtype: str  # data type of the stored numbers
    pixel_m: float | None
    lon: float | None  # of the centre, in degrees
    lat: float | None
    fold: int  # from 0
    patches: int  # number of patches
    values: str  # file of the patches
    observed: str | None  # file of the observed pixels; None if all pixels are observed
    bands: tuple[BandFacts, ...]


@dataclass(frozen=True, slots=True)
class GapFacts:
    """The gaps of one real scene in a dataset."""

    name: str
    source: str
    bands: int
    crops: int
    missing_share: float  # of all pixels of the crops, 0 to 1
    file: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """The content of a dataset."""

    version: str  # of landsat-fill
    command: str  # the command that made the dataset
    size_px: int  # side of a patch, and of a crop of gaps
    stride_px: int  # distance from one patch to the next
    max_missing: float  # largest unobserved share of a patch in any band, 0 to 1
    folds: int
    scenes: tuple[SceneFacts, ...]
    gaps: tuple[GapFacts, ...]

    def as_json(self) -> str:
        """Return the content of the manifest's file."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1) + "\n"


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of a dataset.

    Raises:
        InputError: If the folder has no manifest that this version can read.
    """
    path = folder / MANIFEST_NAME
    try:
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        form = facts.pop("format")
        if form == FORMAT:
            manifest: Manifest = from_json(Manifest, facts)
            files = [name for scene in manifest.scenes for name in (scene.values, scene.observed) if name]
            require_inside([*files, *(one.file for one in manifest.gaps)])
            if manifest.size_px < 1 or manifest.folds < 1 or not all(scene.bands for scene in manifest.scenes):
                raise ValueError("it describes no patches")
            return manifest
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f"expected a dataset with {MANIFEST_NAME}, but {folder} has none that can be read: {error}",
            hint="Give the folder that `landsat-fill dataset` wrote.",
        ) from error
    raise InputError(
        f"expected a dataset of the format {FORMAT}, but {folder} has {form}",
        hint="Make it again with this version of landsat-fill.",
    )


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
            except (OSError, ValueError, EOFError) as error:
                reason = error.strerror if isinstance(error, OSError) else "it is damaged, or holds more than numbers"
                raise InputError(
                    f"expected an array in {self._path}, but got an error: {reason}",
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


def stored_array(path: Path, shape: tuple[int, ...]) -> MappedArray:
    """Return the array of a file, still closed, or raise InputError unless it has this shape."""
    found = MappedArray(path).shape
    if found != shape:
        raise InputError(
            f"expected an array of the shape {shape} in {path}, as {MANIFEST_NAME} says, but got {found}",
            hint="Make the dataset again with `landsat-fill dataset`.",
        )
    return MappedArray(path)
