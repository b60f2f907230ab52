"""The first layer of a convolutional neural process on a grid: from scattered observations to a full field.

Source: Gordon et al. 2020, arXiv:1910.13556; GridConvCNP in Dubois et al. 2020, "Neural process
family".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import conv2d

from landsat_fill.networks.pixelwise import pixel_linear

if TYPE_CHECKING:
    from torch import Tensor

LEAST_DENSITY = 1e-5
"""What a density below is taken for, so that a window without an observation gives 0. Source: GridConvCNP."""


class ContextConv(nn.Module):
    """Averages the observations around each pixel, and says how many there were.

    Each slot has one kernel of positive weights; it weighs the observations, and what is observed. Their
    ratio is the signal (a normalised convolution), the latter the density. Both are mixed linearly.
    """

    def __init__(self, slots: int, channels: int, kernel_px: int) -> None:
        super().__init__()
        # Weights of one sign that sum to 1: a density of 1 where all is observed.
        kernel = torch.rand(slots, 1, kernel_px, kernel_px)
        self.weight = nn.Parameter(kernel / kernel.sum((2, 3), keepdim=True))
        self.resizer = pixel_linear(2 * slots, channels)

    def forward(self, signal: Tensor, observed: Tensor) -> Tensor:
        """Return features `(tile, channel, row, col)`.

        Args:
            signal: `(tile, slot, row, col)`, 0 where not observed.
            observed: 1 or 0, of the same shape.
        """
        slots, padding = self.weight.shape[0], self.weight.shape[-1] // 2
        # A quotient of two sums: it would lose too much in bfloat16.
        with torch.autocast(signal.device.type, enabled=False):
            kernel = self.weight.abs()
            values = conv2d(signal.to(kernel.dtype), kernel, padding=padding, groups=slots)
            density = conv2d(observed.to(kernel.dtype), kernel, padding=padding, groups=slots)
            field = torch.cat([values / density.clamp_min(LEAST_DENSITY), density], 1)
        features: Tensor = self.resizer(field)
        return features
