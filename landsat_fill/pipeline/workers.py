"""Jobs in processes of their own, which may be interrupted, or die."""

from __future__ import annotations

import signal
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import wait
from typing import TYPE_CHECKING

from landsat_fill.pipeline.outcome import Outcome, Status
from landsat_fill.pipeline.waiting import LOOK_AGAIN_S
from landsat_fill.pipeline.worker_process import Done, Needs, Orders

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

    from landsat_fill.pipeline.plan import Job
    from landsat_fill.pipeline.request import FillRequest, OutputRequest
    from landsat_fill.pipeline.spare_processes import SpareProcesses
    from landsat_fill.pipeline.stopping import Stop
    from landsat_fill.pipeline.waiting import Waiting


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
            connection.send(Orders(request, self._outputs))
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
        if isinstance(message, Needs):
            worker.memory_bytes = message.memory_bytes
        elif isinstance(message, Done) and job is not None:
            worker.job, worker.memory_bytes, worker.admitted = None, 0, False
            if message.outcome is None:
                waiting.postpone(job)
            else:
                return [message.outcome]
        return []

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
    return Outcome(
        name=job.input.name,
        source=job.input.source,
        target=job.target,
        status=Status.FAILED,
        method=request.method.info.name,
        error=f"expected the worker process to live, but {how} while this scene was being filled",
        hint="often memory ran out: use fewer --jobs; call again to fill what is missing",
    )
