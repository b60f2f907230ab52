"""What training says while it runs: a progress bar on a terminal, plain timestamped lines elsewhere."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from landsat_fill.training.listening import Standing

_FEWEST_MINUTES = 0.05
"""Before that much of a run nobody can say how long the rest takes."""


class TrainingScreen:
    """Shows how a run goes, and passes on the wish to stop."""

    def __init__(self, stop: Callable[[], bool], console: Console, bars: Progress | None) -> None:
        self._stop, self._console, self._bars = stop, console, bars
        self._task = None if bars is None else bars.add_task("", total=1.0)
        self._first: tuple[float, float] | None = None

    def stepped(self, standing: Standing) -> None:
        """Move the bar."""
        if self._bars is None or self._task is None:
            return
        self._bars.update(
            self._task, completed=standing.share, description=f"{_facts(standing)}{self._left(standing)}"
        )

    def validated(self, standing: Standing) -> None:
        """Show a new score."""
        self.noted(f"{_facts(standing)} · {standing.minutes:.1f} min{self._left(standing)}")

    def noted(self, text: str) -> None:
        """Show a line."""
        if self._console.is_terminal:
            self._console.print(escape(text))
            return
        stamp = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S")
        self._console.print(f"{stamp}  {text}", markup=False)
        self._console.file.flush()

    def stop_asked(self) -> bool:
        """Return whether to stop."""
        return self._stop()

    def _left(self, standing: Standing) -> str:
        """Return how long the rest takes at the pace of this sitting."""
        if self._first is None:
            self._first = standing.minutes, standing.share
        minutes, share = standing.minutes - self._first[0], standing.share - self._first[1]
        if minutes < _FEWEST_MINUTES or share <= 0:
            return ""
        return f" · {minutes / share * (1 - standing.share):.0f} min left"


@contextmanager
def training_screen(stop: Callable[[], bool], *, quiet: bool) -> Iterator[TrainingScreen]:
    """Yield where to show a run.

    Args:
        stop: Whether somebody asked to stop.
        quiet: Whether to show nothing.
    """
    console = Console(stderr=True, highlight=False, soft_wrap=True, quiet=quiet)
    if quiet or not console.is_terminal:
        yield TrainingScreen(stop, console, None)
        return
    columns = (BarColumn(), TaskProgressColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True) as bars:
        yield TrainingScreen(stop, console, bars)


@contextmanager
def stops_asked() -> Iterator[Callable[[], bool]]:
    """Yield a function that says whether Ctrl-C or a SIGTERM came; a second one doesn't wait for the step."""
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


def _facts(standing: Standing) -> str:
    facts = [f"step {standing.step}"]
    if standing.loss == standing.loss:  # not NaN: there is none right after a row of the log
        facts.append(f"loss {standing.loss:.4f}")
    if standing.score is not None:
        facts.append(f"error {standing.score:.4f} (best {standing.best:.4f})")
    return " · ".join(facts)
