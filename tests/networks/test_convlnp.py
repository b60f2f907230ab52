from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from landsat_fill.errors import MethodError
from landsat_fill.networks.convlnp import ConvLNP, ConvLNPSettings, _in_scales

SMALL = ConvLNPSettings(channels=8, blocks=1, kernel_px=3, context_kernel_px=5)


def inputs(tiles: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    observed = (torch.rand(tiles, 3, 16, 16) > 0.3).float()
    return torch.randn(tiles, 3, 16, 16) * observed, observed


def test_each_sample_depends_on_its_own_noise_only() -> None:
    network, (signal, observed) = ConvLNP(SMALL), inputs()
    noise = torch.randn(4, 2, network.latent_channels, 16, 16)
    with torch.no_grad():
        every = network(signal, observed, noise).mean
        third = network(signal, observed, noise[2:3]).mean
    torch.testing.assert_close(every[2:3], third)
    assert not torch.allclose(every[0], every[1])


def test_without_noise_there_is_one_sample_that_of_no_deviation() -> None:
    network, (signal, observed) = ConvLNP(SMALL), inputs()
    with torch.no_grad():
        plain = network(signal, observed).mean
        still = network(signal, observed, torch.zeros(1, 2, network.latent_channels, 16, 16)).mean
    assert plain.shape == (1, *signal.shape)
    torch.testing.assert_close(plain, still)


@pytest.mark.parametrize("averaged", [True, False])
def test_averaging_spreads_an_observation_over_the_tile(averaged: bool) -> None:
    network = ConvLNP(replace(SMALL, averaged=averaged))
    signal, observed = torch.randn(1, 3, 64, 64), torch.ones(1, 3, 64, 64)
    changed = signal.clone()
    changed[..., 0, 0] += 5
    with torch.no_grad():
        moved = network(signal, observed).mean != network(changed, observed).mean
    assert moved[..., 40:, 40:].any() == averaged


@pytest.mark.parametrize("pixel_std", [True, False])
def test_the_std_is_one_a_band_unless_asked_for_one_a_pixel(pixel_std: bool) -> None:
    network, (signal, observed) = ConvLNP(replace(SMALL, pixel_std=pixel_std)), inputs()
    with torch.no_grad():
        std = network(signal, observed).std
    spread = std.amax((-2, -1)) - std.amin((-2, -1))
    assert (spread > 0).all() == pixel_std


def test_noise_in_scales_keeps_its_deviation_and_reaches_as_far_as_said() -> None:
    noise = torch.randn(2, 3, 9, 96, 96)
    found = _in_scales(noise, 3)
    inner = found[..., 8:-8, 8:-8]
    assert torch.equal(found[:, :, ::3], noise[:, :, ::3])
    for scale, side_px in ((1, 3), (2, 7)):
        one = inner[:, :, scale::3]
        assert float(one.std()) == pytest.approx(1, abs=0.04)
        near, far = (float((one[..., apart:] * one[..., :-apart]).mean()) for apart in (1, side_px))
        assert near > 0.6
        assert far == pytest.approx(0, abs=0.06)
    assert torch.equal(_in_scales(noise, 1), noise)


def test_a_network_of_more_scales_begins_from_one_of_a_single_one() -> None:
    network, wider = ConvLNP(SMALL), ConvLNP(replace(SMALL, scales=3))
    wider.load_state_dict(network.state_dict())
    signal, observed = inputs()
    noise = torch.randn(1, 2, network.latent_channels, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(wider(signal, observed).mean, network(signal, observed).mean)
        assert not torch.allclose(wider(signal, observed, noise).mean, network(signal, observed, noise).mean)
    assert {"scales", "pixel_std"} <= set(ConvLNP.growing)


def test_noise_of_another_shape_is_refused() -> None:
    network, (signal, observed) = ConvLNP(SMALL), inputs()
    with pytest.raises(MethodError, match=r"\(sample, 2, 8, 16, 16\), but got \(1, 2, 5, 16, 16\)"):
        network(signal, observed, torch.zeros(1, 2, 5, 16, 16))
