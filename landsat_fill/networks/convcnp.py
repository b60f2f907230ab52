"""The convolutional conditional neural process on a grid (ConvCNP).

Source: Gordon et al. 2020, "Convolutional conditional neural processes", arXiv:1910.13556; architecture as
GridConvCNP in Dubois et al. 2020, "Neural process family": ten layers of 128 channels, as in
Pondaven et al. 2022, arXiv 2205.12407.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from landsat_fill.networks.layers import ContextConv, SeparableResNet, gaussian, pixel_mlp, resnet_reach_px
from landsat_fill.networks.network import SlotNetwork
from landsat_fill.schema import option

if TYPE_CHECKING:
    from torch import Tensor

    from landsat_fill.networks.network import Prediction


@dataclass(frozen=True)
class ConvCNPSettings:
    """Settings of a ConvCNP; the defaults give 0.34 million parameters and a reach of 45 px.

    With `batch_norm`, a fill uses the mean statistics of training, over all band counts.
    """

    slots: int = option(6, "bands processed at once", low=1)
    channels: int = option(128, "width of all layers", low=1)
    blocks: int = option(5, "residual blocks, of two convolutions each", low=0)
    kernel_px: int = option(9, "side of the kernels in the blocks", low=1, parity="odd")
    context_kernel_px: int = option(
        11, "side of the first kernel, which averages the observations", low=3, parity="odd"
    )
    decoder_layers: int = option(4, "hidden layers of the decoder", low=0)
    batch_norm: bool = option(False, "normalise the input of the blocks over the batch, as in the source")


class ConvCNP(SlotNetwork):
    """Predicts an independent Gaussian for every pixel; equivariant to shifts except near a tile's edges."""

    name: ClassVar[str] = "convcnp"
    settings_kind: ClassVar[type] = ConvCNPSettings

    def __init__(self, settings: ConvCNPSettings) -> None:
        super().__init__(
            settings.slots,
            reach_px=settings.context_kernel_px // 2 + resnet_reach_px(settings.blocks, settings.kernel_px),
        )
        self.settings = settings
        channels = settings.channels
        self.context = ContextConv(settings.slots, channels, settings.context_kernel_px)
        self.resnet = SeparableResNet(channels, settings.blocks, settings.kernel_px, batch_norm=settings.batch_norm)
        self.decoder = pixel_mlp(channels, channels, settings.decoder_layers, 2 * settings.slots)

    def predict_slots(self, signal: Tensor, observed: Tensor, noise: Tensor | None) -> Prediction:
        """Return mean and standard deviation; the noise is unused."""
        del noise
        return gaussian(self.decoder(self.resnet(self.context(signal, observed))))
