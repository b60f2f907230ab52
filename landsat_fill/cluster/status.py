"""The status of each scene of an archive, from its output files, its reports and from Slurm."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from landsat_fill.cluster.archive import Listed, ManifestLine, Round, report_rows
from landsat_fill.errors import InputError
from landsat_fill.io import claim_owner
from landsat_fill.io.atomic import MARK_NAME, STAGING_SUFFIX, read_mark
from landsat_fill.pipeline.plan import is_done

if TYPE_CHECKING:
    from collections.abc import Sequence

    from landsat_fill.cluster.archive import Archive
    from landsat_fill.cluster.slurm import QueuedTask, Slurm


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
        reason: Why it failed or is missing, the process that fills it, or what it waits for; or empty.
        row: The last report row from its task, or None.
    """

    listed: Listed
    state: State
    reason: str = ""
    row: dict[str, object] | None = None


def scene_states(archive: Archive, slurm: Slurm | None) -> list[SceneState]:
    """Return the status of each scene, in the order of the manifests.

    Args:
        archive: The archive.
        slurm: The cluster whose queue is read, or None to use files only.

    Raises:
        InputError: If the folder isn't an archive, or one of its files can't be read.
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


def shard_states(archive: Archive, reports: Sequence[Path] = ()) -> list[SceneState]:
    """Return the status of each scene that runs without Slurm have begun, such as those of `fill --shard`.

    Reports, marks and what a killed run has left say which scenes these are; scenes that no run has begun leave no
    trace.

    Args:
        archive: The folder of the outputs.
        reports: Reports outside that folder.

    Raises:
        InputError: If a report can't be read, or there is neither a report nor an output.
    """
    folder = archive.folder
    rows: dict[Path, dict[str, object]] = {}
    for path in (*sorted(folder.glob("*.jsonl")), *reports):
        for row in report_rows(path):
            rows[_place_of(str(row["target"]), folder)] = row
    for name in sorted(folder.rglob(f"*{MARK_NAME}")):
        target = name.parent if name.name == MARK_NAME else name.with_name(name.name[1 : -len(MARK_NAME)])
        mark = read_mark(target)
        if mark is not None:
            rows[target] = rows.get(target, {}) | dict(mark.facts["row"])
    begun = {path.with_name(path.name[1 : -len(STAGING_SUFFIX)]) for path in folder.rglob(f".*{STAGING_SUFFIX}")}
    rows |= {target: {"error": "a run ended while it filled this scene"} for target in sorted(begun - rows.keys())}
    if not rows:
        raise InputError(
            f"expected outputs of landsat-fill in {folder}, but got none",
            hint="Give the folder that was given to `fill` or `cluster submit` with -o.",
        )
    states = []
    for number, (target, row) in enumerate(rows.items()):
        listed = Listed(ManifestLine(str(row.get("source", target)), target), Round(folder), number)
        states.append(SceneState(listed, *_state(listed, row, None, None), row))
    return states


def _place_of(target: str, folder: Path) -> Path:
    """Return the target of a report's row in `folder`, although the run may have had another working directory."""
    path = Path.cwd() / target
    tails = (folder.joinpath(*path.parts[start:]) for start in range(1, len(path.parts)))
    return path if path.is_relative_to(folder) else next((tail for tail in tails if tail.exists()), path)


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
        # A finished scene can fail later, in a round with other options.
        failed_at = str(row.get("time", "")) if row is not None and has_failed else ""
        if mark is None or failed_at <= str(mark.facts["row"].get("time", "")):
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
    """Return the most informative line at the end of a log, or None without a log.

    A line of Slurm about a killed process takes precedence over the process's own last line.
    """
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - LOG_TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return None
    lines = [line.strip()[:LONGEST_QUOTE] for line in text.splitlines() if line.strip()]
    last = lines[-LAST_LINES:]
    return next((line for line in reversed(last) if line.startswith("slurmstepd")), last[-1] if last else "nothing")
