"""A moving average of a network's weights, which generalises better than any of them along the way."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from landsat_fill.networks.interface import Network

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
