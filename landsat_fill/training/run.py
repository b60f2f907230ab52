"""A training run: opens the samples, builds the network, and trains it in a folder."""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from landsat_fill.errors import UsageError
from landsat_fill.methods.inference import bfloat16_is_fast
from landsat_fill.networks.catalogue import build_network, prefer_large_pages, settings_of
from landsat_fill.networks.normalisation import CELL_PX
from landsat_fill.networks.weights import WeightsFile, load_network, read_weights_file
from landsat_fill.training import USUAL_STEPS
from landsat_fill.training.batches import StepBatches
from landsat_fill.training.checkpoints import Parts, Progress, WeightAverage, load_checkpoint
from landsat_fill.training.dataset import largest_sample_px, open_sources
from landsat_fill.training.loop import Loop, Workshop, join_processes
from landsat_fill.training.losses import ms_ssim_window_px
from landsat_fill.training.objective import Objective
from landsat_fill.training.run_folder import Journal
from landsat_fill.training.settings import (
    USUAL_SIZE_PX,
    NetworkSettings,
    TrainingSettings,
    changed,
    read_run_file,
    run_file_text,
)
from landsat_fill.training.validation import ValidationSet
from landsat_fill.version import __version__

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from landsat_fill.networks.network import Network
    from landsat_fill.training.loop import Processes
    from landsat_fill.training.progress import Ending, Listener
    from landsat_fill.training.run_folder import RunFolder
    from landsat_fill.training.samples import SampleSource
    from landsat_fill.training.settings import BudgetSettings, DataSettings, OptimiserSettings


AUTO = "auto"


def training_device(asked: str) -> str:
    """Return the requested device; `auto` is a GPU if there is one.

    Raises:
        UsageError: If there is no such device.
    """
    if asked == AUTO:
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = asked.partition(":")
    if asked == "cpu":
        return asked
    if kind != "cuda" or (number and not number.isdigit()):
        raise UsageError(f"expected the device auto, cpu, cuda or cuda:N, but got {asked!r}")
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(number or 0) >= gpus:
        raise UsageError(
            f"expected a GPU as {asked}, but torch {torch.__version__} sees {gpus or 'none'}",
            hint="Train with --device cpu, or install a torch built for this machine's GPU.",
        )
    return asked


def training_precision(asked: str, device: str) -> torch.dtype:
    """Return the number format of the layers; `auto` is bfloat16 on devices that it speeds up."""
    if asked == AUTO:
        return torch.bfloat16 if bfloat16_is_fast(device) else torch.float32
    return torch.float32 if asked == "float32" else torch.bfloat16


BEGAN_FROM = "began_from"
"""Metadata key for the initial weights of a run."""


def begun(settings: TrainingSettings) -> tuple[Network, Mapping[str, str]]:
    """Return the network at the start of a run, and the metadata of its origin.

    Compared to the initial weights, the settings in `Network.growing` may be larger and those in
    `Network.shrinking` smaller.

    Raises:
        UsageError: If the network doesn't exist, or the initial weights don't suit it.
        InputError: If the initial weights can't be read.
    """
    asked = settings.network
    if not settings.weights:
        return build_network(asked.name, asked.options), {}
    file = read_weights_file(Path(settings.weights))
    _require_kind(file, asked)
    network = build_network(asked.name, {**file.settings, **asked.options})
    _require_fit(file, asked, network)
    known = load_network(file.path, expected_sha256=file.sha256).network
    # Only added blocks, which have no effect yet, can be absent from the file.
    lacking, left_out = network.load_state_dict(known.state_dict(), strict=False)
    origin = _origin(file)
    if lacking:
        origin += f", with {_layers(lacking)} layers added"
    if left_out:
        origin += f", with {_layers(left_out)} layers left out"
    return network, {BEGAN_FROM: origin}


def _require_kind(file: WeightsFile, asked: NetworkSettings) -> None:
    """Raise UsageError unless the weights belong to the requested network."""
    if file.network != asked.name:
        raise UsageError(
            f"expected weights of the network {asked.name} to begin from, but {file.path} holds {file.network}",
            hint=f"Train {file.network}, or give other --weights.",
        )


def _require_fit(file: WeightsFile, asked: NetworkSettings, network: Network) -> None:
    """Raise UsageError unless the requested settings are those of the weights, or grow or shrink them."""
    for name, value in asked.options.items():
        own = file.settings.get(name, value)
        raised = name in network.growing and value > own  # type: ignore[operator]  # numbers or switches
        lowered = name in network.shrinking and value < own  # type: ignore[operator]  # numbers
        if value == own or raised or lowered:
            continue
        raise UsageError(
            f"expected weights of a {asked.name} with {name} {value!r} to begin from, but {file.path} has {own!r}",
            hint=f"Leave out network.{name}: the weights' own settings apply"
            + (", or raise it." if name in network.growing else "."),
        )


def _layers(names: Collection[str]) -> int:
    """Return the number of layers of some parameters."""
    return len({name.rpartition(".")[0] for name in names})


def _origin(file: WeightsFile) -> str:
    """Return a description of initial weights and their training."""
    facts = file.facts
    words = [f"{file.path.name} sha256:{file.sha256}"]
    if "steps" in facts and "minutes" in facts:
        words.append(f"{int(facts['steps']):,} steps in {float(facts['minutes']):.0f} minutes")
    if BEGAN_FROM in facts:
        words.append(f"which began from {facts[BEGAN_FROM]}")
    return ", ".join(words)


_FREE = ("budget.", "machine.", "validation.patience")
"""Settings that may change when a run is resumed."""


