"""What commands print while they run: progress bars on a terminal, plain timestamped lines otherwise."""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Self, TextIO

from rich import progress as bars
from rich.console import Console
from rich.markup import escape as escape_markup

from landsat_fill.errors import EXIT_FAILED, EXIT_STOPPED, printable
from landsat_fill.pipeline.batch import Reports, failed_input, run_jobs
from landsat_fill.pipeline.outcome import Outcome, Status
from landsat_fill.pipeline.plan import Action
from landsat_fill.pipeline.workers import stopping_on_signals
from landsat_fill.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import FrameType

    from landsat_fill.errors import InputError
    from landsat_fill.pipeline.batch import Resources
    from landsat_fill.pipeline.plan import Job, Plan
    from landsat_fill.pipeline.request import FillRequest
    from landsat_fill.pipeline.workers import WorkerPool
    from landsat_fill.training.run_folder import Progress


MARKS = {
    Status.FILLED: "[green]✔[/green]",
    Status.NO_GAPS: "[green]✔[/green]",
    Status.SKIPPED: "[dim]·[/dim]",
    Status.FAILED: "[red]✘[/red]",
    Status.STOPPED: "[yellow]…[/yellow]",
}


def escape(text: str) -> str:
    """Return a text in one line, without what Rich takes for markup or a terminal for commands."""
    return escape_markup(printable(text))


