from __future__ import annotations

import torch

from landsat_fill.networks.layers import ContextConv


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
