"""The base of all learned methods: from tiles to a normalised signal, and back to stored numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from landsat_fill.errors import UsageError
from landsat_fill.methods.inference import PRECISIONS, Runner, runner_of
from landsat_fill.methods.registry import method_classes
from landsat_fill.methods.splines import first_fill
from landsat_fill.networks.catalogue import import_torch
from landsat_fill.networks.normalisation import CELL_PX, REACH_PX, normalise, standardise
from landsat_fill.networks.weights import WeightsFile, read_weights_file, shipped_file
from landsat_fill.scene import Filled, Gaps, Window
from landsat_fill.schema import option, require_allowed

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from landsat_fill.methods.method import Context, MethodInfo


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
