"""A run from its settings: opens the samples, builds the network, and trains it in a folder."""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch

from landsat_fill.errors import UsageError
from landsat_fill.networks.catalogue import settings_of
from landsat_fill.networks.normalising import CELL_PX
from landsat_fill.networks.torch_package import prefer_large_pages
from landsat_fill.training.average import WeightAverage
from landsat_fill.training.batches import StepBatches
from landsat_fill.training.beginning import begun
from landsat_fill.training.checkpoints import Parts, Progress, load_checkpoint
from landsat_fill.training.hardware import training_device, training_precision
from landsat_fill.training.journal import Journal
from landsat_fill.training.loop import Loop, Workshop
from landsat_fill.training.losses import ms_ssim_window_px
from landsat_fill.training.objective import Objective
from landsat_fill.training.processes import join_processes
from landsat_fill.training.resuming import continued
from landsat_fill.training.run_file import run_file_text
from landsat_fill.training.settings import USUAL_SIZE_PX, USUAL_STEPS, NetworkSettings
from landsat_fill.training.sources import largest_sample_px, open_sources
from landsat_fill.training.validation import ValidationSet
from landsat_fill.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from landsat_fill.networks.interface import Network
    from landsat_fill.training.listening import Ending, Listener
    from landsat_fill.training.patches import SampleSource
    from landsat_fill.training.processes import Processes
    from landsat_fill.training.run_folder import RunFolder
    from landsat_fill.training.settings import DataSettings, OptimiserSettings, TrainingSettings


class Result(NamedTuple):
    """What came of a sitting.

    Attributes:
        ending: Why it stopped.
        progress: How far the run is.
    """

    ending: Ending
    progress: Progress


def train(
    settings: TrainingSettings,
    folder: RunFolder,
    listener: Listener,
    *,
    resume: bool = False,
    overwrite: bool = False,
) -> Result:
    """Train a network in a folder, and return what came of it.

    Args:
        settings: The run's.
        folder: Where its files go.
        listener: Told how it goes; may end it.
        resume: Whether to go on with the run that is there; else a new one is begun.
        overwrite: Whether to replace a run that is there.

    Raises:
        UsageError: If the settings can't be meant.
        InputError: If the samples or the checkpoint can't be read.
        OutputError: If the folder can't be written, or has a run that isn't to be replaced.
        TakenError: If another process trains there.
    """
    prefer_large_pages()
    if settings.machine.threads:
        torch.set_num_threads(settings.machine.threads)
    processes, device = join_processes(training_device(settings.machine.device))
    try:
        torch.manual_seed(settings.seed)
        network, origin = continued(settings, folder) if resume else begun(settings)
        settings = _completed(settings, network)
        _check(settings, network)
        workshop, summary = _equipped(settings, network, origin, folder, device, processes)
        with folder.claim() if processes.first else nullcontext():
            if resume:
                load_checkpoint(folder.checkpoint, workshop.parts)
            if processes.first:
                text = run_file_text(settings, f"landsat-fill {__version__}, torch {torch.__version__}")
                folder.begin(text, resume=resume, overwrite=overwrite)
                workshop.journal.cut_after(workshop.parts.progress.step)
            listener.noted(summary)
            return Result(Loop(workshop, listener).run(), workshop.parts.progress)
    finally:
        processes.leave()


