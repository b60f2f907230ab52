"""What the band U-Net keeps to: bands alike, a signal it corrects, a reach that it declares."""

from __future__ import annotations

import copy
from dataclasses import asdict, replace

import pytest
import torch
from torch import nn

from landsat_fill.errors import MethodError
from landsat_fill.networks.band_unet import BandUNet, BandUNetSettings
from landsat_fill.networks.catalogue import build_network, settings_of
from landsat_fill.networks.network import Prediction
from landsat_fill.networks.normalisation import LARGEST_SIGNAL
from landsat_fill.scene import Window

SMALL = BandUNetSettings(band_channels=8, channels=12, entrance_blocks=1, trunk_blocks=1, exit_blocks=1)


@pytest.fixture
def untrained(_seeded: None) -> BandUNet:
    """Return a small network as training begins with it."""
    return BandUNet(SMALL).eval()


@pytest.fixture
def network(untrained: BandUNet) -> BandUNet:
    """Return a small network whose layers all have something to say."""
    awakened = copy.deepcopy(untrained)
    for parameter in awakened.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, 0, 0.1)
    return awakened


def tiles(bands: int = 6, height: int = 24, width: int = 32, count: int = 2) -> tuple[torch.Tensor, ...]:
    """Return a signal that is known everywhere, and stripes that differ from band to band."""
    signal = torch.randn(count, bands, height, width)
    rows, cols = torch.arange(height).view(-1, 1), torch.arange(width)
    offsets = torch.arange(bands).view(-1, 1, 1)
    observed = ((rows + cols // 4 + offsets) % 8 > 1).float().expand_as(signal)
    return signal, observed.clone()


def predict(network: BandUNet, signal: torch.Tensor, observed: torch.Tensor) -> Prediction:
    with torch.no_grad():
        return network(signal, observed)


def assert_same(one: Prediction, other: Prediction) -> None:
    for found, expected in zip(one, other, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("bands", [1, 6])
def test_filling_and_training_predict_the_same(network, bands) -> None:
    """Where no gradient is wanted, bands go through one by one, and the largest maps are written over."""
    signal, observed = tiles(bands)
    before = signal.clone()
    heard = Prediction(*(values.detach() for values in network(signal, observed)))
    assert_same(predict(network, signal, observed), heard)
    assert torch.equal(signal, before)


@pytest.mark.parametrize(
    "wanted",
    [Window(36, 40, 24, 32), Window(0, 0, 4, 4), Window(37, 41, 21, 9), Window(88, 92, 8, 4), Window(0, 0, 96, 96)],
)
def test_a_part_is_predicted_as_in_the_whole_tile(network, wanted: Window) -> None:
    deep = BandUNet(replace(SMALL, trunk_blocks=2)).eval()
    deep.load_state_dict(network.state_dict(), strict=False)
    nn.init.normal_(deep.trunk[1].second.weight, 0, 0.1)
    signal, observed = tiles(height=96, width=96)
    before = signal.clone()
    expected = predict(deep, signal, observed)
    with torch.no_grad():
        found = deep(signal, observed, wanted=wanted)
    part = (..., *wanted.slices)
    assert_same(Prediction(found.mean[part], found.std[part]), Prediction(expected.mean[part], expected.std[part]))
    assert torch.equal(signal, before)
    assert (found.std >= 0.01).all()


def test_only_the_needed_part_is_computed(network) -> None:
    signal, observed = tiles(height=96, width=96)
    sizes: list[torch.Size] = []
    network.exit.register_forward_hook(lambda _module, _given, said: sizes.append(said.shape[2:]))
    with torch.no_grad():
        network(signal, observed, wanted=Window(40, 40, 16, 16))
    # The wanted 8, and 3 on each side that they depend on, to whole pixels of the trunk.
    assert set(sizes) == {(16, 16)}


@pytest.mark.parametrize("bands", [1, 2, 3, 4, 6, 8, 13])
def test_any_number_of_bands_is_predicted(network, bands) -> None:
    signal, observed = tiles(bands)
    mean, std = predict(network, signal, observed)
    assert mean.shape == std.shape == signal.shape
    assert mean.dtype == std.dtype == torch.float32
    assert mean.isfinite().all()
    assert (std >= 0.01).all()


def test_bands_in_another_order_give_the_same_in_that_order(network) -> None:
    signal, observed = tiles()
    expected = predict(network, signal, observed)
    order = torch.tensor([4, 0, 5, 2, 1, 3])
    found = predict(network, signal[:, order], observed[:, order])
    assert_same(found, Prediction(expected.mean[:, order], expected.std[:, order]))


def test_repeated_bands_change_nothing(network) -> None:
    signal, observed = tiles(3)
    twice = predict(network, torch.cat([signal, signal], 1), torch.cat([observed, observed], 1))
    once = predict(network, signal, observed)
    for half in (slice(0, 3), slice(3, 6)):
        assert_same(Prediction(twice.mean[:, half], twice.std[:, half]), once)


def test_one_band_influences_another(network) -> None:
    signal, observed = tiles()
    changed = signal.clone()
    changed[:, 1] += 1
    before, after = predict(network, signal, observed), predict(network, changed, observed)
    assert (before.mean[:, 0] - after.mean[:, 0]).abs().max() > 1e-3


def test_the_prediction_depends_on_which_pixels_are_observed(network) -> None:
    signal, observed = tiles()
    before, after = predict(network, signal, observed), predict(network, signal, torch.ones_like(observed))
    assert (before.mean - after.mean).abs().max() > 1e-3


def test_untrained_it_returns_the_signal(untrained) -> None:
    signal, observed = tiles()
    signal[0, 0, 5, 5] = 40  # beyond what it is shown
    mean, std = predict(untrained, signal, observed)
    assert torch.equal(mean, signal)
    torch.testing.assert_close(std, torch.full_like(std, 0.41))


def test_a_signal_beyond_all_bounds_is_shown_as_the_largest(network) -> None:
    signal, observed = tiles()
    signal[0, 0, 12, 12] = LARGEST_SIGNAL
    largest = predict(network, signal, observed)
    signal[0, 0, 12, 12] = 1e4
    beyond = predict(network, signal, observed)
    assert torch.equal(beyond.std, largest.std)
    elsewhere = torch.ones_like(signal, dtype=torch.bool)
    elsewhere[0, 0, 12, 12] = False
    assert torch.equal(beyond.mean[elsewhere], largest.mean[elsewhere])


def test_every_parameter_changes_in_the_first_steps(untrained) -> None:
    before = {name: value.clone() for name, value in untrained.named_parameters()}
    untrained.train()
    optimiser = torch.optim.SGD(untrained.parameters(), lr=0.1)
    for _ in range(4):  # layers that are silent at first let the ones before them learn a step later
        signal, observed = tiles()
        mean, std = untrained(signal, observed)
        loss = (mean - 1).square().mean() + (std - 1).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    for name, value in untrained.named_parameters():
        assert value.isfinite().all(), name
        assert not torch.equal(value, before[name]), name


def test_training_lowers_the_error_on_what_is_hidden(untrained) -> None:
    # Hidden in one band, a pixel is seen in the other: what is to be learned is to look there.
    untrained.train()
    optimiser = torch.optim.Adam(untrained.parameters(), lr=1e-2)
    errors = []
    for _ in range(40):
        truth = torch.randn(4, 1, 4, 4).repeat_interleave(4, 2).repeat_interleave(4, 3).expand(-1, 2, -1, -1)
        observed = torch.ones(4, 2, 16, 16)
        observed[:, 0, 4:8] = 0
        mean = untrained(truth * observed, observed).mean
        error = ((mean - truth).square() * (1 - observed)).sum() / (1 - observed).sum()
        optimiser.zero_grad()
        error.backward()
        optimiser.step()
        errors.append(error.item())
    assert sum(errors[-5:]) < 0.5 * sum(errors[:5])


@pytest.mark.parametrize(
    "settings",
    [
        SMALL,
        BandUNetSettings(band_channels=4, channels=4, entrance_blocks=0, trunk_blocks=0, exit_blocks=0),
        BandUNetSettings(band_channels=4, channels=4, entrance_blocks=2, trunk_blocks=2, exit_blocks=3),
    ],
)
def test_a_pixel_influences_predictions_up_to_the_declared_reach(settings) -> None:
    network = BandUNet(settings)
    for parameter in network.parameters():
        nn.init.uniform_(parameter, 0.01, 0.1)  # of one sign, so that no way through is cancelled or cut
    side_px = -(-(2 * network.reach_px + 8) // 4) * 4
    farthest_px = 0
    for place_px in range(side_px // 2, side_px // 2 + 4):
        signal, observed = (torch.ones(1, 2, side_px, side_px, requires_grad=True) for _ in range(2))
        network(signal, observed).mean[0, 0, place_px, place_px].backward()
        for given in (signal, observed):
            felt = given.grad.flatten(0, -3).any(0).nonzero()
            farthest_px = max(farthest_px, int((felt - place_px).abs().max()))
    assert farthest_px == network.reach_px


def test_a_shifted_scene_gives_a_shifted_prediction(network) -> None:
    shift_px, side_px, reach_px = 8, 2 * network.reach_px // 4 * 4 + 16, network.reach_px
    signal, observed = tiles(2, side_px + shift_px, side_px + shift_px, count=1)

    def at(start_px: int) -> torch.Tensor:
        window = (..., slice(start_px, start_px + side_px), slice(start_px, start_px + side_px))
        return predict(network, signal[window], observed[window]).mean

    inner = slice(reach_px, side_px - reach_px - shift_px)
    shifted = slice(reach_px + shift_px, side_px - reach_px)
    torch.testing.assert_close(at(shift_px)[..., inner, inner], at(0)[..., shifted, shifted])


def test_a_tile_does_not_depend_on_the_other_tiles(network) -> None:
    signal, observed = tiles(count=3)
    together = predict(network, signal, observed)
    alone = predict(network, signal[1:2], observed[1:2])
    assert_same(alone, Prediction(together.mean[1:2], together.std[1:2]))


def test_the_same_twice_and_nothing_is_written_to(network) -> None:
    signal, observed = tiles()
    given = signal.clone(), observed.clone()
    first, second = predict(network, signal, observed), predict(network, signal, observed)
    assert torch.equal(first.mean, second.mean)
    assert torch.equal(first.std, second.std)
    assert torch.equal(signal, given[0])
    assert torch.equal(observed, given[1])


def test_mixed_precision_gives_single_precision_close_to_it(network) -> None:
    signal, observed = tiles()
    plain = predict(network, signal, observed)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = predict(network, signal, observed)
    assert mixed.mean.dtype == mixed.std.dtype == torch.float32
    correction = (plain.mean - signal).abs().max()
    assert (mixed.mean - plain.mean).abs().max() < 0.03 * correction
    assert ((mixed.std - plain.std).abs() < 0.03 * plain.std.max()).all()


def test_mixed_precision_rounds_the_correction_and_not_the_signal(untrained) -> None:
    signal, observed = tiles()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(predict(untrained, signal, observed).mean, signal)


def test_channels_last_changes_the_layout_only(network) -> None:
    signal, observed = tiles()
    plain = predict(network, signal, observed)
    laid_out = copy.deepcopy(network).to(memory_format=torch.channels_last)
    assert_same(predict(laid_out, signal.to(memory_format=torch.channels_last), observed), plain)


@pytest.mark.parametrize(("height", "width"), [(4, 4), (4, 20), (12, 8)])
def test_sides_that_are_multiples_of_four_fit(network, height, width) -> None:
    signal, observed = tiles(2, height, width)
    assert predict(network, signal, observed).mean.shape == signal.shape


@pytest.mark.parametrize(("height", "width"), [(15, 16), (16, 14)])
def test_other_sides_are_refused(network, height, width) -> None:
    signal, observed = tiles(2, height, width)
    with pytest.raises(MethodError, match=f"multiples of 4 px, but got {height} x {width} px"):
        network(signal, observed)


def test_shapes_that_differ_are_refused(network) -> None:
    signal, observed = tiles()
    with pytest.raises(MethodError, match="one shape"):
        network(signal, observed[:, :1])


def test_its_settings_build_it_again(network) -> None:
    again = build_network("band-unet", settings_of(network)).eval()
    again.load_state_dict(network.state_dict())
    signal, observed = tiles()
    assert torch.equal(predict(again, signal, observed).mean, predict(network, signal, observed).mean)


def test_every_setting_changes_the_network() -> None:
    def sizes(**changed: int) -> tuple[int, int]:
        network = BandUNet(BandUNetSettings(**{**asdict(SMALL), **changed}))
        return network.reach_px, sum(parameter.numel() for parameter in network.parameters())

    before = sizes()
    for name, value in asdict(SMALL).items():
        reach_px, parameters = sizes(**{name: value + 4})
        assert parameters > before[1], name
        assert (reach_px > before[0]) == name.endswith("_blocks"), name


def test_the_default_network_has_the_documented_number_of_parameters() -> None:
    network = BandUNet(BandUNetSettings())
    assert round(sum(parameter.numel() for parameter in network.parameters()) / 1e6, 1) == 0.7
