"""Makes the batches of a run, ahead of their use, so that each is a function of the seed and the step alone.

That makes resuming exact with any number of workers: nothing but the step need be remembered.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from landsat_fill.errors import LandsatFillError
from landsat_fill.methods.splines import first_fill
from landsat_fill.networks.normalisation import standardise

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from landsat_fill.training.samples import Sample, SampleSource
    from landsat_fill.training.settings import DataSettings


_AHEAD = 4
"""Batches that each worker keeps ready: enough to bridge a validation's start, a few MB each."""


class Batch(NamedTuple):
    """Samples of one size and band count, stacked: `(tile, band, row, col)` each but for `scale`.

    Attributes:
        values: What was observed, standardised by the usable pixels; 0 where nothing was.
        usable: What the network may see.
        hidden: What was observed, and is hidden from the network.
        scale: `(tile, band)`: the error that a plain interpolation makes there, in the unit of the values.
        filled: The values with all but the usable pixels filled by `first_fill`, or None where nobody asked.
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
    """Return tiles as a batch, standardised and first filled as they are when a scene is filled.

    Args:
        values: `(tile, band, row, col)`, in any unit.
        usable: What the network may see.
        hidden: What is known and hidden from it.
        scale: `(tile, band)`: the error that a plain interpolation makes, in the unit of the values.
        filled: Whether to fill them first.
    """
    standardised = standardise(values.astype(np.float32, copy=False), usable, known=usable | hidden)
    shown = np.where(usable, standardised.values, np.float32(0))
    surface = torch.from_numpy(first_fill(shown, usable)) if filled else None
    return Batch(
        torch.from_numpy(standardised.values),
        torch.from_numpy(np.ascontiguousarray(usable)),
        torch.from_numpy(np.ascontiguousarray(hidden)),
        torch.from_numpy((scale / standardised.scale).astype(np.float32)),
        surface,
    )


def stack(samples: Sequence[Sample], *, filled: bool) -> Batch:
    """Return samples, all of one shape, as a batch; see `make_batch`."""
    of = zip(*((one.values, one.usable, one.hidden, one.scale) for one in samples), strict=True)
    values, usable, hidden, scale = (np.stack(each) for each in of)
    return make_batch(values, usable, hidden, scale, filled=filled)


class StepBatches(Dataset["Batch | LandsatFillError"]):
    """The batch of each step, or the error that came of it: raised in a worker it would lose its form.

    Args:
        source: Where samples come from.
        data: Size of the batches and their band counts.
        seed: The run's.
        filled: Whether the network wants a classical fill.
        slotted: Whether a tile costs the network the same whatever its bands: then all batches have as many
            samples. Else samples of fewer bands come in larger batches.
        rank: Number of this process among those that train together.
        processes: How many those are; each step takes a batch of every one.
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
        """Return the batch of a step, or what went wrong."""
        # The processes of a step share its band count, or the quicker would wait for the slower.
        bands = int(np.random.default_rng((self._seed, step)).choice(self._band_counts))
        generator = np.random.default_rng((self._seed, step, self._rank, self._processes))
        try:
            drawn = [self._source.sample(generator, bands) for _ in range(self._samples[bands])]
        except LandsatFillError as error:
            return error
        return stack(drawn, filled=self._filled)


def batches_from(step: int, batches: StepBatches, *, workers: int, device: torch.device) -> Iterator[Batch]:
    """Yield the batches of a step and all later ones, in order and without end.

    Args:
        step: The first.
        batches: The batch of each step.
        workers: Processes that make them ahead; 0 makes each when it is asked for.
        device: Where they will go.

    Raises:
        LandsatFillError: If samples can't be read.
    """
    loader = DataLoader(
        batches,
        batch_size=None,
        sampler=_StepsFrom(step),
        num_workers=workers,
        prefetch_factor=_AHEAD if workers else None,
        worker_init_fn=_start_worker if workers else None,
        # Forked from a process whose torch has had threads, a worker would wait for them for ever.
        multiprocessing_context="spawn" if workers else None,
        pin_memory=device.type == "cuda",
    )
    for made in loader:
        if isinstance(made, LandsatFillError):
            raise made
        yield made


class _StepsFrom(Sampler[int]):
    def __init__(self, start: int) -> None:
        self._start = start

    def __iter__(self) -> Iterator[int]:
        return itertools.count(self._start)


def _start_worker(_worker: int) -> None:
    """Keep to one thread, and leave Ctrl-C and a scheduler's end to the process that trains."""
    import signal

    import cv2

    cv2.setNumThreads(1)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