def _equipped(
    settings: TrainingSettings,
    network: Network,
    origin: Mapping[str, str],
    folder: RunFolder,
    device: str,
    processes: Processes,
) -> tuple[Workshop, str]:
    """Return all that the loop works with, and a line that sums it up; nothing is written yet."""
    samples, held_out = open_sources(settings)
    validation = None
    if processes.first:
        validation = ValidationSet(held_out, settings.validation.samples, filled=network.starts_filled)
    precision = training_precision(settings.machine.precision, device)
    workshop = Workshop(
        settings=settings,
        parts=_parts(network, settings.optimiser, torch.device(device)),
        objective=Objective(settings.objective, network.latent_channels, precision),
        batches=StepBatches(
            samples,
            settings.data,
            settings.seed,
            filled=network.starts_filled,
            slotted=network.slots is not None,
            rank=processes.rank,
            processes=processes.count,
        ),
        validation=validation,
        journal=Journal(folder.log),
        folder=folder,
        device=torch.device(device),
        processes=processes,
        facts={**_facts(settings, samples), **origin},
    )
    summary = (
        f"{settings.network.name}, {_count(network)} parameters, on {device} in "
        f"{str(precision).removeprefix('torch.')}; {samples.patches} patches of {len(samples.scenes)} scenes"
    )
    return workshop, summary


def _completed(settings: TrainingSettings, network: Network) -> TrainingSettings:
    """Return the settings with what was left open: the network itself, a sample's size, and the budget."""
    budget = settings.budget
    if not (budget.steps or budget.minutes):
        budget = replace(budget, steps=USUAL_STEPS)
    data = settings.data
    if not data.size_px:
        multiple_px = _side_multiple_px(network)
        usual_px = int(min(USUAL_SIZE_PX, largest_sample_px(data)))
        data = replace(data, size_px=max(usual_px // multiple_px, 1) * multiple_px)
    own = NetworkSettings(settings.network.name, settings_of(network))
    return replace(settings, network=own, data=data, budget=budget)


def _side_multiple_px(network: Network) -> int:
    """Return what the side of a sample must be a multiple of."""
    return math.lcm(CELL_PX, network.size_multiple_px)


def _check(settings: TrainingSettings, network: Network) -> None:
    """Raise UsageError for settings that don't go together."""
    if not settings.data.paths:
        raise UsageError(
            "expected data to train on, but got none",
            hint="give a folder that `landsat-fill dataset` made, or clean scenes",
        )
    if not settings.data.band_counts:
        raise UsageError("expected data.band_counts to have at least one number, but it is empty")
    multiple_px = _side_multiple_px(network)
    for name, size_px in (
        ("data.size_px", settings.data.size_px),
        ("validation.size_px", settings.validation.size_px),
    ):
        if size_px % multiple_px:
            raise UsageError(
                f"expected {name} to be a multiple of {multiple_px}, but got {size_px}",
                hint=f"{settings.network.name} halves tiles that often",
            )
    if settings.objective.kind == "residual" and not network.starts_filled:
        raise UsageError(
            "expected a network that corrects a fill for the objective residual, "
            f"but {settings.network.name} makes its own",
            hint="set objective.kind to distance or, with a standard deviation, to likelihood",
        )
    if settings.objective.ms_ssim:
        ms_ssim_window_px(settings.data.size_px)


def _parts(network: Network, optimiser: OptimiserSettings, device: torch.device) -> Parts:
    """Return what changes while the run goes on, on the device."""
    # A network of images is faster with channels last: see the convolutions of oneDNN and cuDNN.
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    # Biases and scales aren't drawn to 0: they hold levels, not patterns.
    kernels = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    adam = torch.optim.AdamW(
        [
            {"params": kernels, "weight_decay": optimiser.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ],
        lr=optimiser.learning_rate,
        betas=(optimiser.beta1, optimiser.beta2),
    )
    return Parts(network, WeightAverage(network, optimiser.average), adam, Progress())


def _facts(settings: TrainingSettings, samples: SampleSource) -> dict[str, str]:
    """Return what is written down beside the weights."""
    return {
        "trained_on": f"{len(samples.scenes)} scenes of {_names(settings.data)}",
        "patch_px": str(settings.data.size_px),
        "objective": settings.objective.kind,
        "seed": str(settings.seed),
        "code_version": __version__,
    }


def _names(data: DataSettings) -> str:
    return ", ".join(Path(path).name for path in data.paths)


def _count(network: Network) -> str:
    """Return how many numbers a network learns, for people."""
    return f"{sum(p.numel() for p in network.parameters()) / 1e6:.2f} M"
