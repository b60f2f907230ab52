"""Runs many jobs: a bad scene is reported and the others go on."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from landsat_fill.errors import OutputError
from landsat_fill.io import append_line
from landsat_fill.io.atomic import read_mark
from landsat_fill.pipeline.outcome import Outcome, Status
from landsat_fill.pipeline.plan import Action, Job, filled_folder
from landsat_fill.pipeline.provenance import report_row
from landsat_fill.pipeline.workers import LOOK_AGAIN_S, TimeUpError, Waiting, WorkerPool

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from landsat_fill.errors import InputError
    from landsat_fill.pipeline.request import FillRequest, OutputRequest
    from landsat_fill.pipeline.workers import SpareProcesses, Stop


REPORT_NAME = "report.jsonl"


@dataclass(frozen=True, slots=True)
class Resources:
    """What a batch may use.

    Attributes:
        processes: Scenes worked on at once, each in a process of its own if more than one.
        devices: What the processes run on, each in turn.
        memory_bytes: What all scenes at work may take together; None for no bound.
    """

    processes: int = 1
    devices: tuple[str, ...] = ("cpu",)
    memory_bytes: int | None = None


def run_jobs(
    jobs: Sequence[Job],
    request: FillRequest,
    outputs: OutputRequest,
    resources: Resources,
    spare: SpareProcesses,
    *,
    stop: Stop,
    on_outcome: Callable[[Outcome], None],
    on_progress: Callable[[str, float, str], None],
    say: Callable[[str], None],
) -> int:
    """Work through all jobs, and return how many were not, because the batch was asked to stop.

    Args:
        jobs: What to do.
        request: How scenes are filled.
        outputs: The form of the outputs.
        resources: What may be used.
        spare: Where processes are taken from, if there are to be several.
        stop: Whether to end early.
        on_outcome: Told what became of each job, as soon as it is known; nothing of those not begun.
        on_progress: Told a scene's name, the share of it that is done, and how it goes; in one process
            only.
        say: Told what is waited for.
    """
    from landsat_fill.pipeline.fill_scene import attempt

    for job in jobs:
        if job.action in (Action.SKIP, Action.REFUSE):
            on_outcome(_without_work(job))
    to_fill = [job for job in jobs if job.action in (Action.FILL, Action.ADD)]
    waiting = Waiting(to_fill, say)
    pool: WorkerPool | None = None
    if resources.processes > 1 and len(to_fill) > 1:
        pool = WorkerPool(
            request,
            outputs,
            processes=min(resources.processes, len(to_fill)),
            devices=resources.devices,
            memory_bytes=resources.memory_bytes,
            spare=spare,
        )
    at_work: Job | None = None
    given_up: list[Job] = []
    try:
        with stop.running():
            if pool is not None:
                pool.run(waiting, stop, on_outcome)
            while pool is None and waiting and not stop.asked:
                at_work = waiting.next()
                if at_work is None:
                    time.sleep(LOOK_AGAIN_S)
                    continue
                outcome = attempt(at_work, request, outputs, partial(on_progress, at_work.input.name))
                if outcome is None:
                    waiting.postpone(at_work)
                else:
                    on_outcome(outcome)
                at_work = None
    except TimeUpError:
        given_up = pool.at_work if pool is not None else [at_work] if at_work is not None else []
    for job in given_up:
        on_outcome(_given_up(job, request))
    return len(given_up) + len(waiting.left)


def failed_input(source: str, error: InputError, target: Path | None = None) -> Outcome:
    """Return the outcome "failed" for an argument that names nothing to fill, with any output path."""
    return Outcome(
        name=Path(source).name or source,
        source=source,
        target=target or Path(source),
        status=Status.FAILED,
        error=error.message,
        hint=error.hint,
    )


def report_path(outcome: Outcome, outputs: OutputRequest, jobs: Mapping[Path, Job]) -> Path | None:
    """Return the file that gets the row of an outcome: beside the outputs, at the top of their folder.

    None where there is nothing to fill and so no place beside an output.

    Args:
        outcome: What became of a job, or of an input that is none.
        outputs: The form of the outputs.
        jobs: All jobs by their targets.
    """
    if outputs.report is not None:
        return outputs.report
    if not jobs:
        return None
    job = jobs.get(outcome.target) or next(iter(jobs.values()))
    if outputs.target is not None:
        single = job.target == outputs.target and not job.is_folder
        return (outputs.target.parent if single else outputs.target) / REPORT_NAME
    root = job.input.root
    if root is not None and str(root) != job.input.source:
        return filled_folder(root) / REPORT_NAME
    return job.target.parent / REPORT_NAME


class Reports:
    """The reports of a batch, one JSON line a scene.

    Attributes:
        written: The files that got a row.
        unwritten: Those that couldn't be written, and why.
    """

    def __init__(self, outputs: OutputRequest, jobs: Sequence[Job], request: FillRequest) -> None:
        self._outputs, self._request = outputs, request
        self._jobs = {job.target: job for job in jobs}
        self._there: dict[Path, set[tuple[object, ...]]] = {}
        self.written: set[Path] = set()
        self.unwritten: dict[Path, OutputError] = {}

    def add(self, outcome: Outcome) -> None:
        """Append the row of an outcome; of a skipped scene only where it is missing: its run was killed."""
        path = report_path(outcome, self._outputs, self._jobs)
        if path is None:
            return
        row = outcome.row
        if outcome.status is Status.SKIPPED:
            mark = read_mark(outcome.target)
            row = None if mark is None else mark.facts["row"]
            if row is None or _key(row) in self._rows_of(path):
                return
        try:
            append_line(path, json.dumps(row or report_row(outcome, self._request)))
            self.written.add(path)
        except OutputError as error:  # scenes matter more than their record: go on, and say so at the end
            self.unwritten[path] = error

    def _rows_of(self, path: Path) -> set[tuple[object, ...]]:
        """Return the keys of the rows that a report had when it was first asked for."""
        if path not in self._there:
            self._there[path] = set()
            with suppress(OSError):
                for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                    with suppress(ValueError):  # a line whose writer was killed
                        row = json.loads(line)
                        if isinstance(row, dict):
                            self._there[path].add(_key(row))
        return self._there[path]


def _key(row: Mapping[str, object]) -> tuple[object, ...]:
    """Return what only one row of a report has, wherever it was called from."""
    return Path(str(row.get("target"))).name, row.get("time"), row.get("seconds")


def _given_up(job: Job, request: FillRequest) -> Outcome:
    """Return the outcome of a job that was begun and didn't end in time."""
    return job.outcome(
        Status.STOPPED,
        method=request.method.info.name,
        error="time was up before the scene was filled",
        hint="The scene starts again when the batch continues; allow it more time.",
    )


def _without_work(job: Job) -> Outcome:
    """Return the outcome of a job that is done already, or refused."""
    refused = job.refusal() if job.action is Action.REFUSE else None
    return job.outcome(
        Status.SKIPPED if refused is None else Status.FAILED,
        error=refused.message if refused else None,
        hint=refused.hint if refused else None,
    )
