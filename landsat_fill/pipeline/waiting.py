"""The jobs of a batch that nobody works on yet, among them those that another run is at."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from landsat_fill.io import claim_owner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from landsat_fill.pipeline.plan import Job

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
