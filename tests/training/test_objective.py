"""What a step minimises: normalised as in filling, blind to hidden pixels, each loss lowest at the truth."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from landsat_fill.methods import Context, method_class
from landsat_fill.networks.network import Prediction
from landsat_fill.scene import Gaps
from landsat_fill.training.batches import make_batch
from landsat_fill.training.objective import Objective, normalise_batch
from landsat_fill.training.settings import ObjectiveSettings

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from landsat_fill.training.batches import Batch

KINDS = ("likelihood", "distance", "partial-convolution", "residual")
CPU = torch.Generator()


def objective_of(kind: str, **settings: float) -> Objective:
    return Objective(replace(ObjectiveSettings(kind=kind), **settings), 0, torch.float32)  # type: ignore[arg-type]


def test_hidden_pixels_never_reach_the_signal(batch: Batch) -> None:
    spoilt = batch._replace(values=batch.values.where(~batch.hidden, 1e4), filled=None)
    mine, its = normalise_batch(batch._replace(filled=None)), normalise_batch(spoilt)
    for one, other in zip(mine.normalised, its.normalised, strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(mine.target, its.target)
    assert bool((mine.normalised.signal[~batch.usable] == 0).all())


def test_a_classical_fill_is_the_signal_everywhere(batch: Batch) -> None:
    given = normalise_batch(batch)
    assert torch.allclose(given.normalised.restored(given.normalised.signal), batch.filled, atol=1e-3)  # type: ignore[arg-type]


def test_gain_and_offset_of_a_band_cancel_out(batch: Batch) -> None:
    once = normalise_batch(batch._replace(filled=None))
    scaled = normalise_batch(batch._replace(values=batch.values * 250, filled=None))
    assert torch.allclose(once.normalised.signal, scaled.normalised.signal, atol=1e-4)
    assert torch.allclose(once.target, scaled.target, atol=1e-4)


def test_a_flat_band_does_not_count(batch: Batch) -> None:
    values = batch.values.clone()
    values[:, 0] = 0.0
    given = normalise_batch(batch._replace(values=values, filled=None))
    assert not given.normalised.signal[:, 0].any()
    assert not (given.shown[:, 0].any() or given.hidden[:, 0].any())
    assert bool(given.hidden[:, 1].any())


@pytest.mark.parametrize("name", ["unet", "band-unet"])
def test_training_and_filling_normalise_alike(name: str, tiny_models: Path) -> None:
    """The same tile gives a network the same numbers, with a first fill and without."""
    random = np.random.default_rng(3)
    values = (1000 + 40 * random.standard_normal((2, 3, 48, 56)).cumsum(-1)).astype(np.float32)
    usable = random.random(values.shape) < 0.8
    cls = method_class(name)
    given: list[Tensor] = []

    @dataclass(frozen=True)
    class Listening(cls):  # type: ignore[valid-type, misc]
        def predict(self, network: Any, signal: Tensor, observed: Tensor, context: Context) -> Any:
            given.extend((signal.clone(), observed.clone()))
            return super().predict(network, signal, observed, context)

    image = np.where(usable, values, np.float32(np.nan))
    for tile in range(2):  # each alone, as on a CPU
        one = slice(tile, tile + 1)
        method = Listening(precision="float32")
        method.fill(image[one], Gaps(~usable[one], usable[one]), Context())
    batch = make_batch(values, usable, ~usable, np.ones((2, 3)), filled=name == "band-unet")
    trained = normalise_batch(batch).normalised
    assert torch.equal(trained.signal, torch.cat(given[::2]))
    assert torch.equal(trained.observed, torch.cat(given[1::2]))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ms_ssim", [0.0, 0.5])
def test_each_loss_is_lower_at_the_truth(kind: str, ms_ssim: float, batch: Batch) -> None:
    batch = batch._replace(filled=None)
    target = normalise_batch(batch).target

    def answering(mean: Tensor) -> Prediction:
        return Prediction(mean, torch.ones_like(mean))

    objective = objective_of(kind, ms_ssim=ms_ssim)
    right = objective(lambda *_: answering(target), batch, CPU)
    wrong = objective(lambda *_: answering(target + 0.5 * target.roll(5, -1)), batch, CPU)
    assert float(right.total) < float(wrong.total)
    assert float(sum(right.parts.values())) == pytest.approx(float(right.total), rel=1e-5)
    assert ("ms_ssim" in right.parts) == (ms_ssim > 0)


def test_a_residual_weighs_places_of_any_contrast_alike(batch: Batch) -> None:
    assert batch.filled is not None
    brighter = batch._replace(values=batch.values * 7, filled=batch.filled * 7, scale=batch.scale * 7)
    objective = objective_of("residual", std_weight=0.0)
    errors = [float(objective(lambda signal, *_: Prediction(signal + 0.1), of, CPU).total) for of in (batch, brighter)]
    assert errors[0] == pytest.approx(errors[1], rel=1e-4)


def test_a_gain_of_steps_deepens_a_residual(batch: Batch) -> None:
    """A fill that follows the truth beyond what interpolation knows is asked to go on in that direction."""
    target = normalise_batch(batch).target
    mean = target.clone().requires_grad_()
    for weight, gain, moves in ((0.0, 1.6, False), (1.0, 1.0, False), (1.0, 1.6, True)):
        objective = objective_of("residual", std_weight=0.0, step_weight=weight, step_gain=gain)
        loss = objective(lambda *_: Prediction(mean), batch, CPU)
        assert ("steps" in loss.parts) == (weight > 0)
        (slope,) = torch.autograd.grad(loss.total, mean)
        assert bool((slope.abs() > 1e-4).any()) == moves
        never = ~(batch.usable | batch.hidden)
        assert not slope[never].any()
        assert not slope[batch.usable].any()


def test_the_deviation_of_a_residual_does_not_bend_the_mean(batch: Batch) -> None:
    def slope(std_weight: float) -> Tensor:
        mean = torch.zeros_like(batch.values, requires_grad=True)
        std = torch.ones_like(batch.values)
        objective_of("residual", std_weight=std_weight)(lambda *_: Prediction(mean, std), batch, CPU).total.backward()  # type: ignore[no-untyped-call]
        assert mean.grad is not None
        return mean.grad

    assert torch.equal(slope(0.0), slope(1.0))


def test_pixels_never_observed_have_no_gradient(batch: Batch) -> None:
    never = ~(batch.usable | batch.hidden)
    assert bool(never.any())
    mean = torch.zeros_like(batch.values, requires_grad=True)
    for kind in KINDS:
        loss = objective_of(kind, ms_ssim=1.0)(lambda *_: Prediction(mean, torch.ones_like(mean)), batch, CPU)
        mean.grad = None
        loss.total.backward()  # type: ignore[no-untyped-call]
        assert mean.grad is not None
        assert not mean.grad[never].any(), kind
        assert bool(mean.grad[batch.hidden].any()), kind


def test_noise_is_the_generators(batch: Batch) -> None:
    objective = Objective(ObjectiveSettings(), 4, torch.float32)
    draws = [objective.noise(batch.values, 3, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert draws[0] is not None
    assert draws[0].shape == (3, 2, 4, 48, 48)
    assert torch.equal(draws[0], draws[1])  # type: ignore[arg-type]
    assert not torch.equal(draws[0], draws[2])  # type: ignore[arg-type]


@pytest.mark.parametrize("samples", [1, 8])
def test_the_distance_of_a_latent_model_is_that_of_a_sample_on_average(samples: int, batch: Batch) -> None:
    def plain(signal: Tensor, _observed: Tensor, _noise: Tensor | None) -> Prediction:
        return Prediction(0 * signal)

    def latent(signal: Tensor, _observed: Tensor, _noise: Tensor | None) -> Prediction:
        return Prediction(torch.stack([0 * signal] * samples))

    objective = objective_of("distance")
    expected, found = (objective(network, batch, CPU).total for network in (plain, latent))
    assert expected > 0
    torch.testing.assert_close(found, expected)


def test_at_full_variance_power_the_mean_learns_as_by_squared_errors(batch: Batch) -> None:
    """And at none it learns less, the less sure it is."""
    given = normalise_batch(batch._replace(filled=None))
    generator = torch.Generator().manual_seed(1)
    std = torch.rand(given.target.shape, generator=generator) + 0.1

    def slope(power: float) -> Tensor:
        mean = torch.zeros_like(given.target, requires_grad=True)
        objective = objective_of("likelihood", variance_power=power)
        objective(lambda *_: Prediction(mean, std), batch._replace(filled=None), CPU).total.backward()
        assert mean.grad is not None
        return mean.grad

    hidden = (given.hidden > 0) & (given.target.abs() > 0.1)
    tiles = hidden.flatten(1).any(1)
    assert tiles.any()
    for tile in tiles.nonzero().flatten():
        one = hidden[tile]
        by_error = (slope(1.0)[tile] / -given.target[tile])[one]
        assert torch.allclose(by_error, by_error.mean().expand_as(by_error), rtol=1e-3)
        by_sureness = (slope(0.0)[tile] / -given.target[tile])[one] * std[tile][one].square()
        assert torch.allclose(by_sureness, by_sureness.mean().expand_as(by_sureness), rtol=1e-3)


def test_the_samples_of_a_latent_model_share_their_weights(batch: Batch) -> None:
    """Otherwise, the mixture of whole tiles would favour samples with a large standard deviation."""
    plain = batch._replace(filled=None)
    target = normalise_batch(plain).target
    std = torch.linspace(0.5, 2.0, 3)[:, None, None, None, None].expand(3, *target.shape)
    objective = objective_of("likelihood", variance_power=1.0)
    loss = objective(lambda *_: Prediction(torch.zeros_like(std), std), plain, CPU).total
    unweighted = objective_of("likelihood")(lambda *_: Prediction(torch.zeros_like(std), std), plain, CPU).total
    # All weights are the same here, so that they cancel out but for how sharp the mixture is.
    assert float(loss) == pytest.approx(float(unweighted), rel=0.05)
