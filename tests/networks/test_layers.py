from __future__ import annotations

import pytest
import torch
from torch.nn.functional import conv2d

from landsat_fill.networks.convcnp import ConvCNP, ConvCNPSettings
from landsat_fill.networks.layers import ContextConv, DepthwiseConv, convolved, enlarged, pooled, reach_px, strided


def field(signal: torch.Tensor, observed: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the averaged signal and the density, before they are mixed."""
    layer = ContextConv(2, 4, 5)
    layer.resizer = torch.nn.Identity()
    with torch.no_grad():
        # Only the size of a weight counts.
        layer.weight.copy_(layer.weight * torch.randn_like(layer.weight).sign())
        return layer(signal, observed).chunk(2, 1)


def test_a_constant_is_averaged_to_itself_whatever_is_observed() -> None:
    observed = (torch.rand(2, 2, 16, 16) > 0.6).float()
    average, density = field(3.0 * observed, observed)
    seen = density > 1e-5
    torch.testing.assert_close(average[seen], torch.full_like(average[seen], 3.0))
    assert (average[~seen] == 0).all()


def test_the_density_is_the_share_that_is_observed() -> None:
    observed = torch.ones(1, 2, 16, 16)
    observed[..., 8:] = 0
    _, density = field(torch.zeros_like(observed), observed)
    assert (density[..., 10:] == 0).all()
    torch.testing.assert_close(density[..., 2:14, 2:6], torch.ones(1, 2, 12, 4))
    assert ((density[..., 8] > 0) & (density[..., 8] < density[..., 7])).all()


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


def test_convolutions_add_up() -> None:
    assert reach_px([convolved(9, 10), convolved(11)], 1) == 45


def test_coarse_pixels_reach_from_their_far_corner() -> None:
    # A fine pixel comes from its coarse one; that and its neighbours hold three pairs of fine pixels.
    assert reach_px([enlarged, convolved(3), pooled], 2) == 3
    assert reach_px([enlarged, strided(3)], 2) == 2


def test_the_receptive_field_of_the_default_network_is_91_px() -> None:
    assert 2 * ConvCNP(ConvCNPSettings(channels=2)).reach_px + 1 == 91
