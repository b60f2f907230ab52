from __future__ import annotations

import numpy as np
import pytest
import torch

from landsat_fill.errors import UsageError
from landsat_fill.methods import Context, convlnp, create_method
from landsat_fill.methods.position_noise import noise_at
from landsat_fill.networks.network import Prediction
from landsat_fill.pipeline import fill_array
from landsat_fill.scene import Gaps

pytestmark = pytest.mark.usefixtures("tiny_models")


def scene() -> tuple[np.ndarray, Gaps]:
    generator = np.random.default_rng(0)
    image = (100 + np.cumsum(generator.normal(0, 4, (2, 40, 48)), axis=1)).astype(np.float32)
    missing = np.zeros(image.shape, bool)
    missing[:, 12:22] = True
    return image, Gaps(missing, ~missing)


def filled(seed: int = 0, draws: int = 0, **options: object):
    image, gaps = scene()
    method = create_method("convlnp", {"precision": "float32", **options})
    return fill_array(image, gaps, method, context=Context(draws=draws), seed=seed)


def test_the_variant_decides_the_weights_and_the_samples() -> None:
    small, large = create_method("convlnp"), create_method("convlnp", {"variant": 128})
    assert (small.shipped_name, large.shipped_name) == ("convlnp-64", "convlnp-128")
    np.testing.assert_array_equal(filled().mean, filled(samples=32).mean)
    np.testing.assert_array_equal(filled(variant=128).mean, filled(variant=128, samples=8).mean)
    assert not np.array_equal(filled().mean, filled(samples=8).mean)


@pytest.mark.parametrize(("name", "value", "said"), [("variant", 96, "64 or 128"), ("samples", 0, ">= 1")])
def test_options_out_of_range_are_refused(name, value, said) -> None:
    with pytest.raises(UsageError, match=f"expected --{name} to be {said}, but got {value}"):
        create_method("convlnp", {name: value})


def test_a_seed_decides_the_draws_and_the_same_seed_the_same() -> None:
    first, same, other = filled(1, 2, samples=4), filled(1, 2, samples=4), filled(2, 2, samples=4)
    np.testing.assert_array_equal(first.draws, same.draws)
    np.testing.assert_array_equal(first.mean, same.mean)
    assert not np.array_equal(first.draws, other.draws, equal_nan=True)


class Echo:
    """A network of which the mean is its noise, so that samples tell what they were drawn with."""

    latent_channels = 2

    def __init__(self, std: float = 0.5) -> None:
        self.std, self.asked = std, 0

    def __call__(self, _signal: torch.Tensor, _observed: torch.Tensor, noise: torch.Tensor) -> Prediction:
        self.asked += len(noise)
        return Prediction(noise + 3, torch.full_like(noise, self.std))


def predicted(network: Echo, samples: int, draws: int = 0):
    signal = torch.zeros(1, 2, 24, 24)
    return create_method("convlnp", {"samples": samples}).predict(
        network, signal, signal, Context(draws=draws, seed=3)
    )


def test_samples_come_in_pairs_whose_noise_cancels_out() -> None:
    network = Echo()
    found = predicted(network, 6)
    assert network.asked == 6
    np.testing.assert_allclose(found.mean, 3, atol=1e-5)
    assert float((predicted(Echo(), 5).mean - 3).abs().mean()) > 0.1


def test_the_deviation_is_that_of_the_mixture_of_all_samples() -> None:
    assert float(predicted(Echo(std=0.5), 400).std.square().mean()) == pytest.approx(1 + 0.25, rel=0.01)


def test_draws_are_independent_and_cost_no_more_where_there_are_samples_enough() -> None:
    network = Echo()
    found = predicted(network, 16, draws=4)
    assert network.asked == 16  # of each pair the first is one band of one draw
    between = np.corrcoef(found.draws.flatten(0, 2).flatten(1).numpy()) - np.eye(8)
    assert np.abs(between).max() < 0.15
    more = Echo()
    predicted(more, 2, draws=4)
    assert more.asked == 9


def test_a_draw_is_the_same_however_many_there_are() -> None:
    np.testing.assert_array_equal(
        predicted(Echo(), 8, draws=3).draws[:2], predicted(Echo(), 8, draws=2).draws
    )


def test_bands_of_a_draw_go_together_as_those_of_the_scene() -> None:
    generator = torch.Generator().manual_seed(0)
    signal = torch.randn(1, 2, 24, 24, generator=generator)
    signal[:, 1] = 0.1 * signal[:, 1] - signal[:, 0]
    found = create_method("convlnp", {"samples": 64}).predict(
        Echo(), signal, torch.ones_like(signal), Context(draws=4, seed=3)
    )
    added = (found.draws - found.mean).transpose(0, 2).flatten(1)
    assert float(np.corrcoef(added)[0, 1]) < -0.85
    assert float(added.std()) == pytest.approx(1, abs=0.1)


def test_samples_worked_on_in_parts_give_the_same(monkeypatch) -> None:
    expected = filled(0, 3, samples=5)
    monkeypatch.setattr(convlnp, "CPU_VALUES", 1)
    found = filled(0, 3, samples=5)
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-5)
    np.testing.assert_allclose(found.draws, expected.draws, rtol=1e-5)
    np.testing.assert_allclose(found.std[scene()[1].missing], expected.std[scene()[1].missing], rtol=1e-2)


def test_more_draws_than_samples_leave_the_mean_alone() -> None:
    found = filled(0, 5, samples=2)
    np.testing.assert_allclose(found.mean, filled(samples=2).mean, rtol=1e-6)
    assert found.draws.shape[0] == 5
    assert np.isfinite(found.draws[:, scene()[1].missing]).all()


def test_noise_belongs_to_the_place() -> None:
    whole = noise_at([(0, 0)], (80, 100), range(2), 3, seed=5, device="cpu")
    part = noise_at([(13, 40)], (50, 60), range(1, 2), 3, seed=5, device="cpu")
    np.testing.assert_array_equal(part[0, 0], whole[1, 0, :, 13:63, 40:100])
    other = noise_at([(0, 0)], (80, 100), range(2), 3, seed=6, device="cpu")
    assert not np.array_equal(other, whole)


def test_noise_is_normal_and_differs_everywhere() -> None:
    noise = noise_at([(0, 0), (96, 0)], (64, 64), range(4), 8, seed=0, device="cpu").numpy()
    assert abs(noise.mean()) < 0.01
    assert abs(noise.std() - 1) < 0.01
    blocks = noise.reshape(4, 2, 8, 2, 32, 2, 32).transpose(0, 1, 3, 5, 2, 4, 6).reshape(16, -1)
    correlation = np.corrcoef(blocks) - np.eye(16)
    assert np.abs(correlation).max() < 0.05
