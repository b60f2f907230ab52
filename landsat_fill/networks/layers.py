"""Layers that several networks share, and the computation of receptive fields.

Source: Gordon et al. 2020, arXiv:1910.13556; GridConvCNP and ResConvBlock in Dubois et al. 2020, "Neural
process family"; He et al. 2016, arXiv:1603.05027 (pre-activation); Chollet 2017, arXiv:1610.02357 (separable
convolutions); Le et al. 2018, "Empirical evaluation of neural process objectives" (standard deviation).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.functional import conv2d, relu, softplus

from landsat_fill.networks.network import Prediction

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    Step = Callable[[int, int], tuple[int, int]]
    "Maps the first and last needed pixel of a layer's output to the first and last needed pixel of its input."


MOST_HALVINGS = 9
"""Largest number of halvings: a tile of 512 px becomes a single pixel."""


def pixel_linear(channels: int, outputs: int) -> nn.Conv2d:
    """Return a linear layer over the channels of each pixel, with an initial bias of 0."""
    layer = nn.Conv2d(channels, outputs, 1)
    nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]  # only None without a bias
    return layer


def pixel_mlp(channels: int, hidden: int, layers: int, outputs: int) -> nn.Sequential:
    """Return a perceptron over the channels of each pixel, with `layers` hidden layers and ReLUs."""
    steps: list[nn.Module] = []
    for _ in range(layers):
        steps += [pixel_linear(channels, hidden), nn.ReLU()]
        channels = hidden
    return nn.Sequential(*steps, pixel_linear(channels, outputs))


LEAST_DENSITY = 1e-5
"""Smallest divisor, so that a window without observations gives 0. Source: GridConvCNP."""


class ContextConv(nn.Module):
    """Computes the weighted mean and the density of the observations around each pixel.

    Each slot has one kernel of positive weights, which convolves the observations and the observed flags. The
    second convolution is the density, and the ratio of both is the mean. A linear layer mixes the two.
    """

    def __init__(self, slots: int, channels: int, kernel_px: int) -> None:
        super().__init__()
        # The weights sum to 1, so the density is 1 where all pixels are observed.
        kernel = torch.rand(slots, 1, kernel_px, kernel_px)
        self.weight = nn.Parameter(kernel / kernel.sum((2, 3), keepdim=True))
        self.resizer = pixel_linear(2 * slots, channels)

    def forward(self, signal: Tensor, observed: Tensor) -> Tensor:
        """Return features `(tile, channel, row, col)`; the arguments are those of `SlotNetwork.predict_slots`."""
        slots, padding = self.weight.shape[0], self.weight.shape[-1] // 2
        # The ratio of two sums needs more precision than bfloat16.
        with torch.autocast(signal.device.type, enabled=False):
            kernel = self.weight.abs()
            values = conv2d(signal.to(kernel.dtype), kernel, padding=padding, groups=slots)
            density = conv2d(observed.to(kernel.dtype), kernel, padding=padding, groups=slots)
            field = torch.cat([values / density.clamp_min(LEAST_DENSITY), density], 1)
        features: Tensor = self.resizer(field)
        return features


class DepthwiseConv(nn.Conv2d):
    """A convolution of each channel with its own kernel of odd side, padded to keep the size."""

    def __init__(self, channels: int, kernel_px: int) -> None:
        super().__init__(channels, channels, kernel_px, padding=kernel_px // 2, groups=channels)
        nn.init.kaiming_normal_(self.weight, mode="fan_out")

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's own name for it
        """Return the convolved channels, on a CPU in the precision of the weights.

        On a CPU, bfloat16 is no faster forward, and 2.5 times slower backward.
        """
        if input.device.type != "cpu":
            return super().forward(input)
        with torch.autocast("cpu", enabled=False):
            convolved: Tensor = _DepthwiseOnCpu.apply(  # type: ignore[no-untyped-call]
                input.to(self.weight.dtype), self.weight
            )
            return convolved if self.bias is None else convolved + self.bias.view(1, -1, 1, 1)


class _DepthwiseOnCpu(torch.autograd.Function):
    """torch's depthwise convolution with a gradient of the kernel that is two to four times as fast.

    The gradient is the depthwise convolution of each channel with the gradient of its output. oneDNN's
    forward convolution computes it much faster than its backward one.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor, kernel: Tensor) -> Tensor:
        ctx.save_for_backward(features, kernel)
        return _depthwise(features, kernel, kernel.shape[-1] // 2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:
        (gradient,) = gradients
        features, kernel = ctx.saved_tensors
        padding = kernel.shape[-1] // 2
        of_features = of_kernel = None
        if ctx.needs_input_grad[0]:
            of_features = _depthwise(gradient, kernel.flip(2, 3), padding)
        if ctx.needs_input_grad[1]:
            of_kernel = torch.zeros_like(kernel)
            for tile, tile_gradient in zip(features.split(1), gradient, strict=True):
                # (1, channel, kernel, kernel) to (channel, 1, kernel, kernel)
                of_kernel += _depthwise(tile, tile_gradient.unsqueeze(1), padding).transpose(0, 1)
        return of_features, of_kernel


def _depthwise(features: Tensor, kernel: Tensor, padding: int) -> Tensor:
    return conv2d(features, kernel, padding=padding, groups=features.shape[1])


class SeparableBlock(nn.Module):
    """Two pre-activated separable convolutions, with a shortcut to the last pointwise convolution."""

    def __init__(self, channels: int, kernel_px: int, batch_norm: bool) -> None:
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
    """A sequence of separable blocks."""

    def __init__(self, channels: int, blocks: int, kernel_px: int, *, batch_norm: bool) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(SeparableBlock(channels, kernel_px, batch_norm) for _ in range(blocks)))

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape, computed with channels last, the fastest layout on CPUs."""
        result: Tensor = self.blocks(features.contiguous(memory_format=torch.channels_last))
        return result


def resnet_reach_px(blocks: int, kernel_px: int) -> int:
    """Return half the receptive field of separable blocks, which have two convolutions each."""
    return blocks * 2 * (kernel_px // 2)


def _pointwise(channels: int) -> nn.Conv2d:
    conv = nn.Conv2d(channels, channels, 1)
    # The shortcut has no ReLU, so a gain of 1 keeps the variance of the features.
    nn.init.kaiming_normal_(conv.weight, nonlinearity="linear")
    return conv


LEAST_STD = 0.01
"""Smallest standard deviation, in units of the signal, which bounds the likelihood."""


def gaussian(channels: Tensor) -> Prediction:
    """Return mean and standard deviation, in single precision or better.

    Args:
        channels: `(tile, 2 x slot, row, col)`: the means, then the standard deviations before softplus.
    """
    precision = torch.promote_types(channels.dtype, torch.float32)
    mean, raw_std = channels.to(precision).chunk(2, 1)
    return Prediction(mean, LEAST_STD + (1 - LEAST_STD) * softplus(raw_std))


def convolved(kernel_px: int, convolutions: int = 1) -> Step:
    """Return the step through convolutions with an odd kernel."""
    margin = convolutions * (kernel_px // 2)
    return lambda first, last: (first - margin, last + margin)


def strided(kernel_px: int) -> Step:
    """Return the step through a convolution of stride 2 with an odd kernel."""
    margin = kernel_px // 2
    return lambda first, last: (2 * first - margin, 2 * last + margin)


def pooled(first: int, last: int) -> tuple[int, int]:
    """Step through a pooling of 2 x 2 pixels."""
    return 2 * first, 2 * last + 1


def enlarged(first: int, last: int) -> tuple[int, int]:
    """Step through an enlargement by 2, in which each pixel comes from one pixel."""
    return first // 2, last // 2


def reach_px(steps: Sequence[Step], period_px: int) -> int:
    """Return the largest distance between a pixel of the output and an input pixel that it depends on.

    Args:
        steps: The longest path through the network, from its last layer to its first.
        period_px: The network is periodic with this shift: 2 to the power of the number of halvings.
    """
    farthest = 0
    for pixel in range(period_px):
        first = last = pixel
        for step in steps:
            first, last = step(first, last)
        farthest = max(farthest, pixel - first, last - pixel)
    return farthest
