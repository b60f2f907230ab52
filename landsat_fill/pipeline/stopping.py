"""Ends a batch early, on request: what runs may go on for a while, nothing new is begun."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from landsat_fill.errors import TerminatedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class TimeUpError(KeyboardInterrupt):
    """The time that running scenes were given is over: it ends them as Ctrl-C would, cleanly."""


class Stop:
    """Whether a batch has been asked to end, and how long what runs may go on."""

    def __init__(self) -> None:
        self.asked = False
        self._running = False
        self._is_up = False

    @contextmanager
    def running(self) -> Iterator[None]:
        """Mark the time in which the end of the grace may end scenes by raising `TimeUpError`."""
        self._running = True
        try:
            if self._is_up:
                raise TimeUpError
            yield
        finally:
            self._running = False

    def ask(self) -> None:
        """Ask for the end: nothing new is begun."""
        self.asked = True

    def time_up(self) -> None:
        """End what runs, once."""
        self.asked = True
        if self._running and not self._is_up:
            self._is_up = True
            raise TimeUpError
        self._is_up = True


@contextmanager
def stopping_on_signals(grace_s: float, say: Callable[[str], None]) -> Iterator[Stop]:
    """Yield a stop that SIGUSR1 asks for, as Slurm sends it before the time limit; SIGTERM ends at once.

    Args:
        grace_s: Seconds after the signal that running scenes may take to be finished.
        say: Told that the signal came.
    """
    stop = Stop()
    if not hasattr(signal, "SIGUSR1") or threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def warned(_number: int, _frame: object) -> None:
        if stop.asked:
            return
        stop.ask()
        signal.setitimer(signal.ITIMER_REAL, max(grace_s, 0.001))
        say(f"told to stop: no scene is begun any more; those that run have {grace_s:.0f} s to be finished")

    def terminated(_number: int, _frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise TerminatedError

    before = {
        signal.SIGUSR1: signal.signal(signal.SIGUSR1, warned),
        signal.SIGALRM: signal.signal(signal.SIGALRM, lambda _number, _frame: stop.time_up()),
        signal.SIGTERM: signal.signal(signal.SIGTERM, terminated),
    }
    try:
        yield stop
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
