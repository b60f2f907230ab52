"""How much memory a scene takes to fill, and how much there is: what bounds the scenes filled at once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.pipeline.blocks import strip_rows
from landsat_fill.pipeline.tiles import float_type

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from landsat_fill.pipeline.request import FillRequest
    from landsat_fill.scene import Scene

MIB = 1 << 20

PROCESS_BYTES = 290 * MIB
"""Of a process before it reads a scene, compiled loops included; like the others from
tests/benchmarks/bench_memory.py."""

TORCH_BYTES = 100 * MIB
"""More of one that runs a network on the CPU, its weights included."""

TILE_BYTES = 300 * MIB
"""Of each tile that a network works on: of 480 px, six bands and the halo."""

VALUE_BYTES = 29
"""For each value of a strip and its halo, beside the stored numbers: what is known of it, and its fill."""

COPIES = 7
"""How often the stored numbers of a strip are held: read ahead, worked on, composed, being written."""

DRAW_COPIES = 3
"""How often the stored numbers of a strip are held of each draw, beside the draw itself: measured as
138 MiB a draw of 480 rows of 7,000 pixels and six bands of uint8."""

SHARE = 0.9
"""Of the memory that there is, what scenes may take together."""


def needed_bytes(scenes: Sequence[Scene], request: FillRequest, draws: int = 0) -> int:
    """Return about how many bytes a process needs to fill some scenes, one after the other.

    Args:
        scenes: The scenes.
        request: How they are filled.
        draws: Plausible fills that are written of each.
    """
    info = request.method.info
    most = 0
    widest_px = max((scene.grid.width for scene in scenes), default=0)
    for scene in scenes:
        strip, height = strip_rows(scene, info.tile_px, info.align_px), scene.grid.height
        stored = [np.dtype(band.dtype) for band in scene.bands]
        size = max(dtype.itemsize for dtype in stored)
        worked = max(float_type(dtype).itemsize for dtype in stored)
        known = min(strip + 2 * info.halo_px, height) * (VALUE_BYTES + COPIES * size)
        drawn = min(strip, height) * draws * (worked + DRAW_COPIES * size)
        most = max(most, scene.grid.width * len(stored) * (known + drawn))
    network = 0
    if info.weights is not None:
        tiles_a_strip = -(-widest_px // info.tile_px)
        network = TORCH_BYTES + TILE_BYTES * min(request.threads, tiles_a_strip)
    return PROCESS_BYTES + most + network


def available_bytes(environment: Mapping[str, str] = os.environ, system: Path = Path("/")) -> int | None:
    """Return the memory that processes may take, or None where nothing tells.

    The least of what is free, what the control group allows, and what Slurm gave the task, less a reserve.

    Args:
        environment: Environment variables.
        system: The root folder, with /proc and /sys.
    """
    limits = [_free_bytes(system), _group_bytes(system), _slurm_bytes(environment)]
    known = [limit for limit in limits if limit is not None]
    return int(SHARE * min(known)) if known else None


def _free_bytes(system: Path) -> int | None:
    for line in _lines(system / "proc/meminfo"):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _group_bytes(system: Path) -> int | None:
    """Return the least limit of the control groups (version 2) that the process is in.

    Source: Linux, Documentation/admin-guide/cgroup-v2.rst, "memory.max".
    """
    groups = [
        line.removeprefix("0::") for line in _lines(system / "proc/self/cgroup") if line.startswith("0::")
    ]
    root = system / "sys/fs/cgroup"
    limits = []
    for group in groups:
        folder = root / group.strip("/")
        for place in (folder, *folder.parents):
            limits += [int(line) for line in _lines(place / "memory.max") if line.isdecimal()]
            if place == root:
                break
    return min(limits, default=None)


def _slurm_bytes(environment: Mapping[str, str]) -> int | None:
    """Return the memory of a Slurm task; the variables count MiB, 0 is no limit. Source: sbatch(1)."""
    if environment.get("SLURM_MEM_PER_NODE", "").isdecimal():
        return int(environment["SLURM_MEM_PER_NODE"]) * MIB or None
    per_cpu, cpus = environment.get("SLURM_MEM_PER_CPU", ""), environment.get("SLURM_CPUS_ON_NODE", "")
    if per_cpu.isdecimal() and cpus.isdecimal():
        return int(per_cpu) * int(cpus) * MIB or None
    return None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []
