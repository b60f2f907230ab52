"""Writes a dataset: patches of clean scenes and gaps of real ones, in a folder that appears whole or not."""

from __future__ import annotations

import secrets
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from landsat_fill.errors import InputError, LandsatFillError, OutputError, UsageError
from landsat_fill.training.cutting import Cutting, cut_patches, file_label
from landsat_fill.training.dataset import DEFAULT_FOLDS, require_size
from landsat_fill.training.gap_bank import cut_gaps, unpacked
from landsat_fill.training.manifest import MANIFEST_NAME, GapFacts, Manifest
from landsat_fill.training.places import balanced_folds, place_of
from landsat_fill.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from landsat_fill.scene import Scene
    from landsat_fill.training.manifest import SceneFacts

    Cut = TypeVar("Cut", SceneFacts, GapFacts)
    OnProgress = Callable[[float, str], None]

GAPS_FOLDER = "gaps"
"""Where gaps lie in a dataset."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A scene that couldn't be used, and why."""

    scene: str
    error: LandsatFillError


def write_dataset(
    scenes: Sequence[Scene],
    gaps_from: Sequence[Scene],
    target: Path,
    cutting: Cutting,
    *,
    folds: int = DEFAULT_FOLDS,
    command: str = "",
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> tuple[Manifest, list[Failure]]:
    """Return what a dataset holds, once it is written, and the scenes that couldn't be used.

    Args:
        scenes: Clean scenes.
        gaps_from: SLC-off scenes.
        target: The folder to write.
        cutting: How scenes are cut; gaps are cut to the same size.
        folds: How many folds the scenes are dealt out to, by where they lie; as many as there are places, if
            these are fewer.
        command: What is to be said of how the dataset was made.
        overwrite: Replace a dataset that is there; anything else is never replaced.
        on_progress: Told the share done, 0 to 1, and what is being worked on.

    Raises:
        InputError: If no scene could be used.
        UsageError: If a size, share or number can't be meant.
        OutputError: If the folder exists, or can't be written.
    """
    _require_sense(cutting, folds)
    target = target.absolute()
    _refuse_target(target, overwrite=overwrite)
    failures: list[Failure] = []
    steps = len(scenes) + len(gaps_from)

    def progress(done: int, name: str) -> Callable[[float], None]:
        return lambda share: None if on_progress is None else on_progress((done + share) / steps, name)

    with _folder_moved_into_place(target) as folder:
        cut: list[tuple[Scene, SceneFacts]] = []
        for number, scene in enumerate(scenes):
            shown = progress(number, scene.name)
            try:
                label = file_label(number, scene.name)
                cut.append((scene, cut_patches(scene, cutting, folder, label, on_progress=shown)))
            except InputError as error:
                failures.append(Failure(scene.name, error))
        gaps: list[GapFacts] = []
        for number, scene in enumerate(gaps_from):
            shown = progress(len(scenes) + number, scene.name)
            try:
                gaps.append(_write_gaps(scene, cutting.size_px, folder, number, shown))
            except LandsatFillError as error:
                failures.append(Failure(scene.name, error))
        if not cut:
            raise _nothing_usable(failures)
        dealt = balanced_folds(
            [place_of(scene) for scene, _ in cut], [facts.patches for _, facts in cut], folds
        )
        manifest = Manifest(
            version=__version__,
            command=command,
            size_px=cutting.size_px,
            stride_px=cutting.stride_px,
            max_missing=cutting.max_missing,
            folds=max(dealt) + 1,  # where there are fewer places, the last ones stay empty
            scenes=tuple(replace(facts, fold=fold) for (_, facts), fold in zip(cut, dealt, strict=True)),
            gaps=tuple(gaps),
        )
        (folder / MANIFEST_NAME).write_text(manifest.as_json(), encoding="utf-8")
    return manifest, failures


def _write_gaps(
    scene: Scene, size_px: int, folder: Path, number: int, on_progress: Callable[[float], None]
) -> GapFacts:
    crops = cut_gaps(scene, size_px, on_progress=on_progress)
    name = f"{GAPS_FOLDER}/{file_label(number, scene.name)}.npy"
    (folder / GAPS_FOLDER).mkdir(exist_ok=True)
    np.save(folder / name, crops)
    share = float(np.mean([unpacked(crop, size_px).mean() for crop in crops]))
    return GapFacts(scene.name, str(scene.source), crops.shape[1], len(crops), share, name)


@contextmanager
def _folder_moved_into_place(target: Path) -> Iterator[Path]:
    """Yield a folder beside `target` that becomes it, or vanishes where something is raised."""
    beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    replaced = beside.with_suffix(".replaced")
    try:
        beside.mkdir(parents=True)
        yield beside
        if target.exists():
            target.rename(replaced)
        try:
            beside.rename(target)
        except BaseException:  # an interrupt, too, must leave one of the two
            if replaced.exists():
                replaced.rename(target)
            raise
    except OSError as error:
        raise OutputError(
            f"expected to write {target}, but got an error: {error.strerror or error}",
            hint="check that the folder may be written to, and that the disk has room",
        ) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
        shutil.rmtree(replaced, ignore_errors=True)


def _refuse_target(target: Path, *, overwrite: bool) -> None:
    """Raise OutputError if something is there that mustn't be replaced."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not (target / MANIFEST_NAME).is_file():
        raise OutputError(
            f"expected a new folder or a dataset to replace, but {target} is something else",
            hint="choose another folder with --output",
        )
    if not overwrite:
        raise OutputError(
            f"expected a new folder, but there is a dataset in {target}",
            hint="replace it with --overwrite, or choose another folder with --output",
        )


def _require_sense(cutting: Cutting, folds: int) -> None:
    require_size(cutting.size_px)
    if not 1 <= cutting.stride_px <= cutting.size_px:
        raise UsageError(
            f"expected a stride from 1 to {cutting.size_px} px, but got {cutting.stride_px}",
            hint="a stride as long as the patch's side makes patches lie side by side",
        )
    if not 0 <= cutting.max_missing < 1:
        raise UsageError(
            f"expected a missing share of at least 0 and less than 1, but got {cutting.max_missing:g}"
        )
    if folds < 1:
        raise UsageError(f"expected at least one fold, but got {folds}")


def _nothing_usable(failures: Sequence[Failure]) -> InputError:
    if not failures:
        return InputError("expected clean scenes to cut, but got none", hint="name GeoTIFFs or products")
    first = failures[0]
    return InputError(
        f"expected a scene that can be used, but got none of {len(failures)}; "
        f"{first.scene}: {first.error.message}",
        hint=first.error.hint,
    )
