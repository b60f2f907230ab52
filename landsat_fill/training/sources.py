"""Where a run's samples come from: a dataset or scenes, and what is held out to score on."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from landsat_fill.errors import InputError, UsageError
from landsat_fill.io import find_inputs, open_input
from landsat_fill.training.dataset import open_samples
from landsat_fill.training.manifest import MANIFEST_NAME, read_manifest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from landsat_fill.scene import Scene
    from landsat_fill.training.patches import SampleSource
    from landsat_fill.training.settings import DataSettings, TrainingSettings


def open_sources(settings: TrainingSettings) -> tuple[SampleSource, list[SampleSource]]:
    """Return the samples to train on, and those to score on: a source for each scene where scenes are given.

    Raises:
        InputError: If a path can't be opened, or a scene is too small.
        UsageError: If sizes, fold or paths can't be meant.
    """
    data = settings.data
    size_px = settings.validation.size_px or data.size_px
    given = _opened(data.paths)
    gaps = _scenes(data.gaps_from)
    fold = None if data.validation else data.fold
    samples = open_samples(given, size_px=data.size_px, fold=fold, gaps_from=gaps)
    if not data.validation:
        return samples, [open_samples(given, size_px=size_px, fold=fold, training=False)]
    held = _opened(data.validation)
    each: Sequence[Path | Sequence[Scene]] = [held] if isinstance(held, Path) else [[scene] for scene in held]
    return samples, [open_samples(one, size_px=size_px, training=False) for one in each]


def largest_sample_px(data: DataSettings) -> float:
    """Return the side of a dataset's patches; infinity for scenes, which samples are cut out of anywhere.

    Raises:
        InputError: If the dataset can't be read.
    """
    manifests = [Path(path) for path in data.paths if (Path(path) / MANIFEST_NAME).is_file()]
    return min((read_manifest(folder).size_px for folder in manifests), default=math.inf)


def _opened(paths: Sequence[str]) -> Path | list[Scene]:
    """Return the folder of a dataset, or scenes.

    Raises:
        InputError: If one can't be opened.
        UsageError: If there is a dataset among several.
    """
    datasets = [Path(path) for path in paths if (Path(path) / MANIFEST_NAME).is_file()]
    if not datasets:
        return _scenes(paths, or_dataset=True)
    if len(paths) > 1:
        raise UsageError(
            f"expected one dataset or scenes, but got {datasets[0]} beside others",
            hint="make one dataset of all scenes with `landsat-fill dataset`",
        )
    return datasets[0]


def _scenes(paths: Sequence[str], *, or_dataset: bool = False) -> list[Scene]:
    """Return scenes, opened.

    Args:
        paths: Where they are.
        or_dataset: Whether there might have been a dataset, for the hint.

    Raises:
        InputError: If one can't be.
    """
    found, bad = find_inputs(paths)
    if bad:
        name, error = bad[0]
        if or_dataset and Path(name).is_dir():
            raise InputError(
                error.message,
                hint=f"a dataset has a {MANIFEST_NAME}, which this folder lacks: make it again with "
                f"`landsat-fill dataset`; of scenes, {error.hint}",
            ) from error
        raise error
    return [scene for given in found for scene in open_input(given)]
