"""The U-Net, with a second input channel for each band that marks the observed pixels.

Source: Ronneberger et al. 2015, "U-Net: convolutional networks for biomedical image segmentation",
doi:10.1007/978-3-319-24574-4_28. Here layers are narrower, and padded so that a tile keeps its size.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import nn
from torch.nn.functional import max_pool2d

from landsat_fill.networks.layers import MOST_HALVINGS, convolved, enlarged, pooled, reach_px
from landsat_fill.networks.network import Prediction, SlotNetwork
from landsat_fill.schema import option

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class UNetSettings:
    """Settings of a U-Net; the defaults give 0.83 million parameters and a reach of 51 px."""

    slots: int = option(6, "bands processed at once", low=1)
    channels: int = option(32, "width at full size; doubles with each halving", low=1)
    most_channels: int = option(96, "the largest width", low=1)
    halvings: int = option(3, "how often a tile is halved on the way down", low=0, high=MOST_HALVINGS)


class UNet(SlotNetwork):
    """Predicts every pixel from features at several scales; no standard deviation."""

    name: ClassVar[str] = "unet"
    settings_kind: ClassVar[type] = UNetSettings

    def __init__(self, settings: UNetSettings) -> None:
        deep = settings.halvings
        up_and_down = [convolved(3, 2), enlarged] * deep + [convolved(3, 2)] + [pooled, convolved(3, 2)] * deep
        super().__init__(settings.slots, reach_px=reach_px(up_and_down, 2**deep), size_multiple_px=2**deep)
        self.settings = settings
        widths = [min(settings.channels * 2**level, settings.most_channels) for level in range(deep + 1)]
        pairs = list(pairwise(widths))
        self.entrance = double_conv(2 * settings.slots, widths[0])
        self.down = nn.ModuleList(double_conv(fine, coarse) for fine, coarse in pairs)
        # From the coarsest to the finest.
        self.enlarge = nn.ModuleList(nn.ConvTranspose2d(coarse, fine, 2, stride=2) for fine, coarse in reversed(pairs))
        self.up = nn.ModuleList(double_conv(2 * fine, fine) for fine, _ in reversed(pairs))
        self.exit = nn.Conv2d(widths[0], settings.slots, 1)

    def predict_slots(self, signal: Tensor, observed: Tensor, noise: Tensor | None) -> Prediction:
        """Return the mean; the noise is unused."""
        del noise
        features = self.entrance(torch.cat([signal, observed], 1))
        shortcuts = []
        for down in self.down:
            shortcuts.append(features)
            features = down(max_pool2d(features, 2))
        for enlarge, up in zip(self.enlarge, self.up, strict=True):
            features = up(torch.cat([shortcuts.pop(), enlarge(features)], 1))
        return Prediction(self.exit(features))


def double_conv(channels: int, outputs: int) -> nn.Sequential:
    """Return two 3 x 3 convolutions, each followed by a ReLU."""
    steps: list[nn.Module] = []
    for _ in range(2):
        conv = nn.Conv2d(channels, outputs, 3, padding=1)
        # Source: Ronneberger et al. 2015, section 3, and He et al. 2015, arXiv:1502.01852.
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        steps += [conv, nn.ReLU()]
        channels = outputs
    return nn.Sequential(*steps)
