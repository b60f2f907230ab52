"""What a step minimises: each term against numbers worked out by hand or torch's own, and the whole."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch.distributions import Normal

from landsat_fill.errors import UsageError
from landsat_fill.methods import Context, method_class
from landsat_fill.networks.network import Prediction
from landsat_fill.scene import Gaps
from landsat_fill.training.batches import make_batch
from landsat_fill.training.objective import (
    Objective,
    fair_crps,
    gaussian_log_likelihood,
    mean_over_bands,
    ms_ssim_loss,
    ms_ssim_window_px,
    negative_log_likelihood,
    normalise_batch,
    patterns,
    pixel_distance,
    step_loss,
    total_variation,
)
from landsat_fill.training.settings import ObjectiveSettings

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from landsat_fill.training.batches import Batch


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_gaussian_likelihood_is_torchs() -> None:
    mean, std, target = draw(2, 3, 4, 4), draw(2, 3, 4, 4, seed=1).exp(), draw(2, 3, 4, 4, seed=2)
    expected = Normal(mean, std).log_prob(target)
    assert torch.allclose(gaussian_log_likelihood(mean, std, target), expected, atol=1e-6)


def test_the_likelihood_of_a_mixture_is_that_of_whole_tiles() -> None:
    mean, std, target = draw(3, 2, 1, 2, 2), draw(3, 2, 1, 2, 2, seed=1).exp(), draw(2, 1, 2, 2, seed=2)
    weight = torch.ones_like(target)
    weight[0, 0, 0, 0] = 0
    densities = (Normal(mean, std).log_prob(target) * weight).sum((2, 3, 4)).exp()
    expected = -(densities.mean(0).log() / weight.sum((1, 2, 3))).mean()
    found = negative_log_likelihood(mean, std, target, weight)
    assert float(found) == pytest.approx(float(expected), rel=1e-5)


def test_a_mixture_of_equal_samples_is_one_of_them() -> None:
    mean, std, target = draw(2, 1, 3, 3), draw(2, 1, 3, 3, seed=1).exp(), draw(2, 1, 3, 3, seed=2)
    one = negative_log_likelihood(mean, std, target, torch.ones_like(target))
    many = negative_log_likelihood(
        mean.expand(4, -1, -1, -1, -1), std.expand(4, -1, -1, -1, -1), target, torch.ones_like(target)
    )
    assert float(many) == pytest.approx(float(one), rel=1e-5)


def test_bands_weigh_alike_and_those_without_pixels_do_not_count() -> None:
    values = torch.tensor([1.0, 1.0, 1.0, 5.0, 7.0, 7.0]).reshape(1, 3, 1, 2)
    weight = torch.tensor([1.0, 1.0, 0.0, 1.0, 0.0, 0.0]).reshape(1, 3, 1, 2)
    assert float(mean_over_bands(values, weight)) == pytest.approx((1 + 5) / 2)


@pytest.mark.parametrize(("kind", "expected"), [("absolute", 3.0), ("squared", 9.0), ("huber", 2.5)])
def test_distances(kind: str, expected: float) -> None:
    error = pixel_distance(kind, torch.tensor([4.0]), torch.tensor([1.0]))
    assert error.tolist() == [expected]


def test_roughness_counts_only_where_something_is_hidden() -> None:
    image = torch.tensor([[0.0, 1.0, 3.0], [0.0, 1.0, 3.0]])[None, None]
    nothing = torch.zeros_like(image)
    assert float(total_variation(image, nothing)) == 0
    one = nothing.clone()
    one[..., 0, 0] = 1
    assert float(total_variation(image, one)) == pytest.approx(1 / 6)


def test_steps_count_where_one_is_hidden_and_both_are_known() -> None:
    truth = torch.tensor([[0.0, 1.0, 3.0, 9.0]])[None, None]
    composed = torch.tensor([[0.0, 2.0, 3.0, 9.0]])[None, None]
    hidden = torch.tensor([[0.0, 1.0, 0.0, 0.0]])[None, None]
    known = torch.ones_like(truth)
    # The steps 0 to 1 and 1 to 3 are there as 2 and 1; asked for are 2 and 4 where the gain is 2.
    assert float(step_loss(composed, truth, 1.0, known, hidden)) == pytest.approx((1 + 1) / 2)
    assert float(step_loss(composed, truth, 2.0, known, hidden)) == pytest.approx((0 + 9) / 2)
    known[..., 2] = 0
    assert float(step_loss(composed, truth, 2.0, known, hidden)) == 0
    assert float(step_loss(composed, truth, 2.0, known, torch.zeros_like(hidden))) == 0


def test_a_gain_makes_steps_steeper_where_half_of_them_can_be_known() -> None:
    """Of all multiples of a clue, the one with the least error of its steps grows with the gain."""
    clue, truth = draw(1, 1, 64, 64), draw(1, 1, 64, 64) + draw(1, 1, 64, 64, seed=1)
    everywhere = torch.ones_like(truth)

    def best(gain: float) -> float:
        strengths = [0.1 * tenth for tenth in range(21)]
        return min(strengths, key=lambda one: float(step_loss(one * clue, truth, gain, everywhere, everywhere)))

    assert best(1.0) == pytest.approx(1.0, abs=0.11)
    assert best(1.6) == pytest.approx(1.6, abs=0.11)


@pytest.mark.parametrize(("side_px", "window_px"), [(64, 3), (96, 5), (128, 7), (256, 11), (33, 3)])
def test_windows_of_ms_ssim_fit(side_px: int, window_px: int) -> None:
    assert ms_ssim_window_px(side_px) == window_px
    image = draw(1, 1, side_px, side_px)
    assert float(ms_ssim_loss(image, image)) == pytest.approx(0, abs=1e-5)


def test_ms_ssim_refuses_what_is_too_small() -> None:
    with pytest.raises(UsageError, match="32"):
        ms_ssim_window_px(32)


def test_ms_ssim_prefers_structure_and_takes_samples() -> None:
    target = draw(2, 3, 64, 64)
    near, far = target + 0.1 * draw(2, 3, 64, 64, seed=1), torch.zeros_like(target)
    assert ms_ssim_loss(near, target) < ms_ssim_loss(far, target)
    pair = torch.stack([near, far])
    halves = [float(ms_ssim_loss(one, target)) for one in pair]
    assert float(ms_ssim_loss(pair, target)) == pytest.approx(sum(halves) / 2, rel=1e-5)


def test_ms_ssim_of_the_opposite_has_a_finite_slope() -> None:
    target = draw(1, 2, 64, 64)
    opposite = (-target).requires_grad_()
    ms_ssim_loss(opposite, target).backward()
    assert opposite.grad is not None
    assert bool(opposite.grad.isfinite().all())
    assert math.isfinite(float(ms_ssim_loss(-target, target)))


def test_what_counts_is_known_and_has_a_hidden_pixel_in_it() -> None:
    hidden = torch.zeros(1, 2, 16, 16)
    hidden[:, 0, 6:8] = 1
    known = torch.ones_like(hidden)
    known[:, 1, :, 12:] = 0
    image = torch.arange(512.0).reshape(hidden.shape)
    found = {one.name: one for one in patterns(image, hidden, known)}
    assert list(found) == ["pixels", "rows", "cols", "squares"]
    assert torch.equal(found["pixels"].counted, hidden)
    assert found["rows"].counted[0, 0, :, 0].nonzero().flatten().tolist() == [5, 6, 7]
    assert found["cols"].counted[0, 0, 6].all()
    assert found["squares"].counted[0, 0, :, 0].nonzero().flatten().tolist() == [2, 3]
    assert not found["rows"].counted[0, 1].any()
    assert float(found["squares"].values[0, 0, 0, 0]) == image[0, 0, :4, :4].mean()
    assert all(one.values.shape == one.counted.shape for one in found.values())


def test_samples_keep_their_axis() -> None:
    samples, pixels = torch.rand(3, 2, 1, 16, 16), torch.ones(2, 1, 16, 16)
    for one in patterns(samples, pixels, pixels):
        assert one.values.shape[1:] == one.counted.shape
        assert len(one.values) == 3


def test_the_score_of_many_samples_is_the_same_from_few() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = torch.randn(200_000, generator=generator)
    samples = torch.randn(8, 200_000, generator=generator)
    two, eight = fair_crps(samples[:2], truth).mean(), fair_crps(samples, truth).mean()
    assert float(two) == pytest.approx(float(eight), abs=0.01)
    # Of a standard normal truth, known to be one.
    assert float(eight) == pytest.approx(1 / math.sqrt(math.pi), abs=0.01)


@pytest.mark.parametrize("spread", [0.2, 0.6, 1.7])
def test_samples_that_differ_as_the_truth_does_score_best(spread: float) -> None:
    generator = torch.Generator().manual_seed(0)
    truth = torch.randn(100_000, generator=generator)
    right = torch.randn(4, 100_000, generator=generator)
    assert fair_crps(right, truth).mean() < fair_crps(spread * right, truth).mean() - 0.005


def test_noisy_draws_score_worse_than_coherent_draws(batch) -> None:
    """The pixels alone don't tell them apart."""
    plain = batch._replace(filled=None)
    target = normalise_batch(plain).target
    objective = Objective(ObjectiveSettings(kind="draws", std_weight=0.0), 0, torch.float32)
    generator = torch.Generator().manual_seed(0)

    def score(noise: torch.Tensor) -> dict[str, float]:
        def network(*_: object) -> Prediction:
            return Prediction(target + noise.expand(4, *target.shape))

        parts = objective(network, plain, torch.Generator()).parts
        return {name: float(part) for name, part in parts.items()}

    one = torch.randn(4, len(target), 1, 1, 1, generator=generator)
    sprinkled = score(torch.randn(4, *target.shape, generator=generator))
    together = score(one)
    assert together["pixels"] == pytest.approx(sprinkled["pixels"], abs=0.25)
    for name in ("rows", "cols"):
        assert together[name] < sprinkled[name] - 0.2


