"""What a user asks of Slurm, as one plain value."""

from __future__ import annotations

import re
from dataclasses import dataclass

from landsat_fill.errors import UsageError

EARLY_S = 60
"""How much earlier than asked for Slurm may send a signal. Source: sbatch(1), `--signal`."""

MARGIN_S = 30
"""Between the end of the grace and the time limit: to clean up, and to put the task back into the queue."""

LEAST_GRACE_S = 15


@dataclass(frozen=True, slots=True)
class ArraySettings:
    """How the tasks of an array run.

    Attributes:
        directives: Options of sbatch by their long names: partition, account, qos, time, mem, cpus-per-task,
            gres, constraint. Those left out are as the cluster has them.
        extra: Further options of sbatch, as they are.
        throttle: Tasks that run at once, or None for as many as there is room for.
        requeues: How often a task that runs out of time puts itself back into the queue.
        lead_s: How long before the time limit a task is told to stop.
        setup: Shell lines that go before the work: module loads, activation of an environment.
        command: How landsat-fill is called.
    """

    directives: dict[str, str]
    extra: tuple[str, ...] = ()
    throttle: int | None = None
    requeues: int = 5
    lead_s: int = 300
    setup: str = ""
    command: str = "landsat-fill"

    def __post_init__(self) -> None:
        """Refuse a warning that leaves no time to work, or none to finish.

        Raises:
            UsageError: If it does.
        """
        if self.lead_s < MARGIN_S + LEAST_GRACE_S:
            raise UsageError(
                f"expected --lead to be at least {MARGIN_S + LEAST_GRACE_S} s, but got {self.lead_s}"
            )
        limit_s = seconds_of(self.directives["time"]) if "time" in self.directives else None
        if limit_s is not None and limit_s <= self.lead_s + EARLY_S:
            raise UsageError(
                f"expected --time to be longer than --lead and a minute, but got "
                f"{self.directives['time']} and {self.lead_s} s: every task would be "
                "told to stop as soon as it begins",
                hint=f"Slurm may send the signal {EARLY_S} s early; give more --time, or less --lead",
            )

    @property
    def grace_s(self) -> int:
        """Seconds that running scenes have to be finished once the signal has come."""
        return self.lead_s - MARGIN_S


def seconds_of(text: str) -> int | None:
    """Return the seconds of a time limit as sbatch has it, or None for no limit.

    Raises:
        UsageError: If it is none. The forms are minutes, minutes:seconds, hours:minutes:seconds, days-hours,
            days-hours:minutes and days-hours:minutes:seconds. Source: sbatch(1), `--time`.
    """
    if text.upper() in ("UNLIMITED", "INFINITE", "0"):
        return None
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", text)
    if match is None:
        raise UsageError(
            f"expected --time to be a time limit, but got {text!r}",
            hint="2:00:00 is two hours, 1-12 a day and a half",
        )
    days, first, second, third = match.groups()
    rest = [int(part or 0) for part in (second, third)]
    if days is not None:
        return 86400 * int(days) + 3600 * int(first) + 60 * rest[0] + rest[1]
    if third is not None:
        return 3600 * int(first) + 60 * rest[0] + rest[1]
    return 60 * int(first) + rest[0]
