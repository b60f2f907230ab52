"""A U-Net that corrects an interpolation: bands are separate at first, and combined in the middle.

Every band goes through the same weights. In the middle, the features of all bands are averaged. The trunk
processes the average, and its result is added to the features of each band. The network therefore takes any
number of bands, and their order doesn't matter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle, relu, softplus

from landsat_fill.networks.layers import convolved, enlarged, pooled, reach_px
from landsat_fill.networks.network import Network, Prediction, require_tiles
from landsat_fill.networks.normalisation import LARGEST_SIGNAL
from landsat_fill.scene import Window
from landsat_fill.schema import option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


LEAST_STD = 0.01
"""Smallest standard deviation, in units of the local standard deviation."""

_UNIT_PX = 4
"""Side in pixels of the area of one pixel of the trunk."""

_FIRST_STD = 0.4  # standard deviation from an untrained network: about the error of an interpolation


@dataclass(frozen=True)
class BandUNetSettings:
    """Settings of a band U-Net; the defaults give 0.7 million parameters."""

    band_channels: int = option(32, "width of the layers for single bands, at half the tile's size", low=1)
    channels: int = option(128, "width of the trunk for all bands, at a quarter of the tile's size", low=1)
    entrance_blocks: int = option(1, "residual blocks of each band before the trunk", low=0)
    trunk_blocks: int = option(2, "residual blocks of the trunk", low=0)
    exit_blocks: int = option(2, "residual blocks of each band after the trunk", low=0)


class BandUNet(Network):
    """Predicts the correction of an interpolation, and its standard deviation.

    An untrained network returns the signal unchanged.

    Source: this project; residual blocks after He et al. 2016, doi:10.1109/CVPR.2016.90, the sharing of
    weights between bands after Zaheer et al. 2017, Deep Sets, arXiv:1703.06114.
    """

    name: ClassVar[str] = "band-unet"
    settings_kind: ClassVar[type] = BandUNetSettings

    starts_filled: ClassVar[bool] = True
    growing: ClassVar[tuple[str, ...]] = ("entrance_blocks", "trunk_blocks", "exit_blocks")
    shrinking: ClassVar[tuple[str, ...]] = growing

    def __init__(self, settings: BandUNetSettings) -> None:
        super().__init__(reach_px=_reach_px(settings), size_multiple_px=_UNIT_PX)
        self.settings = settings
        narrow, wide = settings.band_channels, settings.channels
        # At half the size, a pixel has the signal and the observed flag of 2 x 2 pixels.
        self.entrance = nn.Conv2d(2 * 4, narrow, 3, padding=1)
        self.before = _blocks(narrow, settings.entrance_blocks)
        self.shrink = nn.Conv2d(narrow, wide, 2, stride=2)
        self.trunk = _blocks(wide, settings.trunk_blocks)
        self.enlarge = nn.ConvTranspose2d(wide, narrow, 2, stride=2)
        self.across = nn.Conv2d(narrow, narrow, 3, padding=1)
        self.after = _blocks(narrow, settings.exit_blocks)
        self.exit = nn.Conv2d(narrow, 2 * 4, 3, padding=1)
        _set_to_zero(self.exit)

    def forward(
        self, signal: Tensor, observed: Tensor, noise: Tensor | None = None, wanted: Window | None = None
    ) -> Prediction:
        """Return mean and standard deviation of every pixel; see `Network.forward`.

        Outside the `wanted` part of the tiles, pixels get the prediction of an untrained network, and features
        that only they need aren't computed.
        """
        del noise
        require_tiles(signal, observed, self.size_multiple_px)
        tiles, bands, rows, cols = signal.shape
        separate = self._enter(signal, observed)
        mean_features = _mean_over_bands(separate, bands)  # (T, C, H/2, W/2)
        part = self._needed(wanted or Window(0, 0, rows, cols), rows, cols)  # in pixels of the trunk
        half = _enlarged(part, 2)
        shared = self.enlarge(self._run_trunk(mean_features, part)) + self._run_shortcut(mean_features, half)
        output = self._leave(separate, shared, half).float()  # (T·B, 2, h, w)
        correction, raw_std = output.view(tiles, bands, *output.shape[1:]).unbind(2)
        std = softplus(raw_std).mul_(_FIRST_STD / math.log(2)).add_(LEAST_STD)
        if wanted is None:
            return Prediction(signal + correction, std)
        mean, all_std = signal.clone(), torch.full_like(signal, LEAST_STD + _FIRST_STD)
        whole = _enlarged(half, 2).slices
        mean[..., *whole] += correction
        all_std[..., *whole] = std
        return Prediction(mean, all_std)

    def _needed(self, wanted: Window, rows: int, cols: int) -> Window:
        """Return the part of the trunk's output that a part of a tile `(rows, cols)` depends on."""
        margin_px = 2 * (1 + 2 * self.settings.exit_blocks)
        needed = wanted.expanded(margin_px, rows, cols)
        row, col = needed.row // _UNIT_PX, needed.col // _UNIT_PX
        bottom, right = needed.row + needed.height, needed.col + needed.width
        return Window(row, col, -(-bottom // _UNIT_PX) - row, -(-right // _UNIT_PX) - col)

    def _run_trunk(self, mean_features: Tensor, part: Window) -> Tensor:
        """Return a part of the trunk's output; each block computes only the part that the next ones need."""
        rows, cols = (size // 2 for size in mean_features.shape[2:])
        here = part.expanded(2 * len(self.trunk), rows, cols)
        features = relu(self.shrink(mean_features[..., *_enlarged(here, 2).slices]), inplace=True)
        for left, block in zip(reversed(range(len(self.trunk))), self.trunk, strict=True):
            following = part.expanded(2 * left, rows, cols)
            features = block(features)[..., *following.within(here).slices]
            here = following
        return features

    def _run_shortcut(self, mean_features: Tensor, part: Window) -> Tensor:
        """Return a part of the shortcut past the trunk."""
        around = part.expanded(1, *mean_features.shape[2:])
        crossed: Tensor = self.across(mean_features[..., *around.slices])
        return crossed[..., *part.within(around).slices]

    def _enter(self, signal: Tensor, observed: Tensor) -> list[Tensor]:
        """Return the features of single bands, pieces of `(tile · band, channel, row / 2, col / 2)`."""
        shown = signal.clamp(-LARGEST_SIGNAL, LARGEST_SIGNAL)
        maps = torch.stack([shown, observed], 2).flatten(0, 1)  # (T·B, 2, H, W)
        maps = pixel_unshuffle(maps, 2).contiguous(memory_format=torch.channels_last)
        return [self.before(relu(self.entrance(piece), inplace=True)) for piece in _pieces(maps)]

    def _leave(self, separate: list[Tensor], shared: Tensor, part: Window) -> Tensor:
        """Return the output for each pixel of each band, `(tile · band, 2, row, col)`.

        `shared` covers a part of a tile, and is added to the features of all its bands. The list `separate` is
        emptied to free memory.
        """
        by_tile = torch.split(shared, 1) if len(separate) > 1 else (shared,)
        pieces_a_tile = len(separate) // len(by_tile)
        outputs: list[Tensor] = []
        while separate:
            piece, own = separate.pop(0)[..., *part.slices], by_tile[len(outputs) // pieces_a_tile]
            features = piece.view(len(own), -1, *piece.shape[1:]) + own[:, None]  # (T, B, C, h/2, w/2)
            outputs.append(pixel_shuffle(self.exit(self.after(features.flatten(0, 1))), 2))
        return torch.cat(outputs)


def _enlarged(part: Window, times: int) -> Window:
    """Return a window in the pixels of a map that is larger by a factor."""
    return Window(*(times * size for size in (part.row, part.col, part.height, part.width)))


class _Block(nn.Module):
    """Two 3 x 3 convolutions whose result is added to the input; an untrained block adds 0."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        _set_to_zero(self.second)

    def forward(self, features: Tensor) -> Tensor:
        added: Tensor = self.second(relu(self.first(features), inplace=True))
        return added.add_(features)


def _pieces(maps: Tensor) -> Sequence[Tensor]:
    """Return independent maps `(tile · band, channel, row, col)` in the pieces that are computed at once.

    On a CPU without gradients, each map is one piece, which saves memory.
    """
    return (maps,) if torch.is_grad_enabled() or maps.device.type != "cpu" else torch.split(maps, 1)


def _mean_over_bands(pieces: Sequence[Tensor], bands: int) -> Tensor:
    """Return the mean over the bands of a tile, of features `(tile · band, channel, row, col)` in pieces."""
    if len(pieces) > 1:
        return torch.cat([_mean(pieces[first : first + bands]) for first in range(0, len(pieces), bands)])
    _, channels, rows, cols = pieces[0].shape
    # In the memory order of channels last; across it, the mean takes four times as long on a CPU.
    flat = pieces[0].permute(0, 2, 3, 1).reshape(-1, bands, rows * cols * channels)
    return flat.mean(1).view(-1, rows, cols, channels).permute(0, 3, 1, 2)


def _mean(maps: Sequence[Tensor]) -> Tensor:
    total = maps[0].to(torch.float32, copy=True)
    for other in maps[1:]:
        total += other
    return (total / len(maps)).to(maps[0].dtype)


def _set_to_zero(layer: nn.Conv2d) -> None:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


def _blocks(channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(_Block(channels) for _ in range(count)))


def _reach_px(settings: BandUNetSettings) -> int:
    """Return half the receptive field, computed from the exit back to the entrance."""
    return reach_px(
        [
            *[enlarged, convolved(3), convolved(3, 2 * settings.exit_blocks)],
            *[enlarged, convolved(3, 2 * settings.trunk_blocks), pooled],
            *[convolved(3, 2 * settings.entrance_blocks), convolved(3), pooled],
        ],
        period_px=_UNIT_PX,
    )
