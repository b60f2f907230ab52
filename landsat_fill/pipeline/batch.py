"""Runs many jobs: a bad scene is reported and the others go on."""

from __future__ import annotations

import json
import multiprocessing
import time
import traceback
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from landsat_fill.errors import LandsatFillError
from landsat_fill.io import append_line
from landsat_fill.pipeline.fill import run_job
from landsat_fill.pipeline.outcome import Outcome, Status
from landsat_fill.pipeline.plan import Action, Job, filled_folder
from landsat_fill.pipeline.provenance import method_options_of
from landsat_fill.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from landsat_fill.errors import InputError
    from landsat_fill.pipeline.request import FillRequest, OutputRequest

REPORT_NAME = "report.jsonl"


def run_jobs(
    jobs: Sequence[Job],
    request: FillRequest,
    outputs: OutputRequest,
    *,
    processes: int = 1,
    on_outcome: Callable[[Outcome], None],
    on_progress: Callable[[str, float], None],
) -> None:
    """Work through all jobs.

    Args:
        jobs: What to do.
        request: How scenes are filled.
        outputs: The form of the outputs.
        processes: Scenes worked on at once, each in a process of its own if more than one.
        on_outcome: Told what became of each job, as soon as it is known.
        on_progress: Told a scene's name and the share of it that is done; in one process only.
    """
    for job in jobs:
        if job.action is not Action.FILL:
            on_outcome(_without_work(job))
    to_fill = [job for job in jobs if job.action is Action.FILL]
    if processes <= 1 or len(to_fill) <= 1:
        for job in to_fill:
            on_outcome(attempt(job, request, outputs, partial(on_progress, job.input.name)))
        return
    _run_in_processes(to_fill, request, outputs, processes, on_outcome)


def attempt(
    job: Job, request: FillRequest, outputs: OutputRequest, on_progress: Callable[[float], None]
) -> Outcome:
    """Return what became of a job; whatever goes wrong in it is its outcome."""
    began = time.perf_counter()
    try:
        return run_job(job, request, outputs, on_progress)
    except Exception as error:
        message, hint = explained(error)
        trace = traceback.format_exc()
    return Outcome(
        name=job.input.name,
        source=job.input.source,
        target=job.target,
        status=Status.FAILED,
        seconds=time.perf_counter() - began,
        method=request.method.info.name,
        error=message,
        hint=hint,
        trace=trace,
    )


def explained(error: Exception) -> tuple[str, str | None]:
    """Return what to tell a user of an error, and what to do about it."""
    if isinstance(error, LandsatFillError):
        return error.message, error.hint
    if isinstance(error, MemoryError):
        return "expected more memory than there is", "use fewer --jobs, or fewer bands with --bands"
    return (
        f"unexpected {type(error).__name__}: {error}",
        "this is a defect of landsat-fill; --debug shows where it happened",
    )


def failed_input(source: str, error: InputError) -> Outcome:
    """Return the outcome of an argument that names nothing to fill."""
    return Outcome(
        name=Path(source).name or source,
        source=source,
        target=Path(source),
        status=Status.FAILED,
        error=error.message,
        hint=error.hint,
    )


def report_path(outcome: Outcome, outputs: OutputRequest, jobs: Sequence[Job]) -> Path | None:
    """Return the file that gets the row of an outcome: beside the outputs, at the top of their folder.

    None where there is nothing to fill and so no place beside an output.
    """
    if outputs.report is not None:
        return outputs.report
    if not jobs:
        return None
    job = next((job for job in jobs if job.target == outcome.target), jobs[0])
    if outputs.target is not None:
        single = job.target == outputs.target and not job.is_folder
        return (outputs.target.parent if single else outputs.target) / REPORT_NAME
    root = job.input.root
    if root is not None and str(root) != job.input.source:
        return filled_folder(root) / REPORT_NAME
    return job.target.parent / REPORT_NAME


def append_report(path: Path, outcome: Outcome, request: FillRequest) -> None:
    """Append the row of an outcome to a report; skipped scenes have their row already.

    Raises:
        OutputError: If the report can't be written.
    """
    if outcome.status is Status.SKIPPED:
        return
    row = outcome.as_dict()
    row |= {
        "options": method_options_of(request),
        "version": __version__,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    append_line(path, json.dumps(row))


def _without_work(job: Job) -> Outcome:
    """Return the outcome of a job that is done already, or refused."""
    refused = job.refusal() if job.action is Action.REFUSE else None
    return Outcome(
        name=job.input.name,
        source=job.input.source,
        target=job.target,
        status=Status.SKIPPED if refused is None else Status.FAILED,
        error=refused.message if refused else None,
        hint=refused.hint if refused else None,
    )


def _silent(_share: float) -> None:
    """Take no notice of progress: a worker has no terminal."""


def _run_in_processes(
    jobs: Sequence[Job],
    request: FillRequest,
    outputs: OutputRequest,
    processes: int,
    on_outcome: Callable[[Outcome], None],
) -> None:
    """Run jobs in processes; the death of one costs the scenes it worked on, not the batch."""
    waiting = list(jobs)
    while waiting:
        # Spawned, for a forked copy of a process with GDAL's threads may lock up.
        with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
            running: dict[Future[Outcome], Job] = {}
            broken: list[Job] = []
            while waiting or running:
                while waiting and len(running) < processes and not broken:
                    job = waiting.pop(0)
                    running[pool.submit(attempt, job, request, outputs, _silent)] = job
                if not running:
                    break
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    job = running.pop(future)
                    try:
                        on_outcome(future.result())
                    except BrokenProcessPool:
                        broken.append(job)
        for job in broken:
            on_outcome(_killed(job, request))


def _killed(job: Job, request: FillRequest) -> Outcome:
    return Outcome(
        name=job.input.name,
        source=job.input.source,
        target=job.target,
        status=Status.FAILED,
        method=request.method.info.name,
        error="expected the worker process to live, but it was killed while this scene was being filled",
        hint="often memory ran out: use fewer --jobs; call again to fill what is missing",
    )
