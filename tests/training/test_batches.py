"""Batches: a function of the seed and the step, in order, with errors in their own form."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest
import torch

from landsat_fill.errors import InputError
from landsat_fill.training.batches import Batch, StepBatches, batches_from, make_batch
from landsat_fill.training.dataset import open_sources

if TYPE_CHECKING:
    from collections.abc import Callable

    from landsat_fill.training.samples import SampleSource
    from landsat_fill.training.settings import TrainingSettings

CPU = torch.device("cpu")


class Broken:
    most_bands = 3

    def sample(self, _generator: np.random.Generator, _bands: int | None) -> None:
        raise InputError("expected a file, but it is gone", hint="look for it")


def made(settings: TrainingSettings, seed: int = 0, rank: int = 0, processes: int = 1) -> StepBatches:
    source, _ = open_sources(settings)
    return StepBatches(source, settings.data, seed, filled=True, rank=rank, processes=processes)


def same(one: object, other: object) -> bool:
    assert isinstance(one, Batch) and isinstance(other, Batch)
    return one.values.shape == other.values.shape and all(
        torch.equal(a, b)  # type: ignore[arg-type]
        for a, b in zip(one, other, strict=True)
    )


def test_a_batch_depends_on_seed_step_and_process_alone(settings_for: Callable[..., TrainingSettings]) -> None:
    settings = settings_for()
    assert same(made(settings)[4], made(settings)[4])
    assert not same(made(settings)[4], made(settings)[5])
    assert not same(made(settings)[4], made(settings, seed=1)[4])
    assert not same(made(settings, rank=0, processes=2)[4], made(settings, rank=1, processes=2)[4])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more workers than cores
def test_workers_keep_the_order(settings_for: Callable[..., TrainingSettings]) -> None:
    batches = made(settings_for())
    for step, found in enumerate(islice(batches_from(3, batches, workers=2, device=CPU), 5), start=3):
        assert same(found, batches[step])


def test_few_bands_make_many_samples_and_no_more_bands_than_there_are(
    settings_for: Callable[..., TrainingSettings],
) -> None:
    batches = made(settings_for(data={"band_counts": [6, 1], "batch": 2}))
    shapes = {tuple(cast("Batch", batches[step]).values.shape[:2]) for step in range(12)}
    assert shapes == {(2, 3), (6, 1)}  # the scenes have three


def test_hidden_and_usable_are_apart_and_the_fill_keeps_what_is_usable(
    settings_for: Callable[..., TrainingSettings],
) -> None:
    batch = cast("Batch", made(settings_for())[0])
    assert batch.filled is not None
    assert not (batch.hidden & batch.usable).any()
    # But for rounding: the surface is solved in single precision.
    assert torch.allclose(batch.filled[batch.usable], batch.values[batch.usable], atol=1e-3)
    assert not batch.values[~(batch.hidden | batch.usable)].any()


def test_a_band_without_any_usable_pixel_is_filled_with_nothing() -> None:
    values, usable = np.ones((1, 2, 16, 16), np.float32), np.ones((1, 2, 16, 16), np.bool_)
    usable[:, 1] = False
    batch = make_batch(values, usable, ~usable, np.ones((1, 2)), filled=True)
    assert batch.filled is not None
    assert not batch.filled[:, 1].any()
    assert batch.scale.isfinite().all()


def test_errors_come_through_as_they_are(settings_for: Callable[..., TrainingSettings]) -> None:
    broken = StepBatches(cast("SampleSource", Broken()), settings_for().data, 0, filled=False)
    with pytest.raises(InputError) as caught:
        next(batches_from(0, broken, workers=0, device=CPU))
    assert caught.value.message == "expected a file, but it is gone"
    assert caught.value.hint == "look for it"
