"""Slurm's own commands: submitting jobs, and asking what became of them."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from landsat_fill.cluster.archive import Array, log_name
from landsat_fill.cluster.script import array_range
from landsat_fill.errors import LandsatFillError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from landsat_fill.cluster.archive import Round, RoundFacts


PATIENCE_S = 60
"""How long a busy Slurm controller may take to answer."""

DEFAULT_MAX_ARRAY_SIZE = 1001
"""Source: slurm.conf(5), MaxArraySize."""

NOT_ENDED = frozenset({"PENDING", "RUNNING", "REQUEUED", "RESIZING", "SUSPENDED"})
"""States of the accounts in which a task may still do something. Source: sacct(1), "Job State Codes"."""


class SlurmError(LandsatFillError):
    """A command of Slurm that is missing or fails."""


@dataclass(frozen=True, slots=True)
class QueuedTask:
    """A task in the queue: its state, why it waits (in Slurm's words), and when it may start."""

    state: str
    reason: str
    start: str

    @property
    def waits(self) -> bool:
        """Whether it isn't running yet."""
        return self.state in ("PENDING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT", "CONFIGURING")


class Slurm:
    """The cluster that the commands on the search path belong to."""

    def submit(self, call: Sequence[str]) -> str:
        """Return the number of a job after submitting it.

        Args:
            call: A command line of sbatch.

        Raises:
            SlurmError: If Slurm refuses.
        """
        said = _run([call[0], "--parsable", *call[1:]])
        return said.strip().split(";")[0]  # the cluster's name follows where there are several

    def max_array_size(self) -> int:
        """Return one more than the largest index of a task in an array.

        Raises:
            SlurmError: If the cluster doesn't answer.
        """
        match = re.search(r"^MaxArraySize\s*=\s*(\d+)", _run(["scontrol", "show", "config"]), re.MULTILINE)
        return int(match[1]) if match else DEFAULT_MAX_ARRAY_SIZE

    def queue(self, jobs: Iterable[str]) -> dict[tuple[str, int], QueuedTask] | None:
        """Return the queued and running tasks of arrays, by job and index; None where squeue doesn't answer.

        All jobs of the user are listed: Slurm forgets a job some minutes after its end, and asking for it by
        number is then an error.
        """
        wanted = set(jobs)
        try:
            said = _run(["squeue", "--noheader", "--array", "--me", "--format=%F|%K|%T|%r|%S"])
        except SlurmError:
            return None
        tasks = {}
        for line in said.splitlines():
            job, index, *facts = line.strip().split("|")
            if job in wanted and index.isdecimal() and len(facts) == 3:
                tasks[job, int(index)] = QueuedTask(*facts)
        return tasks

    def ended(self, jobs: Iterable[str]) -> dict[tuple[str, int], str]:
        """Return how tasks ended, by job and index; empty where the cluster has no accounting."""
        listed = ",".join(jobs)
        if not listed or shutil.which("sacct") is None:
            return {}
        try:
            said = _run(
                ["sacct", "--noheader", "-X", "-P", "--jobs", listed, "--format=JobID,State,ExitCode"]
            )
        except SlurmError:
            return {}
        states = {}
        for line in said.splitlines():
            name, state, codes = [*line.split("|"), "", ""][:3]
            job, _, index = name.partition("_")
            if index.isdecimal() and state.partition(" ")[0] not in NOT_ENDED:
                states[job, int(index)] = f"{state}, {_exit_words(codes)}" if state == "FAILED" else state
        return states


def _exit_words(codes: str) -> str:
    """Return what `0:9` or `1:0` means: an exit code, and the signal that ended it. Source: sacct(1)."""
    code, _, number = codes.partition(":")
    return f"killed by signal {number}" if number.isdecimal() and int(number) else f"exit code {code}"


def _run(command: list[str]) -> str:
    """Return what a command prints.

    Raises:
        SlurmError: If it isn't there, fails, or doesn't answer.
    """
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    except FileNotFoundError as error:
        raise SlurmError(
            f"expected Slurm's command {command[0]}, but there is none",
            hint="Log in to a machine of the cluster, or load Slurm's module. "
            "`landsat-fill fill --shard I/N` works without Slurm.",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise SlurmError(f"expected {command[0]} to answer within {PATIENCE_S} s, but it didn't") from error
    if ended.returncode:
        reason = ended.stderr.strip() or f"exit code {ended.returncode}"
        raise SlurmError(f"expected {command[0]} to succeed, but it said: {reason}")
    return ended.stdout


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


def array_call(one: Round, part: Part, facts: RoundFacts) -> list[str]:
    """Return the command line that submits one part of a round; its options win over those in the script."""
    folder = str(one.folder).replace("%", "%%")
    options = {
        "array": array_range(part.tasks, facts.throttle),
        "output": f"{folder}/logs/{log_name(part.offset)}",
        **facts.options,
    }
    arguments = [str(one.folder), str(facts.tasks), str(part.offset)]
    return ["sbatch", *(f"--{name}={value}" for name, value in options.items()), str(one.script), *arguments]


def merge_call(one: Round, jobs: Sequence[str]) -> list[str]:
    """Return the command line that submits the merging job.

    It waits for all arrays to end, however they end: `afterok` would wait for ever for one with a failed
    task.
    """
    output = str(one.folder / "logs" / "merge.log").replace("%", "%%")
    dependency = ":".join(["afterany", *jobs])
    return ["sbatch", f"--dependency={dependency}", f"--output={output}", str(one.merge_script)]


def submit_round(
    one: Round, parts: Sequence[Part], slurm: Slurm, *, merge: bool
) -> tuple[list[Array], str | None]:
    """Return the arrays and the merging job of a round after submitting them; each is recorded at once.

    Args:
        one: The round, created.
        parts: What its tasks are split into.
        slurm: The cluster.
        merge: Whether to submit the merging job.

    Raises:
        SlurmError: If Slurm refuses one; those before it are submitted and recorded.
    """
    arrays: list[Array] = []
    for part in parts:
        arrays.append(Array(slurm.submit(array_call(one, part, one.facts)), part.offset))
        one.note_jobs(arrays, None)
    if not merge:
        return arrays, None
    merge_job = slurm.submit(merge_call(one, [array.job for array in arrays]))
    one.note_jobs(arrays, merge_job)
    return arrays, merge_job
