"""Jobs in processes of their own, which may be interrupted, or die."""

from __future__ import annotations

import multiprocessing
import os
import signal
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING

from landsat_fill.pipeline.attempt import attempt
from landsat_fill.pipeline.outcome import Outcome, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from landsat_fill.pipeline.plan import Job
    from landsat_fill.pipeline.request import FillRequest, OutputRequest


def run_in_processes(
    jobs: Sequence[Job],
    request: FillRequest,
    outputs: OutputRequest,
    processes: int,
    on_outcome: Callable[[Outcome], None],
) -> None:
    """Run jobs in processes; the death of one costs the scenes it worked on, not the batch.

    Args:
        jobs: What to do.
        request: How scenes are filled.
        outputs: The form of the outputs.
        processes: How many at once.
        on_outcome: Told what became of each job, as soon as it is known.
    """
    waiting = list(jobs)
    while waiting:
        # Spawned, for a forked copy of a process with GDAL's threads may lock up.
        with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
            try:
                broken = _run_in_pool(pool, waiting, request, outputs, processes, on_outcome)
            except KeyboardInterrupt:
                for worker in multiprocessing.active_children():
                    if worker.pid is not None:  # a terminal interrupts them too, but `kill` does not
                        os.kill(worker.pid, signal.SIGINT)
                raise
        for job in broken:
            on_outcome(_killed(job, request))


def _run_in_pool(
    pool: ProcessPoolExecutor,
    waiting: list[Job],
    request: FillRequest,
    outputs: OutputRequest,
    processes: int,
    on_outcome: Callable[[Outcome], None],
) -> list[Job]:
    """Take jobs off the list and run them until it is empty; where a process dies, return those it cost."""
    running: dict[Future[Outcome], Job] = {}
    broken: list[Job] = []
    while waiting or running:
        while waiting and len(running) < processes and not broken:
            try:
                running[_submitted(pool, waiting[0], request, outputs)] = waiting[0]
            except BrokenProcessPool:  # it died since the last look: what it cost is told below
                break
            del waiting[0]
        if not running:
            break
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            job = running.pop(future)
            try:
                on_outcome(future.result())
            except BrokenProcessPool:
                broken.append(job)
    return broken


def _submitted(
    pool: ProcessPoolExecutor, job: Job, request: FillRequest, outputs: OutputRequest
) -> Future[Outcome]:
    """Return the future of a job that was handed to the pool, which starts its processes at the first."""
    _let_interrupts_through(False)
    try:
        return pool.submit(_attempt_apart, job, request, outputs)
    finally:
        _let_interrupts_through(True)


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


def _attempt_apart(job: Job, request: FillRequest, outputs: OutputRequest) -> Outcome:
    """Return what became of a job, in a worker process: Ctrl-C stops it in a job, once, and nowhere else.

    An interrupt while the worker starts or waits would end it with a traceback; a second one would stop the
    first from cleaning up. The parent blocks the signal while it starts workers, which inherit that.
    """
    signal.signal(signal.SIGINT, _interrupt_once)
    try:
        _let_interrupts_through(True)
        return attempt(job, request, outputs, lambda _share, _text: None)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _interrupt_once(_number: int, _frame: object) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


def _let_interrupts_through(through: bool) -> None:
    """Let the thread get interrupts, or let them wait; a thread or process it starts begins as it is."""
    if hasattr(signal, "pthread_sigmask"):  # not on Windows
        signal.pthread_sigmask(signal.SIG_UNBLOCK if through else signal.SIG_BLOCK, {signal.SIGINT})
