"""Fills that are drawn in rounds: by whom, in which order, and from what."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from landsat_fill.errors import UsageError
from landsat_fill.methods import Context, create_method, method_classes
from landsat_fill.methods.drawing_rounds import DrawsInRounds
from landsat_fill.networks.interface import Prediction
from landsat_fill.pipeline import fill_array
from landsat_fill.scene import Gaps

pytestmark = pytest.mark.usefixtures("tiny_models")

NAMES = [name for name, cls in method_classes().items() if issubclass(cls, DrawsInRounds)]


class Recorder:
    """A network that predicts the mean of what it is told, without doubt, and keeps what it was told."""

    latent_channels = 0

    def __init__(self, std: float = 0.0) -> None:
        self.std = std
        self.told: list[tuple[torch.Tensor, torch.Tensor]] = []

    def __call__(self, signal: torch.Tensor, observed: torch.Tensor, _noise: torch.Tensor) -> Prediction:
        self.told.append((signal, observed))
        mean = (signal * observed).sum() / observed.sum()
        return Prediction(mean.expand_as(signal), torch.full_like(signal, self.std))


def given(bands: int = 2, side_px: int = 64, gap_px: int = 10) -> SimpleNamespace:
    """A tile of ones that misses a stripe, which is to be filled, and a corner, which isn't."""
    missing = torch.zeros(1, bands, side_px, side_px, dtype=torch.bool)
    missing[:, :, 20 : 20 + gap_px] = True
    observed = (~missing).float()
    observed[:, :, :5, :5] = 0
    return SimpleNamespace(signal=observed.clone(), observed=observed, missing=missing)


def drawn(network: Recorder, tile: SimpleNamespace, draws: int = 1, **options: object) -> torch.Tensor:
    method = create_method("convcnp", options)
    return method.draw(network, tile, Context(draws=draws, seed=3))


def test_both_neural_processes_draw() -> None:
    assert NAMES == ["convcnp", "convlnp"]
    assert all(method_classes()[name].info.draws for name in NAMES)


@pytest.mark.parametrize(("rounds", "factor"), [(10, 2.0), (4, 8.0)])
def test_rounds_grow_by_a_factor_and_the_last_draws_all_that_are_left(rounds: int, factor: float) -> None:
    tile, network = given(side_px=128, gap_px=64), Recorder()
    drawn(network, tile, rounds=rounds)
    lost = int(tile.missing.sum())
    known = [int(tile.missing[observed > 0].sum()) for _, observed in network.told]
    assert known[0] == 0
    expected = [lost / factor**later for later in reversed(range(1, rounds))]
    assert known[1:] == pytest.approx(expected, rel=0.05)


def test_what_was_drawn_is_told_as_observed_and_stays() -> None:
    tile, network = given(), Recorder(std=1.0)
    result = drawn(network, tile, rounds=4)[0]
    for signal, observed in network.told:
        assert (signal[observed > 0] == result[observed > 0]).all()
    assert (result[tile.observed > 0] == 1).all()


def test_only_missing_pixels_are_drawn() -> None:
    tile, network = given(), Recorder(std=1.0)
    result = drawn(network, tile)[0]
    elsewhere = ~tile.missing
    assert (result[elsewhere] == tile.signal[elsewhere]).all()
    assert all((observed[:, :, :5, :5] == 0).all() for _, observed in network.told)


def test_numbers_are_drawn_from_the_gaussian_the_network_tells() -> None:
    tile = given(bands=6, side_px=128)
    several = drawn(Recorder(std=2.0), tile, draws=8, rounds=1)
    factor = create_method("convcnp").file.std_factor
    found = (several[:, tile.missing] - 1) / (2.0 * factor)
    assert abs(float(found.mean())) < 0.02
    assert float(found.std()) == pytest.approx(1, abs=0.02)
    between = torch.corrcoef(found) - torch.eye(8)
    assert float(between.abs().max()) < 0.06


@pytest.mark.parametrize("name", NAMES)
def test_a_draw_is_the_same_however_many_there_are(name: str) -> None:
    one, three = filled(name, 1), filled(name, 3)
    np.testing.assert_array_equal(one[0], three[0])
    assert not np.array_equal(three[0], three[1])
    assert not np.array_equal(filled(name, 1, seed=1), one)


@pytest.mark.parametrize("name", NAMES)
def test_gain_and_offset_cancel_out_of_draws_too(name: str) -> None:
    np.testing.assert_allclose(
        (filled(name, 2, gain=300.0, offset=7000.0) - 7000) / 300, filled(name, 2), atol=0.01
    )


def test_rounds_out_of_range_are_refused() -> None:
    with pytest.raises(UsageError, match="expected --rounds to be >= 1, but got 0"):
        create_method("convcnp", {"rounds": 0})


def filled(name: str, draws: int, *, seed: int = 0, gain: float = 1.0, offset: float = 0.0) -> np.ndarray:
    """Return draws of a striped scene."""
    generator = np.random.default_rng(0)
    image = 100 + np.cumsum(generator.normal(0, 4, (2, 40, 48)), axis=1)
    missing = np.zeros(image.shape, bool)
    missing[:, 12:22] = True
    method = create_method(name, {"precision": "float32"})
    gaps = Gaps(missing, ~missing)
    found = fill_array(image * gain + offset, gaps, method, context=Context(draws=draws), seed=seed)
    assert found.draws is not None
    return found.draws
