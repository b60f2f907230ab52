"""What a call of `fill` works on: the scenes it names, or those of a manifest."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from landsat_fill.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from landsat_fill.errors import InputError
    from landsat_fill.pipeline import Job, OutputRequest


@dataclass(frozen=True, slots=True)
class Scenes:
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
    targets: dict[str, Path] = field(default_factory=dict)


def most_at_once(inputs: Sequence[str], lists: Sequence[Path], jobs: int) -> int:
    """Return the most scenes that can be at work at once, told before anything is looked into.

    Args:
        inputs: What the command line names.
        lists: Files that name scenes.
        jobs: How many are wanted.
    """
    only_files = not lists and all(Path(one).is_file() for one in inputs)
    return min(jobs, len(inputs)) if only_files else jobs


def planned_scenes(
    inputs: Sequence[str], lists: Sequence[Path], manifest: Path | None, shard: str, outputs: OutputRequest
) -> Scenes:
    """Return what is to be done.

    Raises:
        UsageError: If nothing is named, or two things that exclude each other, or outputs are in each other's way.
        InputError: If the manifest can't be read.
    """
    from landsat_fill.io import find_inputs
    from landsat_fill.pipeline import plan_jobs, read_shard

    share = read_shard(shard)
    if manifest is not None:
        if inputs or lists or outputs.target is not None:
            raise UsageError("expected --manifest alone, but got scenes or -o beside it")
        return _of_manifest(manifest, shard, outputs)
    if not inputs and not lists:
        raise UsageError("expected at least one scene, but got none", hint="landsat-fill fill --help")
    found, bad = find_inputs(inputs, lists)
    return Scenes(plan_jobs(found, outputs, share), share.of(bad), outputs)


def _of_manifest(manifest: Path, shard: str, outputs: OutputRequest) -> Scenes:
    from landsat_fill.cluster import Round, jobs_of, read_manifest
    from landsat_fill.pipeline import read_shard, with_actions

    lines = read_shard(shard).of(read_manifest(manifest))
    jobs, bad = jobs_of(lines, stack=outputs.stack)
    outputs = replace(outputs, done_since_ns=Round(manifest.parent).began_ns)
    return Scenes(
        with_actions(jobs, outputs),
        [(line.source, error) for line, error in bad],
        outputs,
        {line.source: line.target for line, _ in bad},
    )
