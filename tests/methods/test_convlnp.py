"""Bands of simulated fields go together as those that are observed around them do."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from landsat_fill.errors import UsageError
from landsat_fill.methods import Context, convlnp, create_method
from landsat_fill.methods.convlnp import CELL_PX, STEP_PX, STEPS_IN_DOUBT, local_correlations, mixed
from landsat_fill.methods.learned import noise_at
from landsat_fill.networks.network import Prediction
from landsat_fill.pipeline.arrays import fill_array
from landsat_fill.scene import Gaps

pytestmark = pytest.mark.usefixtures("tiny_models")


def scene() -> tuple[np.ndarray, Gaps]:
    generator = np.random.default_rng(0)
    image = (100 + np.cumsum(generator.normal(0, 4, (2, 40, 48)), axis=1)).astype(np.float32)
    missing = np.zeros(image.shape, bool)
    missing[:, 12:22] = True
    return image, Gaps(missing, ~missing)


def filled(seed: int = 0, realizations: int = 0, **options: object):
    image, gaps = scene()
    method = create_method("convlnp", {"precision": "float32", **options})
    return fill_array(image, gaps, method, context=Context(realizations=realizations, seed=seed))


def test_the_variant_decides_the_weights_and_the_samples() -> None:
    small, large = create_method("convlnp"), create_method("convlnp", {"variant": 128})
    assert (small.shipped_name, large.shipped_name) == ("convlnp-64", "convlnp-128")
    np.testing.assert_array_equal(filled().mean, filled(samples=32).mean)
    np.testing.assert_array_equal(filled(variant=128).mean, filled(variant=128, samples=8).mean)
    assert not np.array_equal(filled().mean, filled(samples=8).mean)


@pytest.mark.parametrize(
    ("name", "value", "said"), [("variant", 96, "one of 64, 128"), ("samples", 0, "a whole number of at least 1")]
)
def test_options_out_of_range_are_refused(name, value, said) -> None:
    with pytest.raises(UsageError, match=f"expected --{name} to be {said}, but got {value}"):
        create_method("convlnp", {name: value})


def test_a_seed_decides_the_draws_and_the_same_seed_the_same() -> None:
    first, same, other = filled(1, 2, samples=4), filled(1, 2, samples=4), filled(2, 2, samples=4)
    np.testing.assert_array_equal(first.realizations, same.realizations)
    np.testing.assert_array_equal(first.mean, same.mean)
    assert not np.array_equal(first.realizations, other.realizations, equal_nan=True)


class Echo:
    """A network that returns its noise as the mean, so that samples show the noise they were drawn with."""

    latent_channels = 2

    def __init__(self, std: float = 0.5) -> None:
        self.std, self.asked = std, 0

    def __call__(self, _signal: torch.Tensor, _observed: torch.Tensor, noise: torch.Tensor) -> Prediction:
        self.asked += len(noise)
        return Prediction(noise + 3, torch.full_like(noise, self.std))


def predicted(network: Echo, samples: int, realizations: int = 0):
    signal = torch.zeros(1, 2, 24, 24)
    return create_method("convlnp", {"samples": samples}).predict(
        network, signal, signal, Context(realizations=realizations, seed=3)
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
    found = predicted(network, 16, realizations=4)
    assert network.asked == 16  # of each pair the first is one band of one draw
    between = np.corrcoef(found.realizations.flatten(0, 2).flatten(1).numpy()) - np.eye(8)
    assert np.abs(between).max() < 0.15
    more = Echo()
    predicted(more, 2, realizations=4)
    assert more.asked == 9


def test_a_draw_is_the_same_however_many_there_are() -> None:
    np.testing.assert_array_equal(
        predicted(Echo(), 8, realizations=3).realizations[:2], predicted(Echo(), 8, realizations=2).realizations
    )


def test_bands_of_a_draw_go_together_as_those_of_the_scene() -> None:
    generator = torch.Generator().manual_seed(0)
    signal = torch.randn(1, 2, 24, 24, generator=generator)
    signal[:, 1] = 0.1 * signal[:, 1] - signal[:, 0]
    found = create_method("convlnp", {"samples": 64}).predict(
        Echo(), signal, torch.ones_like(signal), Context(realizations=4, seed=3)
    )
    added = (found.realizations - found.mean).transpose(0, 2).flatten(1)
    assert float(np.corrcoef(added)[0, 1]) < -0.85
    assert float(added.std()) == pytest.approx(1, abs=0.1)


def test_samples_worked_on_in_parts_give_the_same(monkeypatch) -> None:
    expected = filled(0, 3, samples=5)
    monkeypatch.setattr(convlnp, "CPU_VALUES", 1)
    found = filled(0, 3, samples=5)
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-5)
    np.testing.assert_allclose(found.realizations, expected.realizations, rtol=1e-5)
    np.testing.assert_allclose(found.std[scene()[1].missing], expected.std[scene()[1].missing], rtol=1e-2)


def test_more_draws_than_samples_leave_the_mean_alone() -> None:
    found = filled(0, 5, samples=2)
    np.testing.assert_allclose(found.mean, filled(samples=2).mean, rtol=1e-6)
    assert found.realizations.shape[0] == 5
    assert np.isfinite(found.realizations[:, scene()[1].missing]).all()


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


CORRELATIONS = torch.tensor([[1, 0.9, -0.3], [0.9, 1, 0.1], [-0.3, 0.1, 1]], dtype=torch.float64)


@pytest.fixture
def fields() -> torch.Tensor:
    """Two tiles of three independent smooth fields, of 6 by 4 cells and a rest."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(2, 3, 6 * CELL_PX + 20, 4 * CELL_PX + 9, generator=generator)
    return 5 * torch.nn.functional.avg_pool2d(noise, 5, 1)


