"""The convolutional latent neural process on a grid (ConvLNP), whose samples are coherent images.

Source: Foong et al. 2020, "Meta-learning stationary stochastic process prediction with convolutional neural
processes", arXiv:2007.01332; architecture as GridConvLNP in Dubois et al. 2020, "Neural process family".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch.nn.functional import pad

from landsat_fill.errors import MethodError
from landsat_fill.networks.layers import (
    ContextConv,
    SeparableResNet,
    gaussian,
    pixel_linear,
    pixel_mlp,
    resnet_reach_px,
)
from landsat_fill.networks.network import Prediction, SlotNetwork
from landsat_fill.schema import option

if TYPE_CHECKING:
    from torch import Tensor


LEAST_LATENT_STD = 0.1
"""The smallest standard deviation of a latent value; the largest is 1. Source: LatentNeuralProcessFamily."""


@dataclass(frozen=True)
class ConvLNPSettings:
    """Settings of a ConvLNP; the defaults give 0.49 million parameters and a reach of 69 px.

    Pondaven et al. 2022 (arXiv 2205.12407) use the same network for patches of 64 and of 128 px, with
    different numbers of samples.

    With `averaged`, a prediction depends on the size of the tile. Without `pixel_std`, as in the source, each
    sample has one standard deviation for a band of a tile. The channels of the noise alternate between
    `scales`: single pixels, as in the source, and weighted means over 3, 7, 15 px and so on, for wide
    features of a realization. With `batch_norm`, a fill uses the mean statistics of training, over all band
    counts.
    """

    slots: int = option(6, "bands processed at once", low=1)
    channels: int = option(128, "width of all layers, and latent values of a pixel", low=2, parity="even")
    blocks: int = option(4, "residual blocks before the latent values; the same number follows them", low=0)
    kernel_px: int = option(9, "side of the kernels in the blocks", low=1, parity="odd")
    context_kernel_px: int = option(
        11, "side of the first kernel, which averages the observations", low=3, parity="odd"
    )
    averaged: bool = option(True, "average half of the latent values over the tile")
    pixel_std: bool = option(False, "give every pixel its own standard deviation")
    scales: int = option(1, "number of spatial scales of the latent noise", low=1, high=6)
    batch_norm: bool = option(False, "normalise the input of the blocks over the batch, as in the source")


class ConvLNP(SlotNetwork):
    """Predicts a mixture of Gaussians, one for each sample of the latent values.

    Attributes:
        reach_px: Half the receptive field, apart from the average over the tile.
    """

    name: ClassVar[str] = "convlnp"
    settings_kind: ClassVar[type] = ConvLNPSettings

    growing: ClassVar[tuple[str, ...]] = ("pixel_std", "scales")

    def __init__(self, settings: ConvLNPSettings) -> None:
        # The blocks before the latent values, and those after them.
        blocks = 2 * settings.blocks
        super().__init__(
            settings.slots, reach_px=settings.context_kernel_px // 2 + resnet_reach_px(blocks, settings.kernel_px)
        )
        self.settings = settings
        channels = settings.channels
        self.latent_channels = channels
        self.context = ContextConv(settings.slots, channels, settings.context_kernel_px)
        self.before = SeparableResNet(channels, settings.blocks, settings.kernel_px, batch_norm=settings.batch_norm)
        self.latent_encoder = pixel_mlp(channels, channels, 1, 2 * channels)
        self.after = SeparableResNet(channels, settings.blocks, settings.kernel_px, batch_norm=settings.batch_norm)
        self.decoder = pixel_linear(channels, 2 * settings.slots)

    def predict_slots(self, signal: Tensor, observed: Tensor, noise: Tensor | None) -> Prediction:
        """Return mean and standard deviation `(sample, tile, slot, row, col)`.

        Without noise there is one sample, from the means of the latent values.
        """
        latent = self._draw(self.before(self.context(signal, observed)), noise)
        samples, tiles = latent.shape[:2]
        # Convolutions need samples and tiles in one axis.
        latent = latent.flatten(0, 1)
        if self.settings.averaged:
            local, shared = latent.chunk(2, 1)
            latent = torch.cat([local, shared.mean((2, 3), keepdim=True).expand_as(local)], 1)
        mean, std = gaussian(self.decoder(self.after(latent)))
        if std is not None and not self.settings.pixel_std:
            std = std.mean((2, 3), keepdim=True).expand_as(mean)
        shape = (samples, tiles, *mean.shape[1:])
        return Prediction(mean.reshape(shape), None if std is None else std.reshape(shape))

    def _draw(self, features: Tensor, noise: Tensor | None) -> Tensor:
        """Return latent values `(sample, tile, latent, row, col)`."""
        latent: Tensor = self.latent_encoder(features)
        mean, raw_std = latent.chunk(2, 1)
        if noise is None:
            return mean.unsqueeze(0)
        if noise.ndim != 5 or noise.shape[1:] != mean.shape:
            raise MethodError(
                f"expected noise of shape (sample, {', '.join(str(size) for size in mean.shape)}), "
                f"but got {tuple(noise.shape)}",
                hint="Draw it for the tiles at hand, with the network's latent_channels.",
            )
        std = LEAST_LATENT_STD + (1 - LEAST_LATENT_STD) * raw_std.sigmoid()
        return mean + std * _in_scales(noise, self.settings.scales)


def _in_scales(noise: Tensor, scales: int) -> Tensor:
    """Return noise `(sample, tile, channel, row, col)` whose channels alternate between scales.

    Its standard deviation is 1, and less near the edges of a tile.
    """
    whole = noise.clone()
    for scale in range(1, scales):
        width_px = 2**scale
        smooth = pad(noise[:, :, scale::scales], (width_px - 1,) * 4)
        # Sums of sums have triangular weights; plain sums would show as squares.
        for axis in (-2, -1, -2, -1):
            smooth = _sums(smooth, width_px, axis)
        squared_weights = width_px * (2 * width_px**2 + 1) / 3
        whole[:, :, scale::scales] = smooth / squared_weights
    return whole


def _sums(values: Tensor, count: int, axis: int) -> Tensor:
    """Return the sums of `count` adjacent values along an axis, which gets shorter by `count` - 1."""
    up_to = values.cumsum(axis)
    length = values.shape[axis] - count
    rest = up_to.narrow(axis, count, length) - up_to.narrow(axis, 0, length)
    return torch.cat([up_to.narrow(axis, count - 1, 1), rest], axis)
