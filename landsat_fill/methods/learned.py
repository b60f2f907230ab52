"""The base of all learned methods: how a network runs on a device, and how tiles become its signal and back."""

from __future__ import annotations

import math
import threading
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from landsat_fill.errors import LackOfMemoryError, MethodError, UsageError
from landsat_fill.methods.registry import method_classes
from landsat_fill.methods.splines import first_fill
from landsat_fill.networks.catalogue import import_torch
from landsat_fill.networks.normalisation import CELL_PX, REACH_PX, normalise, standardise
from landsat_fill.networks.weights import WeightsFile, load_network, read_weights_file, shipped_file
from landsat_fill.scene import Filled, Gaps, Window
from landsat_fill.schema import option, require_allowed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from landsat_fill.methods.method import Context, MethodInfo


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


class Answer(NamedTuple):
    """The prediction of a network for a batch, in the units of its signal.

    Attributes:
        mean: `(tile, band, row, col)`.
        std: Standard deviation, of the same shape, or None.
        realizations: `(draw, tile, band, row, col)`, or None.
    """

    mean: Tensor
    std: Tensor | None = None
    realizations: Tensor | None = None


@dataclass(frozen=True)
class LearnedMethod:
    """A method that runs a trained network, named by a subclass. A subclass may override `predict`."""

    info: ClassVar[MethodInfo]
    network: ClassVar[str]
    """Name of the network in the catalogue."""

    weights: str = option("", "file of your own weights (.safetensors); the shipped weights if not given")
    precision: str = option(
        "auto", "number format of the layers; auto is bfloat16 on devices that it speeds up", choices=PRECISIONS
    )

    def __post_init__(self) -> None:
        """Read the header of the weights, and set halo and alignment for their network.

        Raises:
            UsageError: If the weights belong to another network, or an option has a value that isn't allowed.
            InputError: If the weights can't be read, or shipped weights are missing or damaged.
        """
        require_allowed(self)
        file = self.file
        if file.network != self.network:
            raise UsageError(
                f"expected weights of the network {self.network}, but {file.path} holds {file.network}",
                hint=f"Run them with -m {file.network}."
                if file.network in method_classes()
                else f"This version of landsat-fill has no method {file.network}.",
            )
        align_px = math.lcm(CELL_PX, file.size_multiple_px)
        own = replace(
            self.info,
            halo_px=_rounded_up(file.reach_px + REACH_PX, align_px),
            tile_px=_rounded_up(self.info.tile_px, align_px),
            align_px=align_px,
            tile_a_thread=True,
            weights=f"{file.path.name} sha256:{file.sha256}",
        )
        object.__setattr__(self, "info", own)  # the class's info is for the shipped weights

    @property
    def shipped_name(self) -> str:
        """Name of the shipped weights."""
        return self.info.name

    @cached_property
    def file(self) -> WeightsFile:
        """The verified weights file."""
        if self.weights:
            return read_weights_file(Path(self.weights).expanduser())
        return shipped_file(self.shipped_name)

    def fill(self, image: NDArray[np.floating], gaps: Gaps, context: Context) -> Filled:
        """Return the filled image; see `FillMethod.fill`.

        Raises:
            MethodError: If the device's memory doesn't hold a tile.
        """
        runner = runner_of(self.file, context.device, self.precision)
        mean = image.copy()
        std = np.zeros(image.shape, np.float32) if self.info.gives_std else None
        draws = None
        if self._draws(context):
            draws = np.broadcast_to(image, (context.realizations, *image.shape)).copy()

        def work(tiles: slice) -> None:
            self._fill_batch(
                image[tiles],
                Gaps(gaps.missing[tiles], gaps.usable[tiles]),
                context.for_tiles(context.tiles[tiles]),
                runner,
                Filled(mean[tiles], None if std is None else std[tiles], None if draws is None else draws[:, tiles]),
            )

        runner.in_batches(len(image), work, context.notify)
        return Filled(mean, std, draws)

    def predict(self, network: Any, signal: Tensor, observed: Tensor, context: Context) -> Answer:  # noqa: ARG002
        """Return the network's prediction.

        Args:
            network: The network on its device.
            signal: `(tile, band, row, col)`, normalised, with sides that suit the network.
            observed: 1 where the signal is an observation, and 0 otherwise.
            context: The context of these tiles; corners and wanted parts are those of the signal.
        """
        prediction = network(signal, observed)
        return Answer(prediction.mean, prediction.std)

    def _draws(self, context: Context) -> bool:
        return self.info.gives_realizations and context.realizations > 0

    def _fill_batch(
        self, image: NDArray[np.floating], gaps: Gaps, context: Context, runner: Runner, filled: Filled
    ) -> None:
        """Fill a batch of tiles and write the result to `filled`; halos stay as they are."""
        standardised = standardise(image, gaps.usable, context.threads)
        values = standardised.values
        is_first_filled = bool(runner.network.starts_filled)
        if is_first_filled:
            values = first_fill(values, gaps.usable, context.threads)
        on_device = [
            _on_device(values, self.info.align_px, runner, "edge"),
            _on_device(gaps.usable.astype(np.float32), self.info.align_px, runner, "constant"),
        ]
        standardised = standardised.without_values()
        needed = self._needed(context.place(0).wanted, Window(0, 0, *on_device[0].shape[2:]))
        given = normalise(*on_device, first_filled=is_first_filled, part=(..., *needed.slices))
        del on_device, values
        placed = context.for_tiles(tuple(place.cropped(needed) for place in context.tiles))
        with runner.running():
            answer = self.predict(runner.network, given.signal, given.observed, placed)
        height = min(needed.height, image.shape[2] - needed.row)
        width = min(needed.width, image.shape[3] - needed.col)
        target = (..., *Window(needed.row, needed.col, height, width).slices)

        def write(values: Tensor, whole: NDArray[np.floating], *, is_difference: bool = False) -> None:
            inner = values[..., :height, :width].float().cpu().numpy()
            whole[target] = standardised.restored(inner, whole.dtype, is_difference=is_difference)

        write(given.restored(answer.mean), filled.mean)
        if filled.std is not None and answer.std is not None:
            write((given.spread * answer.std).mul_(self.file.std_factor), filled.std, is_difference=True)
        if filled.realizations is not None and answer.realizations is not None:
            write(given.restored(answer.realizations), filled.realizations)

    def _needed(self, wanted: Window | None, tile: Window) -> Window:
        """Return the part of a tile that the network needs to fill `wanted`; None stands for the whole tile."""
        if wanted is None:
            return tile
        align_px = self.info.align_px
        needed = wanted.expanded(_rounded_up(self.file.reach_px, align_px), tile.height, tile.width)
        row, col = needed.row // align_px * align_px, needed.col // align_px * align_px
        bottom = min(_rounded_up(needed.row + needed.height, align_px), tile.height)
        right = min(_rounded_up(needed.col + needed.width, align_px), tile.width)
        return Window(row, col, bottom - row, right - col)


def _rounded_up(size_px: int, multiple_px: int) -> int:
    return -(-size_px // multiple_px) * multiple_px


def _on_device(cube: NDArray[np.float32], multiple_px: int, runner: Runner, beyond: str) -> Tensor:
    """Return tiles on the runner's device, padded below and to the right to multiples of `multiple_px`.

    The padding has the value of the nearest pixel if `beyond` is `edge`, and 0 if it is `constant`.
    """
    torch = import_torch()
    height, width = cube.shape[2:]
    more = [(0, 0), (0, 0), (0, -height % multiple_px), (0, -width % multiple_px)]
    padded = np.pad(cube, more, mode=beyond) if height % multiple_px or width % multiple_px else cube  # type: ignore[call-overload]
    tensor: Tensor = torch.from_numpy(np.ascontiguousarray(padded)).to(runner.device)
    return tensor
