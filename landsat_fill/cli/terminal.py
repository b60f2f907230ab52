"""What a fill says while it runs: a progress bar on a terminal, plain timestamped lines elsewhere."""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Protocol, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from landsat_fill.pipeline.outcome import Outcome, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

MARKS = {
    Status.FILLED: "[green]✔[/green]",
    Status.NO_GAPS: "[green]✔[/green]",
    Status.SKIPPED: "[dim]·[/dim]",
    Status.FAILED: "[red]✘[/red]",
    Status.STOPPED: "[yellow]…[/yellow]",
}


def print_error(message: str, hint: str | None) -> None:
    """Print an error and what to do about it on standard error."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"[red]error:[/red] {escape(message)}")
    if hint:
        console.print(f"[dim]hint:[/dim]  {escape(hint)}")


class Reporter(Protocol):
    """Where the progress of a batch is shown."""

    def __enter__(self) -> Self:
        """Begin."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """End."""
        ...

    def say(self, text: str) -> None:
        """Show a line."""
        ...

    def progress(self, name: str, fraction: float, text: str) -> None:
        """Show how much of a scene is done, and how it goes where there is something to tell."""
        ...

    def outcome(self, outcome: Outcome) -> None:
        """Show what became of a scene."""
        ...


class Screen:
    """A terminal: one bar for the batch, one for each scene being filled, one line a scene."""

    def __init__(self, scenes: int, *, quiet: bool, verbose: bool) -> None:
        self._quiet, self._verbose = quiet, verbose
        self._console = Console(stderr=quiet, highlight=False, soft_wrap=True)
        self._progress = Progress(
            TextColumn("  {task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            MofNCompleteColumn() if scenes > 1 else TextColumn(""),
            console=self._console,
            transient=True,
            disable=quiet,
        )
        self._batch: TaskID | None = None
        if scenes > 1:
            self._batch = self._progress.add_task("all scenes", total=scenes)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        """Show the bars."""
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the bars away."""
        self._progress.stop()

    def say(self, text: str) -> None:
        """Show a line."""
        if not self._quiet:
            self._console.print(escape(text))

    def progress(self, name: str, fraction: float, text: str) -> None:
        """Move the bar of a scene."""
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(escape(name), total=1.0)
        description = escape(f"{name} · {text}" if text else name)
        self._progress.update(self._tasks[name], completed=fraction, description=description)

    def outcome(self, outcome: Outcome) -> None:
        """Show the line of a scene and move the bar of the batch."""
        task = self._tasks.pop(outcome.name, None)
        if task is not None:
            self._progress.remove_task(task)
        if self._batch is not None:
            self._progress.advance(self._batch)
        if self._quiet and outcome.status is not Status.FAILED:
            return
        for number, line in enumerate(outcome_lines(outcome, verbose=self._verbose)):
            mark = MARKS[outcome.status] if number == 0 else " "
            self._console.print(f"{mark} {escape(line)}")


class Log:
    """No terminal: one timestamped line at a time, flushed at once, readable while the job runs."""

    def __init__(self, *, quiet: bool, verbose: bool) -> None:
        self._quiet, self._verbose = quiet, verbose
        self._console = Console(stderr=quiet, highlight=False, soft_wrap=True, no_color=True)
        self._tenths: dict[str, int] = {}

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""

    def _print(self, text: str) -> None:
        stamp = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S")
        self._console.print(f"{stamp}  {text}", markup=False)
        self._console.file.flush()

    def say(self, text: str) -> None:
        """Print a line."""
        if not self._quiet:
            self._print(text)

    def progress(self, name: str, fraction: float, text: str) -> None:
        """Print each tenth of a scene, where details are asked for."""
        tenth = int(10 * fraction)
        if self._verbose and tenth > self._tenths.get(name, 0):
            self._tenths[name] = tenth
            self.say(f"{name}: {10 * tenth} %" + (f" · {text}" if text else ""))

    def outcome(self, outcome: Outcome) -> None:
        """Print the line of a scene."""
        if self._quiet and outcome.status is not Status.FAILED:
            return
        for number, line in enumerate(outcome_lines(outcome, verbose=self._verbose)):
            self._print(line if number else f"{outcome.status.value}: {line}")


class JsonLines:
    """One JSON object a scene on standard output, and nothing else."""

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""

    def say(self, text: str) -> None:
        """Print nothing."""

    def progress(self, name: str, fraction: float, text: str) -> None:
        """Print nothing."""

    def outcome(self, outcome: Outcome) -> None:
        """Print the scene's object."""
        print(json.dumps(outcome.as_dict()), flush=True)  # noqa: T201


def reporter(scenes: int, *, quiet: bool, verbose: bool, as_json: bool) -> Reporter:
    """Return where to show the progress of a batch of `scenes`."""
    if as_json:
        return JsonLines()
    if Console(stderr=quiet).is_terminal:
        return Screen(scenes, quiet=quiet, verbose=verbose)
    return Log(quiet=quiet, verbose=verbose)


@contextmanager
def shares_shown(*, quiet: bool) -> Iterator[Callable[[float, str], None]]:
    """Yield a function that shows the share done, 0 to 1, and what is being worked on."""
    console = Console(stderr=True, highlight=False)
    if quiet or not console.is_terminal:
        yield lambda _share, _text: None
        return
    columns = (BarColumn(), TaskProgressColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task("", total=1.0)
        yield lambda share, text: bars.update(task, completed=share, description=escape(text))


def outcome_lines(outcome: Outcome, *, verbose: bool) -> list[str]:
    """Return the line of a scene, and below it its hint, its notes and, if asked for, its files."""
    if outcome.status in (Status.FAILED, Status.STOPPED):
        lines = [f"{outcome.name}  {outcome.error}"]
        if outcome.hint:
            lines.append(f"   hint: {outcome.hint}")
        return lines
    if outcome.status is Status.SKIPPED:
        return [f"{outcome.name}  already done: {outcome.target}"] if verbose else []
    tally = outcome.tally
    if outcome.status is Status.NO_GAPS:
        facts = ["no gaps: copied as it is"]
    else:
        facts = [f"{100 * tally.missing_share:.1f} % missing", f"{count(tally.filled)} pixels filled"]
        if tally.left:
            facts.append(f"{count(tally.left)} left")
        if outcome.median_std is not None:
            facts.append(f"median σ {outcome.median_std:.3g}")
    facts.append(f"{outcome.seconds:.1f} s")
    lines = [f"{outcome.name}  {' · '.join(facts)}"]
    lines += [f"   {note}" for note in outcome.notes]
    if verbose:
        lines += [f"   → {file}" for file in outcome.files]
    return lines


def count(pixels: int) -> str:
    """Return a number of pixels as people say it: 812, 12.4 k, 11.9 M."""
    if pixels < 10_000:
        return str(pixels)
    return f"{pixels / 1e3:.1f} k" if pixels < 1_000_000 else f"{pixels / 1e6:.1f} M"
