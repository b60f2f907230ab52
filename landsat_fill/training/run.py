"""A training run: opens the samples, builds the network, and trains it in a folder."""

from __future__ import annotations

import copy
import math
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch

from landsat_fill.errors import UsageError
from landsat_fill.methods.learned import bfloat16_is_fast
from landsat_fill.networks.catalogue import build_network, prefer_large_pages, settings_of
from landsat_fill.networks.normalisation import CELL_PX
from landsat_fill.networks.weights import WeightsFile, load_network, read_weights_file
from landsat_fill.training import USUAL_STEPS
from landsat_fill.training.batches import StepBatches
from landsat_fill.training.dataset import largest_sample_px, open_sources
from landsat_fill.training.loop import Loop, join_processes
from landsat_fill.training.objective import Objective, ms_ssim_window_px
from landsat_fill.training.run_folder import Journal, Parts, Progress, load_checkpoint
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
    from collections.abc import Iterator, Mapping

    from landsat_fill.networks.network import Network
    from landsat_fill.training.loop import Ending, Listener, Processes
    from landsat_fill.training.run_folder import RunFolder
    from landsat_fill.training.settings import OptimiserSettings


AUTO = "auto"


def training_device(name: str) -> str:
    """Return the device of a name; `auto` is a GPU if there is one.

    Raises:
        UsageError: If there is no such device.
    """
    if name == AUTO:
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = name.partition(":")
    if name == "cpu":
        return name
    if kind != "cuda" or (number and not number.isdigit()):
        raise UsageError(f"expected the device auto, cpu, cuda or cuda:N, but got {name!r}")
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(number or 0) >= gpus:
        raise UsageError(
            f"expected the GPU {name}, but torch {torch.__version__} finds {gpus or 'none'}",
            hint="Train with --device cpu, or install a torch built for this machine's GPU.",
        )
    return name


def training_precision(name: str, device: str) -> torch.dtype:
    """Return the number format of the layers; `auto` is bfloat16 on devices that it speeds up."""
    if name == AUTO:
        return torch.bfloat16 if bfloat16_is_fast(device) else torch.float32
    return torch.float32 if name == "float32" else torch.bfloat16


BEGAN_FROM = "began_from"
"""Metadata key for the initial weights of a run."""


def initial_network(settings: TrainingSettings) -> tuple[Network, Mapping[str, str]]:
    """Return the network at the start of a run, and the metadata of its origin.

    Compared to the initial weights, the settings in `Network.growing` may be larger and those in
    `Network.shrinking` smaller.

    Raises:
        UsageError: If the network doesn't exist, or the initial weights don't suit it.
        InputError: If the initial weights can't be read.
    """
    requested = settings.network
    if not settings.weights:
        return build_network(requested.name, requested.options), {}
    file = read_weights_file(Path(settings.weights))
    if file.network != requested.name:
        raise UsageError(
            f"expected initial weights of the network {requested.name}, but {file.path} holds {file.network}",
            hint=f"Train {file.network}, or give other --weights.",
        )
    network = build_network(requested.name, {**file.settings, **requested.options})
    _require_fit(file, requested, network)
    trained, _ = load_network(file.path, expected_sha256=file.sha256)
    # Only added blocks, which have no effect yet, can be absent from the file.
    added, left_out = network.load_state_dict(trained.state_dict(), strict=False)
    origin = _origin(file)
    for names, change in ((added, "added"), (left_out, "left out")):
        if names:
            layers = {name.rpartition(".")[0] for name in names}
            origin += f", with {len(layers)} layers {change}"
    return network, {BEGAN_FROM: origin}


def _require_fit(file: WeightsFile, requested: NetworkSettings, network: Network) -> None:
    """Raise UsageError unless the requested settings are those of the weights, or grow or shrink them."""
    for name, value in requested.options.items():
        own = file.settings.get(name, value)
        raised = name in network.growing and value > own  # type: ignore[operator]  # numbers or switches
        lowered = name in network.shrinking and value < own  # type: ignore[operator]  # numbers
        if value == own or raised or lowered:
            continue
        raise UsageError(
            f"expected initial weights with {name} {value!r}, but {file.path} has {own!r}",
            hint=f"Leave out network.{name}, so that the setting of the weights applies"
            + (", or raise it." if name in network.growing else "."),
        )


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


def resumed_network(settings: TrainingSettings, folder: RunFolder) -> tuple[Network, Mapping[str, str]]:
    """Return the network of a resumed run before its checkpoint is loaded, and the metadata of its origin.

    Raises:
        UsageError: If the settings differ from those of the run.
        InputError: If the run can't be read.
    """
    own = changed(TrainingSettings(), read_run_file(folder.settings), str(folder.settings))
    own_values = dict(_named(own))
    for name, value in _named(settings):
        is_open = name == "data.size_px" and not value
        if is_open or name.startswith(_FREE) or own_values.get(name, value) == value:
            continue
        raise UsageError(
            f"expected {name} to stay {own_values[name]!r} in a resumed run, but got {value!r}",
            hint=f"Start another run from its weights, with --weights {folder.last}; "
            "only budget, machine and validation.patience may change.",
        )
    facts = read_weights_file(folder.last).facts
    origin = {key: value for key, value in facts.items() if key == BEGAN_FROM}
    # Only unknown settings can still differ, and `build_network` refuses them.
    return build_network(own.network.name, {**own.network.options, **settings.network.options}), origin


