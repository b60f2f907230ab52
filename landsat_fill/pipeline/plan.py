"""Plans jobs from inputs: their outputs, and what is already done. Reads no pixels."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar

from landsat_fill.errors import InputError, OutputError, UsageError, cannot_write
from landsat_fill.io import Input, InputKind
from landsat_fill.io.archives import archive_stem
from landsat_fill.io.atomic import Mark, read_mark, settle, staging_path, unreadable_mark
from landsat_fill.io.gdal import is_remote
from landsat_fill.io.output_names import is_ours, output_stem
from landsat_fill.pipeline.provenance import COPIED, OTHER_FILES, differences, request_facts

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from landsat_fill.pipeline.outcome import Outcome, Status
    from landsat_fill.pipeline.request import FillRequest, OutputRequest


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Shard:
    """Every `count`-th item of a list, starting at item `number`, counted from 1.

    This spreads the large scenes of one folder over different shards.
    """

    number: int
    count: int

    def of(self, items: Sequence[T]) -> Sequence[T]:
        """Return the items of a list in this shard."""
        return items[self.number - 1 :: self.count]


WHOLE = Shard(1, 1)


def read_shard(text: str) -> Shard:
    """Return the shard of a text like `3/8`.

    Raises:
        UsageError: If it isn't a shard.
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
"""Endings of formats that aren't written: a folder with such a name is surely a mistake."""


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
        input: The input.
        target: The output file, or the output folder of a product.
        is_folder: Whether the target is a folder.
        action: Fill, add missing layers, skip a finished output, or refuse to replace another one.
        reason: Why it is refused.
        problem: The error for an output that can't be looked at, if it is refused for that.
        notes: Remarks for the user on a job that is skipped.
    """

    input: Input
    target: Path
    is_folder: bool
    action: Action = Action.FILL
    reason: str = ""
    problem: OutputError | None = None
    notes: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """The folder of all outputs of the job."""
        return self.target if self.is_folder else self.target.parent

    @property
    def stem(self) -> str:
        """The stem that the layers and the preview share."""
        return self.input.name if self.is_folder else output_stem(self.target.name)

    def layer_names(self, outputs: OutputRequest, suffixes: Iterable[str] = ("",)) -> list[str]:
        """Return the requested layers and previews, by paths relative to the target's folder.

        `suffixes` are those of the job's scenes in file names.
        """
        place = f"{self.target.name}/" if self.is_folder else ""
        return [f"{place}{self.stem}{suffix}{end}" for suffix in suffixes for end in outputs.layer_endings]

    def outcome(self, status: Status, **facts: Any) -> Outcome:
        """Return an outcome of the job, with a status and other attributes of `Outcome`."""
        from landsat_fill.pipeline.outcome import Outcome

        facts["notes"] = (*self.notes, *facts.get("notes", ()))
        return Outcome(self.input.name, self.input.label, self.target, status, **facts)

    def refusal(self) -> OutputError:
        """Return the error for a job that is refused."""
        if self.problem is not None:
            return self.problem
        if self.reason:
            return OutputError(
                f"expected {self.target} to be filled as requested, but it already exists: {self.reason}",
                hint="Replace it with --overwrite, or give another -o or --name.",
            )
        whose = "" if self.action is Action.SKIP else " that landsat-fill didn't write"
        return OutputError(
            f"expected no file at {self.target}, but there is one{whose}",
            hint="Give another -o or --name, or replace it with --overwrite.",
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """The jobs of a batch.

    Attributes:
        jobs: A job for each scene.
        bad: Arguments without a scene, with the error.
        outputs: The form of the outputs.
        targets: The planned outputs of bad arguments, if known.
    """

    jobs: Sequence[Job]
    bad: Sequence[tuple[str, InputError]]
    outputs: OutputRequest
    targets: Mapping[str, Path] = field(default_factory=dict)


def plan_jobs(
    inputs: Sequence[Input], outputs: OutputRequest, shard: Shard = WHOLE, *, request: FillRequest | None = None
) -> list[Job]:
    """Return a job for each input of a shard, in their order.

    Without a request, an existing output of any request counts as done.

    Raises:
        UsageError: If two inputs have the same output, an output is an input, or several inputs have a single
            output file.
    """
    if "{name}" not in outputs.name and len(inputs) > 1:
        raise UsageError(
            f"expected --name to contain {{name}} for {len(inputs)} inputs, but got {outputs.name!r}",
            hint="Give a name such as --name '{name}_filled'.",
        )
    jobs = [_job(one, outputs, alone=len(inputs) == 1) for one in inputs]
    _refuse_shared_targets(jobs, outputs)
    return with_actions(shard.of(jobs), outputs, request)


def with_actions(jobs: Iterable[Job], outputs: OutputRequest, request: FillRequest | None = None) -> list[Job]:
    """Return the jobs with their actions, given the current state of the targets."""
    seen = _candidates_of(request)
    planned = []
    for job in jobs:
        try:
            planned.append(with_action(job, outputs, request, seen))
        except OutputError as error:
            planned.append(replace(job, action=Action.REFUSE, problem=error))
        except (OSError, RuntimeError) as error:  # RuntimeError: a link to itself
            planned.append(replace(job, action=Action.REFUSE, problem=cannot_write(job.target, error)))
    return planned


LONGEST_NAME_BYTES = 255
"""Longest name of a file. Source: NAME_MAX of Linux, limits.h; macOS and Windows allow as many characters."""


def _check_names(job: Job, outputs: OutputRequest) -> None:
    """Raise OutputError if a name isn't UTF-8 or too long, including that of the staging folder."""
    for name in (staging_path(job.target).name, *job.layer_names(outputs)):
        try:
            size = len(name.rpartition("/")[2].encode())
        except UnicodeEncodeError:
            hint = "Rename the input, or give another -o or --name."
            raise OutputError(f"expected output names in UTF-8, but got {name}", hint=hint) from None
        if size > LONGEST_NAME_BYTES:
            raise OutputError(
                f"expected output names of at most {LONGEST_NAME_BYTES} bytes, but got {size} in {name}",
                hint="Give a shorter one with --name or -o.",
            )


