"""Makes the batches of a run in advance. Each batch depends only on the seed and the step.

A resumed run is therefore exact with any number of workers, and only needs the step.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from landsat_fill.errors import LandsatFillError
from landsat_fill.methods.splines import first_fill
from landsat_fill.networks.normalisation import standardise

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from landsat_fill.training.samples import SampleSource
    from landsat_fill.training.settings import DataSettings


_AHEAD = 4
"""Batches that each worker prepares in advance, a few MB each."""


class Batch(NamedTuple):
    """Samples of one size and band count, `(tile, band, row, col)` except for `scale`.

    Attributes:
        values: Observed values, standardised by the usable pixels; 0 where not observed.
        usable: Pixels that the network sees.
        hidden: Observed pixels that are hidden from the network.
        scale: `(tile, band)`: the expected error of a simple interpolation, in the unit of the values.
        filled: The values with all pixels except the usable ones filled by `first_fill`, or None.
    """

    values: Tensor
    usable: Tensor
    hidden: Tensor
    scale: Tensor
    filled: Tensor | None

    def on(self, device: torch.device) -> Batch:
        """Return the batch on a device."""
        return Batch(*(None if t is None else t.to(device, non_blocking=True) for t in self))  # type: ignore[arg-type]


def make_batch(
    values: NDArray[np.floating],
    usable: NDArray[np.bool_],
    hidden: NDArray[np.bool_],
    scale: NDArray[np.floating],
    *,
    filled: bool,
) -> Batch:
    """Return tiles as a batch, standardised and interpolated in the same way as in a fill.

    Args:
        values: As in `Batch`, but in any unit.
        usable: As in `Batch`.
        hidden: As in `Batch`.
        scale: As in `Batch`, in the unit of the values.
        filled: Whether to interpolate the tiles with `first_fill`.
    """
    standardised = standardise(values.astype(np.float32, copy=False), usable, known=usable | hidden)
    shown = np.where(usable, standardised.values, np.float32(0))
    return Batch(
        torch.from_numpy(standardised.values),
        torch.from_numpy(np.ascontiguousarray(usable)),
        torch.from_numpy(np.ascontiguousarray(hidden)),
        torch.from_numpy((scale / standardised.scale).astype(np.float32)),
        torch.from_numpy(first_fill(shown, usable)) if filled else None,
    )


class StepBatches(Dataset["Batch | LandsatFillError"]):
    """The batch of each step, or its error, because an error raised in a worker process loses its type.

    Args:
        source: Source of the samples.
        data: Size of the batches, and their band counts.
        seed: Seed of the run.
        filled: Whether the network starts from an interpolation.
        slotted: Whether the network has a fixed number of slots. If so, all batches have the same number of
            samples; otherwise, batches of fewer bands have more samples.
        rank: Number of this process.
        processes: Number of processes that train together; each step uses one batch from each.
    """

    def __init__(
        self,
        source: SampleSource,
        data: DataSettings,
        seed: int,
        *,
        filled: bool,
        slotted: bool = False,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        self._source, self._seed, self._filled = source, seed, filled
        self._rank, self._processes = rank, processes
        self._band_counts = [min(count, source.most_bands) for count in data.band_counts]
        most = max(self._band_counts)
        self._samples = {n: data.batch if slotted else data.batch * most // n for n in self._band_counts}

    def __getitem__(self, step: int) -> Batch | LandsatFillError:
        """Return the batch of a step, or its error."""
        # All processes use the same band count in a step, so that none waits for a slower one.
        bands = int(np.random.default_rng((self._seed, step)).choice(self._band_counts))
        generator = np.random.default_rng((self._seed, step, self._rank, self._processes))
        try:
            samples = [self._source.sample(generator, bands) for _ in range(self._samples[bands])]
        except LandsatFillError as error:
            return error
        values, usable, hidden, scale = map(np.stack, zip(*samples, strict=True))
        return make_batch(values, usable, hidden, scale, filled=self._filled)


def batches_from(step: int, batches: StepBatches, *, workers: int, device: torch.device) -> Iterator[Batch]:
    """Yield the batches of a step and all later steps, without end.

    Args:
        step: The first step.
        batches: The batch of each step.
        workers: Number of processes that prepare batches; 0 to make each batch when it is needed.
        device: The device of the network.

    Raises:
        LandsatFillError: If samples can't be read.
    """
    loader = DataLoader(
        batches,
        batch_size=None,
        sampler=itertools.count(step),
        num_workers=workers,
        prefetch_factor=_AHEAD if workers else None,
        worker_init_fn=_start_worker if workers else None,
        # A worker forked from a process with torch threads would hang.
        multiprocessing_context="spawn" if workers else None,
        pin_memory=device.type == "cuda",
    )
    for made in loader:
        if isinstance(made, LandsatFillError):
            raise made
        yield made


def _start_worker(_worker: int) -> None:
    """Limit the worker to one thread, and ignore signals, which the training process handles."""
    import signal

    import cv2

    cv2.setNumThreads(1)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
