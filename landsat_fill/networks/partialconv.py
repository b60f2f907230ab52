"""The U-Net of partial convolutions (PartialConv), whose layers ignore pixels that are still unknown.

Source: Liu et al. 2018, "Image inpainting for irregular holes using partial convolutions",
doi:10.1007/978-3-030-01252-6_6; the layer as NVIDIA's PartialConv2d with `multi_channel`. Here the network is
shallower and narrower, for tiles of 64 and 128 px.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import torch
from torch import nn
from torch.nn.functional import avg_pool2d, conv2d, interpolate, leaky_relu, relu

from landsat_fill.networks.layers import MOST_HALVINGS, convolved, enlarged, reach_px, strided
from landsat_fill.networks.network import Prediction, SlotNetwork
from landsat_fill.schema import option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


FIRST_KERNELS_PX = (7, 5, 5)
"""Kernels of the first layers on the way down; the deeper ones have 3 px. Source: Liu et al. 2018."""

KERNEL_PX = 3
"""Side of all other kernels."""

LEAK = 0.2
"""Slope of the leaky ReLU below 0, on the way up. Source: Liu et al. 2018, section 3.2."""


@dataclass(frozen=True)
class PartialConvSettings:
    """Settings of a PartialConv network; the defaults give 0.59 million parameters and a reach of 53 px.

    `batch_norm` is off, because statistics from training on mixed band counts are wrong for a single band.
    """

    slots: int = option(6, "bands processed at once", low=1)
    channels: int = option(32, "width after the first halving; doubles with each further halving", low=1)
    most_channels: int = option(96, "the largest width", low=1)
    halvings: int = option(4, "how often a tile is halved on the way down", low=1, high=MOST_HALVINGS)
    batch_norm: bool = option(False, "normalise the layers' output over the batch, as in the source")


class Partial(NamedTuple):
    """Features with unknown pixels.

    Attributes:
        values: `(tile, channel, row, col)`, 0 where unknown.
        known: 1 or 0, with the same number of channels, or one for all channels.
    """

    values: Tensor
    known: Tensor


class PartialConv2d(nn.Module):
    """A convolution over known pixels, scaled by their share; the result is known if any input pixel is."""

    def __init__(self, channels: int, outputs: int, kernel_px: int, *, stride: int = 1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, channels, kernel_px, kernel_px))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.stride = stride
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")

    def forward(self, *parts: Partial) -> Partial:
        """Return the convolved features of parts that are stacked along the channels."""
        kernel_px = self.weight.shape[-1]
        padding = kernel_px // 2
        raw = conv2d(torch.cat([part.values for part in parts], 1), self.weight, stride=self.stride, padding=padding)
        # The known share of the window over all channels; pixels beyond the edge are unknown.
        share = avg_pool2d(known_share(parts), kernel_px, self.stride, padding)
        known = (share > 0).to(share.dtype)
        scale = known / share.where(share > 0, 1)
        bias = self.bias.view(1, -1, 1, 1)
        return Partial(raw * scale.to(raw.dtype) + (bias * known).to(raw.dtype), known)


def known_share(parts: Sequence[Partial]) -> Tensor:
    """Return the share of all channels that is known at each pixel, `(tile, 1, row, col)`."""
    channels = sum(part.values.shape[1] for part in parts)
    shares = [part.known.mean(1, keepdim=True) * (part.values.shape[1] / channels) for part in parts]
    return torch.stack(shares).sum(0)


class PartialConv(SlotNetwork):
    """Predicts every pixel by closing the gaps from scale to scale; no standard deviation."""

    name: ClassVar[str] = "partialconv"
    settings_kind: ClassVar[type] = PartialConvSettings

    def __init__(self, settings: PartialConvSettings) -> None:
        deep = settings.halvings
        kernels_px = [*FIRST_KERNELS_PX, *[KERNEL_PX] * deep][:deep]
        up_and_down = [convolved(KERNEL_PX), enlarged] * deep + [strided(kernel) for kernel in reversed(kernels_px)]
        super().__init__(settings.slots, reach_px=reach_px(up_and_down, 2**deep), size_multiple_px=2**deep)
        self.settings = settings
        widths = [settings.slots, *(min(settings.channels * 2**level, settings.most_channels) for level in range(deep))]
        pairs = list(pairwise(widths))
        self.down = nn.ModuleList(
            PartialConv2d(fine, coarse, kernel, stride=2)
            for (fine, coarse), kernel in zip(pairs, kernels_px, strict=True)
        )
        # From the coarsest to the finest; the last one gives the slots.
        self.up = nn.ModuleList(PartialConv2d(coarse + fine, fine, KERNEL_PX) for fine, coarse in reversed(pairs))
        # As in the source, the first and the last layer are not normalised.
        self.down_norms = nn.ModuleList([nn.Identity(), *(self._norm(width) for width in widths[2:])])
        self.up_norms = nn.ModuleList(self._norm(width) for width in reversed(widths[1:-1]))

    def predict_slots(self, signal: Tensor, observed: Tensor, noise: Tensor | None) -> Prediction:
        """Return the mean; the noise is unused."""
        del noise
        features = Partial(signal, observed)
        shortcuts = []
        for conv, norm in zip(self.down, self.down_norms, strict=True):
            shortcuts.append(features)
            features = _activated(conv(features), norm, leak=0)
        for conv, norm in zip(self.up[:-1], self.up_norms, strict=True):
            features = _activated(conv(_doubled(features), shortcuts.pop()), norm, leak=LEAK)
        return Prediction(self.up[-1](_doubled(features), shortcuts.pop()).values)

    def _norm(self, channels: int) -> nn.Module:
        return nn.BatchNorm2d(channels) if self.settings.batch_norm else nn.Identity()


def _activated(features: Partial, norm: nn.Module, *, leak: float) -> Partial:
    """Return normalised, rectified features, 0 where unknown."""
    values = norm(features.values)
    values = leaky_relu(values, leak) if leak else relu(values)
    return Partial(values * features.known.to(values.dtype), features.known)


def _doubled(features: Partial) -> Partial:
    """Return features at twice the size, each pixel repeated."""
    return Partial(*(interpolate(part, scale_factor=2, mode="nearest") for part in features))
