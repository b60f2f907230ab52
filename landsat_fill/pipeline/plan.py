"""From inputs to jobs: what will be read, where it goes, and what is done already. Reads no pixel."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from landsat_fill.errors import InputError, OutputError, UsageError
from landsat_fill.io import Input, InputKind
from landsat_fill.io.atomic import Mark, read_mark, settle
from landsat_fill.io.output_names import is_ours, output_stem
from landsat_fill.pipeline.provenance import differences, request_facts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from landsat_fill.pipeline.outcome import Outcome, Status
    from landsat_fill.pipeline.request import FillRequest, OutputRequest


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
    ADD = "add"
    SKIP = "skip"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Job:
    """One input and its output.

    Attributes:
        input: What is read.
        target: The file written, or the folder for a product that stays a folder of bands.
        is_folder: Whether the target is a folder.
        action: Fill it, add the layers that are missing, skip it because it is done, or refuse because
            something else is in the way.
        reason: Why it is refused.
    """

    input: Input
    target: Path
    is_folder: bool
    action: Action = Action.FILL
    reason: str = ""

    @property
    def folder(self) -> Path:
        """The folder all outputs of the job end up in."""
        return self.target if self.is_folder else self.target.parent

    @property
    def stem(self) -> str:
        """What the names of the layers and the picture begin with."""
        return self.input.name if self.is_folder else output_stem(self.target.name)

    def layer_names(self, outputs: OutputRequest, suffixes: Iterable[str] = ("",)) -> list[str]:
        """Return the layers and pictures that are wanted, by their paths from the target's folder.

        Args:
            outputs: What is wanted.
            suffixes: What tells the scenes of the job apart in names.
        """
        place = f"{self.target.name}/" if self.is_folder else ""
        return [f"{place}{self.stem}{suffix}{end}" for suffix in suffixes for end in outputs.layer_endings]

    def outcome(self, status: Status, **facts: Any) -> Outcome:
        """Return what became of the job: how it ended, and other attributes of `Outcome`."""
        from landsat_fill.pipeline.outcome import Outcome

        return Outcome(self.input.name, self.input.source, self.target, status, **facts)

    def refusal(self) -> OutputError:
        """Return the error of a job whose target is there already."""
        if self.reason:
            return OutputError(
                f"expected {self.target} to be filled as asked, but it is there already: {self.reason}",
                hint="Replace it with --overwrite, or give another -o or --name.",
            )
        whose = "" if self.action is Action.SKIP else " that landsat-fill didn't write"
        return OutputError(
            f"expected no file at {self.target}, but there is one{whose}",
            hint="Give another -o or --name, or replace it with --overwrite.",
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


def plan_jobs(
    inputs: Sequence[Input],
    outputs: OutputRequest,
    shard: Shard = WHOLE,
    *,
    request: FillRequest | None = None,
) -> list[Job]:
    """Return a job for each input, in their order.

    Args:
        inputs: What is to be filled.
        outputs: The form of the outputs.
        shard: Which of the jobs are wanted.
        request: How they are to be filled; None where an output counts as done however it was filled.

    Raises:
        UsageError: If two inputs would be written to one output, an output is an input, or a single file
            is asked for although there are several.
    """
    if "{name}" not in outputs.name and len(inputs) > 1:
        raise UsageError(
            f"expected --name to contain {{name}} for {len(inputs)} inputs, but got {outputs.name!r}",
            hint="Give a name such as --name '{name}_filled'.",
        )
    jobs = [_job(one, outputs, alone=len(inputs) == 1) for one in inputs]
    _refuse_shared_targets(jobs, outputs)
    return with_actions(shard.of(jobs), outputs, request)


def with_actions(
    jobs: Iterable[Job], outputs: OutputRequest, request: FillRequest | None = None
) -> list[Job]:
    """Return the jobs, each with what its target as it is now makes of it."""
    return [with_action(job, outputs, request) for job in jobs]


def with_action(job: Job, outputs: OutputRequest, request: FillRequest | None = None) -> Job:
    """Return the job with what is to be done about its target, which may be there already."""
    settle(job.target)
    mark = read_mark(job.target)
    if mark is None:
        return replace(job, action=_action_without_mark(job.target, outputs))
    asked = None if request is None else request_facts(job.input, request, outputs)
    other = [] if asked is None else differences(mark.facts["request"], asked)
    differing = mark.differing()
    layers = set(mark.facts["layers"])
    if outputs.overwrite:
        is_done = outputs.done_since_ns is not None and mark.time_ns >= outputs.done_since_ns
        return replace(job, action=Action.FILL if other or differing or not is_done else Action.SKIP)
    for name, size in differing.items():
        if size is not None:
            reason = f"{name} has {size:,} bytes, but {mark.sizes[name]:,} were written"
            return replace(job, action=Action.REFUSE, reason=reason)
    if not layers.issuperset(differing):  # more than a layer was removed
        return replace(job, action=Action.FILL)
    if other:
        return replace(job, action=Action.REFUSE, reason="; ".join(other))
    return replace(job, action=Action.ADD if missing_layers(job, outputs, mark) else Action.SKIP)


def is_done(target: Path, since_ns: int | None = None) -> bool:
    """Return whether landsat-fill made the outputs at a target, all of them but for layers removed later.

    Args:
        target: The file or folder.
        since_ns: Outputs of that time or later count; None for all.
    """
    settle(target)
    mark = read_mark(target)
    if mark is None:
        return target.exists() and is_ours(target) and target.stat().st_mtime_ns >= (since_ns or 0)
    return set(mark.facts["layers"]).issuperset(mark.differing()) and mark.time_ns >= (since_ns or 0)


def missing_layers(job: Job, outputs: OutputRequest, mark: Mark) -> set[str]:
    """Return the layers and pictures that are wanted and missing, by their paths from the target's folder."""
    there = mark.sizes.keys() - mark.differing().keys()
    return set(job.layer_names(outputs, mark.facts["scenes"])) - there


