"""An archive on a cluster: its list of scenes, a folder for each submission, and the folder of its outputs.

A manifest has one scene per line: source, target and, in a folder or an archive of several scenes, the product
or image; separated by tabs. Lines that begin with # are comments.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping  # noqa: TC003 (from_json reads the annotations)
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from landsat_fill.errors import InputError, OutputError, UsageError, cannot_write
from landsat_fill.io import InputKind, find_inputs, write_text_atomically
from landsat_fill.io.gdal import is_local
from landsat_fill.pipeline.plan import Job
from landsat_fill.schema import from_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


HEADER = """\
# The scenes of this run, one per line: source, target and, in a folder of several products, the product;
# separated by tabs. Lines may be removed or added; a scene whose target exists is done.
"""


@dataclass(frozen=True, slots=True)
class ManifestLine:
    """A scene of an archive: source, target, and the product or image in a source of several."""

    source: str
    target: Path
    product: str | None = None


def lines_of(jobs: Iterable[Job]) -> list[ManifestLine]:
    """Return the lines of jobs, with absolute paths because tasks run in any folder.

    Raises:
        UsageError: If a path contains a tab or a line break.
    """
    lines = []
    for job in jobs:
        source = job.input.source
        if is_local(source):
            source = str(Path(source).absolute())
        line = ManifestLine(source, job.target.absolute(), job.input.entry)
        if any(mark in text for mark in "\t\n\r" for text in (line.source, str(line.target))):
            raise UsageError(f"expected paths without tabs and line breaks, but got {line.source!r}")
        lines.append(line)
    return lines


def manifest_text(lines: Iterable[ManifestLine]) -> str:
    """Return the text of a manifest."""
    rows = ("\t".join(filter(None, (line.source, str(line.target), line.product))) for line in lines)
    return HEADER + "".join(f"{row}\n" for row in rows)


def read_manifest(path: Path) -> list[ManifestLine]:
    """Return the lines of a manifest.

    Raises:
        InputError: If it can't be read, or a line is malformed.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InputError(
            f"expected a manifest in {path}, but got none: {reason}",
            hint="Write one with `landsat-fill cluster submit`.",
        ) from error
    lines = []
    for number, row in enumerate(text.split("\n"), start=1):
        if not row.strip() or row.startswith("#"):
            continue
        fields = [field.strip() for field in row.split("\t")]
        if len(fields) not in (2, 3) or not all(fields[:2]):
            raise InputError(
                f"expected source and target separated by a tab in line {number} of {path}, but got {row!r}"
            )
        lines.append(ManifestLine(fields[0], Path(fields[1]), fields[2] if len(fields) == 3 else None))
    return lines


def jobs_of(lines: Sequence[ManifestLine], *, stack: bool) -> tuple[list[Job], list[tuple[ManifestLine, InputError]]]:
    """Return the jobs of lines, without actions, and the lines with an invalid source, with the error."""
    jobs, bad = [], []
    for line in lines:
        found, errors = find_inputs([line.source])
        matching = [one for one in found if line.product in (None, one.entry)]
        if len(matching) != 1:
            what = line.product or "one scene"
            error = InputError(f"expected {what} in {line.source}, but got {len(matching)}")
            bad.append((line, errors[0][1] if errors else error))
            continue
        is_folder = matching[0].kind is InputKind.PRODUCT and not stack
        jobs.append(Job(matching[0], line.target, is_folder))
    return jobs, bad


