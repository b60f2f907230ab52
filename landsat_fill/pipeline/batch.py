"""Runs the jobs of a batch and writes its reports. A scene that fails doesn't stop the others."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from landsat_fill.errors import OutputError
from landsat_fill.io import append_line
from landsat_fill.io.atomic import read_mark
from landsat_fill.pipeline.outcome import Outcome, Status
from landsat_fill.pipeline.plan import Action, Job, filled_folder
from landsat_fill.pipeline.provenance import report_row
from landsat_fill.pipeline.resources import refuse_too_wide
from landsat_fill.pipeline.workers import RETRY_S, JobQueue, TimeUpError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from landsat_fill.errors import InputError
    from landsat_fill.pipeline.request import FillRequest, OutputRequest
    from landsat_fill.pipeline.workers import Stop, WorkerPool
    from landsat_fill.scene import Scene


REPORT_NAME = "report.jsonl"


@dataclass(frozen=True, slots=True)
class Resources:
    """What a batch may use.

    Attributes:
        processes: Number of scenes filled at once; if more than one, each in its own process.
        devices: The devices that the processes use, in turn.
        memory_bytes: Memory for all scenes that are filled at once, or None for no limit.
    """

    processes: int = 1
    devices: tuple[str, ...] = ("cpu",)
    memory_bytes: int | None = None


def run_jobs(
    jobs: Sequence[Job],
    request: FillRequest,
    outputs: OutputRequest,
    resources: Resources,
    pool: WorkerPool,
    *,
    stop: Stop,
    on_outcome: Callable[[Outcome], None],
    on_progress: Callable[[str, float, str], None],
    say: Callable[[str], None],
) -> int:
    """Work through all jobs, and return how many are left because the batch was asked to stop.

    `on_outcome` is called for each job that was started or needed no work, and `say` with lines for the user. If
    the batch runs in this process, `on_progress` is called with a scene's name, the share of it that is done, and
    the current step.
    """
    from landsat_fill.pipeline.fill_scene import attempt

    def check_width(scenes: Sequence[Scene]) -> None:
        refuse_too_wide(scenes, request, outputs.realizations, resources.memory_bytes)

    for job in jobs:
        if job.action is Action.SKIP:
            on_outcome(job.outcome(Status.SKIPPED))
        elif job.action is Action.REFUSE:
            error = job.refusal()
            on_outcome(job.outcome(Status.FAILED, error=error.message, hint=error.hint))
    queue = JobQueue([job for job in jobs if job.action in (Action.FILL, Action.ADD)], say)
    processes = min(resources.processes, len(queue))
    current: Job | None = None
    given_up: list[Job] = []
    try:
        with stop.running():
            if processes > 1:
                pool.run(
                    queue,
                    request,
                    outputs,
                    processes=processes,
                    devices=resources.devices,
                    memory_bytes=resources.memory_bytes,
                    stop=stop,
                    on_outcome=on_outcome,
                )
            while processes == 1 and queue and not stop.asked:
                current = queue.next()
                if current is None:
                    time.sleep(RETRY_S)
                    continue
                outcome = attempt(current, request, outputs, partial(on_progress, current.input.name), check_width)
                if outcome is None:
                    queue.postpone(current)
                else:
                    on_outcome(outcome)
                current = None
    except TimeUpError:
        given_up = pool.running if current is None else [current]
    for job in given_up:
        on_outcome(
            job.outcome(
                Status.STOPPED,
                method=request.method.info.name,
                error="time was up before the scene was filled",
                hint="The scene starts again when the batch continues; allow it more time.",
            )
        )
    return len(given_up) + len(queue)


def failed_input(source: str, error: InputError, target: Path | None = None) -> Outcome:
    """Return the outcome of an argument that names nothing to fill, with its planned output if known."""
    return Outcome(
        name=Path(source).name or source,
        source=source,
        target=target or Path(source),
        status=Status.FAILED,
        error=error.message,
        hint=error.hint,
    )


def report_path(outcome: Outcome, outputs: OutputRequest, jobs: Mapping[Path, Job]) -> Path | None:
    """Return the report for an outcome: the requested one, or one at the top of the folder of the outputs.

    The result is None if there are no jobs and no report is requested.
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
    depth = len(PurePosixPath(job.input.member or "").parts)  # in an archive of images
    return job.target.parents[max(depth - 1, 0)] / REPORT_NAME


class Reports:
    """The reports of a batch, with one JSON line for each scene.

    Attributes:
        written: Reports that got a row.
        unwritten: Reports that couldn't be written, with the error.
    """

    def __init__(self, outputs: OutputRequest, jobs: Sequence[Job], request: FillRequest) -> None:
        self._outputs, self._request = outputs, request
        self._jobs = {job.target: job for job in jobs}
        self._earlier: dict[Path, set[tuple[object, ...]]] = {}
        self.written: set[Path] = set()
        self.unwritten: dict[Path, OutputError] = {}

    def add(self, outcome: Outcome) -> None:
        """Append the row of an outcome. A skipped scene gets a row only if it has none, because its run was killed."""
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
        except OutputError as error:  # scenes matter more than their report: continue, and show the error at the end
            self.unwritten[path] = error

    def _rows_of(self, path: Path) -> set[tuple[object, ...]]:
        """Return the keys of the rows that a report had when it was first read."""
        if path not in self._earlier:
            self._earlier[path] = set()
            with suppress(OSError):
                for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                    with suppress(ValueError):  # a line whose writer was killed
                        row = json.loads(line)
                        if isinstance(row, dict):
                            self._earlier[path].add(_key(row))
        return self._earlier[path]


def _key(row: Mapping[str, object]) -> tuple[object, ...]:
    """Return what identifies a row of a report, whatever the current folder was."""
    return Path(str(row.get("target"))).name, row.get("time"), row.get("seconds")
