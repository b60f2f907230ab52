"""What a worker process of a batch does: fills the scenes it is told to, until its parent hangs up."""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.connection import Connection

    from landsat_fill.pipeline.outcome import Outcome
    from landsat_fill.pipeline.plan import Job
    from landsat_fill.pipeline.request import FillRequest, OutputRequest
    from landsat_fill.scene import Scene

INTERRUPTS = {signal.SIGINT, signal.SIGTERM}


@dataclass(frozen=True, slots=True)
class Orders:
    """What a worker is told first: how scenes are filled, and in which form they are written."""

    request: FillRequest
    outputs: OutputRequest


@dataclass(frozen=True, slots=True)
class Needs:
    """What a worker tells of the scene it has opened: the memory it needs. It goes on when it is told to."""

    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Done:
    """What a worker tells at the end of a job: its outcome, or None where another run has it."""

    outcome: Outcome | None


def work(connection: Connection) -> None:
    """Fill one scene after the other, as ordered.

    Interrupts stop a worker in a job, once, and nowhere else: while it starts or waits one would end it with
    a traceback, and a second one would stop the first from cleaning up. The parent blocks them while it
    starts workers, which inherit that. Its hanging up, or death, is an interrupt, too.

    Args:
        connection: To the parent: `Orders` come, then jobs, and `Needs` and `Done` go. A text is the leave to
            go on.
    """
    heeding(False)
    # Every scene needs them: imported before the orders come, beside what the parent does.
    import cv2  # noqa: F401
    import rasterio  # noqa: F401

    from landsat_fill.pipeline.attempt import attempt
    from landsat_fill.pipeline.memory import needed_bytes

    let_interrupts_through(True)  # now, so that no thread of the libraries gets them
    try:
        orders = connection.recv()
    except (EOFError, OSError):
        return
    request, outputs = orders.request, orders.outputs
    # All processes together have as many threads as there are cores; more would be in each other's way.
    os.environ.setdefault("GDAL_NUM_THREADS", str(request.threads))
    inbox: SimpleQueue[Job | str | None] = SimpleQueue()
    hung_up = threading.Event()
    threading.Thread(target=_listen, args=(connection, inbox, hung_up), daemon=True).start()

    def admit(scenes: Sequence[Scene]) -> None:
        connection.send(Needs(needed_bytes(scenes, request, outputs.draws)))
        if inbox.get() is None:
            raise KeyboardInterrupt

    try:
        while (job := inbox.get()) is not None:
            heeding(True)
            if hung_up.is_set() or isinstance(job, str):
                return
            outcome = attempt(job, request, outputs, lambda _share, _text: None, admit)
            heeding(False)
            connection.send(Done(outcome))
    except (KeyboardInterrupt, BrokenPipeError):
        return


def heeding(heeded: bool) -> None:
    """Let the first interrupt raise KeyboardInterrupt, or let none."""
    for number in INTERRUPTS:
        signal.signal(number, _interrupt_once if heeded else signal.SIG_IGN)
    if hasattr(signal, "SIGUSR1"):
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # the parent heeds it for all


def let_interrupts_through(through: bool) -> None:
    """Let the thread get interrupts, or let them wait; a thread or process it starts begins as it is."""
    if hasattr(signal, "pthread_sigmask"):  # not on Windows
        signal.pthread_sigmask(signal.SIG_UNBLOCK if through else signal.SIG_BLOCK, INTERRUPTS)


def _interrupt_once(_number: int, _frame: object) -> None:
    heeding(False)
    raise KeyboardInterrupt


def _listen(connection: Connection, inbox: SimpleQueue[Job | str | None], hung_up: threading.Event) -> None:
    """Put what the parent sends into the inbox, and at its end None; then interrupt the job, if any."""
    try:
        while True:
            inbox.put(connection.recv())
    except (EOFError, OSError):
        hung_up.set()
        inbox.put(None)
        if sys.platform == "win32":
            _thread.interrupt_main()  # os.kill would end the process there
        else:
            os.kill(os.getpid(), signal.SIGINT)
