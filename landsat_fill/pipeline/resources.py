"""Finds the cores, the memory and the device that a fill may use."""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.errors import LackOfMemoryError, MethodError, UsageError
from landsat_fill.networks.catalogue import import_torch
from landsat_fill.pipeline.tiles import float_type, strip_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from landsat_fill.methods import MethodInfo
    from landsat_fill.pipeline.request import FillRequest
    from landsat_fill.scene import Scene


def usable_cores(environment: Mapping[str, str] = os.environ) -> int:
    """Return the number of cores that the system, and Slurm if it runs this process, allow it to use."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    given = environment.get("SLURM_CPUS_PER_TASK", environment.get("SLURM_CPUS_ON_NODE", ""))
    return min(cores, int(given)) if given.isdecimal() and int(given) > 0 else cores


MIB = 1 << 20

# Measured with tests/benchmarks/bench_memory.py.

PROCESS_BYTES = 290 * MIB
"""Memory of a process before it reads a scene, with compiled loops."""

TORCH_BYTES = 100 * MIB
"""Additional memory of a process that runs a network on the CPU, with its weights."""

TILE_BYTES = 300 * MIB
"""Memory for each tile in a network: 480 px, six bands, with its halo."""

VALUE_BYTES = 29
"""Memory for each value of a strip with its halo, besides its stored numbers: masks and the fill."""

COPIES = 7
"""Copies of a strip's stored numbers in memory: read ahead, being filled, composed, being written."""

REALIZATION_COPIES = 3
"""Copies of a strip's stored numbers for each realization, besides the realization itself: measured as 138 MiB
for 480 rows of 7,000 pixels and six bands of uint8."""

SHARE = 0.9
"""Share of the available memory that scenes may use."""


def needed_bytes(scenes: Sequence[Scene], request: FillRequest, realizations: int = 0) -> int:
    """Return approximately how many bytes a process needs to fill the scenes, one after another.

    Args:
        scenes: The scenes.
        request: How to fill them.
        realizations: Number of realizations to write.
    """
    widest_px = max((scene.grid.width for scene in scenes), default=0)
    network = 0
    if any(one is not None and one.info.weights is not None for one in (request.method, request.fallback)):
        tiles_per_strip = -(-widest_px // request.method.info.tile_px)
        network = TORCH_BYTES + TILE_BYTES * min(request.threads, tiles_per_strip)
    return PROCESS_BYTES + strip_bytes(scenes, request, realizations) + network


def strip_bytes(scenes: Sequence[Scene], request: FillRequest, realizations: int = 0) -> int:
    """Return approximately how many bytes the strips of the scenes need; the arguments are those of `needed_bytes`."""
    info = request.method.info
    most = 0
    for scene in scenes:
        strip, height = strip_rows(scene, info.tile_px, info.align_px), scene.grid.height
        stored = [np.dtype(band.dtype) for band in scene.bands]
        size = max(dtype.itemsize for dtype in stored)
        filled = max(float_type(dtype).itemsize for dtype in stored)
        values = min(strip + 2 * info.halo_px, height) * (VALUE_BYTES + COPIES * size)
        realized = min(strip, height) * realizations * (filled + REALIZATION_COPIES * size)
        most = max(most, scene.grid.width * len(stored) * (values + realized))
    return most


def refuse_too_wide(scenes: Sequence[Scene], request: FillRequest, realizations: int, memory_bytes: int | None) -> None:
    """Raise LackOfMemoryError if the strips of a scene alone need more than the memory of all scenes.

    A damaged file may claim any width.
    """
    needed = strip_bytes(scenes, request, realizations)
    if memory_bytes is not None and needed > memory_bytes:
        grid = max((scene.grid for scene in scenes), key=lambda grid: grid.width)
        raise LackOfMemoryError(
            f"expected a scene whose strips fit in {memory_bytes >> 20:,} MiB of memory, but {grid.height:,} × "
            f"{grid.width:,} pixels need {needed >> 20:,} MiB",
            hint="Check that the file is what it should be; give more with --memory, or fewer bands with --bands.",
        )


def available_bytes(environment: Mapping[str, str] = os.environ, system: Path = Path("/")) -> int | None:
    """Return the memory that scenes may use, or None if it is unknown.

    It is the smallest of the free memory, the limit of the control group and the limit of the Slurm task, less a
    reserve.

    Args:
        environment: Environment variables.
        system: The root folder with /proc and /sys.
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
    """Return the smallest limit of the process's control groups (version 2).

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
    """Return the memory limit of a Slurm task. The variables are in MiB, and 0 means no limit. Source: sbatch(1)."""
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
"""Smallest block that gets pages of its own. A plane of a tile in single precision has 2 MB."""

_KEPT_BYTES = 32 << 20
"""Free memory that glibc keeps at the end of a heap until `return_freed_memory`. Once `M_MMAP_THRESHOLD` is set,
glibc returns everything beyond 128 KB at once and requests it again for the next array. On small scenes this
causes two thirds of all page faults."""


@cache
def keep_large_blocks_apart() -> None:
    """Let each large block have pages of its own, which return to the system as soon as the block is freed.

    By default, glibc raises the threshold up to 32 MB as blocks are freed. Smaller blocks then share heaps, one
    for each thread, and leave holes. On a full scene, `band-unet` uses 1,553 MB instead of 1,921 MB, in the same
    CPU time.
    """
    library = _glibc()
    if library is not None:
        library.mallopt(_MMAP_THRESHOLD, _LARGE_BYTES)
        library.mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)


