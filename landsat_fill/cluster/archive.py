"""An archive on a cluster: the list of its scenes, the folder of each submission, the folder of its outputs.

A manifest has one scene per line: its source, its target and, where the source is a folder of several
products, the product; separated by tabs. Lines that begin with # are comments.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from landsat_fill.errors import InputError, OutputError, UsageError, cannot_write
from landsat_fill.io import InputKind, claim_owner, find_inputs, write_text_atomically
from landsat_fill.io.atomic import read_mark
from landsat_fill.pipeline.plan import Job, is_done

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from landsat_fill.cluster.slurm import QueuedTask, Slurm


HEADER = """\
# The scenes of this run, one per line: source, target and, in a folder of several products, the product;
# separated by tabs. Lines may be removed or added; a scene whose target exists is done.
"""


@dataclass(frozen=True, slots=True)
class ManifestLine:
    """A scene of an archive: what is read, what is written, and which product in a folder of several."""

    source: str
    target: Path
    product: str | None = None


def lines_of(jobs: Iterable[Job]) -> list[ManifestLine]:
    """Return the lines of jobs, with absolute paths: tasks run anywhere.

    Raises:
        UsageError: If a path has a tab or a line break in it.
    """
    lines = []
    for job in jobs:
        source = job.input.source
        if "://" not in source and not source.startswith("/vsi") and Path(source).exists():
            source = str(Path(source).absolute())
        line = ManifestLine(source, job.target.absolute(), job.input.product)
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
        InputError: If it can't be read, or a line isn't of that form.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InputError(
            f"expected a manifest in {path}, but got none: {reason}",
            hint="`landsat-fill cluster submit` writes one.",
        ) from error
    lines = []
    for number, row in enumerate(text.split("\n"), start=1):
        if not row.strip() or row.startswith("#"):
            continue
        fields = [field.strip() for field in row.split("\t")]
        if len(fields) not in (2, 3) or not all(fields[:2]):
            raise InputError(
                f"expected source and target with a tab between them in line {number} of {path}, "
                f"but got {row!r}"
            )
        lines.append(ManifestLine(fields[0], Path(fields[1]), fields[2] if len(fields) == 3 else None))
    return lines


def jobs_of(
    lines: Sequence[ManifestLine], *, stack: bool
) -> tuple[list[Job], list[tuple[ManifestLine, InputError]]]:
    """Return the jobs of lines, without their actions, and the lines whose source can't be used, with why."""
    jobs, bad = [], []
    for line in lines:
        found, errors = find_inputs([line.source])
        meant = [one for one in found if line.product in (None, one.product)]
        if len(meant) != 1:
            what = f"product {line.product}" if line.product else "one scene"
            error = InputError(f"expected {what} in {line.source}, but it holds {len(meant)}")
            bad.append((line, errors[0][1] if errors else error))
            continue
        is_folder = meant[0].kind is InputKind.PRODUCT and not stack
        jobs.append(Job(meant[0], line.target, is_folder))
    return jobs, bad


@dataclass(frozen=True, slots=True)
class RoundFacts:
    """What later commands need to know about a round.

    Attributes:
        command: The command line that submitted it.
        tasks: How many tasks share its scenes.
        overwrite: Whether outputs of earlier rounds are replaced.
        version: Of landsat-fill.
        throttle: The largest number of tasks that run at once, or None for no limit.
        options: Options of sbatch, by their long names, that replace those in the script.
    """

    command: str
    tasks: int
    overwrite: bool
    version: str
    throttle: int | None = None
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Array:
    """A submitted array: its job, and how many tasks of the round come before it."""

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
        """Write the folder. The file of facts comes last: it marks the beginning of the round.

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
        """When the round began, by the clock of the outputs' file system, or None if it hasn't."""
        try:
            return self._facts.stat().st_mtime_ns
        except OSError:
            return None

    @cached_property
    def facts(self) -> RoundFacts:
        """What is recorded about the round.

        Raises:
            InputError: If it can't be read.
        """
        try:
            return RoundFacts(**json.loads(self._facts.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise InputError(f"expected {self._facts} to describe a round, but got: {error}") from error

    @cached_property
    def arrays(self) -> list[Array]:
        """The arrays that were submitted."""
        try:
            return [Array(**row) for row in json.loads(self._jobs.read_text(encoding="utf-8"))["arrays"]]
        except (OSError, ValueError, TypeError, KeyError):
            return []

    def note_jobs(self, arrays: list[Array], merge_job: str | None) -> None:
        """Record which jobs were submitted.

        Raises:
            OutputError: If the disk refuses.
        """
        row = {"arrays": [asdict(array) for array in arrays], "merge": merge_job}
        write_text_atomically(self._jobs, json.dumps(row, indent=1) + "\n")
        self.arrays = list(arrays)

    def task_of(self, line: int) -> int:
        """Return the task that a line of the manifest belongs to; lines count from 0, tasks from 1."""
        return line % self.facts.tasks + 1

    def log(self, task: int) -> Path:
        """Return the log of a task."""
        offset = max((array.offset for array in self.arrays if array.offset < task), default=0)
        return self.folder / "logs" / log_name(offset).replace("%a", str(task - offset))

    def rows(self) -> Iterator[dict[str, object]]:
        """Yield the rows of all tasks' reports, those of a task in order; broken lines are skipped."""
        for path in sorted((self.folder / "reports").glob("*.jsonl")):
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                try:
                    row = json.loads(line)
                except ValueError:
                    continue  # its writer was killed, or its disk full
                if isinstance(row, dict) and "target" in row:
                    yield row


def log_name(offset: int) -> str:
    """Return the name of the logs of an array's tasks in sbatch's notation, `%a` for the index."""
    return f"after-{offset}-task-%a.log" if offset else "task-%a.log"


