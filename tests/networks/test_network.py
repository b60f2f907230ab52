"""What all networks with a fixed number of band slots have in common."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from landsat_fill.errors import MethodError
from landsat_fill.networks.network import band_groups

if TYPE_CHECKING:
    from torch import Tensor

    from landsat_fill.networks.network import Prediction, SlotNetwork


LOCAL = ["convcnp", "convcnp-batch-norm", "convlnp-local", "unet", "partialconv", "partialconv-batch-norm"]
"""Those whose pixels depend on their surroundings alone, not on an average over the tile."""
HALVING = ["unet", "partialconv", "partialconv-batch-norm"]
"""Those that take tiles of some sides only."""


def tiles(bands: int = 6, side_px: int = 16, count: int = 2) -> tuple[Tensor, Tensor]:
    """Return a signal, and stripes of missing pixels that differ from band to band."""
    signal = torch.randn(count, bands, side_px, side_px, dtype=torch.float64)
    rows = torch.arange(side_px).view(1, 1, -1, 1)
    columns = torch.arange(side_px).view(1, 1, 1, -1)
    offset = torch.arange(bands).view(1, -1, 1, 1)
    observed = ((rows + columns // 4 + offset) % 8 > 1).double().expand_as(signal)
    return signal * observed, observed.clone()


def noise_for(network: SlotNetwork, signal: Tensor, samples: int = 3) -> Tensor | None:
    if not network.latent_channels:
        return None
    shape = (samples, signal.shape[0], network.latent_channels, *signal.shape[2:])
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=signal.dtype)


def predict(network: SlotNetwork, signal: Tensor, observed: Tensor) -> Prediction:
    with torch.no_grad():
        return network(signal, observed, noise_for(network, signal))


def assert_same(one: Prediction, other: Prediction) -> None:
    torch.testing.assert_close(one.mean, other.mean)
    assert (one.std is None) == (other.std is None)
    if one.std is not None:
        torch.testing.assert_close(one.std, other.std)


@pytest.mark.parametrize("bands", [1, 6, 13])
def test_any_number_of_bands_is_predicted(network: SlotNetwork, bands: int) -> None:
    signal, observed = tiles(bands)
    mean, std = predict(network, signal, observed)
    shape = (3, *signal.shape) if network.latent_channels else signal.shape
    assert mean.shape == shape
    assert mean.isfinite().all()
    if std is not None:
        assert std.shape == shape
        assert (std >= 0.01).all()


def test_only_neural_processes_have_a_standard_deviation(network: SlotNetwork) -> None:
    _, std = predict(network, *tiles())
    assert (std is not None) == type(network).__name__.startswith("Conv")


@pytest.mark.parametrize("hidden", [1e6, float("nan")])
def test_hidden_values_change_nothing(network: SlotNetwork, hidden: float) -> None:
    signal, observed = tiles()
    changed = signal.masked_fill(observed == 0, hidden)
    assert_same(predict(network, signal, observed), predict(network, changed, observed))


def test_bands_that_are_not_there_are_bands_never_observed(network: SlotNetwork) -> None:
    signal, observed = tiles()
    observed[:, 2:] = 0
    both = predict(network, signal, observed)
    two = predict(network, signal[:, :2], observed[:, :2])
    torch.testing.assert_close(two.mean, both.mean.narrow(-3, 0, 2))


def test_bands_beyond_the_slots_are_processed_with_their_neighbours(network: SlotNetwork) -> None:
    signal, observed = tiles(8)
    every = predict(network, signal, observed).mean
    first = predict(network, signal[:, :6], observed[:, :6]).mean
    last = predict(network, signal[:, 2:], observed[:, 2:]).mean
    torch.testing.assert_close(every.narrow(-3, 0, 6), first)
    torch.testing.assert_close(every.narrow(-3, 6, 2), last.narrow(-3, 4, 2))


def test_one_band_influences_another(network: SlotNetwork) -> None:
    signal, observed = tiles()
    observed[:, 0] = 0
    changed = signal.clone()
    changed[:, 1] += 1
    before = predict(network, signal, observed).mean.select(-3, 0)
    after = predict(network, changed, observed).mean.select(-3, 0)
    assert not torch.allclose(before, after)


def test_a_tile_without_any_observation_is_finite(network: SlotNetwork) -> None:
    signal, observed = tiles()
    mean, std = predict(network, signal, torch.zeros_like(observed))
    assert mean.isfinite().all()
    assert std is None or std.isfinite().all()


def test_a_tile_does_not_depend_on_the_other_tiles(network: SlotNetwork) -> None:
    signal, observed = tiles(count=3)
    together = predict(network, signal, observed)
    noise = noise_for(network, signal)
    with torch.no_grad():
        alone = network(signal[1:2], observed[1:2], None if noise is None else noise[:, 1:2])
    torch.testing.assert_close(alone.mean[..., 0, :, :, :], together.mean[..., 1, :, :, :])


def test_the_same_twice(network: SlotNetwork) -> None:
    signal, observed = tiles()
    first, second = predict(network, signal, observed), predict(network, signal, observed)
    assert torch.equal(first.mean, second.mean)


@pytest.mark.parametrize("network", LOCAL, indirect=True)
def test_a_shifted_scene_gives_a_shifted_prediction(network: SlotNetwork) -> None:
    shift_px = 2 * network.size_multiple_px
    reach_px = network.reach_px
    side_px = -(-(2 * reach_px + 16) // network.size_multiple_px) * network.size_multiple_px
    signal, observed = tiles(side_px=side_px + shift_px, count=1)
    noise = noise_for(network, signal)

    def at(start_px: int) -> Tensor:
        window = (..., slice(start_px, start_px + side_px), slice(start_px, start_px + side_px))
        with torch.no_grad():
            return network(signal[window], observed[window], None if noise is None else noise[window]).mean

    inner = slice(reach_px, side_px - reach_px - shift_px)
    shifted = slice(reach_px + shift_px, side_px - reach_px)
    torch.testing.assert_close(at(shift_px)[..., inner, inner], at(0)[..., shifted, shifted])


@pytest.mark.parametrize("network", LOCAL, indirect=True)
def test_a_pixel_influences_predictions_up_to_the_declared_reach(network: SlotNetwork) -> None:
    reach_px, multiple_px = network.reach_px, network.size_multiple_px
    side_px = -(-(2 * reach_px + 12) // multiple_px) * multiple_px
    signal = torch.randn(1, 6, side_px, side_px, dtype=torch.float64)
    observed = torch.ones_like(signal)
    before = predict(network, signal, observed).mean
    farthest_px = 0
    # A network of several scales treats pixels by their place within a coarse one.
    for place_px in range(side_px // 2, side_px // 2 + multiple_px):
        changed = signal.clone()
        changed[0, :, place_px, place_px] += 3
        moved = (predict(network, changed, observed).mean != before).flatten(0, -3).any(0).nonzero()
        farthest_px = max(farthest_px, int((moved - place_px).abs().max()))
    assert farthest_px == reach_px


def test_every_parameter_learns(network: SlotNetwork) -> None:
    network.train()
    signal, observed = tiles()
    mean, std = network(signal, observed, noise_for(network, signal))
    loss = (mean - 1).square().mean() + (0 if std is None else (std - 1).square().mean())
    loss.backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


def test_training_lowers_the_error_on_what_is_hidden(network: SlotNetwork) -> None:
    network.float().train()
    # Every band is the same smooth field.
    ramp = torch.linspace(-2, 2, 16)
    truth = (ramp.view(-1, 1).sin() + ramp).expand(2, 6, 16, 16).clone()
    observed = tiles()[1].float()
    noise = noise_for(network, truth, samples=1)
    optimiser = torch.optim.Adam(network.parameters(), lr=2e-2)
    errors = []
    for _ in range(20):
        mean = network(truth * observed, observed, noise).mean
        error = ((mean - truth).square() * (1 - observed)).sum() / (1 - observed).sum()
        optimiser.zero_grad()
        error.backward()
        optimiser.step()
        errors.append(error.item())
    assert errors[-1] < 0.5 * errors[0]


def test_mixed_precision_gives_single_precision_close_to_it(network: SlotNetwork) -> None:
    single = copy.deepcopy(network).float()
    signal, observed = (tensor.float() for tensor in tiles())
    plain = predict(single, signal, observed)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = predict(single, signal, observed)
    assert mixed.mean.dtype == torch.float32
    assert (mixed.mean - plain.mean).abs().max() < 0.1 * plain.mean.abs().max()


def test_channels_last_changes_the_layout_only(network: SlotNetwork) -> None:
    signal, observed = tiles()
    plain = predict(network, signal, observed)
    laid_out = copy.deepcopy(network).to(memory_format=torch.channels_last)
    as_last = signal.to(memory_format=torch.channels_last)
    assert_same(predict(laid_out, as_last, observed), plain)


def test_shapes_that_differ_are_refused(network: SlotNetwork) -> None:
    signal, observed = tiles()
    with pytest.raises(MethodError, match="one shape"):
        network(signal, observed[:, :1])


@pytest.mark.parametrize("network", HALVING, indirect=True)
def test_sides_that_do_not_fit_are_refused(network: SlotNetwork) -> None:
    signal, observed = tiles(side_px=15)
    with pytest.raises(MethodError, match=r"multiples of 4 px, but got 15 x 15 px"):
        network(signal, observed)


@given(bands=st.integers(1, 40), slots=st.integers(1, 12))
def test_each_band_is_kept_once_among_as_many_as_there_are_slots(bands: int, slots: int) -> None:
    every = list(range(bands))
    groups = [(every[group], every[kept]) for group, kept in band_groups(bands, slots)]
    assert [band for _, kept in groups for band in kept] == every
    for group, kept in groups:
        assert set(kept) <= set(group)
        assert len(group) == min(bands, slots)