def test_the_standard_deviation_learns_the_remaining_error_without_a_gradient_for_the_samples(batch) -> None:
    plain = batch._replace(filled=None)
    target = normalise_batch(plain).target
    mean = (target + torch.randn(4, *target.shape)).requires_grad_()
    std = torch.full_like(mean, 0.5, requires_grad=True)
    objective = Objective(ObjectiveSettings(kind="draws", std_weight=1.0), 0, torch.float32)
    loss = objective(lambda *_: Prediction(mean, std), plain, torch.Generator())
    (by_mean,) = torch.autograd.grad(loss.parts["surprise"], mean, retain_graph=True, allow_unused=True)
    (by_std,) = torch.autograd.grad(loss.total, std)
    assert by_mean is None
    assert bool(by_std.any())


@pytest.mark.parametrize(("axes", "said"), [(1, "got one"), (0, "a network without samples")])
def test_one_sample_is_refused(batch, axes: int, said: str) -> None:
    plain = batch._replace(filled=None)
    shape = (*[1] * axes, *batch.values.shape)
    objective = Objective(ObjectiveSettings(kind="draws"), 0, torch.float32)
    with pytest.raises(UsageError, match=said):
        objective(lambda *_: Prediction(torch.zeros(shape), torch.ones(shape)), plain, torch.Generator())


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
