"""Opens samples for training or validation, from a dataset on disk or from scenes, and assigns scenes to folds.

A network that was trained on a place recognises it in another scene, so all scenes of a place share a fold.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.errors import InputError, UsageError
from landsat_fill.io import find_inputs, open_input
from landsat_fill.training.dataset_manifest import MANIFEST_NAME, read_manifest, stored_array
from landsat_fill.training.pixels_and_gaps import GapBank, SceneImages, StoredPatches, cut_gaps, patches_in
from landsat_fill.training.samples import PLAIN, Augmentation, SampleSource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from landsat_fill.scene import Grid, Scene
    from landsat_fill.training.dataset_manifest import MappedArray
    from landsat_fill.training.pixels_and_gaps import Images
    from landsat_fill.training.settings import DataSettings, TrainingSettings


NEAR_KM = 50.0
"""Scenes closer than this count as one place."""

KM_PER_DEGREE = 111.2
"""Length of a degree of latitude on a sphere with a radius of 6371 km."""

# Path and row as in LE07_L1TP_007059_2016…, LE70070592016344…, L71007059_059…
_PATH_ROW = re.compile(r"^L[A-Z]\d{2}_[A-Z0-9]{4}_(\d{6})_|^L[A-Z]\d(\d{6})\d{7}|^L7[12](\d{6})_")
_DATE = re.compile(r"(?<!\d)(?:19|20)\d{2}(?:\d{3,4})?(?!\d)")


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a scene; angles are in degrees."""

    stem: str  # path and row, or the scene's name up to the date
    lon: float | None = None  # of the centre, or None if the scene isn't georeferenced
    lat: float | None = None
    half_lon: float = 0.0  # half of the extent
    half_lat: float = 0.0

    def is_near(self, other: Place) -> bool:
        """Return whether two scenes may show the same place, by coordinates or, without these, by name."""
        if self.lon is None or self.lat is None or other.lon is None or other.lat is None:
            return self.stem == other.stem
        around = abs(self.lon - other.lon) % 360
        apart_lon = max(min(around, 360 - around) - self.half_lon - other.half_lon, 0.0)
        apart_lat = max(abs(self.lat - other.lat) - self.half_lat - other.half_lat, 0.0)
        shrink = math.cos(math.radians((self.lat + other.lat) / 2))
        return KM_PER_DEGREE * math.hypot(apart_lon * shrink, apart_lat) <= NEAR_KM


def place_of(scene: Scene) -> Place:
    """Return the place of a scene."""
    stem = place_stem(scene.name)
    bounds = _degrees(scene.grid)
    if bounds is None:
        return Place(stem)
    west, south, east, north = bounds
    if east < west:  # across the date line
        east += 360
    lon = ((west + east) / 2 + 180) % 360 - 180
    return Place(stem, lon, (south + north) / 2, (east - west) / 2, (north - south) / 2)


def place_stem(name: str) -> str:
    """Return path and row from a scene's name, or the part before the date."""
    path_row = _PATH_ROW.match(name.upper())
    if path_row is not None:
        return "".join(filter(None, path_row.groups()))
    date = _DATE.search(name)
    stem = (name[: date.start()] if date else name).rstrip("_-. ").lower()
    return stem or name.lower()


def balanced_folds(places: Sequence[Place], patches: Sequence[int], folds: int) -> list[int]:
    """Return the fold of each scene, from 0; near scenes share a fold.

    Places are assigned from the largest to the smallest, each to the fold with the fewest patches.
    """
    groups = sorted(near_groups(places), key=lambda group: -sum(patches[scene] for scene in group))
    filled = [0] * folds
    fold_of = [0] * len(places)
    for group in groups:
        fold = filled.index(min(filled))
        for scene in group:
            fold_of[scene] = fold
            filled[fold] += patches[scene]
    return fold_of


def near_groups(places: Sequence[Place]) -> list[list[int]]:
    """Group scenes that are near each other, and return the indexes of each group, ordered by first scene."""
    from scipy.sparse.csgraph import connected_components

    near = np.array([one.is_near(other) for one in places for other in places], np.bool_)
    count, group_of = connected_components(near.reshape(len(places), len(places)), directed=False)
    return [np.flatnonzero(group_of == group).tolist() for group in range(count)]


def _degrees(grid: Grid) -> tuple[float, float, float, float] | None:
    """Return west, south, east and north of a grid in degrees, or None if unknown."""
    if grid.crs is None:
        return None
    from rasterio.errors import RasterioError
    from rasterio.transform import array_bounds
    from rasterio.warp import transform_bounds

    try:
        bounds = transform_bounds(grid.crs, "EPSG:4326", *array_bounds(grid.height, grid.width, grid.transform))
    except (RasterioError, ValueError):  # for example a local grid
        return None
    west, south, east, north = map(float, bounds)
    return (west, south, east, north) if all(map(math.isfinite, bounds)) else None


DEFAULT_FOLDS = 5
"""Each fold holds out 20 % for validation, as in Pondaven et al. 2022 (arXiv 2205.12407)."""

SIZE_MULTIPLE_PX = 8
"""Divisor of the side of a sample: the side of a normalisation cell, and the bits of a packed byte."""


def open_samples(
    source: Path | Sequence[Scene],
    *,
    size_px: int,
    fold: int | None = None,
    training: bool = True,
    gaps_from: Sequence[Scene] = (),
    folds: int = DEFAULT_FOLDS,
    augmentation: Augmentation | None = None,
) -> SampleSource:
    """Return a source of samples.

    Args:
        source: The folder of a dataset, or opened scenes.
        size_px: Side of a sample in pixels, a multiple of 8.
        fold: The fold that is held out for validation; None to use all scenes for both.
        training: Whether the samples are for training, with augmentation, or for validation.
        gaps_from: Real SLC-off scenes whose gaps are used, in addition to those of the dataset.
        folds: Number of folds for opened scenes; a dataset has its own.
        augmentation: Augmentation to use instead of the default.

    Raises:
        InputError: If a file can't be read, is too small, or doesn't match the manifest.
        UsageError: If the size, the fold or the scenes aren't valid.
    """
    require_size(size_px)
    images: Sequence[Images]
    gaps: Sequence[NDArray[np.uint8] | MappedArray]
    if isinstance(source, Path):
        images, gaps = _stored(source, size_px, fold, training=training)
    else:
        _require_fold(fold, folds)
        patches = [patches_in(scene, size_px) for scene in source]
        fold_of = balanced_folds([place_of(scene) for scene in source], patches, folds)
        selected = _selected(fold_of, fold, training=training)
        images, gaps = [SceneImages(source[number], size_px) for number in selected], []
    gaps = [*gaps, *(cut_gaps(scene, size_px) for scene in gaps_from)]
    return SampleSource(
        images,
        size_px,
        augmentation=augmentation or (Augmentation() if training else PLAIN),
        gaps=GapBank(gaps) if gaps else None,
    )


def require_size(size_px: int) -> None:
    """Raise UsageError for a side that isn't a multiple of 8 pixels."""
    if size_px < SIZE_MULTIPLE_PX or size_px % SIZE_MULTIPLE_PX:
        raise UsageError(
            f"expected a size that is a multiple of {SIZE_MULTIPLE_PX} pixels, but got {size_px}",
            hint="Choose 64, 96 or 128.",
        )


