"""The convolutional conditional neural process on a grid (ConvCNP).

Source: Gordon et al. 2020, "Convolutional conditional neural processes", arXiv:1910.13556; architecture as
GridConvCNP in Dubois et al. 2020, "Neural process family": ten layers of 128 channels, as in the talk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from landsat_fill.networks.catalogue import count
from landsat_fill.networks.layers import ContextConv, SeparableResNet, gaussian, pixel_mlp, resnet_reach_px
from landsat_fill.networks.network import SlotNetwork

if TYPE_CHECKING:
    from torch import Tensor

    from landsat_fill.networks.network import Prediction


@dataclass(frozen=True)
class ConvCNPSettings:
    """What a ConvCNP is built from; by default 0.34 million parameters that see 45 px far.

    Attributes:
        slots: Bands it works at once.
        channels: Width of all layers.
        blocks: Residual blocks, of two convolutions each.
        kernel_px: Side of the blocks' kernels, odd.
        context_kernel_px: Side of the first kernel, which averages the observations, odd.
        decoder_layers: Hidden layers of the decoder.
        batch_norm: Whether the blocks normalise their input over the batch, as the source does for images. In
            use the statistics are those kept from training, a mix over the counts of bands it saw.
    """

    slots: int = count(6)
    channels: int = count(128)
    blocks: int = count(5, low=0)
    kernel_px: int = count(9, parity="odd")
    context_kernel_px: int = count(11, low=3, parity="odd")
    decoder_layers: int = count(4, low=0)
    batch_norm: bool = False


class ConvCNP(SlotNetwork):
    """Predicts an independent Gaussian for every pixel, equivariant to shifts away from a tile's edges."""

    def __init__(self, settings: ConvCNPSettings) -> None:
        super().__init__(
            settings.slots,
            reach_px=settings.context_kernel_px // 2 + resnet_reach_px(settings.blocks, settings.kernel_px),
        )
        self.settings = settings
        channels = settings.channels
        self.context = ContextConv(settings.slots, channels, settings.context_kernel_px)
        self.resnet = SeparableResNet(
            channels, settings.blocks, settings.kernel_px, batch_norm=settings.batch_norm
        )
        self.decoder = pixel_mlp(channels, channels, settings.decoder_layers, 2 * settings.slots)

    def predict_slots(self, signal: Tensor, observed: Tensor, noise: Tensor | None) -> Prediction:
        """Return mean and standard deviation; the noise is not looked at."""
        del noise
        return gaussian(self.decoder(self.resnet(self.context(signal, observed))))
