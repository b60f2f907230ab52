"""From inputs to jobs: what will be read, where it goes, and what is done already. Reads no pixel."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from landsat_fill.errors import InputError, OutputError, UsageError
from landsat_fill.io import Input, InputKind
from landsat_fill.pipeline.provenance import is_ours

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from landsat_fill.pipeline.request import OutputRequest


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Shard:
    """Every `count`-th of a list, beginning with number `number`, counted from 1.

    Neighbours in a list go to different shards, so that the large scenes of one folder do, too.
    """

    number: int
    count: int

    def of(self, things: Sequence[T]) -> Sequence[T]:
        """Return the share of a list. The shards of one list together have each thing once."""
        return things[self.number - 1 :: self.count]


WHOLE = Shard(1, 1)


def read_shard(text: str) -> Shard:
    """Return the shard that `3/8` means.

    Raises:
        UsageError: If it means none.
    """
    number, slash, count = text.partition("/")
    if not (slash and number.strip().isdecimal() and count.strip().isdecimal()):
        raise UsageError(f"expected --shard I/N, 3/8 for example, but got {text!r}")
    shard = Shard(int(number), int(count))
    if not 1 <= shard.number <= shard.count:
        raise UsageError(f"expected --shard I/N with I from 1 to N, but got {text!r}")
    return shard


GEOTIFF_SUFFIXES = (".tif", ".tiff")
OTHER_SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".jp2", ".img", ".vrt", ".nc", ".hdf", ".h5", ".dat", ".bil", ".bsq", ".bip",
    ".asc", ".grd", ".gpkg", ".pix", ".rst", ".ers", ".bmp", ".gif", ".webp",
)  # fmt: skip
"""Endings of files that aren't written: a folder of such a name is surely a mistake."""


