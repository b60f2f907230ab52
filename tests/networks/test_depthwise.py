from __future__ import annotations

import pytest
import torch
from torch.nn.functional import conv2d

from landsat_fill.networks.layers import DepthwiseConv


@pytest.mark.parametrize("size", [(8, 8), (9, 14)])
def test_it_is_torchs_convolution_and_so_are_its_gradients(size: tuple[int, int]) -> None:
    conv = DepthwiseConv(4, 5).double()
    features = torch.randn(3, 4, *size, dtype=torch.float64, requires_grad=True)
    plain = conv2d(features, conv.weight, conv.bias, padding=2, groups=4)
    ours = conv(features)
    torch.testing.assert_close(ours, plain)
    weight = torch.randn_like(plain)
    wanted = torch.autograd.grad(plain, [features, conv.weight, conv.bias], weight)
    torch.testing.assert_close(torch.autograd.grad(ours, [features, conv.weight, conv.bias], weight), wanted)


def test_it_keeps_the_weights_precision_on_a_cpu() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert DepthwiseConv(4, 3)(torch.zeros(1, 4, 8, 8, dtype=torch.bfloat16)).dtype == torch.float32