def _candidates_of(request: FillRequest | None) -> Callable[[], Collection[str]]:
    """Return a function that returns the names of the acquisitions in the request's folders of references."""

    @cache
    def listed() -> Collection[str]:
        if request is None or request.references is None:
            return ()
        from landsat_fill.pipeline.reference_scenes import candidate_names

        return candidate_names(request.references)

    return listed


def with_action(
    job: Job,
    outputs: OutputRequest,
    request: FillRequest | None = None,
    candidates: Callable[[], Collection[str]] | None = None,
) -> Job:
    """Return the job with its action, given the current state of its target.

    `candidates` returns the names of the acquisitions in the request's folders of references.

    Raises:
        OutputError: If the names of its outputs are too long, or not UTF-8.
    """
    _check_names(job, outputs)
    settle(job.target)
    mark = read_mark(job.target)
    if mark is None:
        action = _action_without_mark(job.target, outputs)
        unreadable = unreadable_mark(job.target) if action is Action.SKIP else None
        notes = () if unreadable is None else (f"{unreadable} can't be read: the outputs count as done without it",)
        return replace(job, action=action, notes=notes)
    wanted = None if request is None else request_facts(job.input, request, outputs)
    other = [] if wanted is None else differences(mark.facts["request"], wanted)
    differing = mark.differing()
    layers = set(mark.facts["layers"])
    if outputs.overwrite:
        is_done = outputs.done_since_ns is not None and mark.time_ns >= outputs.done_since_ns
        return replace(job, action=Action.FILL if other or differing or not is_done else Action.SKIP)
    for name, size in differing.items():
        if size is not None:
            reason = f"{name} has {size:,} bytes, but {mark.sizes[name]:,} were written"
            return replace(job, action=Action.REFUSE, reason=reason)
    if not layers.issuperset(differing):  # a file other than a layer was removed
        return replace(job, action=Action.FILL)
    if other:
        return replace(job, action=Action.REFUSE, reason="; ".join(other))
    action = Action.ADD if missing_layers(job, outputs, mark) else Action.SKIP
    if wanted is not None and wanted[OTHER_FILES] == COPIED and OTHER_FILES not in mark.facts["request"]:
        lacks = "filled by an earlier version, without the product's other files; --overwrite adds them"
        job = replace(job, notes=(lacks,))
    new = set((candidates or _candidates_of(request))()).difference(mark.facts.get("candidates", ()))
    if not new:
        return replace(job, action=action)
    if outputs.refresh:
        return replace(job, action=Action.FILL)
    note = f"{len(new)} new reference{'s' * (len(new) != 1)} since; --refresh fills again"
    if action is Action.ADD:
        return replace(job, action=Action.REFUSE, reason=f"added files wouldn't match it: {note}")
    return replace(job, action=action, notes=(*job.notes, note))


