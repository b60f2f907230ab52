"""The losses against numbers worked out by hand, and against torch's own distributions."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Normal

from landsat_fill.errors import UsageError
from landsat_fill.networks.network import Prediction
from landsat_fill.training import losses
from landsat_fill.training.losses import fair_crps, patterns
from landsat_fill.training.objective import Objective, normalise_batch
from landsat_fill.training.settings import ObjectiveSettings


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_gaussian_likelihood_is_torchs() -> None:
    mean, std, target = draw(2, 3, 4, 4), draw(2, 3, 4, 4, seed=1).exp(), draw(2, 3, 4, 4, seed=2)
    expected = Normal(mean, std).log_prob(target)
    assert torch.allclose(losses.gaussian_log_likelihood(mean, std, target), expected, atol=1e-6)


def test_the_likelihood_of_a_mixture_is_that_of_whole_tiles() -> None:
    mean, std, target = draw(3, 2, 1, 2, 2), draw(3, 2, 1, 2, 2, seed=1).exp(), draw(2, 1, 2, 2, seed=2)
    weight = torch.ones_like(target)
    weight[0, 0, 0, 0] = 0
    densities = (Normal(mean, std).log_prob(target) * weight).sum((2, 3, 4)).exp()
    expected = -(densities.mean(0).log() / weight.sum((1, 2, 3))).mean()
    found = losses.negative_log_likelihood(mean, std, target, weight)
    assert float(found) == pytest.approx(float(expected), rel=1e-5)


def test_a_mixture_of_equal_samples_is_one_of_them() -> None:
    mean, std, target = draw(2, 1, 3, 3), draw(2, 1, 3, 3, seed=1).exp(), draw(2, 1, 3, 3, seed=2)
    one = losses.negative_log_likelihood(mean, std, target, torch.ones_like(target))
    many = losses.negative_log_likelihood(
        mean.expand(4, -1, -1, -1, -1), std.expand(4, -1, -1, -1, -1), target, torch.ones_like(target)
    )
    assert float(many) == pytest.approx(float(one), rel=1e-5)


def test_bands_weigh_alike_and_those_without_pixels_do_not_count() -> None:
    values = torch.tensor([1.0, 1.0, 1.0, 5.0, 7.0, 7.0]).reshape(1, 3, 1, 2)
    weight = torch.tensor([1.0, 1.0, 0.0, 1.0, 0.0, 0.0]).reshape(1, 3, 1, 2)
    assert float(losses.mean_over_bands(values, weight)) == pytest.approx((1 + 5) / 2)


@pytest.mark.parametrize(("kind", "expected"), [("absolute", 3.0), ("squared", 9.0), ("huber", 2.5)])
def test_distances(kind: str, expected: float) -> None:
    error = losses.pixel_distance(kind, torch.tensor([4.0]), torch.tensor([1.0]))
    assert error.tolist() == [expected]


def test_roughness_counts_only_where_something_is_hidden() -> None:
    image = torch.tensor([[0.0, 1.0, 3.0], [0.0, 1.0, 3.0]])[None, None]
    nothing = torch.zeros_like(image)
    assert float(losses.total_variation(image, nothing)) == 0
    one = nothing.clone()
    one[..., 0, 0] = 1
    assert float(losses.total_variation(image, one)) == pytest.approx(1 / 6)


def test_steps_count_where_one_is_hidden_and_both_are_known() -> None:
    truth = torch.tensor([[0.0, 1.0, 3.0, 9.0]])[None, None]
    composed = torch.tensor([[0.0, 2.0, 3.0, 9.0]])[None, None]
    hidden = torch.tensor([[0.0, 1.0, 0.0, 0.0]])[None, None]
    known = torch.ones_like(truth)
    # The steps 0 to 1 and 1 to 3 are there as 2 and 1; asked for are 2 and 4 where the gain is 2.
    assert float(losses.step_loss(composed, truth, 1.0, known, hidden)) == pytest.approx((1 + 1) / 2)
    assert float(losses.step_loss(composed, truth, 2.0, known, hidden)) == pytest.approx((0 + 9) / 2)
    known[..., 2] = 0
    assert float(losses.step_loss(composed, truth, 2.0, known, hidden)) == 0
    assert float(losses.step_loss(composed, truth, 2.0, known, torch.zeros_like(hidden))) == 0


def test_a_gain_makes_steps_steeper_where_half_of_them_can_be_known() -> None:
    """Of all multiples of a clue, the one with the least error of its steps grows with the gain."""
    clue, truth = draw(1, 1, 64, 64), draw(1, 1, 64, 64) + draw(1, 1, 64, 64, seed=1)
    everywhere = torch.ones_like(truth)

    def best(gain: float) -> float:
        strengths = [0.1 * tenth for tenth in range(21)]
        return min(strengths, key=lambda one: float(losses.step_loss(one * clue, truth, gain, everywhere, everywhere)))

    assert best(1.0) == pytest.approx(1.0, abs=0.11)
    assert best(1.6) == pytest.approx(1.6, abs=0.11)


@pytest.mark.parametrize(("side_px", "window_px"), [(64, 3), (96, 5), (128, 7), (256, 11), (33, 3)])
def test_windows_of_ms_ssim_fit(side_px: int, window_px: int) -> None:
    assert losses.ms_ssim_window_px(side_px) == window_px
    image = draw(1, 1, side_px, side_px)
    assert float(losses.ms_ssim_loss(image, image)) == pytest.approx(0, abs=1e-5)


def test_ms_ssim_refuses_what_is_too_small() -> None:
    with pytest.raises(UsageError, match="32"):
        losses.ms_ssim_window_px(32)


def test_ms_ssim_prefers_structure_and_takes_samples() -> None:
    target = draw(2, 3, 64, 64)
    near, far = target + 0.1 * draw(2, 3, 64, 64, seed=1), torch.zeros_like(target)
    assert losses.ms_ssim_loss(near, target) < losses.ms_ssim_loss(far, target)
    pair = torch.stack([near, far])
    halves = [float(losses.ms_ssim_loss(one, target)) for one in pair]
    assert float(losses.ms_ssim_loss(pair, target)) == pytest.approx(sum(halves) / 2, rel=1e-5)


def test_ms_ssim_of_the_opposite_has_a_finite_slope() -> None:
    target = draw(1, 2, 64, 64)
    opposite = (-target).requires_grad_()
    losses.ms_ssim_loss(opposite, target).backward()
    assert opposite.grad is not None
    assert bool(opposite.grad.isfinite().all())
    assert math.isfinite(float(losses.ms_ssim_loss(-target, target)))


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
