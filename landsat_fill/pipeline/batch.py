"""Runs many jobs: a bad scene is reported and the others go on."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from landsat_fill.io import append_line
from landsat_fill.pipeline.attempt import attempt
from landsat_fill.pipeline.outcome import Outcome, Status
from landsat_fill.pipeline.plan import Action, Job, filled_folder
from landsat_fill.pipeline.provenance import method_options_of
from landsat_fill.pipeline.workers import run_in_processes
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
    on_progress: Callable[[str, float, str], None],
) -> None:
    """Work through all jobs.

    Args:
        jobs: What to do.
        request: How scenes are filled.
        outputs: The form of the outputs.
        processes: Scenes worked on at once, each in a process of its own if more than one.
        on_outcome: Told what became of each job, as soon as it is known.
        on_progress: Told a scene's name, the share of it that is done, and how it goes; in one process only.
    """
    for job in jobs:
        if job.action is not Action.FILL:
            on_outcome(_without_work(job))
    to_fill = [job for job in jobs if job.action is Action.FILL]
    if processes <= 1 or len(to_fill) <= 1:
        for job in to_fill:
            on_outcome(attempt(job, request, outputs, partial(on_progress, job.input.name)))
        return
    run_in_processes(to_fill, request, outputs, processes, on_outcome)


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
        "weights": request.method.info.weights,
        "device": request.device,
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
