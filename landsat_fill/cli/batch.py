"""Runs a batch and says how it goes."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console

from landsat_fill.cli.errors import EXIT_FAILED, EXIT_STOPPED
from landsat_fill.cli.terminal import print_error, reporter
from landsat_fill.errors import OutputError
from landsat_fill.pipeline import (
    Action,
    Outcome,
    Status,
    append_report,
    failed_input,
    report_path,
    run_jobs,
    stopping_on_signals,
)
from landsat_fill.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from landsat_fill.cli.scenes import Scenes
    from landsat_fill.errors import InputError
    from landsat_fill.pipeline import FillRequest, Job, Resources, SpareProcesses

Bad = tuple[str, "InputError"]


@dataclass(frozen=True, slots=True)
class Said:
    """How much a batch says: the terminal options of the command."""

    quiet: bool
    verbose: bool
    debug: bool
    as_json: bool


def print_plan(jobs: Sequence[Job], bad: Sequence[Bad], *, as_json: bool) -> None:
    """Print what a batch would do."""
    console = Console(highlight=False, soft_wrap=True)
    if as_json:
        for job in jobs:
            row = {"source": job.input.source, "target": str(job.target), "action": job.action.value}
            console.print(json.dumps(row), markup=False)
        for source, error in bad:
            row = {"source": source, "action": "fail", "error": error.message}
            console.print(json.dumps(row), markup=False)
        return
    console.print(plan_line(jobs, bad))
    for job in jobs:
        console.print(f"{job.action.value:7} {job.input.source} → {job.target}", markup=False)
    for source, error in bad:
        console.print(f"fail    {source}: {error.message}", markup=False)


def plan_line(jobs: Sequence[Job], bad: Sequence[Bad]) -> str:
    """Return the plan in one line."""
    total = len(jobs) + len(bad)
    fill = sum(job.action is Action.FILL for job in jobs)
    done = sum(job.action is Action.SKIP for job in jobs)
    parts = [f"{fill} to fill"]
    if done:
        parts.append(f"{done} already done (--overwrite to redo)")
    if total - fill - done:
        parts.append(f"{total - fill - done} can't be filled")
    return f"{total} scene{'s' * (total != 1)}: {', '.join(parts)}"


def run_batch(
    scenes: Scenes,
    request: FillRequest,
    resources: Resources,
    spare: SpareProcesses,
    *,
    said: Said,
    grace_s: float,
) -> int:
    """Return the exit code of a batch, after working through all, or as far as it was let.

    Args:
        scenes: What to do.
        request: How scenes are filled.
        resources: What may be used.
        spare: Where processes are taken from, if there are to be several.
        said: How much is printed.
        grace_s: Seconds that running scenes have after the signal to stop.
    """
    jobs, outputs = scenes.jobs, scenes.outputs
    by_target = {job.target: job for job in jobs}
    screen = reporter(len(jobs), quiet=said.quiet, verbose=said.verbose, as_json=said.as_json)
    ended: list[Outcome] = []
    reports: dict[Path, OutputError | None] = {}

    def end(outcome: Outcome) -> None:
        ended.append(outcome)
        screen.outcome(outcome)
        if said.debug and outcome.trace:
            sys.stderr.write(outcome.trace)
        report = report_path(outcome, outputs, by_target)
        if report is None or outcome.status is Status.SKIPPED:
            return
        try:
            append_report(report, outcome, request)
            reports.setdefault(report, None)
        except OutputError as error:  # scenes matter more than their record: go on, and say so at the end
            reports[report] = error

    with screen, stopping_on_signals(grace_s, screen.say) as stop:
        info = request.method.info
        device = ", ".join(resources.devices)
        screen.say(f"landsat-fill {__version__} · {info.name} · {device} · {request.threads} threads")
        screen.say(plan_line(jobs, scenes.bad))
        for source, error in scenes.bad:
            end(failed_input(source, error, scenes.targets.get(source)))
        left = run_jobs(
            jobs,
            request,
            outputs,
            resources,
            spare,
            stop=stop,
            on_outcome=end,
            on_progress=screen.progress,
            say=screen.say,
        )
        screen.say(summary_line(ended) + (f" · {left} left" if left else ""))
        written = sorted(str(report) for report, error in reports.items() if error is None)
        if written:
            screen.say(f"report: {', '.join(written)}")
    unwritten = [error for error in reports.values() if error is not None]
    for failure in unwritten:
        print_error(failure.message, failure.hint)
    if left:
        return EXIT_STOPPED
    return EXIT_FAILED if unwritten or any(outcome.status is Status.FAILED for outcome in ended) else 0


def summary_line(ended: Sequence[Outcome]) -> str:
    """Return how many scenes ended how."""
    words = {
        Status.FILLED: "filled",
        Status.NO_GAPS: "without gaps",
        Status.SKIPPED: "skipped",
        Status.FAILED: "failed",
        Status.STOPPED: "given up",
    }
    counts = {status: sum(outcome.status is status for outcome in ended) for status in words}
    return " · ".join(f"{n} {words[s]}" for s, n in counts.items() if n) or "nothing to do"
