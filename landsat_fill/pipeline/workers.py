"""Jobs in processes of their own, which may be interrupted, or die."""

from __future__ import annotations

import _thread
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import wait
from queue import SimpleQueue
from typing import TYPE_CHECKING, NamedTuple, Self

from landsat_fill.errors import TerminatedError
from landsat_fill.io import claim_owner
from landsat_fill.pipeline.outcome import Outcome, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess
    from types import TracebackType

    from landsat_fill.pipeline.plan import Job
    from landsat_fill.pipeline.request import FillRequest, OutputRequest
    from landsat_fill.scene import Scene


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


LOOK_AGAIN_S = 1.0
"""How often is looked whether another run has left a scene."""


class Waiting:
    """Jobs in their order; those that another run has taken come last, once it has done them or died."""

    def __init__(self, jobs: Iterable[Job], say: Callable[[str], None]) -> None:
        """Begin with all jobs untaken; `say` is told what is waited for."""
        self._fresh = deque(jobs)
        self._taken: list[Job] = []
        self._look_at_s = 0.0
        self._say = say

    def __bool__(self) -> bool:
        """Return whether any is left."""
        return bool(self._fresh or self._taken)

    @property
    def left(self) -> list[Job]:
        """The jobs nobody has begun here."""
        return [*self._fresh, *self._taken]

    def next(self) -> Job | None:
        """Return a job to begin, which then waits no longer, or None where there is none just now."""
        if self._fresh:
            return self._fresh.popleft()
        if not self._taken or time.monotonic() < self._look_at_s:
            return None
        self._look_at_s = time.monotonic() + LOOK_AGAIN_S
        free = next((job for job in self._taken if claim_owner(job.target) is None), None)
        if free is not None:
            self._taken.remove(free)
        return free

    def postpone(self, job: Job) -> None:
        """Take back a job that another run has: it is looked at again when the others are begun."""
        self._taken.append(job)
        self._look_at_s = time.monotonic() + LOOK_AGAIN_S
        whose = claim_owner(job.target) or "another run"
        self._say(f"{job.input.name}: {whose} is filling it; looked at again later")


INTERRUPTS = {signal.SIGINT, signal.SIGTERM}


def work(connection: Connection) -> None:
    """Fill one scene after the other, as ordered.

    Interrupts stop a worker in a job, once, and nowhere else: while it starts or waits one would end it with
    a traceback, and a second one would stop the first from cleaning up. The parent blocks them while it
    starts workers, which inherit that. Its hanging up, or death, is an interrupt, too.

    Args:
        connection: To the parent. How to fill and what to write comes first, then job after job. For each
            job the bytes that it needs are sent, a text that there is room for them comes, and the outcome is
            sent, or None where another run has the job.
    """
    heeding(False)
    # Every scene needs them: imported before the orders come, beside what the parent does.
    import cv2  # noqa: F401
    import rasterio  # noqa: F401

    from landsat_fill.pipeline.fill_scene import attempt
    from landsat_fill.pipeline.resources import needed_bytes

    let_interrupts_through(True)  # now, so that no thread of the libraries gets them
    try:
        request, outputs = connection.recv()
    except (EOFError, OSError):
        return
    # All processes together have as many threads as there are cores; more would be in each other's way.
    os.environ.setdefault("GDAL_NUM_THREADS", str(request.threads))
    inbox: SimpleQueue[Job | str | None] = SimpleQueue()
    hung_up = threading.Event()
    threading.Thread(target=_listen, args=(connection, inbox, hung_up), daemon=True).start()

    def admit(scenes: Sequence[Scene]) -> None:
        connection.send(needed_bytes(scenes, request, outputs.realizations))
        if inbox.get() is None:
            raise KeyboardInterrupt

    try:
        while (job := inbox.get()) is not None:
            heeding(True)
            if hung_up.is_set() or isinstance(job, str):
                return
            outcome = attempt(job, request, outputs, lambda _share, _text: None, admit)
            heeding(False)
            connection.send(outcome)
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


class SpareProcess(NamedTuple):
    """A process that waits for orders, and the line to it."""

    process: SpawnProcess
    connection: Connection


class SpareProcesses:
    """Worker processes without orders. A context manager: leaving it ends those that nobody took."""

    def __init__(self, count: int) -> None:
        """Prepare; none is started before the context is entered.

        Args:
            count: How many to start ahead. More can be had.
        """
        self._count = count
        self._spare: list[SpareProcess] = []

    def __enter__(self) -> Self:
        """Start them."""
        for _ in range(self._count):
            self._spare.append(_started())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End those that are left. They have begun nothing, so nothing needs to be cleaned up."""
        for spare in self._spare:
            spare.process.kill()
            spare.connection.close()
        for spare in self._spare:
            spare.process.join()
        self._spare.clear()

    def take(self) -> SpareProcess:
        """Return a process, which is the caller's from now on."""
        return self._spare.pop() if self._spare else _started()