ROUNDS_NAME = "cluster"


class Listed(NamedTuple):
    """A scene: its line, the last round that had it, and its number in the manifest there."""

    line: ManifestLine
    round: Round
    number: int


class Archive:
    """The folder of the outputs, and in it the rounds, numbered from 1."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()

    @property
    def rounds(self) -> list[Round]:
        """The rounds, in their order.

        Raises:
            InputError: If there is none.
        """
        begun = self._begun()
        if not begun:
            raise InputError(
                f"expected a folder that `landsat-fill cluster submit` fills, but got {self.folder}",
                hint="Give the folder that -o of that command named.",
            )
        return begun

    @property
    def has_rounds(self) -> bool:
        """Whether anything has been submitted."""
        return bool(self._begun())

    def next_round(self) -> Round:
        """Return the next round, which is still to be created."""
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

    def _begun(self) -> list[Round]:
        rounds = [Round(self.folder / ROUNDS_NAME / str(number)) for number in self._numbers()]
        return [one for one in rounds if one.began_ns is not None]

    def _numbers(self) -> list[int]:
        folder = self.folder / ROUNDS_NAME
        if not folder.is_dir():
            return []
        return sorted(int(path.name) for path in folder.iterdir() if path.name.isdecimal())


LOG_TAIL_BYTES, LAST_LINES, LONGEST_QUOTE = 4096, 4, 160


class State(Enum):
    """The status of a scene."""

    DONE = "done"
    RUNNING = "running"
    WAITING = "waiting"
    FAILED = "failed"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class SceneState:
    """A scene and its status.

    Attributes:
        listed: The scene.
        state: Its status.
        reason: Why it failed or is missing, which process works on it, or what it waits for; or empty.
        row: The last row that its task reported, or None.
    """

    listed: Listed
    state: State
    reason: str = ""
    row: dict[str, object] | None = None


def scene_states(archive: Archive, slurm: Slurm | None) -> list[SceneState]:
    """Return the status of each scene, in the order of the manifests.

    Args:
        archive: The archive.
        slurm: The cluster whose queue is read; None to go by files alone.

    Raises:
        InputError: If the folder isn't an archive, or a file of it can't be read.
    """
    facts = {one.folder: one.facts for one in archive.rounds}
    rows = {(one.folder, str(row["target"])): row for one in archive.rounds for row in one.rows()}
    arrays = {one.folder: one.arrays for one in archive.rounds}
    jobs = [array.job for of_round in arrays.values() for array in of_round]
    queue = slurm.queue(jobs) if slurm is not None else None
    ended = slurm.ended(jobs) if slurm is not None else {}

    def task_of(listed: Listed) -> tuple[str, int] | None:
        task = listed.number % facts[listed.round.folder].tasks + 1
        before = [array for array in arrays[listed.round.folder] if array.offset < task]
        return (before[-1].job, task - before[-1].offset) if before else None

    states = []
    for listed in archive.scenes():
        row = rows.get((listed.round.folder, str(listed.line.target)))
        since_ns = listed.round.began_ns if facts[listed.round.folder].overwrite else None
        task = task_of(listed)
        queued = queue.get(task) if queue is not None and task is not None else None
        state, reason = _state(listed, row, since_ns, queued)
        if state is State.MISSING and task is not None and task in ended and not reason:
            reason = f"its task ended: {ended[task]}"
        if state is State.MISSING and not reason:
            reason = _silence(listed.round, listed.number, is_submitted=task is not None)
        states.append(SceneState(listed, state, reason, row))
    return states


def busy_targets(archive: Archive, slurm: Slurm) -> set[Path]:
    """Return the outputs that a task of an earlier round writes or will write."""
    if not archive.has_rounds:
        return set()
    busy = (State.RUNNING, State.WAITING)
    return {one.listed.line.target for one in scene_states(archive, slurm) if one.state in busy}


def _state(
    listed: Listed, row: dict[str, object] | None, since_ns: int | None, queued: QueuedTask | None
) -> tuple[State, str]:
    """Return the status of a scene and its reason."""
    target = listed.line.target
    has_failed = row is not None and row.get("status") == "failed"
    if is_done(target, since_ns):
        mark = read_mark(target)
        # A scene that is done fails later if something else is asked of it.
        failed_at = str(row.get("time", "")) if row is not None and has_failed else ""
        if mark is None or failed_at <= mark.facts["row"]["time"]:
            return State.DONE, ""
    owner = claim_owner(target)
    if owner is not None:
        return State.RUNNING, str(owner)
    if has_failed and row is not None:
        return State.FAILED, str(row.get("error"))
    if queued is not None:
        why = f"{queued.reason}, may start {queued.start}" if queued.waits else "its task runs"
        return State.WAITING, why
    return State.MISSING, str(row.get("error") or "") if row is not None else ""


def _silence(of_round: Round, number: int, *, is_submitted: bool) -> str:
    """Return the reason for a scene without a report."""
    if not is_submitted:
        return "its task was never submitted"
    log = of_round.log(of_round.task_of(number))
    last = last_line(log)
    if last is None:
        return "its task never began: cancelled, or not started yet"
    return f"its task ended early; {log} ends with: {last}"


def last_line(log: Path) -> str | None:
    """Return the line at the end of a log that says most about its end; None without a log.

    A line of Slurm or the shell about a killed process takes precedence over the process's own last line.
    """
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - LOG_TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return None
    lines = [line.strip()[:LONGEST_QUOTE] for line in text.splitlines() if line.strip()]
    last = lines[-LAST_LINES:]
    return next(
        (line for line in reversed(last) if line.startswith("slurmstepd")), last[-1] if last else "nothing"
    )
