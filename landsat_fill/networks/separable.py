"""Residual networks of depthwise-separable convolutions, as the neural processes on a grid use them.

Source: Gordon et al. 2020, arXiv:1910.13556; ResConvBlock of the Neural Process Family; He et al. 2016,
arXiv:1603.05027 (pre-activation); Chollet 2017, arXiv:1610.02357 (separable convolutions).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import relu

from landsat_fill.networks.depthwise import DepthwiseConv

if TYPE_CHECKING:
    from torch import Tensor


class SeparableBlock(nn.Module):
    """Two pre-activated separable convolutions and a shortcut past all but the last, pointwise, step."""

    def __init__(self, channels: int, kernel_px: int, *, batch_norm: bool) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels) if batch_norm else nn.Identity()
        self.conv1_depthwise = DepthwiseConv(channels, kernel_px)
        self.conv1_pointwise = _pointwise(channels)
        self.norm2 = nn.BatchNorm2d(channels) if batch_norm else nn.Identity()
        self.conv2_depthwise = DepthwiseConv(channels, kernel_px)
        self.conv2_pointwise = _pointwise(channels)

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape."""
        inner = self.conv1_pointwise(self.conv1_depthwise(relu(self.norm1(features))))
        inner = self.conv2_depthwise(relu(self.norm2(inner)))
        joined: Tensor = self.conv2_pointwise(inner + features)
        return joined


class SeparableResNet(nn.Module):
    """A row of separable blocks."""

    def __init__(self, channels: int, blocks: int, kernel_px: int, *, batch_norm: bool) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            *(SeparableBlock(channels, kernel_px, batch_norm=batch_norm) for _ in range(blocks))
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape, their channels last in memory: so CPUs are fastest."""
        worked: Tensor = self.blocks(features.contiguous(memory_format=torch.channels_last))
        return worked


def resnet_reach_px(blocks: int, kernel_px: int) -> int:
    """Return how far a row of separable blocks sees: two convolutions a block."""
    return blocks * 2 * (kernel_px // 2)


def _pointwise(channels: int) -> nn.Conv2d:
    conv = nn.Conv2d(channels, channels, 1)
    # Nothing rectifies the shortcut, so a gain of 1 keeps the features' size from block to block.
    nn.init.kaiming_normal_(conv.weight, nonlinearity="linear")
    return conv