def is_done(target: Path, since_ns: int | None = None) -> bool:
    """Return whether landsat-fill completed the outputs at a target, since a time if given.

    Layers that were removed later don't matter.
    """
    settle(target)
    mark = read_mark(target)
    if mark is None:
        return target.exists() and is_ours(target) and target.stat().st_mtime_ns >= (since_ns or 0)
    return set(mark.facts["layers"]).issuperset(mark.differing()) and mark.time_ns >= (since_ns or 0)


def missing_layers(job: Job, outputs: OutputRequest, mark: Mark) -> set[str]:
    """Return the requested layers and previews that don't exist, by paths relative to the target's folder."""
    present = mark.sizes.keys() - mark.differing().keys()
    return set(job.layer_names(outputs, mark.facts["scenes"])) - present


def _action_without_mark(target: Path, outputs: OutputRequest) -> Action:
    """Return the action for a target written by another program, or by a version without marks."""
    if outputs.overwrite:
        since_ns = outputs.done_since_ns
        return Action.SKIP if since_ns is not None and is_done(target, since_ns) else Action.FILL
    if not target.exists():
        return Action.FILL
    return Action.SKIP if is_ours(target) else Action.REFUSE


def _job(one: Input, request: OutputRequest, *, alone: bool) -> Job:
    is_folder = one.kind is InputKind.PRODUCT and not request.stack
    return Job(one, _target(one, request, is_folder=is_folder, alone=alone), is_folder)


def _target(one: Input, request: OutputRequest, *, is_folder: bool, alone: bool) -> Path:
    """Return the output of an input."""
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
    given = request.target
    if given is not None and given.suffix.lower() in OTHER_SUFFIXES and not given.is_dir():
        raise UsageError(
            f"expected -o to be a .tif file or a folder, but got {given}",
            hint=f"Outputs are GeoTIFFs: give {given.with_suffix('.tif')}; gdal_translate converts it.",
        )
    if given is not None and given.suffix.lower() in GEOTIFF_SUFFIXES and not given.is_dir():
        if not alone or is_folder:
            what = "a product, which stays a folder of bands" if alone else "several inputs"
            raise UsageError(
                f"expected -o to be a folder for {what}, but got the file name {given}",
                hint="Give a folder" + (", or --stack for one file." if alone else "."),
            )
        return given
    source = Path(one.source)
    if one.member is not None:  # an archive of images becomes a folder with its name
        name = str(PurePosixPath(archive_stem(source), one.member).with_name(name))
    if one.root is not None and source != one.root:  # the input was found in a searched folder
        return (given or filled_folder(one.root)) / source.parent.relative_to(one.root) / name
    if given is not None:
        return given / name
    if one.container is not None:
        return one.container.parent / name
    if is_remote(one.source):
        return Path(name)
    return (source.parent if source.name else source.resolve().parent) / name


def filled_folder(root: Path) -> Path:
    """Return the default folder that mirrors a folder of inputs."""
    whole = root.resolve()
    return root.with_name(root.name + "_filled") if root.name else whole.with_name(whole.name + "_filled")


def _real(path: Path) -> Path:
    """Return a path without links; unlike `Path.resolve`, this doesn't raise for a link to itself."""
    return Path(os.path.realpath(path))


def _refuse_shared_targets(jobs: Sequence[Job], outputs: OutputRequest) -> None:
    """Raise UsageError if two jobs write the same file, or one writes an input."""
    by_target: dict[Path, list[str]] = defaultdict(list)
    for job in jobs:
        for name in (job.target.name, *([] if job.is_folder else job.layer_names(outputs))):
            by_target[_real(job.target.with_name(name))].append(job.input.label)
    for target, sources in by_target.items():
        if len(sources) > 1:
            raise UsageError(
                f"expected a different output for each input, but {sources[0]} and {sources[1]} "
                f"would both be written to {target}",
                hint="Fill them in two calls with different -o, or give the folder that holds both.",
            )
    for job in jobs:
        writers = by_target.get(_real(Path(job.input.source)))
        if writers is not None:
            by = "its own output" if writers[0] == job.input.label else f"the outputs of {writers[0]}"
            raise UsageError(
                f"expected an output other than the inputs, but {by} would overwrite {job.input.source}",
                hint="Give another -o or --name; an input is never overwritten.",
            )
