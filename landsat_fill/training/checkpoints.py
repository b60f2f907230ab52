"""What a run goes on from after a break, and the moving average of a network's weights."""

from __future__ import annotations

import copy
import io
import math
import pickle
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch

from landsat_fill.errors import InputError
from landsat_fill.io.atomic import write_bytes_atomically
from landsat_fill.networks.weights import network_content

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor
    from torch.optim import Optimizer

    from landsat_fill.networks.network import Network


_WARM_UP_STEPS = 10
"""How slowly memory lengthens: after n steps it is at most (n + 1) / (n + 10), TensorFlow's
ExponentialMovingAverage with `num_updates`."""


class WeightAverage:
    """A network whose weights follow those of another.

    Attributes:
        network: The one that follows.
    """

    def __init__(self, network: Network, memory: float) -> None:
        """Start from the network's weights.

        Args:
            network: The one to follow.
            memory: Share of the average that outlives a step; 0 copies.
        """
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self._memory = memory

    @torch.no_grad()
    def follow(self, network: Network, step: int) -> None:
        """Take a step towards the network's weights, after `step` steps before; other state is copied."""
        memory = min(self._memory, (step + 1) / (step + _WARM_UP_STEPS))
        for mine, its in zip(_state(self.network), _state(network), strict=True):
            if mine.is_floating_point():
                mine.lerp_(its, 1 - memory)
            else:
                mine.copy_(its)


def _state(network: Network) -> list[Tensor]:
    return [*network.parameters(), *network.buffers()]


_FORMAT = "landsat-fill-checkpoint/2"

_UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    TypeError,
    RuntimeError,
    AttributeError,
    pickle.UnpicklingError,
)
"""What torch raises for a file that is cut off, or of something else."""


@dataclass(slots=True)
class Progress:
    """How far a run is.

    Samples and noise are drawn anew for each step from the seed and the step's number, so no generator's
    state is part of it.

    Attributes:
        step: Steps taken.
        minutes: Time spent, over all sittings.
        best: The lowest validation error; infinite before the first.
        stale: Validations since.
        error: That of the last validation; NaN before the first.
        std_factor: What this one found the standard deviation to be multiplied by; None without one.
        validated: The step it was at.
    """

    step: int = 0
    minutes: float = 0.0
    best: float = float("inf")
    stale: int = 0
    error: float = math.nan
    std_factor: float | None = None
    validated: int = 0


@dataclass(frozen=True, slots=True)
class Parts:
    """What changes while a run goes on.

    Attributes:
        network: The network that learns.
        average: The one that follows it.
        optimiser: What moves its weights, with what it remembers.
        progress: How far the run is.
    """

    network: Network
    average: WeightAverage
    optimiser: Optimizer
    progress: Progress


def save_network(path: Path, network: Network, facts: Mapping[str, str] | None = None) -> None:
    """Write a network's weights, name and settings to a safetensors file, whole or not at all.

    Args:
        path: The file; replaced where there is one.
        network: A network of the catalogue.
        facts: As of `network_content`.

    Raises:
        OutputError: If it can't be written.
        UsageError: If the network isn't in the catalogue.
    """
    write_bytes_atomically(path, network_content(network, facts))


def save_checkpoint(path: Path, parts: Parts) -> None:
    """Write a checkpoint, whole or not at all.

    Raises:
        OutputError: If it can't be written.
    """
    content = io.BytesIO()
    torch.save(
        {
            "format": _FORMAT,
            "network": parts.network.state_dict(),
            "average": parts.average.network.state_dict(),
            "optimiser": parts.optimiser.state_dict(),
            "progress": asdict(parts.progress),
        },
        content,
    )
    write_bytes_atomically(path, content.getvalue())


def load_checkpoint(path: Path, parts: Parts) -> None:
    """Bring the parts to where a checkpoint has them.

    Raises:
        InputError: If the file can't be read, or is of another network.
    """
    try:
        # To the CPU: the parts copy it to where they are. Weights only: a checkpoint can't run code.
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        if state.get("format") != _FORMAT:
            raise ValueError(f"its format is {state.get('format')!r}")
        parts.network.load_state_dict(state["network"])
        parts.average.network.load_state_dict(state["average"])
        parts.optimiser.load_state_dict(state["optimiser"])
        for name in asdict(parts.progress):
            setattr(parts.progress, name, state["progress"][name])
    except _UNREADABLE as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"expected a checkpoint of this run in {path}, but got an error: {reason}",
            hint="Start the run again with --overwrite: its checkpoint is missing or of another version.",
        ) from error
