"""What is scored of samples beside their pixels, and which of it counts."""

from __future__ import annotations

import math

import pytest
import torch

from landsat_fill.errors import UsageError
from landsat_fill.networks.network import Prediction
from landsat_fill.training.losses import fair_crps, patterns
from landsat_fill.training.objective import Objective, given_of
from landsat_fill.training.settings import ObjectiveSettings


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


def test_draws_that_are_noise_score_worse_than_draws_that_hang_together(batch) -> None:
    """The pixels alone don't tell them apart."""
    plain = batch._replace(filled=None)
    target = given_of(plain).target
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


def test_what_the_samples_leave_is_in_the_deviation_and_bends_no_sample(batch) -> None:
    plain = batch._replace(filled=None)
    target = given_of(plain).target
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
