"""Runs jobs in worker processes, and ends them cleanly when the batch is stopped, interrupted or killed."""

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
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from queue import SimpleQueue
from typing import TYPE_CHECKING, Self

from landsat_fill.errors import TerminatedError
from landsat_fill.io import claim_owner
from landsat_fill.pipeline.outcome import Outcome, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

    from landsat_fill.pipeline.plan import Job
    from landsat_fill.pipeline.request import FillRequest, OutputRequest
    from landsat_fill.scene import Scene


class TimeUpError(KeyboardInterrupt):
    """The grace period is over; it ends running scenes as cleanly as Ctrl-C does."""


class Stop:
    """Whether a batch was asked to stop, and whether its grace period is over."""

    def __init__(self) -> None:
        self.asked = False
        self._running = False
        self._is_up = False

    @contextmanager
    def running(self) -> Iterator[None]:
        """Mark the part of a batch that the end of the grace period interrupts with `TimeUpError`."""
        self._running = True
        try:
            if self._is_up:
                raise TimeUpError
            yield
        finally:
            self._running = False

    def ask(self) -> None:
        """Ask the batch to start no further scene."""
        self.asked = True

    def time_up(self) -> None:
        """End the running scenes, once."""
        self.asked = True
        if self._running and not self._is_up:
            self._is_up = True
            raise TimeUpError
        self._is_up = True


@contextmanager
def stopping_on_signals(grace_s: float, say: Callable[[str], None]) -> Iterator[Stop]:
    """Yield a stop that SIGUSR1 asks for, as Slurm sends it before the time limit. SIGTERM ends the batch at once.

    Args:
        grace_s: Seconds that running scenes have after SIGUSR1.
        say: Called with a line for the user when the signal arrives.
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
        say(f"stop requested: no further scene starts; running scenes have {grace_s:.0f} s to finish")

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


RETRY_S = 1.0
"""Seconds between two looks at the scenes that another run is filling."""


class JobQueue:
    """The jobs of a batch in order. Jobs that another run has taken come last, once that run has released them."""

    def __init__(self, jobs: Iterable[Job], say: Callable[[str], None]) -> None:
        """Queue the jobs; `say` is called with a line for the user about each job that another run has taken."""
        self._fresh = deque(jobs)
        self._taken: list[Job] = []
        self._retry_at_s = 0.0
        self._say = say

    def __len__(self) -> int:
        """Return the number of jobs that haven't started."""
        return len(self._fresh) + len(self._taken)

    def next(self) -> Job | None:
        """Remove and return a job to start, or None if there is none at the moment."""
        if self._fresh:
            return self._fresh.popleft()
        if not self._taken or time.monotonic() < self._retry_at_s:
            return None
        self._retry_at_s = time.monotonic() + RETRY_S
        free = next((job for job in self._taken if claim_owner(job.target) is None), None)
        if free is not None:
            self._taken.remove(free)
        return free

    def postpone(self, job: Job) -> None:
        """Put back a job that another run has taken."""
        self._taken.append(job)
        self._retry_at_s = time.monotonic() + RETRY_S
        owner = claim_owner(job.target) or "another run"
        self._say(f"{job.input.name}: {owner} is filling it; looked at again later")


INTERRUPTS = {signal.SIGINT, signal.SIGTERM}


