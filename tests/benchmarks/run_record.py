"""Reads what a training run was: its settings, the command that repeats it, its length, and its scenes."""

from __future__ import annotations

import csv
import math
import os
import shlex
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from landsat_fill.training.dataset_manifest import Manifest
    from landsat_fill.training.settings import TrainingSettings

CHECKOUT = Path(__file__).resolve().parents[2]

_PATHS = ("paths", "validation", "gaps_from")
"""Settings that the command names in ways of their own."""


@dataclass(frozen=True, slots=True)
class Source:
    """Scenes of one origin.

    Attributes:
        names: The scenes.
        origin: Where the files were published.
        licence: The licence stated there.
    """

    names: tuple[str, ...]
    origin: str
    licence: str


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What a run was.

    Attributes:
        settings: All of its settings.
        versions: The software it ran on, as its run.toml says.
        command: The command that repeats it; paths are relative to the checkout.
        dataset_command: The command that made its dataset, or None where it was trained on scenes.
        scenes: The scenes trained on; empty where they aren't known.
        patches: How many patches these have; 0 where that isn't known.
        gaps: The real scenes whose gaps were laid.
        steps: Steps taken.
        minutes: Time they took.
        validation_errors: The errors on validation, in order.
    """

    settings: TrainingSettings
    versions: str
    command: str
    dataset_command: str | None
    scenes: tuple[str, ...]
    patches: int
    gaps: tuple[str, ...]
    steps: int
    minutes: float
    validation_errors: tuple[float, ...]


def read_run(folder: Path) -> RunRecord:
    """Return what the run in a folder was.

    Raises:
        LandsatFillError: If its files can't be read.
    """
    from landsat_fill.training.dataset_manifest import MANIFEST_NAME, read_manifest
    from landsat_fill.training.run_folder import RunFolder, read_journal
    from landsat_fill.training.settings import changed, read_run_file, recipe

    run = RunFolder(folder)
    tables = read_run_file(run.settings)
    settings = changed(recipe(tables["network"]["name"]), tables, str(run.settings))
    journal = read_journal(run.log)
    data = [Path(path) for path in settings.data.paths]
    manifest = read_manifest(data[0]) if (data[0] / MANIFEST_NAME).is_file() else None
    held_out = None if settings.data.validation else settings.data.fold
    trained = [] if manifest is None else [one for one in manifest.scenes if one.fold != held_out]
    return RunRecord(
        settings=settings,
        versions=run.settings.read_text(encoding="utf-8").partition("\n")[0].lstrip("# "),
        command=shlex.join(_command(settings, folder)),
        dataset_command=None if manifest is None else shlex.join(_dataset_command(manifest)),
        scenes=tuple(scene.name for scene in trained),
        patches=sum(scene.patches for scene in trained),
        gaps=() if manifest is None else tuple(gaps.name for gaps in manifest.gaps),
        steps=int(journal[-1]["step"]),
        minutes=journal[-1]["minutes"],
        validation_errors=tuple(
            row["validation"] for row in journal if not math.isnan(row.get("validation", math.nan))
        ),
    )


def facts_of(record: RunRecord) -> Mapping[str, str]:
    """Return what the weights' own header says of the run, beside what training wrote there."""
    if not record.scenes:
        return {}
    scenes = f"{len(record.scenes)} clean scenes ({record.patches} patches)"
    return {"trained_on": f"{scenes}, in samples of {record.settings.data.size_px} px"}


def sources_of(names: Sequence[str], index: Path) -> tuple[Source, ...]:
    """Return scenes by their origin, as an index says, in the order of the index.

    Args:
        names: Scenes.
        index: A CSV file with a row a scene: file, source, licence.
    """
    wanted = set(names)
    found: dict[tuple[str, str], list[str]] = {}
    with index.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            name = Path(row["file"]).stem
            if name in wanted:
                found.setdefault((row["source"], row["licence"]), []).append(name)
    return tuple(Source(tuple(of), origin, licence) for (origin, licence), of in found.items())


def portable(path: str) -> str:
    """Return a path relative to the checkout, with `real` for the folder of real scenes."""
    relative = os.path.relpath(path, CHECKOUT) if Path(path).is_absolute() else path
    return relative.replace("../shared/data", "real")


def _command(settings: TrainingSettings, folder: Path) -> list[str]:
    """Return the words that repeat a run: what departs from the network's recipe."""
    from landsat_fill.networks.catalogue import build_network, settings_of
    from landsat_fill.training.settings import recipe

    name = settings.network.name
    usual = recipe(name)
    words = ["landsat-fill", "train", name, *map(portable, settings.data.paths)]
    words += ["-o", portable(str(folder.resolve()))]
    for path in settings.data.validation:
        words += ["--validation", portable(path)]
    for path in settings.data.gaps_from:
        words += ["--gaps-from", portable(path)]
    if settings.weights:
        words += ["--weights", portable(settings.weights)]
    if settings.seed != usual.seed:
        words += ["--seed", str(settings.seed)]
    options = dict(_departures(settings, usual))
    # Where the run began from weights, what isn't said is theirs, and not the network's default.
    own = {} if settings.weights else settings_of(build_network(name))
    options |= {f"network.{k}": v for k, v in settings.network.options.items() if v != own.get(k)}
    for key, flag in (("budget.steps", "--steps"), ("budget.minutes", "--minutes")):
        if key in options:
            words += [flag, f"{options.pop(key):g}"]
    for key, value in options.items():
        words += ["-O", f"{key}={_toml(value)}"]
    return words


def _departures(settings: TrainingSettings, usual: TrainingSettings) -> Iterator[tuple[str, Any]]:
    """Yield name and value of each setting that isn't the usual one, but the network's and the paths."""
    for table in fields(settings):
        own, other = getattr(settings, table.name), getattr(usual, table.name)
        if not is_dataclass(own) or table.name == "network":
            continue
        for one in fields(own):
            value = getattr(own, one.name)
            if value != getattr(other, one.name) and one.name not in _PATHS:
                yield f"{table.name}.{one.name}", value


def _toml(value: object) -> str:
    """Return a value as `-O` takes it."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"[{', '.join(map(_toml, value))}]" if isinstance(value, tuple) else str(value)


def _dataset_command(manifest: Manifest) -> list[str]:
    """Return the words that made a dataset, with a pattern for files that are all of their folder."""
    words = [portable(word) for word in shlex.split(manifest.command)]
    short: list[str] = []
    for word in words:
        folder = Path(word).parent
        given = {other for other in words if Path(other).parent == folder and other.endswith(".tif")}
        whole = {str(path) for path in folder.glob("*.tif")}
        pattern = f"{folder}/*.tif"
        if len(given) > 1 and given == whole and word in given:
            if pattern not in short:
                short.append(pattern)
        else:
            short.append(word)
    return short
