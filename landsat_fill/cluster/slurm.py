"""Slurm's own commands: submits jobs and queries their states."""

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
"""Timeout for an answer from a busy Slurm controller."""

DEFAULT_MAX_ARRAY_SIZE = 1001
"""Source: slurm.conf(5), MaxArraySize."""

NOT_ENDED = frozenset({"PENDING", "RUNNING", "REQUEUED", "RESIZING", "SUSPENDED"})
"""States of tasks that haven't ended. Source: sacct(1), "Job State Codes"."""


class SlurmError(LandsatFillError):
    """A command of Slurm is missing or fails."""


@dataclass(frozen=True, slots=True)
class QueuedTask:
    """A task in the queue: its state, Slurm's reason for waiting, and its expected start."""

    state: str
    reason: str
    start: str

    @property
    def waits(self) -> bool:
        """Whether it has not started."""
        return self.state in ("PENDING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT", "CONFIGURING")


class Slurm:
    """The cluster, accessed through Slurm's commands on the search path."""

    def submit(self, call: Sequence[str]) -> str:
        """Submit a job with a command line of sbatch, and return its number.

        Raises:
            SlurmError: If Slurm rejects it.
        """
        output = _run([call[0], "--parsable", *call[1:]])
        return output.strip().split(";")[0]  # the cluster's name may follow

    def max_array_size(self) -> int:
        """Return MaxArraySize: the largest index of a task in an array plus 1.

        Raises:
            SlurmError: If the cluster doesn't answer.
        """
        match = re.search(r"^MaxArraySize\s*=\s*(\d+)", _run(["scontrol", "show", "config"]), re.MULTILINE)
        return int(match[1]) if match else DEFAULT_MAX_ARRAY_SIZE

    def queue(self, jobs: Iterable[str]) -> dict[tuple[str, int], QueuedTask] | None:
        """Return the queued and running tasks of arrays by job and index, or None if squeue fails.

        All jobs of the user are listed, because squeue fails for a job that ended some minutes ago.
        """
        wanted = set(jobs)
        try:
            output = _run(["squeue", "--noheader", "--array", "--me", "--format=%F|%K|%T|%r|%S"])
        except SlurmError:
            return None
        tasks = {}
        for line in output.splitlines():
            job, index, *facts = line.strip().split("|")
            if job in wanted and index.isdecimal() and len(facts) == 3:
                tasks[job, int(index)] = QueuedTask(*facts)
        return tasks

    def ended(self, jobs: Iterable[str]) -> dict[tuple[str, int], str]:
        """Return the final states of tasks by job and index; empty without accounting on the cluster."""
        listed = ",".join(jobs)
        if not listed or shutil.which("sacct") is None:
            return {}
        try:
            output = _run(["sacct", "--noheader", "-X", "-P", "--jobs", listed, "--format=JobID,State,ExitCode"])
        except SlurmError:
            return {}
        states = {}
        for line in output.splitlines():
            name, state, codes = [*line.split("|"), "", ""][:3]
            job, _, index = name.partition("_")
            if index.isdecimal() and state.partition(" ")[0] not in NOT_ENDED:
                states[job, int(index)] = f"{state}, {_exit_words(codes)}" if state == "FAILED" else state
        return states


def _exit_words(codes: str) -> str:
    """Return `0:9` or `1:0` (exit code and signal) in words. Source: sacct(1)."""
    code, _, number = codes.partition(":")
    return f"killed by signal {number}" if number.isdecimal() and int(number) else f"exit code {code}"


def _run(command: list[str]) -> str:
    """Run a command, and return its output.

    Raises:
        SlurmError: If it is missing, fails or doesn't answer.
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
        raise SlurmError(
            f"expected {command[0]} to succeed, but got: {reason}",
            hint="Check that this machine belongs to the cluster and that `sinfo` works.",
        )
    return ended.stdout


@dataclass(frozen=True, slots=True)
class Part:
    """The tasks of a round in one array: the number of tasks before them, and their number."""

    offset: int
    tasks: int


def parts_of(tasks: int, max_array_size: int) -> list[Part]:
    """Return the arrays for the tasks of a round, given MaxArraySize. Source: slurm.conf(5)."""
    most = max(max_array_size - 1, 1)  # tasks count from 1
    return [Part(offset, min(most, tasks - offset)) for offset in range(0, tasks, most)]


def array_call(one: Round, part: Part, facts: RoundFacts) -> list[str]:
    """Return the command line that submits one part of a round; its options override the script's."""
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

    The job uses `afterany`, because `afterok` would wait forever for an array with a failed task.
    """
    output = str(one.folder / "logs" / "merge.log").replace("%", "%%")
    dependency = ":".join(["afterany", *jobs])
    return ["sbatch", f"--dependency={dependency}", f"--output={output}", str(one.merge_script)]


def submit_round(one: Round, parts: Sequence[Part], slurm: Slurm, *, merge: bool) -> tuple[list[Array], str | None]:
    """Submit the arrays and the merging job of a round, record each at once, and return them.

    Raises:
        SlurmError: If Slurm rejects one; those before it are submitted and recorded.
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