def work(connection: Connection) -> None:
    """Fill scenes in a worker process, one after another.

    The parent sends the two requests and the memory of all scenes, and then job after job. The worker answers each
    job with the bytes it needs, waits for any text as permission, and answers with the outcome, or with None if
    another run has the job.

    An interrupt stops a worker only while it works on a job, and only once: otherwise it would end with a
    traceback, or a second interrupt would stop the clean-up. The parent blocks interrupts while it starts workers,
    which inherit that. If the parent hangs up or dies, the worker interrupts itself.

    Args:
        connection: The connection to the parent.
    """
    handle_interrupts(False)
    # Every scene needs these two. Importing them now overlaps with the planning of the batch.
    try:
        import cv2  # noqa: F401
        import rasterio  # noqa: F401
    except (ImportError, OSError, MemoryError):
        return  # too little memory: the parent reports that the worker has ended

    from landsat_fill.io.archives import forget_unpacked
    from landsat_fill.pipeline.fill_scene import attempt
    from landsat_fill.pipeline.resources import needed_bytes, refuse_too_wide

    unblock_interrupts(True)  # not earlier, so that no thread of the libraries receives them
    try:
        request, outputs, memory_bytes = connection.recv()
    except (EOFError, OSError):
        return
    # All processes together use as many threads as there are cores.
    os.environ.setdefault("GDAL_NUM_THREADS", str(request.threads))
    inbox: SimpleQueue[Job | str | None] = SimpleQueue()
    hung_up = threading.Event()
    threading.Thread(target=_listen, args=(connection, inbox, hung_up), daemon=True).start()

    def wait_for_memory(scenes: Sequence[Scene]) -> None:
        refuse_too_wide(scenes, request, outputs.realizations, memory_bytes)
        connection.send(needed_bytes(scenes, request, outputs.realizations))
        if inbox.get() is None:
            raise KeyboardInterrupt

    try:
        while (job := inbox.get()) is not None:
            handle_interrupts(True)
            if hung_up.is_set() or isinstance(job, str):
                return
            outcome = attempt(job, request, outputs, lambda _share, _text: None, wait_for_memory)
            handle_interrupts(False)
            connection.send(outcome)
    except (KeyboardInterrupt, BrokenPipeError):
        return
    finally:
        forget_unpacked()


def handle_interrupts(handled: bool) -> None:
    """Let the first interrupt raise KeyboardInterrupt, or ignore all."""
    for number in INTERRUPTS:
        signal.signal(number, _interrupt_once if handled else signal.SIG_IGN)
    if hasattr(signal, "SIGUSR1"):
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # the parent handles it for all


def unblock_interrupts(unblocked: bool) -> None:
    """Unblock or block interrupts for this thread, and for the threads and processes that it starts."""
    if hasattr(signal, "pthread_sigmask"):  # not on Windows
        signal.pthread_sigmask(signal.SIG_UNBLOCK if unblocked else signal.SIG_BLOCK, INTERRUPTS)


def _interrupt_once(_number: int, _frame: object) -> None:
    handle_interrupts(False)
    raise KeyboardInterrupt


def _listen(connection: Connection, inbox: SimpleQueue[Job | str | None], hung_up: threading.Event) -> None:
    """Put the parent's messages into the inbox. When it hangs up, put None and interrupt the current job."""
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


@dataclass(slots=True)
class _Worker:
    """A worker process and the connection to it.

    Attributes:
        process: The process.
        connection: The connection.
        slot: Its place in the pool, which decides its device.
        job: Its current job.
        memory_bytes: The memory it requested for the job, or 0.
        admitted: Whether it may use that memory.
    """

    process: SpawnProcess
    connection: Connection
    slot: int = 0
    job: Job | None = None
    memory_bytes: int = 0
    admitted: bool = False