class Action(Enum):
    """What a job will do."""

    FILL = "fill"
    SKIP = "skip"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Job:
    """One input and its output.

    Attributes:
        input: What is read.
        target: The file written, or the folder for a product that stays a folder of bands.
        is_folder: Whether the target is a folder.
        action: Fill it, skip it because it is done, or refuse because a file is in the way.
    """

    input: Input
    target: Path
    is_folder: bool
    action: Action = Action.FILL

    @property
    def folder(self) -> Path:
        """The folder all outputs of the job end up in."""
        return self.target if self.is_folder else self.target.parent

    @property
    def stem(self) -> str:
        """What the names of the layers and the picture begin with."""
        return self.input.name if self.is_folder else self.target.stem.removesuffix("_filled")

    def refusal(self) -> OutputError:
        """Return the error of a job whose target is there already."""
        whose = "" if self.action is Action.SKIP else " that landsat-fill didn't write"
        return OutputError(
            f"expected no file at {self.target}, but there is one{whose}",
            hint="give another -o or --name, or replace it with --overwrite",
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done.

    Attributes:
        jobs: A job for each scene.
        bad: What names no scene, and why.
        outputs: The form of the outputs.
        targets: Where a bad one should have been written, where that is known.
    """

    jobs: Sequence[Job]
    bad: Sequence[tuple[str, InputError]]
    outputs: OutputRequest
    targets: Mapping[str, Path] = field(default_factory=dict)


def plan_jobs(inputs: Sequence[Input], request: OutputRequest, shard: Shard = WHOLE) -> list[Job]:
    """Return a job for each input, in their order; of several, outputs of landsat-fill are passed over.

    Args:
        inputs: What is to be filled.
        request: The form of the outputs.
        shard: Which of the jobs are wanted.

    Raises:
        UsageError: If two inputs would be written to one output, an output is an input, or a single file
            is asked for although there are several.
    """
    if "{name}" not in request.name and len(inputs) > 1:
        raise UsageError(
            f"expected --name to contain {{name}} for {len(inputs)} inputs, but got {request.name!r}",
            hint="for example --name '{name}_filled'",
        )
    if len(inputs) > 1:  # a glob finds yesterday's outputs, too; one that is named alone is meant
        inputs = [one for one in inputs if not _is_output(one)]
    jobs = [_job(one, request, alone=len(inputs) == 1) for one in inputs]
    _refuse_shared_targets(jobs, request.layer_endings)
    return with_actions(shard.of(jobs), request)


def with_actions(jobs: Iterable[Job], request: OutputRequest) -> list[Job]:
    """Return the jobs, each with what its target as it is now makes of it."""
    return [replace(job, action=action_for(job.target, request)) for job in jobs]


def action_for(target: Path, request: OutputRequest) -> Action:
    """Return what is to be done about a target, which may be there already."""
    if not target.exists():
        return Action.FILL
    if request.overwrite:
        since_ns = request.done_since_ns
        is_done = since_ns is not None and target.stat().st_mtime_ns >= since_ns and is_ours(target)
        return Action.SKIP if is_done else Action.FILL
    return Action.SKIP if is_ours(target) else Action.REFUSE


def _is_output(one: Input) -> bool:
    """Return whether an input is a file that landsat-fill wrote."""
    return one.kind is InputKind.RASTER and _is_local(one) and is_ours(Path(one.source))


def _is_local(one: Input) -> bool:
    return not one.source.startswith("/vsi") and "://" not in one.source


def _job(one: Input, request: OutputRequest, *, alone: bool) -> Job:
    is_folder = one.kind is InputKind.PRODUCT and not request.stack
    return Job(one, _target(one, request, is_folder=is_folder, alone=alone), is_folder)


def _target(one: Input, request: OutputRequest, *, is_folder: bool, alone: bool) -> Path:
    """Return where the output of an input goes."""
    try:
        name = request.name.format(name=one.name)
    except (KeyError, IndexError, ValueError):
        raise UsageError(
            f"expected --name to be text with {{name}} in it, but got {request.name!r}",
            hint="for example --name '{name}_filled'",
        ) from None
    if not name or name in (".", "..") or "/" in name or "\0" in name:
        raise UsageError(f"expected --name to make a file name, but it makes {name!r}")
    if not is_folder:
        name += ".tif"
    asked = request.target
    if asked is not None and asked.suffix.lower() in OTHER_SUFFIXES and not asked.is_dir():
        raise UsageError(
            f"expected -o to be a .tif file or a folder, but got {asked}",
            hint=f"outputs are GeoTIFFs: give {asked.with_suffix('.tif')}; gdal_translate converts it",
        )
    if asked is not None and asked.suffix.lower() in GEOTIFF_SUFFIXES and not asked.is_dir():
        if not alone or is_folder:
            what = "a product, which stays a folder of bands" if alone else "several inputs"
            raise UsageError(
                f"expected -o to be a folder for {what}, but got the file name {asked}",
                hint="give a folder" + (", or --stack for one file" if alone else ""),
            )
        return asked
    source = Path(one.source)
    if one.root is not None and source != one.root:  # found in a folder that is more than one product
        return (asked or filled_folder(one.root)) / source.parent.relative_to(one.root) / name
    if asked is not None:
        return asked / name
    if one.container is not None:
        return one.container.parent / name
    if not _is_local(one):
        return Path(name)
    return (source.parent if source.name else source.resolve().parent) / name


def filled_folder(root: Path) -> Path:
    """Return the folder that mirrors a folder of inputs, where no other is asked for."""
    whole = root.resolve()
    return root.with_name(root.name + "_filled") if root.name else whole.with_name(whole.name + "_filled")


def _refuse_shared_targets(jobs: Sequence[Job], layer_endings: Sequence[str]) -> None:
    """Raise if two jobs share a file they write, or one writes onto any input."""
    by_target: dict[Path, list[str]] = defaultdict(list)
    for job in jobs:
        layers = [] if job.is_folder else [job.target.with_name(job.stem + end) for end in layer_endings]
        for file in (job.target, *layers):
            by_target[file.resolve()].append(job.input.source)
    for target, sources in by_target.items():
        if len(sources) > 1:
            raise UsageError(
                f"expected every input to have an output of its own, but {sources[0]} and {sources[1]} "
                f"would both be written to {target}",
                hint="fill them in two calls with different -o, or give the folder that holds both",
            )
    for job in jobs:
        writers = by_target.get(Path(job.input.source).resolve())
        if writers is not None:
            whom = "itself" if writers[0] == job.input.source else f"by the outputs of {writers[0]}"
            raise UsageError(
                f"expected an output beside the input, but {job.input.source} would be written over {whom}",
                hint="give another -o or --name; an input is never overwritten",
            )
