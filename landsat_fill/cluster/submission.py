"""Handing in a round: arrays no larger than the cluster takes, and the job that merges what they report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from landsat_fill.cluster.round import Array, log_name
from landsat_fill.cluster.script import array_range

if TYPE_CHECKING:
    from collections.abc import Sequence

    from landsat_fill.cluster.round import Round
    from landsat_fill.cluster.slurm import Slurm


@dataclass(frozen=True, slots=True)
class Part:
    """Tasks of a round that fit into one array: how many, and how many come before them."""

    offset: int
    tasks: int


def parts_of(tasks: int, max_array_size: int) -> list[Part]:
    """Return the arrays that so many tasks are split into.

    Args:
        tasks: All tasks of a round.
        max_array_size: One more than the largest index of a task. Source: slurm.conf(5), MaxArraySize.
    """
    most = max(max_array_size - 1, 1)  # counted from 1
    return [Part(offset, min(most, tasks - offset)) for offset in range(0, tasks, most)]


def part_options(one: Round, part: Part, throttle: int | None) -> list[str]:
    """Return the options of sbatch, which win over those in the script, that hand in one part of several."""
    folder = str(one.folder).replace("%", "%%")
    return [
        f"--array={array_range(part.tasks, throttle)}",
        f"--output={folder}/logs/{log_name(part.offset)}",
    ]


def submit_round(
    one: Round, parts: Sequence[Part], throttle: int | None, slurm: Slurm, *, merge: bool
) -> tuple[list[Array], str | None]:
    """Return the arrays handed in and the merging job, after each of them is written down.

    Args:
        one: The round, created.
        parts: What its tasks are split into.
        throttle: Tasks of an array that run at once.
        slurm: The cluster.
        merge: Whether to hand in the merging job, which waits for all arrays to end, however they end:
            `afterok` would wait for ever for one with a failed task.

    Raises:
        SlurmError: If Slurm refuses one; those before it are handed in and written down.
    """
    arrays: list[Array] = []
    for part in parts:
        options = part_options(one, part, throttle) if len(parts) > 1 else []
        job = slurm.submit(one.script, options, [str(part.offset)] if part.offset else [])
        arrays.append(Array(job, part.offset))
        one.note_jobs(arrays, None)
    if not merge:
        return arrays, None
    dependency = ":".join(["afterany", *(array.job for array in arrays)])
    merge_job = slurm.submit(one.merge_script, [f"--dependency={dependency}"])
    one.note_jobs(arrays, merge_job)
    return arrays, merge_job