def print_error(message: str, hint: str | None) -> None:
    """Print an error and what to do about it on standard error."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"[red]error:[/red] {escape(message)}")
    if hint:
        console.print(f"[dim]hint:[/dim]  {escape(hint)}")


@dataclass(frozen=True, slots=True)
class Verbosity:
    """How much a batch prints, and in which form."""

    quiet: bool
    verbose: bool
    debug: bool
    as_json: bool


class Reporter:
    """Shows the progress of a batch; this one shows nothing."""

    def __init__(self, verbosity: Verbosity) -> None:
        self.verbosity = verbosity

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *error: object) -> None:
        """End."""

    def say(self, text: str) -> None:
        """Show a line."""

    def progress(self, name: str, fraction: float, text: str) -> None:
        """Show how much of a scene is done, and the current step, if any."""

    def outcome(self, outcome: Outcome) -> None:
        """Show how a scene ended."""


class _Screen(Reporter):
    """A terminal: one bar for the batch, one for each scene being filled, one line a scene."""

    def __init__(self, verbosity: Verbosity, scenes: int) -> None:
        super().__init__(verbosity)
        self._console = Console(stderr=verbosity.quiet, highlight=False, soft_wrap=True)
        self._progress = bars.Progress(
            bars.TextColumn("  {task.description}"),
            bars.BarColumn(),
            bars.TaskProgressColumn(),
            bars.TimeElapsedColumn(),
            bars.TimeRemainingColumn(),
            bars.MofNCompleteColumn() if scenes > 1 else bars.TextColumn(""),
            console=self._console,
            transient=True,
            disable=verbosity.quiet,
        )
        self._batch = self._progress.add_task("all scenes", total=scenes) if scenes > 1 else None
        self._tasks: dict[str, bars.TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def say(self, text: str) -> None:
        if not self.verbosity.quiet:
            self._console.print(escape(text))

    def progress(self, name: str, fraction: float, text: str) -> None:
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(escape(name), total=1.0)
        description = escape(f"{name} · {text}" if text else name)
        self._progress.update(self._tasks[name], completed=fraction, description=description)

    def outcome(self, outcome: Outcome) -> None:
        task = self._tasks.pop(outcome.name, None)
        if task is not None:
            self._progress.remove_task(task)
        if self._batch is not None:
            self._progress.advance(self._batch)
        for number, line in enumerate(outcome_lines(outcome, self.verbosity)):
            mark = MARKS[outcome.status] if number == 0 else " "
            self._console.print(f"{mark} {escape(line)}")


class _Log(Reporter):
    """Without a terminal: one timestamped line at a time, flushed at once, readable while the job runs."""

    def __init__(self, verbosity: Verbosity) -> None:
        super().__init__(verbosity)
        self._stream = sys.stderr if verbosity.quiet else sys.stdout
        self._tenths: dict[str, int] = {}

    def say(self, text: str) -> None:
        if not self.verbosity.quiet:
            print_stamped(text, self._stream)

    def progress(self, name: str, fraction: float, text: str) -> None:
        tenth = int(10 * fraction)
        if self.verbosity.verbose and tenth > self._tenths.get(name, 0):
            self._tenths[name] = tenth
            self.say(f"{name}: {10 * tenth} %" + (f" · {text}" if text else ""))

    def outcome(self, outcome: Outcome) -> None:
        for number, line in enumerate(outcome_lines(outcome, self.verbosity)):
            print_stamped(line if number else f"{outcome.status.value}: {line}", self._stream)


class _JsonLines(Reporter):
    """Prints one JSON object per scene on standard output, and nothing else."""

    def outcome(self, outcome: Outcome) -> None:
        print(json.dumps(outcome.as_dict()), flush=True)  # noqa: T201


def reporter(scenes: int, verbosity: Verbosity) -> Reporter:
    """Return what shows the progress of a batch of so many scenes."""
    if verbosity.as_json:
        return _JsonLines(verbosity)
    return _Screen(verbosity, scenes) if Console(stderr=verbosity.quiet).is_terminal else _Log(verbosity)


LOG_INTERVAL_S = 10.0
"""How often a long command writes a line if there is no terminal."""


class _LogFile:
    """Turns the output of tqdm into timestamped lines."""

    def write(self, text: str) -> None:
        if text.strip():
            print_stamped(text.strip())

    def flush(self) -> None:
        sys.stderr.flush()


def print_stamped(text: str, stream: TextIO | None = None) -> None:
    """Print a line with the time, on standard error if no stream is given."""
    stamp = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S")
    print(f"{stamp}  {printable(text)}", file=stream or sys.stderr, flush=True)


@contextmanager
def progress_bar(name: str = "", *, quiet: bool) -> Iterator[Callable[..., None]]:
    """Yield a function that shows the share done, 0 to 1, and the current item, by default `name`.

    A bar on a terminal, a line every ten seconds otherwise.
    """
    from tqdm import tqdm

    terminal = sys.stderr.isatty()
    with tqdm(
        total=100.0,
        disable=quiet,
        file=sys.stderr if terminal else _LogFile(),
        leave=False,
        miniters=0,
        mininterval=0.1 if terminal else LOG_INTERVAL_S,
        dynamic_ncols=terminal,
        bar_format="{percentage:3.0f} %" + (" {bar}" if terminal else "") + " {elapsed}<{remaining}{postfix}",
    ) as bar:

        def show(share: float, text: str = name) -> None:
            bar.set_postfix_str(printable(text), refresh=False)
            bar.update(100 * share - bar.n)

        yield show


def outcome_lines(outcome: Outcome, verbosity: Verbosity) -> list[str]:
    """Return the lines printed for one scene: the result, hint and notes, and with --verbose the files."""
    if verbosity.quiet and outcome.status is not Status.FAILED:
        return []
    if outcome.status in (Status.FAILED, Status.STOPPED):
        lines = [f"{outcome.name}  {outcome.error}"]
        if outcome.hint:
            lines.append(f"   hint: {outcome.hint}")
        return lines
    if outcome.status is Status.SKIPPED:
        notes = [f"   {note}" for note in outcome.notes]
        return [f"{outcome.name}  already done: {outcome.target}", *notes] if verbosity.verbose or notes else []
    tally = outcome.tally
    if outcome.status is Status.NO_GAPS:
        facts = ["no gaps: copied as it is"]
    else:
        facts = [f"{100 * tally.missing_share:.1f} % missing"]
        facts.append(f"{count(tally.filled)} pixels filled over all bands")
        if tally.left:
            facts.append(f"{count(tally.left)} left")
        if outcome.median_std is not None:
            facts.append(f"median σ {outcome.median_std:.3g}")
    facts.append(f"{outcome.seconds:.1f} s")
    lines = [f"{outcome.name}  {' · '.join(facts)}"]
    lines += [f"   {note}" for note in outcome.notes]
    if verbosity.verbose:
        lines += [f"   → {file}" for file in outcome.files]
    return lines


def count(pixels: int) -> str:
    """Return a number of pixels in short form: 812, 12.4 k, 11.9 M."""
    if pixels < 10_000:
        return str(pixels)
    return f"{pixels / 1e3:.1f} k" if pixels < 1_000_000 else f"{pixels / 1e6:.1f} M"


def print_plan(jobs: Sequence[Job], bad: Sequence[tuple[str, InputError]], *, as_json: bool) -> None:
    """Print what a batch would do."""
    console = Console(highlight=False, soft_wrap=True, markup=False)
    if not as_json:
        console.print(plan_line(jobs, bad))
    for job in jobs:
        row = {"source": job.input.label, "target": str(job.target), "action": job.action.value}
        if as_json:
            console.print(json.dumps(row | {"notes": list(job.notes)}))
        else:
            notes = f" ({'; '.join(job.notes)})" if job.notes else ""
            console.print(printable("{action:7} {source} → {target}".format(**row) + notes))
    for source, error in bad:
        row = {"source": source, "action": "fail", "error": error.message}
        console.print(json.dumps(row) if as_json else printable(f"fail    {source}: {error.message}"))


def plan_line(jobs: Sequence[Job], bad: Sequence[tuple[str, InputError]]) -> str:
    """Return the plan in one line."""
    total = len(jobs) + len(bad)
    fill = sum(job.action in (Action.FILL, Action.ADD) for job in jobs)
    done = sum(job.action is Action.SKIP for job in jobs)
    parts = [f"{fill} to fill"]
    if done:
        parts.append(f"{done} already done (--overwrite to redo)")
    if total - fill - done:
        parts.append(f"{total - fill - done} can't be filled")
    return f"{total} scene{'s' * (total != 1)}: {', '.join(parts)}"


def run_batch(
    scenes: Plan, request: FillRequest, resources: Resources, pool: WorkerPool, *, verbosity: Verbosity, grace_s: float
) -> int:
    """Fill the scenes of a batch, or those that are filled before a signal to stop, and return the exit code.

    Args:
        scenes: The plan of the batch.
        request: How to fill scenes.
        resources: What the batch may use.
        pool: The worker processes for several scenes at once.
        verbosity: How much to print.
        grace_s: Seconds that running scenes have after SIGUSR1.
    """
    jobs, outputs = scenes.jobs, scenes.outputs
    screen = reporter(len(jobs), verbosity)
    ended: list[Outcome] = []
    reports = Reports(outputs, jobs, request)

    def end(outcome: Outcome) -> None:
        ended.append(outcome)
        screen.outcome(outcome)
        if verbosity.debug and outcome.trace:
            sys.stderr.writelines(f"{printable(line)}\n" for line in outcome.trace.split("\n"))
        reports.add(outcome)

    with screen, stopping_on_signals(grace_s, screen.say) as stop:
        info = request.method.info
        device = ", ".join(resources.devices)
        screen.say(
            f"landsat-fill {__version__} · {info.name} · {device} · {request.threads} thread{'s' * (request.threads > 1)}"
        )
        screen.say(plan_line(jobs, scenes.bad))
        for source, error in scenes.bad:
            end(failed_input(source, error, scenes.targets.get(source)))
        left = run_jobs(
            jobs,
            request,
            outputs,
            resources,
            pool,
            stop=stop,
            on_outcome=end,
            on_progress=screen.progress,
            say=screen.say,
        )
        screen.say(summary_line(ended) + (f" · {left} left" if left else ""))
        if reports.written:
            screen.say(f"report: {', '.join(sorted(map(str, reports.written)))}")
    for failure in reports.unwritten.values():
        print_error(failure.message, failure.hint)
    if left:
        return EXIT_STOPPED
    failed = reports.unwritten or any(outcome.status is Status.FAILED for outcome in ended)
    return EXIT_FAILED if failed else 0


def summary_line(ended: Sequence[Outcome]) -> str:
    """Return how many scenes were filled, skipped and so on."""
    counts = Counter(outcome.status for outcome in ended)
    words = {Status.NO_GAPS: "without gaps", Status.STOPPED: "given up"}
    parts = [f"{counts[one]} {words.get(one, one.value)}" for one in Status if counts[one]]
    return " · ".join(parts) or "nothing to do"


class TrainingScreen:
    """Shows the progress of a training run, and passes on requests to stop."""

    def __init__(self, stop: Callable[[], bool], show: Callable[[float, str], None], *, quiet: bool) -> None:
        self._stop, self._show, self._quiet = stop, show, quiet

    def stepped(self, progress: Progress) -> None:
        """Show the progress."""
        self._show(progress.share, _facts(progress))

    def validated(self, progress: Progress) -> None:
        """Show a new score."""
        self.noted(f"{_facts(progress)} · {progress.minutes:.1f} min")

    def noted(self, text: str) -> None:
        """Show a line, above the bar on a terminal."""
        from tqdm import tqdm

        if not self._quiet:
            tqdm.write(text, file=sys.stderr if sys.stderr.isatty() else _LogFile())

    def stop_requested(self) -> bool:
        """Return whether a stop was requested."""
        return self._stop()


@contextmanager
def stop_requests() -> Iterator[Callable[[], bool]]:
    """Yield a function that returns whether Ctrl-C or SIGTERM came; a second one doesn't wait for the step."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return

    def ask(_number: int, _frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _facts(progress: Progress) -> str:
    facts = [f"step {progress.step}"]
    if progress.loss == progress.loss:  # not NaN, as it is right after a row of the log
        facts.append(f"loss {progress.loss:.4f}")
    if progress.validated:
        facts.append(f"error {progress.error:.4f} (best {progress.best:.4f})")
    return " · ".join(facts)