def continued(settings: TrainingSettings, folder: RunFolder) -> tuple[Network, Mapping[str, str]]:
    """Return the network of a resumed run, and the metadata of its origin, without its initial weights.

    Args:
        settings: Requested settings; open ones are those of the run.
        folder: Folder of the run.

    Raises:
        UsageError: If the settings differ from those of the run.
        InputError: If the run can't be read.
    """
    own = changed(TrainingSettings(), read_run_file(folder.settings), str(folder.settings))
    _require_same(settings, own, folder)
    facts = read_weights_file(folder.last).facts
    origin = {key: value for key, value in facts.items() if key == BEGAN_FROM}
    # Only unknown settings can still differ, and `build_network` refuses them.
    return build_network(own.network.name, {**own.network.options, **settings.network.options}), origin


def _require_same(settings: TrainingSettings, own: TrainingSettings, folder: RunFolder) -> None:
    """Raise UsageError for a setting that differs from the run's."""
    of_run = dict(_named(own))
    for name, value in _named(settings):
        is_open = name == "data.size_px" and not value
        if is_open or name.startswith(_FREE) or of_run.get(name, value) == value:
            continue
        raise UsageError(
            f"expected {name} to stay {of_run[name]!r} in a resumed run, but got {value!r}",
            hint=f"Start another run from its weights, with --weights {folder.last}; "
            "only budget, machine and validation.patience may change.",
        )


def _named(owner: Any, table: str = "") -> Iterator[tuple[str, object]]:
    """Yield every setting with its name as for `-O`."""
    for f in fields(owner):
        value = getattr(owner, f.name)
        if isinstance(value, NetworkSettings):
            yield "network.name", value.name
            for key, option in value.options.items():
                yield f"network.{key}", option
        elif is_dataclass(value):
            yield from _named(value, f"{f.name}.")
        else:
            yield table + f.name, value


class Result(NamedTuple):
    """The result of a session.

    Attributes:
        ending: Reason of its end.
        progress: Progress of the run.
    """

    ending: Ending
    progress: Progress


def train(
    settings: TrainingSettings, folder: RunFolder, listener: Listener, *, resume: bool = False, overwrite: bool = False
) -> Result:
    """Train a network in a folder, and return the result.

    Args:
        settings: Settings of the run.
        folder: Folder of the run.
        listener: Receives the progress; may stop the run.
        resume: Whether to resume the run in the folder, instead of starting a new one.
        overwrite: Whether to replace a run in the folder.

    Raises:
        UsageError: If the settings aren't valid.
        InputError: If the samples or the checkpoint can't be read.
        OutputError: If the folder can't be written, or has a run that must not be replaced.
        TakenError: If another process trains in the folder.
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
    """Return the inputs of the loop, and a summary line, without writing anything."""
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
        f"{str(precision).removeprefix('torch.')}; {samples.patches} patches of {len(samples.scenes)} "
        f"scenes; ends after {_limits(settings.budget)}"
    )
    return workshop, summary


def _completed(settings: TrainingSettings, network: Network) -> TrainingSettings:
    """Return the settings with values for open ones: network, sample size and budget."""
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
    """Return the divisor of the side of a sample."""
    return math.lcm(CELL_PX, network.size_multiple_px)


def _check(settings: TrainingSettings, network: Network) -> None:
    """Raise UsageError for settings that don't match each other."""
    if not settings.data.paths:
        raise UsageError(
            "expected data to train on, but got none",
            hint="Give a folder that `landsat-fill dataset` made, or clean scenes.",
        )
    if not settings.data.band_counts:
        raise UsageError("expected data.band_counts to have at least one number, but it is empty")
    multiple_px = _side_multiple_px(network)
    for name, size_px in (("data.size_px", settings.data.size_px), ("validation.size_px", settings.validation.size_px)):
        if size_px % multiple_px:
            raise UsageError(
                f"expected {name} to be a multiple of {multiple_px}, but got {size_px}",
                hint=f"{settings.network.name} halves tiles that often.",
            )
    if settings.objective.kind == "residual" and not network.starts_filled:
        raise UsageError(
            "expected a network that corrects a fill for the objective residual, "
            f"but {settings.network.name} doesn't start from one",
            hint="Set objective.kind to distance or, with a standard deviation, to likelihood.",
        )
    if settings.objective.ms_ssim:
        ms_ssim_window_px(settings.data.size_px)


def _parts(network: Network, optimiser: OptimiserSettings, device: torch.device) -> Parts:
    """Return the initial state of a run on the device."""
    # The convolutions of oneDNN and cuDNN are faster with channels last.
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    # Biases and scales have no weight decay, because they represent levels.
    kernels = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    adam = torch.optim.AdamW(
        [{"params": kernels, "weight_decay": optimiser.weight_decay}, {"params": others, "weight_decay": 0.0}],
        lr=optimiser.learning_rate,
        betas=(optimiser.beta1, optimiser.beta2),
    )
    return Parts(network, WeightAverage(network, optimiser.average), adam, Progress())


def _facts(settings: TrainingSettings, samples: SampleSource) -> dict[str, str]:
    """Return the metadata of the weights."""
    return {
        "trained_on": f"{len(samples.scenes)} scenes of {_names(settings.data)}",
        "patch_px": str(settings.data.size_px),
        "objective": settings.objective.kind,
        "seed": str(settings.seed),
        "code_version": __version__,
    }


def _limits(budget: BudgetSettings) -> str:
    """Return the limits of training as text."""
    limits = [f"{budget.steps:,} steps"] if budget.steps else []
    if budget.minutes:
        limits.append(f"{budget.minutes:g} minutes")
    return " or ".join(limits)


def _names(data: DataSettings) -> str:
    return ", ".join(Path(path).name for path in data.paths)


def _count(network: Network) -> str:
    """Return the number of parameters as text."""
    return f"{sum(p.numel() for p in network.parameters()) / 1e6:.2f} M"