@dataclass(frozen=True, slots=True)
class RoundFacts:
    """Facts about a round for later commands.

    Attributes:
        command: The command line that submitted it.
        tasks: Number of tasks that share its scenes.
        overwrite: Whether outputs of earlier rounds are replaced.
        version: Version of landsat-fill.
        throttle: Largest number of tasks that run at once, or None for no limit.
        options: Options of sbatch, by long names, that replace those in the script.
    """

    command: str
    tasks: int
    overwrite: bool
    version: str
    throttle: int | None = None
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Array:
    """A submitted array: its job, and the number of tasks of the round before it."""

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
        """Write the folder. The file of facts comes last, because it marks the start of the round.

        Raises:
            OutputError: If a write fails, or another submission has just created the folder.
        """
        try:
            self.folder.mkdir(parents=True)
            for name in ("logs", "reports"):
                (self.folder / name).mkdir()
        except FileExistsError as error:
            raise OutputError(
                f"expected no folder at {self.folder}, but another submission has just created it",
                hint="Run the command again: both submissions are kept.",
            ) from error
        except OSError as error:
            raise cannot_write(self.folder, error) from error
        write_text_atomically(self.manifest, manifest)
        write_text_atomically(self.script, script)
        write_text_atomically(self.merge_script, merge_script)
        write_text_atomically(self._facts, json.dumps(asdict(facts), indent=1) + "\n")

    @property
    def began_ns(self) -> int | None:
        """Start of the round, by the clock of the outputs' file system, or None if it hasn't started."""
        try:
            return self._facts.stat().st_mtime_ns
        except OSError:
            return None

    @property
    def scripts(self) -> tuple[str, str]:
        """The texts of the script and of the merging one.

        Raises:
            InputError: If one can't be read.
        """
        try:
            return self.script.read_text(encoding="utf-8"), self.merge_script.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"expected sbatch scripts in {self.folder}, but got an error: {error}",
                hint="Submit the scenes again with `landsat-fill cluster submit`.",
            ) from error

    @cached_property
    def facts(self) -> RoundFacts:
        """The recorded facts of the round.

        Raises:
            InputError: If it can't be read.
        """
        try:
            facts: RoundFacts = from_json(RoundFacts, json.loads(self._facts.read_text(encoding="utf-8")))
            if facts.tasks < 1:
                raise ValueError(f"tasks is {facts.tasks}")
            return facts
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(f"expected {self._facts} to describe a round, but got: {error}") from error

    @cached_property
    def arrays(self) -> list[Array]:
        """The arrays that were submitted."""
        try:
            rows = json.loads(self._jobs.read_text(encoding="utf-8"))["arrays"]
            arrays = list(from_json(tuple[Array, ...], rows))
            return arrays if all(re.fullmatch(r"\w[\w.;-]*", array.job, re.ASCII) for array in arrays) else []
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return []

    def note_jobs(self, arrays: list[Array], merge_job: str | None) -> None:
        """Record the submitted jobs.

        Raises:
            OutputError: If a write fails.
        """
        row = {"arrays": [asdict(array) for array in arrays], "merge": merge_job}
        write_text_atomically(self._jobs, json.dumps(row, indent=1) + "\n")
        self.arrays = list(arrays)

    def task_of(self, line: int) -> int:
        """Return the task of a line in the manifest; lines count from 0, tasks from 1."""
        return line % self.facts.tasks + 1

    def log(self, task: int) -> Path:
        """Return the log of a task."""
        offset = max((array.offset for array in self.arrays if array.offset < task), default=0)
        return self.folder / "logs" / log_name(offset).replace("%a", str(task - offset))

    def rows(self) -> Iterator[dict[str, object]]:
        """Yield the rows of all tasks' reports, in order for each task, without broken lines."""
        for path in sorted((self.folder / "reports").glob("*.jsonl")):
            yield from report_rows(path)


def report_rows(path: Path) -> Iterator[dict[str, object]]:
    """Yield the rows of a report, without broken lines.

    Raises:
        InputError: If it can't be read.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise InputError(f"expected a report in {path}, but got: {error.strerror}", hint="Check the path.") from error
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue  # the run was killed, or the disk was full
        if isinstance(row, dict) and "target" in row:
            yield row


def log_name(offset: int) -> str:
    """Return the log file name for a job array in sbatch's notation, `%a` for the index."""
    return f"after-{offset}-task-%a.log" if offset else "task-%a.log"


ROUNDS_NAME = "cluster"


class Listed(NamedTuple):
    """A scene: its line, its last round, and its number in the manifest of that round."""

    line: ManifestLine
    round: Round
    number: int


class Archive:
    """The folder of the outputs, which contains the rounds, numbered from 1."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()

    @property
    def rounds(self) -> list[Round]:
        """The rounds, in order.

        Raises:
            InputError: If there is none.
        """
        started = self._started()
        if not started:
            raise InputError(
                f"expected an output folder of `landsat-fill cluster submit`, but got {self.folder}",
                hint="Give the folder that was given to that command with -o.",
            )
        return started

    @property
    def has_rounds(self) -> bool:
        """Whether anything has been submitted."""
        return bool(self._started())

    def next_round(self) -> Round:
        """Return the next round, not created yet."""
        return Round(self.folder / ROUNDS_NAME / str(max(self._numbers(), default=0) + 1))

    def scenes(self) -> list[Listed]:
        """Return the scenes of all rounds, each once.

        Raises:
            InputError: If there is no round, or a manifest can't be read.
        """
        listed: dict[Path, Listed] = {}  # a later round's line replaces an earlier one's
        for one in self.rounds:
            for number, line in enumerate(read_manifest(one.manifest)):
                listed[line.target] = Listed(line, one, number)
        return list(listed.values())

    def _started(self) -> list[Round]:
        rounds = [Round(self.folder / ROUNDS_NAME / str(number)) for number in self._numbers()]
        return [one for one in rounds if one.began_ns is not None]

    def _numbers(self) -> list[int]:
        folder = self.folder / ROUNDS_NAME
        if not folder.is_dir():
            return []
        return sorted(int(path.name) for path in folder.iterdir() if path.name.isdecimal())
