"""Checkpoints, from which a run resumes, and the moving average of a network's weights."""

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
"""After n steps the memory is at most (n + 1) / (n + 10), as in TensorFlow's ExponentialMovingAverage with
`num_updates`."""


class WeightAverage:
    """The moving average of a network's weights.

    Attributes:
        network: The network with averaged weights.
    """

    def __init__(self, network: Network, memory: float) -> None:
        """Start from a network's weights; `memory` is the weight of the past in each step."""
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self._memory = memory

    @torch.no_grad()
    def follow(self, network: Network, step: int) -> None:
        """Update the average after a number of earlier steps; values that aren't floats are copied."""
        memory = min(self._memory, (step + 1) / (step + _WARM_UP_STEPS))
        for mine, its in zip(_state(self.network), _state(network), strict=True):
            if mine.is_floating_point():
                mine.lerp_(its, 1 - memory)
            else:
                mine.copy_(its)


def _state(network: Network) -> list[Tensor]:
    return [*network.parameters(), *network.buffers()]


_FORMAT = "landsat-fill-checkpoint/2"

_UNREADABLE = (OSError, EOFError, ValueError, KeyError, TypeError, RuntimeError, AttributeError, pickle.UnpicklingError)
"""Errors of torch for a truncated or foreign file."""


@dataclass(slots=True)
class Progress:
    """The progress of a run. It has no state of random generators, because each step has its own seed.

    Attributes:
        step: Number of steps.
        minutes: Training time, over all sessions.
        best: Lowest validation error; infinite before the first validation.
        stale: Validations since the lowest error.
        error: Error of the last validation; NaN before the first.
        std_factor: Correction factor of the standard deviation from the last validation, or None.
        validated: Step of the last validation.
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
    """The state of a run.

    Attributes:
        network: The trained network.
        average: The moving average of its weights.
        optimiser: The optimiser and its state.
        progress: The progress of the run.
    """

    network: Network
    average: WeightAverage
    optimiser: Optimizer
    progress: Progress


def save_network(path: Path, network: Network, facts: Mapping[str, str] | None = None) -> None:
    """Write `network_content` to a file atomically, or raise OutputError."""
    write_bytes_atomically(path, network_content(network, facts))


def save_checkpoint(path: Path, parts: Parts) -> None:
    """Write a checkpoint atomically, or raise OutputError."""
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
    """Restore the state of a run from a checkpoint.

    Raises:
        InputError: If the file can't be read, or belongs to another network.
    """
    try:
        # With weights_only, a checkpoint can't run code.
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