def everywhere(correlations: torch.Tensor, rows: int = 7, cols: int = 5) -> torch.Tensor:
    return correlations[None, :, :, None, None].expand(2, -1, -1, rows, cols)


def test_bands_that_are_mixed_have_the_correlations(fields) -> None:
    result = mixed(fields[None], everywhere(CORRELATIONS))[0]
    found = local_correlations(result, torch.ones_like(result))
    assert found.shape == (2, 3, 3, 7, 5)
    np.testing.assert_allclose(found.mean((0, 3, 4)), CORRELATIONS, atol=0.05)
    np.testing.assert_allclose(result.std((0, 2, 3)), fields.std((0, 2, 3)), rtol=0.1)


def test_each_part_has_its_own(fields) -> None:
    correlations = everywhere(CORRELATIONS).clone()
    correlations[..., 4:, :] = torch.eye(3)[:, :, None, None]
    result = mixed(fields[None], correlations)[0]
    found = local_correlations(result, torch.ones_like(result))
    np.testing.assert_allclose(found[:, 0, 1, :2].mean(), 0.9, atol=0.05)
    np.testing.assert_allclose(found[:, 0, 1, 5:].mean(), 0, atol=0.1)
    # And between two parts there is no edge.
    steps = result.diff(dim=2).abs().mean((0, 1, 3))
    assert steps[3 * CELL_PX : 5 * CELL_PX].max() < 1.3 * steps.mean()


def test_what_is_not_observed_changes_nothing(fields) -> None:
    observed = torch.ones_like(fields)
    observed[:, :, 40:60] = 0
    observed[:, 1, 60:62] = 0  # ragged, as gaps are
    hidden = fields.masked_fill(observed == 0, torch.nan)
    before = local_correlations(fields, observed)
    np.testing.assert_array_equal(local_correlations(hidden, observed), before)
    np.testing.assert_allclose(before, local_correlations(fields, torch.ones_like(fields)), atol=0.15)


def test_where_nothing_is_observed_around_the_whole_tile_counts(fields) -> None:
    result = mixed(fields[None], everywhere(CORRELATIONS))[0]
    observed = torch.ones_like(result)
    observed[:, :, : 3 * CELL_PX] = 0
    found = local_correlations(result, observed)
    np.testing.assert_allclose(found[..., 0, :].mean((0, 3)), CORRELATIONS, atol=0.07)


def test_bands_that_were_never_observed_together_are_taken_for_independent(fields) -> None:
    alike = fields[:, :1].expand(-1, 3, -1, -1)
    observed = torch.ones_like(alike)
    observed[:, 2] = 0
    found = local_correlations(alike, observed)
    assert (found[:, 0, 1] > 0.99).all()
    assert not found[:, 2, :2].any()
    np.testing.assert_array_equal(found.diagonal(dim1=1, dim2=2), 1)
    assert mixed(alike[None], found).isfinite().all()


def test_few_steps_are_not_trusted(fields) -> None:
    alike = fields[:, :1, :4, :4].expand(-1, 3, -1, -1)
    found = local_correlations(alike, torch.ones_like(alike))
    count = 2 * 4 * (4 - STEP_PX)
    trust = count / (count + STEPS_IN_DOUBT)
    np.testing.assert_allclose(found[:, 0, 1], trust + (1 - trust) * trust)


def test_correlations_that_contradict_each_other_keep_every_variance(fields) -> None:
    impossible = torch.tensor([[1, 0.95, -0.95], [0.95, 1, 0.95], [-0.95, 0.95, 1]], dtype=torch.float64)
    result = mixed(fields[None], everywhere(impossible))[0]
    np.testing.assert_allclose(result.std((0, 2, 3)), fields.std((0, 2, 3)), rtol=0.1)


@pytest.mark.parametrize("shape", [(1, 8, 8), (2, 8, 8), (2, 1, 40)])
def test_flat_bands_are_left_alone(shape: tuple[int, int, int]) -> None:
    flat = torch.ones(1, *shape)
    noise = torch.randn(3, 1, *shape)
    np.testing.assert_allclose(mixed(noise, local_correlations(flat, flat)), noise, rtol=1e-6)
