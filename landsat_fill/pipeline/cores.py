"""How many processor cores this process may use, which on a cluster are fewer than the machine has."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def usable_cores(environment: Mapping[str, str] = os.environ) -> int:
    """Return the cores that this process may use: those it is bound to, and no more than Slurm gave it."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    given = environment.get("SLURM_CPUS_PER_TASK", environment.get("SLURM_CPUS_ON_NODE", ""))
    return min(cores, int(given)) if given.isdecimal() and int(given) > 0 else cores
