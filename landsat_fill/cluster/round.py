"""The folder of one submission: its manifest, its scripts, the jobs, and what their tasks write."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from landsat_fill.errors import InputError, OutputError
from landsat_fill.io import write_text_atomically
from landsat_fill.io.atomic import cannot_write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class RoundFacts:
    """What must be known of a round later.

    Attributes:
        command: The command line it was submitted by.
        tasks: How many tasks share its scenes.
        overwrite: Whether outputs that were there before are replaced.
        version: Of landsat-fill.
    """

    command: str
    tasks: int
    overwrite: bool
    version: str


@dataclass(frozen=True, slots=True)
class Array:
    """An array that was handed in: its job, and how many tasks of the round come before it."""

    job: str
    offset: int


class Round:
    """The folder of one submission."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest = folder / "manifest.tsv"
        self.script = folder / "fill.sbatch"
        self.merge_script = folder / "merge.sbatch"
        self._facts = folder / "round.json"
        self._jobs = folder / "jobs.json"

    def create(self, facts: RoundFacts, manifest: str, script: str, merge_script: str) -> None:
        """Write the folder. The file of facts is the last: with it the round begins.

        Raises:
            OutputError: If the disk refuses, or another submission has just made it.
        """
        try:
            self.folder.mkdir(parents=True)
            for name in ("logs", "reports"):
                (self.folder / name).mkdir()
        except FileExistsError as error:
            raise OutputError(
                f"expected no folder at {self.folder}, but another submission has just made one",
                hint="call again, and both are kept",
            ) from error
        except OSError as error:
            raise cannot_write(self.folder, error) from error
        write_text_atomically(self.manifest, manifest)
        write_text_atomically(self.script, script)
        write_text_atomically(self.merge_script, merge_script)
        write_text_atomically(self._facts, json.dumps(asdict(facts), indent=1) + "\n")

    @property
    def began_ns(self) -> int | None:
        """When the round began, by the clock of the outputs' file system, or None if it didn't."""
        try:
            return self._facts.stat().st_mtime_ns
        except OSError:
            return None

    @cached_property
    def facts(self) -> RoundFacts:
        """What was written down of the round.

        Raises:
            InputError: If it can't be read.
        """
        try:
            return RoundFacts(**json.loads(self._facts.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise InputError(f"expected {self._facts} to describe a round, but got: {error}") from error

    @cached_property
    def arrays(self) -> list[Array]:
        """The arrays that were handed in."""
        try:
            return [Array(**row) for row in json.loads(self._jobs.read_text(encoding="utf-8"))["arrays"]]
        except (OSError, ValueError, TypeError, KeyError):
            return []

    def note_jobs(self, arrays: list[Array], merge_job: str | None) -> None:
        """Write down which jobs were handed in.

        Raises:
            OutputError: If the disk refuses.
        """
        row = {"arrays": [asdict(array) for array in arrays], "merge": merge_job}
        write_text_atomically(self._jobs, json.dumps(row, indent=1) + "\n")
        self.arrays = list(arrays)

    def task_of(self, line: int) -> int:
        """Return the task that has a line of the manifest; lines from 0, tasks from 1."""
        return line % self.facts.tasks + 1

    def log(self, task: int) -> Path:
        """Return the log of a task."""
        offset = max((array.offset for array in self.arrays if array.offset < task), default=0)
        return self.folder / "logs" / log_name(offset).replace("%a", str(task - offset))

    def rows(self) -> Iterator[dict[str, object]]:
        """Yield the rows of all tasks' reports, those of a task in their order; no broken lines."""
        for path in sorted((self.folder / "reports").glob("*.jsonl")):
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                try:
                    row = json.loads(line)
                except ValueError:
                    continue  # its writer was killed, or its disk full
                if isinstance(row, dict) and "target" in row:
                    yield row


def log_name(offset: int) -> str:
    """Return the name of the logs of an array's tasks, `%a` for the index, as sbatch has it."""
    return f"after-{offset}-task-%a.log" if offset else "task-%a.log"
