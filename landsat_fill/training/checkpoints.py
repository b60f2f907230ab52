"""Checkpoints, from which a run resumes, and the moving average of a network's weights."""

from __future__ import annotations

import io
import math
import pickle
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch

from landsat_fill.errors import InputError
from landsat_fill.io.atomic import write_bytes_atomically
from landsat_fill.networks.weights import network_content
from landsat_fill.schema import from_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch.optim import Optimizer

    from landsat_fill.networks.network import Network


_WARM_UP_STEPS = 10
"""After n steps the memory is at most (n + 1) / (n + 10), as in TensorFlow's ExponentialMovingAverage with
`num_updates`."""


@torch.no_grad()
def update_average(average: Network, network: Network, memory: float, step: int) -> None:
    """Update the moving average of a network's weights; values that aren't floats are copied.

    Args:
        average: The network with averaged weights.
        network: The trained network.
        memory: Weight of the past in each step.
        step: Number of earlier steps.
    """
    memory = min(memory, (step + 1) / (step + _WARM_UP_STEPS))
    means = [*average.parameters(), *average.buffers()]
    for mean, value in zip(means, [*network.parameters(), *network.buffers()], strict=True):
        if mean.is_floating_point():
            mean.lerp_(value, 1 - memory)
        else:
            mean.copy_(value)


_FORMAT = "landsat-fill-checkpoint/2"


@dataclass(slots=True)
class Progress:
    """The progress of a run. It has no state of random generators, because each step has its own seed."""

    step: int = 0  # number of steps
    minutes: float = 0.0  # training time, over all sessions
    best: float = math.inf  # lowest validation error
    stale: int = 0  # validations since the lowest error
    error: float = math.nan  # of the last validation
    std_factor: float | None = None  # correction factor of the standard deviation, from the last validation
    validated: int = 0  # step of the last validation; 0 before the first
    share: float = 0.0  # used share of the budget, 0 to 1
    loss: float = math.nan  # mean since the last row of the log


@dataclass(frozen=True, slots=True)
class Parts:
    """The state of a run."""

    network: Network
    average: Network  # has the moving average of the weights, and is in evaluation mode
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
            "average": parts.average.state_dict(),
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
        parts.average.load_state_dict(state["average"])
        parts.optimiser.load_state_dict(state["optimiser"])
        _require_shapes(parts.optimiser)
        progress: Progress = from_json(Progress, state["progress"])
        for name, value in asdict(progress).items():
            setattr(parts.progress, name, value)
    except Exception as error:  # torch raises errors of any kind for a damaged file
        # torch advises to switch the safety off.
        unsafe = isinstance(error, pickle.UnpicklingError)
        reason = "it holds more than numbers" if unsafe else str(error).partition("\n")[0] or type(error).__name__
        raise InputError(
            f"expected a checkpoint of this run in {path}, but got an error: {reason}",
            hint="Start the run again with --overwrite: its checkpoint is missing, damaged or of another version.",
        ) from error


def _require_shapes(optimiser: Optimizer) -> None:
    """Raise ValueError if the moments of a parameter have another shape than it."""
    for parameter, moments in optimiser.state.items():
        for name, moment in moments.items():
            if not isinstance(moment, torch.Tensor) or moment.shape not in (parameter.shape, torch.Size([])):
                raise ValueError(f"{name} of the optimiser has another shape")
