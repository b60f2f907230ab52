"""Runs a network: loads weights once in a process, and fits batches into the device's memory."""

from __future__ import annotations

import threading
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from landsat_fill.errors import LackOfMemoryError, MethodError
from landsat_fill.networks.catalogue import import_torch
from landsat_fill.networks.weights import load_network

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor, nn

    from landsat_fill.networks.weights import WeightsFile


PRECISIONS = ("auto", "float32", "bfloat16")
"""Precisions of a network. `auto` is bfloat16 on devices that multiply it faster (GPUs since 2020 and CPUs
with AMX) and float32 on others. tests/benchmarks/bench_full_scene.py measures the gain on a scene."""


class Runner:
    """A network on a device."""

    def __init__(self, network: nn.Module, device: str, *, bfloat16: bool) -> None:
        """Take a network in evaluation mode, on its device; `bfloat16` is the precision of its products."""
        self.network = network
        self.device = device
        self._bfloat16 = bfloat16
        self._tiles_at_once: int | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Use the chosen precision and deterministic algorithms."""
        torch = import_torch()
        kind = self.device.partition(":")[0]
        # cuDNN's benchmark mode could choose another algorithm in the next run; TF32 would cut float32.
        same = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
        with torch.autocast(kind, torch.bfloat16, enabled=self._bfloat16), nullcontext() if kind == "cpu" else same:
            yield

    def in_batches(self, tiles: int, work: Callable[[slice], None], notify: Callable[[str], None]) -> None:
        """Process all tiles: on a GPU as many at once as its memory holds, on a CPU one by one.

        Args:
            tiles: Number of tiles.
            work: Processes a range of tiles; called again for a smaller range if memory runs out.
            notify: Called with a sentence when a batch becomes smaller.

        Raises:
            LackOfMemoryError: If not even one tile fits.
        """
        torch = import_torch()
        on_cpu = self.device == "cpu"
        start = 0
        with torch.inference_mode(), _one_thread() if on_cpu else nullcontext():
            while start < tiles:
                count = 1 if on_cpu else min(self._tiles_at_once or tiles, tiles - start)
                try:
                    work(slice(start, start + count))
                    start += count
                    continue
                except RuntimeError as error:
                    if not is_lack_of_memory(error):
                        raise
                # Outside the except clause, whose traceback would keep the memory occupied.
                if not on_cpu:
                    torch.cuda.empty_cache()
                if count == 1:
                    raise self._too_small()
                self._tiles_at_once = count // 2
                notify(
                    f"warning: {count} tiles at once don't fit into the memory of {self.device}: "
                    f"continuing with {self._tiles_at_once}"
                )

    def _too_small(self) -> LackOfMemoryError:
        other = "" if self.device == "cpu" else ", or --device cpu"
        return LackOfMemoryError(
            f"expected a tile to fit into the memory of {self.device}, but it is full",
            hint=f"End other programs that use it, or give fewer --bands at once{other}.",
        )


class _OneThread:
    """Number of users of `_one_thread`, and torch's number of threads before the first one."""

    lock = threading.Lock()
    inside = 0
    before = 1


@contextmanager
def _one_thread() -> Iterator[None]:
    """Limit torch to one thread; the last user restores the previous number.

    Other threads process other tiles, and no result depends on their number. The limit must be set here,
    because a new thread takes over the last number that any thread has set.
    """
    torch = import_torch()
    with _OneThread.lock:
        if not _OneThread.inside:
            _OneThread.before = torch.get_num_threads()
        _OneThread.inside += 1
        torch.set_num_threads(1)
    try:
        yield
    finally:
        with _OneThread.lock:
            _OneThread.inside -= 1
            if not _OneThread.inside:
                torch.set_num_threads(_OneThread.before)


_LOCK = threading.Lock()
_RUNNERS: dict[tuple[str, str, str, str], Runner] = {}


def runner_of(file: WeightsFile, device: str, precision: str) -> Runner:
    """Return the runner of a weights file, shared by calls with the same file, device and precision.

    Raises:
        InputError: If the weights can't be loaded, or have changed.
        MissingPackageError: If torch isn't installed.
        MethodError: If the network doesn't fit into the device's memory.
    """
    key = (str(file.path), file.sha256, device, precision)
    with _LOCK:
        if key not in _RUNNERS:
            _RUNNERS[key] = _loaded(file, device, precision)
        return _RUNNERS[key]


def _loaded(file: WeightsFile, device: str, precision: str) -> Runner:
    torch = import_torch()
    network: Any = load_network(file.path, expected_sha256=file.sha256)[0]
    try:
        # The fastest layout for the convolutions of oneDNN and cuDNN.
        network = network.to(device, memory_format=torch.channels_last)
    except torch.OutOfMemoryError as error:
        raise MethodError(
            f"expected the network to fit into the memory of {device}, but it is full",
            hint="End other programs that use it, or use --device cpu.",
        ) from error
    if precision == "auto":
        return Runner(network, device, bfloat16=bfloat16_is_fast(device))
    return Runner(network, device, bfloat16=precision == "bfloat16")


def is_lack_of_memory(error: RuntimeError) -> bool:
    """Return whether torch ran out of memory; on the CPU only the error's text says so."""
    torch = import_torch()
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)


def bfloat16_is_fast(device: str) -> bool:
    """Return whether a device multiplies bfloat16 in hardware, faster than float32."""
    torch = import_torch()
    if device != "cpu":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # With AVX-512 alone bfloat16 is slower than float32; with AMX it is several times faster.
    is_amx_there = getattr(torch.cpu, "_is_amx_tile_supported", None)  # torch 2.6 and later
    return is_amx_there is not None and bool(is_amx_there())


BLOCK_PX = 32
"""Noise is drawn in blocks of this side, each from its own generator."""


def noise_at(
    corners: Sequence[tuple[int, int]],
    shape_px: tuple[int, int],
    samples: Sequence[int],
    channels: int,
    seed: int,
    device: str,
) -> Tensor:
    """Return standard normal noise `(sample, tile, channel, row, col)` for tiles at corners in the scene.

    A value depends only on the seed, the sample, the channel, the row and column in the scene, and the kind
    of device that draws it.
    """
    torch = import_torch()
    height, width = shape_px
    noise: Tensor = torch.empty((len(samples), len(corners), channels, height, width), device=device)
    generator = torch.Generator(device)
    for tile, (top, left) in enumerate(corners):
        for block_row in range(top // BLOCK_PX, -(-(top + height) // BLOCK_PX)):
            for block_col in range(left // BLOCK_PX, -(-(left + width) // BLOCK_PX)):
                rows, from_rows = _shared(block_row * BLOCK_PX, top, height)
                cols, from_cols = _shared(block_col * BLOCK_PX, left, width)
                for number, sample in enumerate(samples):
                    key = np.random.SeedSequence([seed, sample, block_row, block_col]).generate_state(1, np.uint64)
                    generator.manual_seed(int(key[0]) >> 1)  # torch takes 63 bits
                    block = torch.randn((channels, BLOCK_PX, BLOCK_PX), generator=generator, device=device)
                    noise[number, tile, :, rows, cols] = block[:, from_rows, from_cols]
    return noise


def _shared(block_px: int, tile_px: int, size_px: int) -> tuple[slice, slice]:
    """Return the pixels that a block and a tile share along an axis, within the tile and the block."""
    start, end = max(block_px, tile_px), min(block_px + BLOCK_PX, tile_px + size_px)
    return slice(start - tile_px, end - tile_px), slice(start - block_px, end - block_px)
