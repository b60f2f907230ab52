"""Runs whole processes and measures them: seconds, processor seconds, peak memory.

The parent must stay small: a child counts its parent's memory as its own peak, from the time before it became
another program. So nothing heavy is imported here, nor by what imports this.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MIB = 1 << 20
PEAK_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes of one unit of `ru_maxrss`. Source: getrusage(2) of macOS and Linux."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process, or several one after the other, took.

    Attributes:
        wall_s: Seconds from start to end.
        cpu_s: Processor seconds, user and system, of all threads.
        peak_mib: The most memory that one of them held.
    """

    wall_s: float
    cpu_s: float
    peak_mib: float


def measure(commands: Iterable[Sequence[str | Path]]) -> Cost:
    """Return what commands cost, run one after the other.

    Raises:
        SystemExit: If one fails; with what it printed.
    """
    costs = [_measure_one([str(part) for part in command]) for command in commands]
    return Cost(
        sum(cost.wall_s for cost in costs), sum(cost.cpu_s for cost in costs), max(cost.peak_mib for cost in costs)
    )


def median_cost(costs: Sequence[Cost]) -> Cost:
    """Return the median seconds of several runs, and their highest peak."""
    return Cost(
        statistics.median(cost.wall_s for cost in costs),
        statistics.median(cost.cpu_s for cost in costs),
        max(cost.peak_mib for cost in costs),
    )


def landsat_fill() -> Path:
    """Return the command of the environment that this Python belongs to.

    Raises:
        SystemExit: If it isn't installed.
    """
    return find_program(
        "landsat-fill", hint="install the project first: pip install -e .", folder=Path(sys.executable).parent
    )


def keep_bytecode(folder: Path) -> None:
    """Let the processes that are measured keep bytecode, as an installed program has it, in a folder.

    After that each kind of process should be run once before it is measured.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(folder)


def find_program(*names: str, hint: str, folder: Path | None = None) -> Path:
    """Return the first of some programs that is installed.

    Args:
        names: Names of a program, the preferred one first.
        hint: What to do where there is none.
        folder: A folder to look in before the search path.

    Raises:
        SystemExit: If none is.
    """
    for name in names:
        found = (shutil.which(name, path=str(folder)) if folder else None) or shutil.which(name)
        if found:
            return Path(found)
    raise SystemExit(f"expected the program {' or '.join(names)}, but it isn't installed\n  hint: {hint}")


def machine() -> str:
    """Return cores and memory of this machine and how busy it is, for the line above a table."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return f"{os.cpu_count()} cores, {memory_gib:.0f} GiB, load {os.getloadavg()[0]:.1f} at the start"


def _measure_one(command: list[str]) -> Cost:
    began = time.perf_counter()
    with tempfile.TemporaryFile() as printed:
        process = subprocess.Popen(command, stdout=printed, stderr=subprocess.STDOUT)
        # Unlike `process.wait`, this gives the resources that this one process used.
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            printed.seek(0)
            raise SystemExit(
                f"expected success, but got exit code {process.returncode} from: {' '.join(command)}\n"
                + printed.read().decode(errors="replace")
            )
    return Cost(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * PEAK_UNIT / MIB)