def _started() -> SpareProcess:
    """Return a new process. Spawned, for a forked copy of a process with GDAL's threads may lock up."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=work, args=(theirs,), daemon=True)
    let_interrupts_through(False)
    try:
        process.start()
    finally:
        let_interrupts_through(True)
    theirs.close()  # so that the end of the process ends the line
    return SpareProcess(process, ours)


@dataclass(slots=True)
class _Worker:
    """A process, the line to it, its job, the memory that it asked for, and whether it got it."""

    slot: int
    process: SpawnProcess
    connection: Connection
    job: Job | None = None
    memory_bytes: int = 0
    admitted: bool = False


class WorkerPool:
    """Processes that each fill one scene at a time; the death of one costs its scene and nothing else."""

    def __init__(
        self,
        request: FillRequest,
        outputs: OutputRequest,
        *,
        processes: int,
        devices: Sequence[str],
        memory_bytes: int | None,
        spare: SpareProcesses,
    ) -> None:
        """Prepare; no process is taken yet.

        Args:
            request: How scenes are filled.
            outputs: The form of the outputs.
            processes: How many at once.
            devices: What they run on, each in turn.
            memory_bytes: What all scenes at work may take together, None for no bound. One is always let in.
            spare: Where processes are taken from.
        """
        self._request, self._outputs = request, outputs
        self._devices, self._memory_bytes = devices, memory_bytes
        self._spare = spare
        self._free_slots = list(range(processes))
        self._workers: list[_Worker] = []

    def run(self, waiting: Waiting, stop: Stop, on_outcome: Callable[[Outcome], None]) -> None:
        """Work through jobs.

        Args:
            waiting: The jobs; those that nobody began stay in it.
            stop: Whether to begin no more.
            on_outcome: Told what became of each job, as soon as it is known.
        """
        outcomes: list[Outcome] = []
        try:
            while True:
                if not stop.asked:
                    self._hand_out(waiting)
                while outcomes:  # told while the processes are at work again
                    on_outcome(outcomes.pop(0))
                busy = [worker for worker in self._workers if worker.job is not None]
                if not busy and (stop.asked or not waiting):
                    return
                ready = wait([worker.connection for worker in busy], LOOK_AGAIN_S)
                for worker in busy:
                    if worker.connection in ready:
                        outcomes += self._hear(worker, waiting)
                self._admit()
        finally:
            self._hang_up()

    @property
    def at_work(self) -> list[Job]:
        """The jobs being done, or that were when the pool ended."""
        return [worker.job for worker in self._workers if worker.job is not None]

    def _hand_out(self, waiting: Waiting) -> None:
        """Give each idle process a job, and start processes as long as there are jobs for them."""
        for worker in [worker for worker in self._workers if not worker.process.is_alive()]:
            if worker.job is None:
                self._bury(worker)
        idle = [worker for worker in self._workers if worker.job is None]
        while idle or self._free_slots:
            job = waiting.next()
            if job is None:
                return
            worker = idle.pop() if idle else self._started()
            worker.job = job
            with suppress(OSError):  # it died while it was idle; its line says so, too
                worker.connection.send(job)

    def _started(self) -> _Worker:
        """Return a new worker, with its orders."""
        slot = self._free_slots.pop(0)
        process, connection = self._spare.take()
        request = replace(self._request, device=self._devices[slot % len(self._devices)])
        with suppress(OSError):  # it died already; its line says so, too
            connection.send((request, self._outputs))
        worker = _Worker(slot, process, connection)
        self._workers.append(worker)
        return worker

    def _hear(self, worker: _Worker, waiting: Waiting) -> list[Outcome]:
        """Take what a worker says, and return what became of its job, if it ended."""
        try:
            message = worker.connection.recv()
        except (EOFError, OSError):
            self._bury(worker)
            return [] if worker.job is None else [_killed(worker.job, self._request, worker.process.exitcode)]
        job = worker.job
        if isinstance(message, int):
            worker.memory_bytes = message
            return []
        worker.job, worker.memory_bytes, worker.admitted = None, 0, False
        if message is None and job is not None:
            waiting.postpone(job)
        return [] if message is None else [message]

    def _admit(self) -> None:
        """Let those go on that there is memory for, in the order they began; one may always."""
        used = sum(worker.memory_bytes for worker in self._workers if worker.admitted)
        for worker in self._workers:
            if worker.admitted or not worker.memory_bytes:
                continue
            if used and self._memory_bytes is not None and used + worker.memory_bytes > self._memory_bytes:
                return
            used += worker.memory_bytes
            worker.admitted = True
            with suppress(OSError):
                worker.connection.send("go on")

    def _bury(self, worker: _Worker) -> None:
        """Make room for another in place of a dead worker."""
        worker.process.join()
        worker.connection.close()
        self._workers.remove(worker)
        self._free_slots.append(worker.slot)

    def _hang_up(self) -> None:
        """End all processes: idle ones at once, others as soon as they have cleaned up."""
        for worker in self._workers:
            worker.connection.close()
        for worker in self._workers:
            worker.process.join()


def _killed(job: Job, request: FillRequest, exit_code: int | None) -> Outcome:
    how = "it ended"
    if exit_code is not None and exit_code < 0:
        how = f"it was killed ({signal.Signals(-exit_code).name})"
    return job.outcome(
        Status.FAILED,
        method=request.method.info.name,
        error=f"expected the worker process to live, but {how} while this scene was being filled",
        hint="Run it again with fewer --jobs to fill the other scenes: memory may have run out.",
    )
