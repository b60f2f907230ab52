"""The convolutional latent neural process of the talk, whose fills are coherent draws."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from landsat_fill.errors import UsageError
from landsat_fill.methods.coregionalization import local_correlations, mixed
from landsat_fill.methods.interface import Context, MethodInfo, option
from landsat_fill.methods.learned import Answer, LearnedMethod
from landsat_fill.methods.place_noise import noise_at

if TYPE_CHECKING:
    from torch import Tensor

SAMPLES = {64: 32, 128: 8}
"""Samples of the latent values by the side of the patches that were trained on. Source: the talk."""

CPU_VALUES, GPU_VALUES = 128_000_000, 1_000_000_000
"""Values a layer's output may have for all samples worked on at once: half a gigabyte of float32, or four."""


@dataclass(frozen=True)
class ConvLNPMethod(LearnedMethod):
    """The mean of several coherent fills, and how much they differ.

    Half of the latent values are averaged over a tile with its halo, so that a fill depends a little on where
    the tiles lie. The noise belongs to the pixel, so that neighbouring tiles draw the same.

    Source: Foong et al. 2020, Meta-learning stationary stochastic process prediction with convolutional
    neural processes, arXiv:2007.01332.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="convlnp",
        summary="convolutional latent neural process: coherent draws, their mean and deviation",
        source="Foong et al. 2020, Meta-learning stationary stochastic process prediction with convolutional "
        "neural processes, https://arxiv.org/abs/2007.01332",
        halo_px=120,
        tile_px=256,
        align_px=8,
        gives_std=True,
        devices=("cpu", "cuda"),
        draws=True,
    )
    network: ClassVar[str] = "convlnp"

    variant: int = field(
        default=64, metadata=option("64 or 128: side of the patches that the shipped weights were trained on")
    )
    samples: int | None = field(
        default=None,
        metadata=option("draws that mean and deviation are taken of; 32 of variant 64, 8 of 128", low=1),
    )

    def __post_init__(self) -> None:
        """Check the options, and look at the weights."""
        if self.variant not in SAMPLES:
            raise UsageError(f"expected --variant to be 64 or 128, but got {self.variant}")
        super().__post_init__()

    @property
    def shipped_name(self) -> str:
        """Name of the shipped weights."""
        return f"{self.info.name}-{self.variant}"

    def predict(self, network: Any, signal: Tensor, observed: Tensor, context: Context) -> Answer:
        """Return mean and deviation of the mixture of all samples, and draws, independent of each other.

        Samples come in pairs, of some noise and of its opposite: much of what is by chance in their mean
        cancels out. Each band of each draw is of the first of a pair of its own, and then they are mixed as
        the bands of the scene go together: how those of a sample do, a network that is to serve any bands in
        any order hardly learns.

        Source: Hammersley and Morton 1956, A new Monte Carlo technique: antithetic variates,
        doi:10.1017/S0305004100031455.
        """
        import torch

        tiles, bands, height, width = signal.shape
        samples = self.samples or SAMPLES[self.variant]
        corners = context.corners or ((0, 0),) * tiles
        values = tiles * height * width * network.latent_channels
        at_once = max(1, (CPU_VALUES if signal.device.type == "cpu" else GPU_VALUES) // values)
        total, squares = torch.zeros_like(signal), torch.zeros_like(signal)
        draws = signal.new_empty((context.draws, *signal.shape))
        drawn = {2 * number: divmod(number, bands) for number in range(context.draws * bands)}
        numbers = sorted({*range(samples), *drawn})
        for first in range(0, len(numbers), at_once):
            part = numbers[first : first + at_once]
            pairs = [number // 2 for number in part]
            signs = torch.tensor([(-1.0) ** number for number in part], device=signal.device)
            noise = signs[:, None, None, None, None] * noise_at(
                corners, (height, width), pairs, network.latent_channels, context.seed, str(signal.device)
            )
            for number, mean, std in zip(part, *network(signal, observed, noise), strict=True):
                if number < samples:
                    total += mean
                    squares += mean.square() + std.square()
                if number in drawn:
                    draw, band = drawn[number]
                    draws[draw, :, band] = mean[:, band]
        mean = total / samples
        std = (squares / samples - mean.square()).clamp_min(0).sqrt()
        if not context.draws:
            return Answer(mean, std)
        fields = (draws - mean) / std.clamp_min(torch.finfo(std.dtype).tiny)
        return Answer(mean, std, mean + std * mixed(fields, local_correlations(signal, observed)))
