"""Perceptrons that work every pixel by itself, as 1 x 1 convolutions: the layout stays as it is."""

from __future__ import annotations

from torch import nn


def pixel_linear(channels: int, outputs: int) -> nn.Conv2d:
    """Return a linear layer over the channels of each pixel, its bias 0 at first.

    Args:
        channels: Channels that come in.
        outputs: Channels that come out.
    """
    layer = nn.Conv2d(channels, outputs, 1)
    nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def pixel_mlp(channels: int, hidden: int, layers: int, outputs: int) -> nn.Sequential:
    """Return a perceptron over the channels of each pixel.

    Args:
        channels: Channels that come in.
        hidden: Width of the hidden layers.
        layers: Number of hidden layers, each followed by a ReLU.
        outputs: Channels that come out.
    """
    steps: list[nn.Module] = []
    for _ in range(layers):
        steps += [pixel_linear(channels, hidden), nn.ReLU()]
        channels = hidden
    return nn.Sequential(*steps, pixel_linear(channels, outputs))
