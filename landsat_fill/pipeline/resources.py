"""What a fill may use: cores, memory, and the device a method runs on."""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.errors import MethodError, UsageError
from landsat_fill.networks.catalogue import import_torch
from landsat_fill.pipeline.strips import strip_rows
from landsat_fill.pipeline.tiles import float_type

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from landsat_fill.methods import MethodInfo
    from landsat_fill.pipeline.request import FillRequest
    from landsat_fill.scene import Scene


def usable_cores(environment: Mapping[str, str] = os.environ) -> int:
    """Return the cores that this process may use: those it is bound to, and no more than Slurm gave it."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    given = environment.get("SLURM_CPUS_PER_TASK", environment.get("SLURM_CPUS_ON_NODE", ""))
    return min(cores, int(given)) if given.isdecimal() and int(given) > 0 else cores


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


def needed_bytes(scenes: Sequence[Scene], request: FillRequest, realizations: int = 0) -> int:
    """Return about how many bytes a process needs to fill some scenes, one after the other.

    Args:
        scenes: The scenes.
        request: How they are filled.
        realizations: Plausible fills that are written of each.
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
        drawn = min(strip, height) * realizations * (worked + DRAW_COPIES * size)
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
    groups = [line.removeprefix("0::") for line in _lines(system / "proc/self/cgroup") if line.startswith("0::")]
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


_MMAP_THRESHOLD = -3
"""`M_MMAP_THRESHOLD` of mallopt(3)."""

_TRIM_THRESHOLD = -1
"""`M_TRIM_THRESHOLD` of mallopt(3)."""

_LARGE_BYTES = 16 << 20
"""A block from this size on gets pages of its own: a plane of a tile in single precision has 2 MB."""

_KEPT_BYTES = 32 << 20
"""What may lie free at the end of a heap until `return_freed_memory`. As soon as the size of large blocks is
set, glibc gives back all beyond 128 KB at once, to ask for it again with the next array: on small scenes two
thirds of all page faults."""


@cache
def keep_large_blocks_apart() -> None:
    """Let every large block have pages of its own, which go back to the system as soon as it is freed.

    Left alone, glibc raises the size from which it does so to 32 MB as blocks are freed; smaller ones then
    share heaps, one a thread, and leave holes there. On a full scene `band-unet` held 1,921 MB with that, and
    1,553 MB without, in the same processor time.
    """
    library = _glibc()
    if library is not None:
        library.mallopt(_MMAP_THRESHOLD, _LARGE_BYTES)
        library.mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)


def return_freed_memory() -> None:
    """Let the C library return what it keeps of smaller blocks that were freed."""
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


@cache
def _glibc() -> ctypes.CDLL | None:
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "malloc_trim") and hasattr(library, "mallopt") else None


AUTO = "auto"


def choose_device(asked: str, info: MethodInfo) -> str:
    """Return the device to run a method on: `cpu`, or `cuda:0` and the like.

    Args:
        asked: `auto`, or a kind of device with or without a number, `cuda:0`. What is asked for by name
            is never replaced by another.
        info: What the method can run on.

    Raises:
        UsageError: If the method can't run on that device.
        MethodError: If the device is asked for by name and isn't there, or can't be used.
        MissingPackageError: If the method needs torch, and it isn't installed.
    """
    if asked == AUTO:
        return "cuda:0" if "cuda" in info.devices and _cuda_problem("cuda:0") is None else "cpu"
    kind, colon, number = asked.partition(":")
    if kind not in info.devices or (colon and not (kind == "cuda" and number.isdecimal())):
        raise UsageError(
            f"expected a device that {info.name} runs on ({', '.join(info.devices)}), but got {asked!r}",
            hint="Leave --device out, or choose another method; `landsat-fill methods` lists their devices.",
        )
    if kind != "cuda":
        return asked
    device = asked if colon else "cuda:0"
    problem = _cuda_problem(device)
    if problem is not None:
        raise MethodError(
            f"expected the device {asked} to work, but {problem}",
            hint="Use --device auto to fall back to the CPU; `nvidia-smi` lists the GPUs.",
        )
    return device


def choose_devices(asked: str, info: MethodInfo, processes: int) -> tuple[str, ...]:
    """Return the devices that processes run on, each in turn: several graphics processors where there are.

    Args:
        asked: As of `choose_device`. With a number, `cuda:1`, that one only.
        info: What the method can run on.
        processes: How many there are.

    Raises:
        As `choose_device`. With `auto`, further devices that can't be used are passed over.
    """
    first = choose_device(asked, info)
    if not first.startswith("cuda") or ":" in asked or processes == 1:
        return (first,)
    there = min(import_torch().cuda.device_count(), processes)
    others = [f"cuda:{number}" for number in range(1, there)]
    if asked == AUTO:
        return (first, *(device for device in others if _cuda_problem(device) is None))
    return (first, *(choose_device(device, info) for device in others))


def _cuda_problem(device: str) -> str | None:
    """Return why a graphics processor can't be used, or None where it gave a little memory."""
    torch = import_torch()
    if not torch.backends.cuda.is_built():
        return "the installed torch was built for CPUs only"
    if not torch.cuda.is_available():
        return "torch sees no CUDA device"
    count = torch.cuda.device_count()
    if int(device.partition(":")[2]) >= count:
        return f"torch sees {count} of them, counted from 0"
    try:
        torch.zeros(1, device=device)
    except RuntimeError as error:
        return str(error).splitlines()[0]
    return None
