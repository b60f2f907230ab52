"""Cuts a clean scene into patches, on a grid, and writes them as one file."""

from __future__ import annotations

import re
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.errors import InputError
from landsat_fill.io import SceneReader
from landsat_fill.scene import Window
from landsat_fill.training.band_statistics import BandStatistics
from landsat_fill.training.crops import grid_starts
from landsat_fill.training.gap_bank import packed
from landsat_fill.training.manifest import SceneFacts
from landsat_fill.training.patch_file import PatchFile
from landsat_fill.training.places import place_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from landsat_fill.scene import Scene

SCENES_FOLDER = "scenes"
"""Where patches lie in a dataset."""


@dataclass(frozen=True, slots=True)
class Cutting:
    """How scenes are cut.

    Attributes:
        size_px: Side of a patch, a multiple of 8.
        stride_px: From one patch to the next; less than the size makes them overlap.
        max_missing: Share of a patch that may be unobserved in any band, 0 to 1.
    """

    size_px: int = 128
    stride_px: int = 128
    max_missing: float = 0.1


def cut_patches(
    scene: Scene,
    cutting: Cutting,
    folder: Path,
    label: str,
    *,
    on_progress: Callable[[float], None],
) -> SceneFacts:
    """Return what a dataset is to know of a scene, whose patches are written below `folder`; fold 0.

    Patches hold the stored numbers, bit by bit, also where nothing was observed. A strip of the scene is in
    memory at a time.

    Args:
        scene: The scene.
        cutting: How it is cut.
        folder: The dataset's folder.
        label: How the names of its files begin; must be new there.
        on_progress: Told the share of the rows done, 0 to 1.

    Raises:
        InputError: If the scene can't be read, is smaller than a patch, or has none that is observed well
            enough.
    """
    _require_room(scene, cutting.size_px)
    values_name = f"{SCENES_FOLDER}/{label}.npy"
    observed_name = f"{SCENES_FOLDER}/{label}.observed.npy"
    (folder / SCENES_FOLDER).mkdir(parents=True, exist_ok=True)
    statistics = BandStatistics(len(scene.bands))
    all_observed = True
    shape = (len(scene.bands), cutting.size_px, cutting.size_px)
    bits_shape = (*shape[:2], cutting.size_px // 8)
    try:
        with ExitStack() as opened:
            reader = opened.enter_context(SceneReader(scene))
            stored = opened.enter_context(PatchFile(folder / values_name, shape, reader.dtype))
            bits = opened.enter_context(PatchFile(folder / observed_name, bits_shape, np.dtype(np.uint8)))
            for values, observed in _patches(reader, scene, cutting, on_progress):
                stored.append(values)
                bits.append(packed(observed))
                statistics.add(values, observed)
                all_observed &= bool(observed.all())
        if not stored.count:
            raise InputError(
                f"expected a patch of {cutting.size_px} px in {scene.name} with at most "
                f"{cutting.max_missing:.0%} missing, but found none",
                hint="raise --max-missing, choose a smaller --size, or leave the scene out",
            )
    except BaseException:
        (folder / values_name).unlink(missing_ok=True)
        (folder / observed_name).unlink(missing_ok=True)
        raise
    if all_observed:
        (folder / observed_name).unlink()
    place = place_of(scene)
    return SceneFacts(
        name=scene.name,
        source=str(scene.source),
        sensor=scene.sensor,
        acquired=None if scene.acquired is None else scene.acquired.isoformat(),
        dtype=str(reader.dtype),
        pixel_m=scene.grid.pixel_size_m,
        lon=place.lon,
        lat=place.lat,
        fold=0,
        patches=stored.count,
        values=values_name,
        observed=None if all_observed else observed_name,
        bands=statistics.facts([band.name for band in scene.bands]),
    )


def file_label(number: int, name: str) -> str:
    """Return how the files of a scene in a dataset are called: numbered, for names may be alike."""
    return f"{number:03d}_{re.sub(r'[^A-Za-z0-9_.-]+', '_', name)[:80]}"


def _require_room(scene: Scene, size_px: int) -> None:
    """Raise InputError for a scene that is smaller than a patch."""
    height, width = scene.grid.height, scene.grid.width
    if min(height, width) < size_px:
        raise InputError(
            f"expected a scene of at least {size_px} × {size_px} pixels, "
            f"but {scene.name} has {height} × {width}",
            hint="choose a smaller --size, or leave the scene out",
        )


def _patches(
    reader: SceneReader, scene: Scene, cutting: Cutting, on_progress: Callable[[float], None]
) -> Iterator[tuple[NDArray[np.generic], NDArray[np.bool_]]]:
    """Yield the patches that are observed well enough, row by row."""
    height, width = scene.grid.height, scene.grid.width
    size_px = cutting.size_px
    for row in grid_starts(height, size_px, cutting.stride_px):
        values, observed = reader.read(Window(row, 0, size_px, width))
        for col in grid_starts(width, size_px, cutting.stride_px):
            here = observed[:, :, col : col + size_px]
            if 1 - here.mean(axis=(1, 2)).min() <= cutting.max_missing:
                yield values[:, :, col : col + size_px], here
        on_progress((row + size_px) / height)
