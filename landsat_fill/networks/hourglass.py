"""The hourglass of the deep image prior: an untrained network whose structure is the prior.

One module runs many independent hourglasses as grouped convolutions, because a single one is too small to
keep a GPU busy.

Source: Ulyanov et al. 2018, "Deep image prior", doi:10.1109/CVPR.2018.00984, supplementary material;
Petrovskaia et al. 2020, "A single image deep learning approach to restoration of corrupted remote sensing
products", appendix A.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import interpolate

if TYPE_CHECKING:
    from torch import Tensor


SLOPE = 0.2
"""Slope of the leaky ReLU below 0. Source: the authors' code, https://github.com/DmitryUlyanov/deep-image-prior"""


@dataclass(frozen=True)
class HourglassSettings:
    """Settings of an hourglass."""

    inputs: int  # channels of the input
    outputs: int  # bands of the image
    channels: int  # filters at each depth, down and up
    skip_channels: int  # filters of the skip connection at each depth; 0 for none
    scales: int  # how often the image is halved
    skips: int  # number of depths with a skip connection, counted from the finest
    sigmoid: bool  # whether a sigmoid limits the output to between 0 and 1

    @property
    def size_multiple_px(self) -> int:
        """Divisor of the sides of an image."""
        return 1 << self.scales


class Hourglasses(nn.Module):
    """Several hourglasses of one shape, each with initial weights from its own seed."""

    def __init__(self, settings: HourglassSettings, seeds: list[int]) -> None:
        super().__init__()
        self.settings = settings
        self.count = len(seeds)
        wide = settings.channels
        self.down, self.skip, self.up = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for scale in range(settings.scales):
            fine = settings.inputs if scale == 0 else wide
            narrow = settings.skip_channels if scale < settings.skips else 0
            self.down.append(nn.Sequential(*self._step(fine, wide, 3, stride=2), *self._step(wide, wide, 3)))
            self.skip.append(nn.Sequential(*self._step(fine, narrow, 1)) if narrow else nn.Identity())
            self.up.append(
                nn.Sequential(
                    self._norm(wide + narrow), *self._step(wide + narrow, wide, 3), *self._step(wide, wide, 1)
                )
            )
        self.exit = self._conv(wide, settings.outputs, 1)
        self._draw_weights(seeds)

    def forward(self, noise: Tensor) -> Tensor:
        """Return images `(hourglass, band, row, col)` from inputs `(1, hourglass * channel, row, col)`."""
        features, shortcuts = noise, []
        for down, skip in zip(self.down, self.skip, strict=True):
            shortcuts.append(None if isinstance(skip, nn.Identity) else skip(features))
            features = down(features)
        for up, shortcut in zip(reversed(self.up), reversed(shortcuts), strict=True):
            features = interpolate(features, scale_factor=2, mode="nearest")
            features = up(features if shortcut is None else self._beside(features, shortcut))
        image: Tensor = self.exit(features)
        image = image.view(self.count, self.settings.outputs, *image.shape[2:]).float()
        return image.sigmoid() if self.settings.sigmoid else image

    def _beside(self, features: Tensor, shortcut: Tensor) -> Tensor:
        """Return the channels of each hourglass, followed by those of its shortcut."""
        if self.count == 1:
            return torch.cat([features, shortcut], 1)
        size = features.shape[2:]
        both = [part.view(self.count, -1, *size) for part in (features, shortcut)]
        return torch.cat(both, 1).view(1, -1, *size)

    def _conv(self, channels: int, outputs: int, kernel_px: int, stride: int = 1) -> nn.Conv2d:
        many = self.count
        return nn.Conv2d(many * channels, many * outputs, kernel_px, stride, kernel_px // 2, groups=many)

    def _norm(self, channels: int) -> nn.BatchNorm2d:
        return nn.BatchNorm2d(self.count * channels, track_running_stats=False)

    def _step(self, channels: int, outputs: int, kernel_px: int, stride: int = 1) -> list[nn.Module]:
        conv = self._conv(channels, outputs, kernel_px, stride)
        return [conv, self._norm(outputs), nn.LeakyReLU(SLOPE, inplace=True)]

    @torch.no_grad()
    def _draw_weights(self, seeds: list[int]) -> None:
        """Draw the weights of each hourglass from its seed, independently of the others.

        Source: PyTorch's default for convolutions, uniform within ± 1 / √(inputs of a filter).
        """
        convs = [module for module in self.modules() if isinstance(module, nn.Conv2d)]
        for number, seed in enumerate(seeds):
            generator = torch.Generator().manual_seed(seed)
            for conv in convs:
                limit = conv.weight[0].numel() ** -0.5
                for values in (conv.weight, conv.bias):
                    if values is not None:
                        own = values.view(self.count, -1)[number]
                        own.copy_((2 * torch.rand(own.shape, generator=generator) - 1) * limit)
