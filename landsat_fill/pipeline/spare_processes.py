"""Processes started before there is work for them, so that they import what they need beside the planning."""

from __future__ import annotations

import multiprocessing
from typing import TYPE_CHECKING, NamedTuple, Self

from landsat_fill.pipeline.worker_process import let_interrupts_through, work

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess
    from types import TracebackType


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