def _start_worker() -> _Worker:
    """Return a new worker. It is spawned, because a forked copy of a process with GDAL's threads may deadlock."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=work, args=(theirs,), daemon=True)
    if hasattr(signal, "pthread_sigmask"):  # the tracker unblocks interrupts when it starts, so it starts first
        resource_tracker.ensure_running()
    unblock_interrupts(False)
    try:
        process.start()
    finally:
        unblock_interrupts(True)
    theirs.close()  # so that the connection ends with the process
    return _Worker(process, ours)


class WorkerPool:
    """Worker processes that each fill one scene at a time. If one dies, only its scene is lost.

    A context manager: entering it starts processes ahead of the batch, leaving it ends all of them.
    """

    def __init__(self, count: int) -> None:
        """Prepare a pool that starts `count` processes when it is entered."""
        self._count = count
        self._spare: list[_Worker] = []
        self._workers: list[_Worker] = []

    def __enter__(self) -> Self:
        """Start the processes, which wait for their orders."""
        self._spare = [_start_worker() for _ in range(self._count)]
        return self

    def __exit__(self, *error: object) -> None:
        """End the processes that never got orders: they have nothing to clean up."""
        for worker in self._spare:
            worker.process.kill()
            worker.connection.close()
        for worker in self._spare:
            worker.process.join()

    def run(
        self,
        queue: JobQueue,
        request: FillRequest,
        outputs: OutputRequest,
        *,
        processes: int,
        devices: Sequence[str],
        memory_bytes: int | None,
        stop: Stop,
        on_outcome: Callable[[Outcome], None],
    ) -> None:
        """Work through a queue in up to `processes` processes; jobs that don't start stay in the queue.

        All running scenes together use at most `memory_bytes` if given, but one always runs. At the end, or after
        an interrupt, all workers have cleaned up and ended.
        """
        orders = [
            (replace(request, device=devices[slot % len(devices)]), outputs, memory_bytes) for slot in range(processes)
        ]
        outcomes: list[Outcome] = []
        try:
            while True:
                if not stop.asked:
                    self._start_jobs(queue, orders)
                while outcomes:  # reported while the processes already work on the next jobs
                    on_outcome(outcomes.pop(0))
                busy = [worker for worker in self._workers if worker.job is not None]
                if not busy and (stop.asked or not queue):
                    return
                ready = wait([worker.connection for worker in busy], RETRY_S)
                for worker in busy:
                    if worker.connection in ready:
                        outcomes += self._receive(worker, queue, request)
                self._grant_memory(memory_bytes)
        finally:
            for worker in self._workers:
                worker.connection.close()
            for worker in self._workers:
                worker.process.join()

    @property
    def running(self) -> list[Job]:
        """The jobs that are running, or were when the pool ended."""
        return [worker.job for worker in self._workers if worker.job is not None]

    def _start_jobs(self, queue: JobQueue, orders: Sequence[tuple[FillRequest, OutputRequest, int | None]]) -> None:
        """Give each idle worker a job, and start further workers while there are jobs and free slots."""
        for worker in [one for one in self._workers if one.job is None and not one.process.is_alive()]:
            self._remove(worker)
        idle = [worker for worker in self._workers if worker.job is None]
        free_slots = sorted(set(range(len(orders))) - {worker.slot for worker in self._workers})
        while idle or free_slots:
            job = queue.next()
            if job is None:
                return
            with suppress(OSError):  # the worker has died, which its connection shows later
                if idle:
                    worker = idle.pop()
                else:
                    worker = self._spare.pop() if self._spare else _start_worker()
                    worker.slot = free_slots.pop(0)
                    self._workers.append(worker)
                    worker.job = job
                    worker.connection.send(orders[worker.slot])
                worker.job = job
                worker.connection.send(job)

    def _receive(self, worker: _Worker, queue: JobQueue, request: FillRequest) -> list[Outcome]:
        """Receive a message from a worker, and return the outcome of its job if it has ended."""
        job = worker.job
        if job is None:
            return []
        try:
            message = worker.connection.recv()
        except (EOFError, OSError):
            self._remove(worker)
            return [_killed(job, request, worker.process.exitcode)]
        if isinstance(message, int):
            worker.memory_bytes = message
            return []
        worker.job, worker.memory_bytes, worker.admitted = None, 0, False
        if message is None:
            queue.postpone(job)
        return [] if message is None else [message]

    def _grant_memory(self, limit_bytes: int | None) -> None:
        """Let workers continue while there is memory for them, in the order of their start; one always may."""
        used = sum(worker.memory_bytes for worker in self._workers if worker.admitted)
        for worker in self._workers:
            if worker.admitted or not worker.memory_bytes:
                continue
            if used and limit_bytes is not None and used + worker.memory_bytes > limit_bytes:
                return
            used += worker.memory_bytes
            worker.admitted = True
            with suppress(OSError):
                worker.connection.send("continue")

    def _remove(self, worker: _Worker) -> None:
        """Remove a dead worker."""
        worker.process.join()
        worker.connection.close()
        self._workers.remove(worker)


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