def _named(settings: TrainingSettings) -> Iterator[tuple[str, object]]:
    """Yield every setting with its name as for `-O`."""
    for key, value in asdict(settings).items():
        if key == "network":
            value = {"name": value["name"], **value["options"]}
        if isinstance(value, dict):
            yield from ((f"{key}.{name}", setting) for name, setting in value.items())
        else:
            yield key, value


class Result(NamedTuple):
    """The reason for the end of a session, and the progress of the run."""

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
        network, origin = resumed_network(settings, folder) if resume else initial_network(settings)
        settings = _completed(settings, network)
        _check(settings, network)
        loop, summary = _prepared(settings, network, origin, folder, device, processes, listener)
        with folder.claim() if processes.first else nullcontext():
            if resume:
                load_checkpoint(folder.checkpoint, loop.parts)
            if processes.first:
                text = run_file_text(settings, f"landsat-fill {__version__}, torch {torch.__version__}")
                folder.begin(text, resume=resume, overwrite=overwrite)
                loop.journal.cut_after(loop.parts.progress.step)
            listener.noted(summary)
            return Result(loop.run(), loop.parts.progress)
    finally:
        processes.leave()


def _prepared(
    settings: TrainingSettings,
    network: Network,
    origin: Mapping[str, str],
    folder: RunFolder,
    device: str,
    processes: Processes,
    listener: Listener,
) -> tuple[Loop, str]:
    """Return the loop and a summary line, without writing anything."""
    samples, held_out = open_sources(settings)
    validation = None
    if processes.first:
        validation = ValidationSet(held_out, settings.validation.samples, filled=network.starts_filled)
    precision = training_precision(settings.machine.precision, device)
    names = ", ".join(Path(path).name for path in settings.data.paths)
    facts = {
        "trained_on": f"{len(samples.scenes)} scenes of {names}",
        "patch_px": str(settings.data.size_px),
        "objective": settings.objective.kind,
        "seed": str(settings.seed),
        "code_version": __version__,
        **origin,
    }
    loop = Loop(
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
        folder=folder,
        journal=Journal(folder.log),
        device=torch.device(device),
        processes=processes,
        facts=facts,
        listener=listener,
    )
    budget = settings.budget
    limits = [f"{budget.steps:,} steps"] * bool(budget.steps) + [f"{budget.minutes:g} minutes"] * bool(budget.minutes)
    parameters = sum(p.numel() for p in network.parameters())
    summary = (
        f"{settings.network.name}, {parameters / 1e6:.2f} M parameters, on {device} in "
        f"{str(precision).removeprefix('torch.')}; {samples.patches} patches of {len(samples.scenes)} "
        f"scenes; ends after {' or '.join(limits)}"
    )
    return loop, summary


def _completed(settings: TrainingSettings, network: Network) -> TrainingSettings:
    """Return the settings with all network settings, a sample size and a budget."""
    budget = settings.budget
    if not (budget.steps or budget.minutes):
        budget = replace(budget, steps=USUAL_STEPS)
    data = settings.data
    if not data.size_px:
        multiple_px = math.lcm(CELL_PX, network.size_multiple_px)
        usual_px = int(min(USUAL_SIZE_PX, largest_sample_px(data)))
        data = replace(data, size_px=max(usual_px // multiple_px, 1) * multiple_px)
    own = NetworkSettings(settings.network.name, settings_of(network))
    return replace(settings, network=own, data=data, budget=budget)


def _check(settings: TrainingSettings, network: Network) -> None:
    """Raise UsageError for settings that don't match each other."""
    if not settings.data.paths:
        raise UsageError(
            "expected data to train on, but got none",
            hint="Give a folder that `landsat-fill dataset` made, or clean scenes.",
        )
    if not settings.data.band_counts:
        raise UsageError("expected data.band_counts to have at least one number, but it is empty")
    multiple_px = math.lcm(CELL_PX, network.size_multiple_px)
    for name, size_px in (("data.size_px", settings.data.size_px), ("validation.size_px", settings.validation.size_px)):
        if size_px % multiple_px:
            raise UsageError(
                f"expected {name} to be a multiple of {multiple_px}, but got {size_px}",
                hint=f"The layers of {settings.network.name} and the normalisation need sides that they can divide.",
            )
    if settings.objective.kind == "residual" and not network.starts_filled:
        raise UsageError(
            "expected a network that corrects a fill for the objective residual, "
            f"but {settings.network.name} doesn't start from a fill",
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
    average = copy.deepcopy(network).eval().requires_grad_(False)
    return Parts(network, average, adam, Progress())
