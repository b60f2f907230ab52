"""A U-Net that corrects an interpolation: bands pass through it alone at first, together in the middle.

Every band goes through the same weights. Where the bands meet, their features are averaged, and what is made
of the average is handed back to each of them. So there are no band slots: any number of bands, in any order,
gives the same answer for each of them.
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
"""Smallest standard deviation, in units of the surroundings' spread."""

_UNIT_PX = 4
"""Side of what a pixel of the trunk stands for."""

_FIRST_STD = 0.4  # what an untrained network says: about the error of an interpolation


@dataclass(frozen=True)
class BandUNetSettings:
    """What a band U-Net is built from; by default 0.7 million parameters."""

    band_channels: int = option(32, "width while each band is alone, at half the tile's size", low=1)
    channels: int = option(128, "width of the trunk that all bands share, at a quarter of the size", low=1)
    entrance_blocks: int = option(1, "residual blocks of a band on its way in", low=0)
    trunk_blocks: int = option(2, "residual blocks of the trunk", low=0)
    exit_blocks: int = option(2, "residual blocks of a band on its way out", low=0)


class BandUNet(Network):
    """Predicts what an interpolation misses, and how sure that is.

    Untrained it returns the signal as it is; so does a pixel it has nothing to say about.

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
        # A pixel of half the size holds 2 x 2 pixels, each with its signal and whether it was observed.
        self.entrance = nn.Conv2d(2 * 4, narrow, 3, padding=1)
        self.before = _blocks(narrow, settings.entrance_blocks)
        self.shrink = nn.Conv2d(narrow, wide, 2, stride=2)
        self.trunk = _blocks(wide, settings.trunk_blocks)
        self.enlarge = nn.ConvTranspose2d(wide, narrow, 2, stride=2)
        self.across = nn.Conv2d(narrow, narrow, 3, padding=1)
        self.after = _blocks(narrow, settings.exit_blocks)
        self.exit = nn.Conv2d(narrow, 2 * 4, 3, padding=1)
        _silence(self.exit)

    def forward(
        self,
        signal: Tensor,
        observed: Tensor,
        noise: Tensor | None = None,
        wanted: Window | None = None,
    ) -> Prediction:
        """Return mean and standard deviation of every pixel; see `Network.forward`.

        Args:
            signal: See there.
            observed: See there.
            noise: Isn't looked at.
            wanted: The part of the tiles that an answer is wanted of; elsewhere it is that of an untrained
                network. What only pixels beyond depend on isn't worked.
        """
        del noise
        require_tiles(signal, observed, self.size_multiple_px)
        tiles, bands, rows, cols = signal.shape
        alone = self._entered(signal, observed)
        met = _mean_over_bands(alone, bands)  # (T, C, H/2, W/2)
        part = self._worked(wanted or Window(0, 0, rows, cols), rows, cols)  # in pixels of the trunk
        half = _enlarged(part, 2)
        shared = self.enlarge(self._shared(met, part)) + self._crossed(met, half)
        said = self._answered(alone, shared, half).float()  # (T·B, 2, h, w)
        correction, doubt = said.view(tiles, bands, *said.shape[1:]).unbind(2)
        std = softplus(doubt).mul_(_FIRST_STD / math.log(2)).add_(LEAST_STD)
        if wanted is None:
            return Prediction(signal + correction, std)
        mean, all_std = signal.clone(), torch.full_like(signal, LEAST_STD + _FIRST_STD)
        whole = _enlarged(half, 2).slices
        mean[..., *whole] += correction
        all_std[..., *whole] = std
        return Prediction(mean, all_std)

    def _worked(self, wanted: Window, rows: int, cols: int) -> Window:
        """Return the part of the trunk's last map that an answer depends on.

        Args:
            wanted: Where the answer is wanted.
            rows: Of the tile.
            cols: Of the tile.
        """
        margin_px = 2 * (1 + 2 * self.settings.exit_blocks)
        needed = wanted.expanded(margin_px, rows, cols)
        row, col = needed.row // _UNIT_PX, needed.col // _UNIT_PX
        bottom, right = needed.row + needed.height, needed.col + needed.width
        return Window(row, col, -(-bottom // _UNIT_PX) - row, -(-right // _UNIT_PX) - col)

    def _shared(self, met: Tensor, part: Window) -> Tensor:
        """Return a part of the trunk's last map; each block works so much less as the next ones need less."""
        rows, cols = (size // 2 for size in met.shape[2:])
        here = part.expanded(2 * len(self.trunk), rows, cols)
        features = relu(self.shrink(met[..., *_enlarged(here, 2).slices]), inplace=True)
        for left, block in zip(reversed(range(len(self.trunk))), self.trunk, strict=True):
            following = part.expanded(2 * left, rows, cols)
            features = block(features)[..., *following.within(here).slices]
            here = following
        return features

    def _crossed(self, met: Tensor, part: Window) -> Tensor:
        """Return a part of what passes the trunk by."""
        around = part.expanded(1, *met.shape[2:])
        crossed: Tensor = self.across(met[..., *around.slices])
        return crossed[..., *part.within(around).slices]

    def _entered(self, signal: Tensor, observed: Tensor) -> list[Tensor]:
        """Return the features of each band alone, pieces of `(tile · band, channel, row / 2, col / 2)`."""
        shown = signal.clamp(-LARGEST_SIGNAL, LARGEST_SIGNAL)
        given = torch.stack([shown, observed], 2).flatten(0, 1)  # (T·B, 2, H, W)
        given = pixel_unshuffle(given, 2).contiguous(memory_format=torch.channels_last)
        return [self.before(relu(self.entrance(piece), inplace=True)) for piece in _pieces(given)]

    def _answered(self, alone: list[Tensor], shared: Tensor, part: Window) -> Tensor:
        """Return what is said of each pixel of each band, `(tile · band, 2, row, col)`.

        Args:
            alone: The features of each band, in pieces; emptied, for each takes much memory.
            shared: What all bands of a tile are handed, `(tile, channel, row / 2, col / 2)`, of the part.
            part: Which part of their features it is.
        """
        handed = torch.split(shared, 1) if len(alone) > 1 else (shared,)
        pieces_a_tile = len(alone) // len(handed)
        said: list[Tensor] = []
        while alone:
            piece, ours = alone.pop(0)[..., *part.slices], handed[len(said) // pieces_a_tile]
            together = piece.view(len(ours), -1, *piece.shape[1:]) + ours[:, None]  # (T, B, C, h/2, w/2)
            said.append(pixel_shuffle(self.exit(self.after(together.flatten(0, 1))), 2))
        return torch.cat(said)


def _enlarged(part: Window, times: int) -> Window:
    """Return a part of a map in the pixels of one so many times as large."""
    return Window(*(times * size for size in (part.row, part.col, part.height, part.width)))


class _Block(nn.Module):
    """Two 3 x 3 convolutions whose result is added to what came in; at first nothing is added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        _silence(self.second)

    def forward(self, features: Tensor) -> Tensor:
        added: Tensor = self.second(relu(self.first(features), inplace=True))
        return added.add_(features)


def _pieces(maps: Tensor) -> Sequence[Tensor]:
    """Return maps `(tile · band, channel, row, col)`, which don't know of each other, as they are worked.

    On a CPU one after the other, unless gradients are wanted: that takes a fraction of the memory.
    """
    return (maps,) if torch.is_grad_enabled() or maps.device.type != "cpu" else torch.split(maps, 1)


def _mean_over_bands(pieces: Sequence[Tensor], bands: int) -> Tensor:
    """Return the mean `(tile, channel, row, col)` of features `(tile · band, channel, row, col)` in pieces.

    Args:
        pieces: All of them, or each alone.
        bands: Of a tile.
    """
    if len(pieces) > 1:
        return torch.cat([_mean(pieces[first : first + bands]) for first in range(0, len(pieces), bands)])
    _, channels, rows, cols = pieces[0].shape
    # In the order that channels last lie in memory; across it, the mean takes four times as long on a CPU.
    flat = pieces[0].permute(0, 2, 3, 1).reshape(-1, bands, rows * cols * channels)
    return flat.mean(1).view(-1, rows, cols, channels).permute(0, 3, 1, 2)


def _mean(maps: Sequence[Tensor]) -> Tensor:
    total = maps[0].to(torch.float32, copy=True)
    for other in maps[1:]:
        total += other
    return (total / len(maps)).to(maps[0].dtype)


def _silence(layer: nn.Conv2d) -> None:
    """Let a layer say nothing until it has learned something."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


def _blocks(channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(_Block(channels) for _ in range(count)))


def _reach_px(settings: BandUNetSettings) -> int:
    """Return how far it sees, from the exit back to the entrance."""
    return reach_px(
        [
            *[enlarged, convolved(3), convolved(3, 2 * settings.exit_blocks)],
            *[enlarged, convolved(3, 2 * settings.trunk_blocks), pooled],
            *[convolved(3, 2 * settings.entrance_blocks), convolved(3), pooled],
        ],
        period_px=_UNIT_PX,
    )
