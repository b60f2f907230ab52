"""The score that picks the best weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
import pytest
import torch

from landsat_fill.errors import LandsatFillError
from landsat_fill.networks.network import Prediction
from landsat_fill.training.dataset import open_sources
from landsat_fill.training.objective import Objective
from landsat_fill.training.samples import Sample
from landsat_fill.training.validation import ValidationSet

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from landsat_fill.training.samples import SampleSource
    from landsat_fill.training.settings import TrainingSettings

CPU = torch.device("cpu")


def test_the_classical_fill_itself_scores_one(settings_for: Callable[..., TrainingSettings]) -> None:
    settings = settings_for()
    _, sources = open_sources(settings)
    objective = Objective(settings.objective, 0, torch.float32)

    def echo(signal: Tensor, _observed: Tensor, _noise: Tensor | None) -> Prediction:
        return Prediction(signal)

    score = ValidationSet(sources, 2, filled=True).score(echo, objective, CPU)
    assert score.error == pytest.approx(1, abs=1e-3)
    assert score.by_width == pytest.approx((1, 1, 1), abs=1e-3)
    assert score.std_factor is None


def test_a_deviation_half_as_large_needs_twice_the_factor(settings_for: Callable[..., TrainingSettings]) -> None:
    settings = settings_for()
    _, sources = open_sources(settings)
    objective = Objective(settings.objective, 0, torch.float32)
    chosen = ValidationSet(sources, 2, filled=False)

    def with_std(std: float) -> float:
        score = chosen.score(lambda s, _o, _n: Prediction(0 * s, 0 * s + std), objective, CPU)
        assert score.std_factor is not None
        return score.std_factor

    assert with_std(0.5) == pytest.approx(2 * with_std(1.0), rel=1e-5)


def test_samples_of_a_latent_model_are_scored_as_one_mixture(settings_for: Callable[..., TrainingSettings]) -> None:
    settings = settings_for()
    _, sources = open_sources(settings)
    objective = Objective(settings.objective, 0, torch.float32)
    chosen = ValidationSet(sources, 1, filled=False)

    def two(signal: Tensor, _observed: Tensor, _noise: Tensor | None) -> Prediction:
        mean = torch.stack([signal * 0 + 1, signal * 0 - 1])
        return Prediction(mean, torch.full_like(mean, 1e-3))

    def one(signal: Tensor, _observed: Tensor, _noise: Tensor | None) -> Prediction:
        return Prediction(signal * 0, signal * 0 + 1)

    mixed, plain = chosen.score(two, objective, CPU), chosen.score(one, objective, CPU)
    assert mixed.error == pytest.approx(plain.error)
    assert mixed.std_factor == pytest.approx(plain.std_factor, rel=1e-4)


def test_a_set_is_the_same_each_time(settings_for: Callable[..., TrainingSettings]) -> None:
    settings = settings_for()
    _, sources = open_sources(settings)
    objective = Objective(settings.objective, 0, torch.float32)
    scores = {
        ValidationSet(sources, 2, filled=False).score(lambda s, _o, _n: Prediction(s * 0), objective, CPU).error
        for _ in range(2)
    }
    assert len(scores) == 1


@pytest.mark.parametrize("usable", [False, True], ids=["nothing observed", "all bands flat"])
def test_scenes_without_usable_samples_are_an_error(usable: bool) -> None:
    class Blank:
        def sample(self, _generator: np.random.Generator, _bands: int | None) -> Sample:
            shape = (2, 40, 40)
            seen, hidden = np.full(shape, usable), np.zeros(shape, np.bool_)
            return Sample(np.zeros(shape, np.float32), seen, hidden, np.ones(2, np.float32))

    with pytest.raises(LandsatFillError, match="samples"):
        ValidationSet([cast("SampleSource", Blank())], 2, filled=False)