def return_freed_memory() -> None:
    """Let the C library return freed memory to the system."""
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


ADDRESS_BYTES = 1200 * MIB
"""Address space of a process that fills a small scene on two cores, as VmPeak of Linux gives it."""

TORCH_ADDRESS_BYTES = 650 * MIB
"""Further address space of a method that runs a network."""


def refuse_small_address_space(info: MethodInfo) -> None:
    """Raise MethodError if `ulimit -v` leaves too little: the libraries would hang or crash instead of failing."""
    try:
        import resource
    except ImportError:  # Windows
        return
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    needed = ADDRESS_BYTES + (TORCH_ADDRESS_BYTES if "cuda" in info.devices else 0)
    if sys.platform == "linux" and limit != resource.RLIM_INFINITY and limit < needed:
        raise MethodError(
            f"expected at least {needed // MIB:,} MiB of address space for {info.name}, but ulimit -v allows "
            f"{limit // MIB:,} MiB",
            hint="Raise that limit, or remove it with ulimit -v unlimited; --memory bounds the memory in use.",
        )


def choose_device(requested: str, info: MethodInfo) -> str:
    """Return the device to run a method on: `cpu`, or `cuda:0` and the like.

    Args:
        requested: `auto`, or a device with or without a number: `cuda`, `cuda:0`. A named device is never replaced
            by another one.
        info: The method's info.

    Raises:
        UsageError: If the method can't run on that device.
        MethodError: If a named device doesn't exist or can't be used, or the address space is too small.
        MissingPackageError: If the method needs torch, and it isn't installed.
    """
    refuse_small_address_space(info)
    if requested == AUTO:
        return "cuda:0" if "cuda" in info.devices and _cuda_problem("cuda:0") is None else "cpu"
    kind, colon, number = requested.partition(":")
    if kind not in info.devices or (colon and not (kind == "cuda" and number.isdecimal())):
        raise UsageError(
            f"expected a device that {info.name} runs on ({', '.join(info.devices)}), but got {requested!r}",
            hint="Leave --device out, or choose another method; `landsat-fill methods` lists their devices.",
        )
    if kind != "cuda":
        return requested
    device = requested if colon else "cuda:0"
    problem = _cuda_problem(device)
    if problem is not None:
        raise MethodError(
            f"expected the device {requested} to work, but {problem}",
            hint="Use --device auto to fall back to the CPU; `nvidia-smi` lists the GPUs.",
        )
    return device


def choose_devices(requested: str, info: MethodInfo, processes: int) -> tuple[str, ...]:
    """Return the devices for several processes to use in turn: all GPUs if there are several.

    Args:
        requested: As for `choose_device`; with a number (`cuda:1`), only that device.
        info: The method's info.
        processes: Number of processes.

    Raises:
        As `choose_device`. With `auto`, further devices that can't be used are skipped.
    """
    first = choose_device(requested, info)
    if not first.startswith("cuda") or ":" in requested or processes == 1:
        return (first,)
    there = min(import_torch().cuda.device_count(), processes)
    others = [f"cuda:{number}" for number in range(1, there)]
    if requested == AUTO:
        return (first, *(device for device in others if _cuda_problem(device) is None))
    return (first, *(choose_device(device, info) for device in others))


def _cuda_problem(device: str) -> str | None:
    """Return why a GPU can't be used, or None if it can: a small allocation succeeds."""
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