def _action_without_mark(target: Path, outputs: OutputRequest) -> Action:
    """Return what is to be done about a target that a version without marks wrote, or another program."""
    if outputs.overwrite:
        since_ns = outputs.done_since_ns
        return Action.SKIP if since_ns is not None and is_done(target, since_ns) else Action.FILL
    if not target.exists():
        return Action.FILL
    return Action.SKIP if is_ours(target) else Action.REFUSE


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
            hint="Give a name such as --name '{name}_filled'.",
        ) from None
    if not name or name in (".", "..") or "/" in name or "\0" in name:
        raise UsageError(f"expected --name to make a file name, but it makes {name!r}")
    if not is_folder:
        name += ".tif"
    asked = request.target
    if asked is not None and asked.suffix.lower() in OTHER_SUFFIXES and not asked.is_dir():
        raise UsageError(
            f"expected -o to be a .tif file or a folder, but got {asked}",
            hint=f"Outputs are GeoTIFFs: give {asked.with_suffix('.tif')}; gdal_translate converts it.",
        )
    if asked is not None and asked.suffix.lower() in GEOTIFF_SUFFIXES and not asked.is_dir():
        if not alone or is_folder:
            what = "a product, which stays a folder of bands" if alone else "several inputs"
            raise UsageError(
                f"expected -o to be a folder for {what}, but got the file name {asked}",
                hint="Give a folder" + (", or --stack for one file." if alone else "."),
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


def _refuse_shared_targets(jobs: Sequence[Job], outputs: OutputRequest) -> None:
    """Raise if two jobs share a file they write, or one writes onto any input."""
    by_target: dict[Path, list[str]] = defaultdict(list)
    for job in jobs:
        for name in (job.target.name, *([] if job.is_folder else job.layer_names(outputs))):
            by_target[job.target.with_name(name).resolve()].append(job.input.source)
    for target, sources in by_target.items():
        if len(sources) > 1:
            raise UsageError(
                f"expected every input to have an output of its own, but {sources[0]} and {sources[1]} "
                f"would both be written to {target}",
                hint="Fill them in two calls with different -o, or give the folder that holds both.",
            )
    for job in jobs:
        writers = by_target.get(Path(job.input.source).resolve())
        if writers is not None:
            whom = "itself" if writers[0] == job.input.source else f"by the outputs of {writers[0]}"
            raise UsageError(
                f"expected an output beside the input, but {job.input.source} would be written over {whom}",
                hint="Give another -o or --name; an input is never overwritten.",
            )
