"""Slurm's own commands: handing in jobs, and asking what became of them."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from landsat_fill.errors import LandsatFillError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

PATIENCE_S = 60
"""How long a busy controller may take to answer."""

DEFAULT_MAX_ARRAY_SIZE = 1001
"""Source: slurm.conf(5), MaxArraySize."""

NOT_ENDED = frozenset({"PENDING", "RUNNING", "REQUEUED", "RESIZING", "SUSPENDED"})
"""States of the accounts in which a task may still do something. Source: sacct(1), "Job State Codes"."""


class SlurmError(LandsatFillError):
    """A command of Slurm that isn't there, or failed."""


@dataclass(frozen=True, slots=True)
class QueuedTask:
    """A task that waits or runs: its state, why it waits, in Slurm's words, and when it may start."""

    state: str
    reason: str
    start: str

    @property
    def waits(self) -> bool:
        """Whether it isn't running."""
        return self.state in ("PENDING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT", "CONFIGURING")


class Slurm:
    """The cluster that the commands on the search path belong to."""

    def submit(self, script: Path, options: Sequence[str] = (), arguments: Sequence[str] = ()) -> str:
        """Return the number of a job, after handing it in.

        Raises:
            SlurmError: If Slurm refuses.
        """
        said = _run(["sbatch", "--parsable", *options, str(script), *arguments])
        return said.strip().split(";")[0]  # the cluster's name follows where there are several

    def max_array_size(self) -> int:
        """Return one more than the largest index of a task in an array.

        Raises:
            SlurmError: If the cluster doesn't answer.
        """
        match = re.search(r"^MaxArraySize\s*=\s*(\d+)", _run(["scontrol", "show", "config"]), re.MULTILINE)
        return int(match[1]) if match else DEFAULT_MAX_ARRAY_SIZE

    def queue(self, jobs: Iterable[str]) -> dict[tuple[str, int], QueuedTask] | None:
        """Return the tasks of arrays that wait or run, by job and index; None where nobody can tell.

        Jobs that have ended are forgotten by Slurm after some minutes, and asking for one then is an error;
        so all of the user are asked for.
        """
        wanted = set(jobs)
        try:
            said = _run(["squeue", "--noheader", "--array", "--me", "--format=%F|%K|%T|%r|%S"])
        except SlurmError:
            return None
        tasks = {}
        for line in said.splitlines():
            job, index, *told = line.strip().split("|")
            if job in wanted and index.isdecimal() and len(told) == 3:
                tasks[job, int(index)] = QueuedTask(*told)
        return tasks

    def ended(self, jobs: Iterable[str]) -> dict[tuple[str, int], str]:
        """Return how tasks ended, by job and index; nothing where the cluster keeps no accounts."""
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
            hint="log in to a machine of the cluster, or load its module; "
            "`landsat-fill fill --shard I/N` does without Slurm",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise SlurmError(f"expected {command[0]} to answer within {PATIENCE_S} s, but it didn't") from error
    if ended.returncode:
        reason = ended.stderr.strip() or f"exit code {ended.returncode}"
        raise SlurmError(f"expected {command[0]} to succeed, but it said: {reason}")
    return ended.stdout