def _stored(
    folder: Path, size_px: int, fold: int | None, *, training: bool
) -> tuple[list[StoredPatches], list[MappedArray]]:
    """Return the selected scenes of a dataset, and its gaps."""
    manifest = read_manifest(folder)
    if size_px > manifest.size_px:
        raise UsageError(
            f"expected samples of at most {manifest.size_px} px, the patches of {folder}, but got {size_px}",
            hint=f"Make the dataset again with --size {size_px}, or train on smaller samples.",
        )
    _require_fold(fold, manifest.folds)
    side_px = manifest.size_px
    selected = _selected([facts.fold for facts in manifest.scenes], fold, training=training)
    images = [StoredPatches(folder, manifest.scenes[number], side_px) for number in selected]
    gaps = [
        stored_array(folder / facts.file, (facts.crops, facts.bands, side_px, side_px // 8)) for facts in manifest.gaps
    ]
    return images, gaps


def _selected(fold_of: Sequence[int], fold: int | None, *, training: bool) -> list[int]:
    """Return the indexes of the scenes for training or validation, or raise UsageError if there are none."""
    selected = [number for number, own in enumerate(fold_of) if fold is None or (own != fold) == training]
    if fold_of and not selected:
        if training:
            raise UsageError(
                f"expected scenes to train on outside fold {fold}, which is held out, but all lie in it",
                hint=f"Scenes of one place share a fold. Add scenes more than {NEAR_KM:.0f} km away, or name "
                "scenes for validation with --validation.",
            )
        folds = ", ".join(str(own) for own in sorted(set(fold_of)))
        raise UsageError(
            f"expected scenes for validation in fold {fold}, but it is empty",
            hint=f"Scenes of one place share a fold. Choose a fold that has scenes ({folds}) with --fold, or "
            "name scenes for validation with --validation.",
        )
    return selected


def _require_fold(fold: int | None, folds: int) -> None:
    if fold is not None and not 0 <= fold < folds:
        raise UsageError(
            f"expected a fold from 0 to {folds - 1}, but got {fold}",
            hint="Choose one of the folds the dataset was made with; they count from 0.",
        )


def open_sources(settings: TrainingSettings) -> tuple[SampleSource, list[SampleSource]]:
    """Return the samples for training, and those for validation: one source for each scene of `validation`.

    Raises:
        InputError: If a path can't be opened, or a scene is too small.
        UsageError: If sizes, fold or paths aren't valid.
    """
    data = settings.data
    size_px = settings.validation.size_px or data.size_px
    source = _opened(data.paths)
    gaps = _scenes(data.gaps_from)
    fold = None if data.validation else data.fold
    samples = open_samples(source, size_px=data.size_px, fold=fold, gaps_from=gaps)
    if not data.validation:
        return samples, [open_samples(source, size_px=size_px, fold=fold, training=False)]
    held_out = _opened(data.validation)
    each: Sequence[Path | Sequence[Scene]] = [held_out] if isinstance(held_out, Path) else [[one] for one in held_out]
    return samples, [open_samples(one, size_px=size_px, training=False) for one in each]


def largest_sample_px(data: DataSettings) -> float:
    """Return the side of a dataset's patches, or infinity for scenes."""
    return min((read_manifest(folder).size_px for folder in _datasets(data.paths)), default=math.inf)


def _datasets(paths: Sequence[str]) -> list[Path]:
    """Return the paths that are folders of datasets."""
    return [Path(path) for path in paths if (Path(path) / MANIFEST_NAME).is_file()]


def _opened(paths: Sequence[str]) -> Path | list[Scene]:
    """Return the folder of a dataset, or opened scenes."""
    datasets = _datasets(paths)
    if not datasets:
        return _scenes(paths, or_dataset=True)
    if len(paths) > 1:
        raise UsageError(
            f"expected one dataset or scenes, but got {datasets[0]} and other paths",
            hint="Make one dataset of all scenes with `landsat-fill dataset`.",
        )
    return datasets[0]


def _scenes(paths: Sequence[str], *, or_dataset: bool = False) -> list[Scene]:
    """Return opened scenes, or raise InputError; its hint covers datasets if `or_dataset`."""
    found, bad = find_inputs(paths)
    if bad:
        name, error = bad[0]
        if or_dataset and Path(name).is_dir():
            raise InputError(
                error.message,
                hint=f"A dataset has a {MANIFEST_NAME}, which this folder lacks: make it again with "
                f"`landsat-fill dataset`. For scenes: {error.hint}",
            ) from error
        raise error
    return [scene for one in found for scene in open_input(one)]
