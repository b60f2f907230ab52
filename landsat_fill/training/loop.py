"""The training loop: steps, log, validation and checkpoints. It can stop before any step."""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Protocol

import torch
from torch import distributed, nn
from torch.nn.utils import clip_grad_norm_

from landsat_fill.errors import LandsatFillError, MissingPackageError
from landsat_fill.training.batches import batches_from
from landsat_fill.training.run_folder import draw_curve, save_checkpoint, save_network
from landsat_fill.training.validation import GAP_WIDTHS_PX

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from landsat_fill.networks.network import Network
    from landsat_fill.training.batches import Batch, StepBatches
    from landsat_fill.training.objective import Objective
    from landsat_fill.training.run_folder import Journal, Parts, Progress, RunFolder
    from landsat_fill.training.settings import BudgetSettings, OptimiserSettings, TrainingSettings
    from landsat_fill.training.validation import Score, ValidationSet


class Ending(Enum):
    """Why a run stopped."""

    BUDGET = "the budget is used"
    PATIENCE = "the score no longer improved"
    INTERRUPTED = "interrupted"


class Listener(Protocol):
    """Receives the progress of a run, and may stop it."""

    def stepped(self, progress: Progress) -> None:
        """Receive the progress after a step."""

    def validated(self, progress: Progress) -> None:
        """Receive the progress after a validation."""

    def noted(self, text: str) -> None:
        """Receive a message for the user."""

    def stop_requested(self) -> bool:
        """Return whether to stop before the next step; the run can be resumed."""


@dataclass(frozen=True, slots=True)
class Processes:
    """This process, by its rank, in a group of processes that train together."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this process validates and writes."""
        return self.rank == 0

    def wrap(self, network: nn.Module, device: torch.device) -> nn.Module:
        """Return the network wrapped so that its gradients are means over all processes."""
        if self.count == 1:
            return network
        return nn.parallel.DistributedDataParallel(network, device_ids=[device] if device.type == "cuda" else None)

    def agreed(self, *numbers: float) -> tuple[float, ...]:
        """Return the first process's numbers in every process."""
        if self.count == 1:
            return numbers
        shared = list(numbers)
        distributed.broadcast_object_list(shared, src=0)
        return tuple(shared)

    def leave(self) -> None:
        """Leave the group."""
        if self.count > 1:
            distributed.destroy_process_group()


def join_processes(device: str) -> tuple[Processes, str]:
    """Return this process and its device. torchrun starts several processes, each with its own GPU."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        return Processes(), device
    on_gpu = device.startswith("cuda")
    distributed.init_process_group("nccl" if on_gpu else "gloo")
    if on_gpu:
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    return Processes(distributed.get_rank(), count), device


LONGEST_WARM_UP = 0.1
"""Largest share of the budget for the warm-up, for short runs."""


def share_done(budget: BudgetSettings, step: int, minutes: float) -> float:
    """Return the used share of the budget, 0 to 1: of steps or of time, whichever is larger."""
    step_share = step / budget.steps if budget.steps else 0.0
    time_share = minutes / budget.minutes if budget.minutes else 0.0
    return min(max(step_share, time_share), 1.0)


def learning_rate(optimiser: OptimiserSettings, step: int, share: float) -> float:
    """Return the learning rate of a step, from 0, at a used share of the budget, 0 to 1."""
    risen = max((step + 1) / (optimiser.warm_up_steps + 1), share / LONGEST_WARM_UP)
    rate = optimiser.learning_rate * min(risen, 1.0)
    if optimiser.decay == "cosine":
        low = 1 / optimiser.decay_factor
        return rate * (low + (1 - low) * 0.5 * (1 + math.cos(math.pi * share)))
    if optimiser.decay == "exponential":
        return float(rate * optimiser.decay_factor**-share)
    return rate


LOG_STEPS = 25
"""Steps between two rows of the log."""

_MOST_BAD_STEPS = 50
"""Number of consecutive steps without a finite gradient that ends a run."""

_DRAWS_PER_SEED = 1 << 40
"""More draws of noise than any run needs, so that runs with different seeds share no noise."""

_SEEDS = 1 << 63
"""Number of seeds of torch's generators."""


@dataclass(slots=True, eq=False)
class Loop:
    """One session of a run.

    Attributes:
        parts: State of the run, on the device.
        validation: Validation samples; only in the first process.
        journal: The log.
        facts: Metadata of the weights.
    """

    settings: TrainingSettings
    parts: Parts
    objective: Objective
    batches: StepBatches
    validation: ValidationSet | None
    folder: RunFolder
    journal: Journal
    device: torch.device
    processes: Processes
    facts: Mapping[str, str]
    listener: Listener
    _start_s: float = field(default=0.0, init=False)
    _rate: float = field(default=0.0, init=False)
    _bad_steps: int = field(default=0, init=False)
    _draws_curve: bool = field(default=True, init=False)
    _logged: list[dict[str, float]] = field(default_factory=list, init=False)
    """The logged values of each step since the last row of the log."""

    def run(self) -> Ending:
        """Train to the end, and return its reason.

        Raises:
            LandsatFillError: If samples can't be read, files can't be written, or the loss diverges.
        """
        progress = self.parts.progress
        self._start_s = time.perf_counter() - 60 * progress.minutes
        network = self.processes.wrap(self.parts.network.train(), self.device)
        generator = torch.Generator(self.device)
        workers = self.settings.machine.workers
        batches = batches_from(progress.step, self.batches, workers=workers, device=self.device)
        is_saved = True
        while (ending := self._ending()) is None:
            self._rate = learning_rate(self.settings.optimiser, progress.step, progress.share)
            self._seed(generator)
            self._step(network, next(batches).on(self.device), generator)
            progress.step += 1
            is_saved = progress.step % self.settings.validation.every_steps == 0
            if is_saved:
                self._save(validates=True)
            elif progress.step % LOG_STEPS == 0:
                self._log(None)
            self.listener.stepped(progress)
        if not is_saved:
            self._save(validates=ending is not Ending.INTERRUPTED)
        return ending

    def _ending(self) -> Ending | None:
        """Return the reason to stop here, or None; all processes agree."""
        progress, patience = self.parts.progress, self.settings.validation.patience
        progress.minutes = (time.perf_counter() - self._start_s) / 60
        share = share_done(self.settings.budget, progress.step, progress.minutes)
        progress.share, must_stop, stale = self.processes.agreed(share, self.listener.stop_requested(), progress.stale)
        if must_stop:
            return Ending.INTERRUPTED
        if progress.share >= 1:
            return Ending.BUDGET
        return Ending.PATIENCE if patience and stale >= patience else None

    def _seed(self, generator: torch.Generator) -> None:
        """Seed the noise from the seed and the step, so that a resumed run is exact."""
        draw = self.parts.progress.step * self.processes.count + self.processes.rank
        generator.manual_seed((_DRAWS_PER_SEED * self.settings.seed + draw) % _SEEDS)

    def _step(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> None:
        """Take a step if its gradient is finite."""
        parts, settings = self.parts, self.settings.optimiser
        for group in parts.optimiser.param_groups:
            group["lr"] = self._rate
        parts.optimiser.zero_grad()
        loss = self.objective(network, batch, generator)
        loss.total.backward()  # type: ignore[no-untyped-call]
        norm = float(clip_grad_norm_(parts.network.parameters(), settings.gradient_norm or math.inf))
        if not math.isfinite(norm):
            self._bad_steps += 1
            if self._bad_steps >= _MOST_BAD_STEPS:
                raise _diverged(f"the last {_MOST_BAD_STEPS} gradients aren't finite")
            return
        self._bad_steps = 0
        parts.optimiser.step()
        update_average(parts.average, parts.network, settings.average, parts.progress.step)
        terms = {name: float(term.detach()) for name, term in loss.parts.items()}
        self._logged.append({"loss": float(loss.total.detach()), "gradient_norm": norm, **terms})
        parts.progress.loss = self._mean("loss")

    def _mean(self, name: str) -> float:
        """Return the mean of a value since the last row of the log."""
        return sum(row[name] for row in self._logged) / len(self._logged)

    def _save(self, *, validates: bool) -> None:
        """Write a checkpoint, after an optional validation."""
        self._log(self._validate() if validates else None)
        if not self.processes.first:
            return
        self._save_weights(self.folder.last)
        save_checkpoint(self.folder.checkpoint, self.parts)
        if self._draws_curve and self.journal.path.exists():
            try:
                draw_curve(self.journal.path, self.folder.curve)
            except MissingPackageError as error:
                self._draws_curve = False
                self.listener.noted(f"no curve: {error.message}")

    def _validate(self) -> Score | None:
        """Return the score of the averaged network, and save the network if it is the best so far."""
        if self.validation is None:
            return None
        progress = self.parts.progress
        score = self.validation.score(self.parts.average, self.objective, self.device)
        if not math.isfinite(score.error):
            raise _diverged(f"the error of validation is {score.error}")
        progress.error, progress.std_factor, progress.validated = score.error, score.std_factor, progress.step
        if score.error < progress.best:
            progress.best, progress.stale = score.error, 0
            self._save_weights(self.folder.best)
        else:
            progress.stale += 1
        self.listener.validated(progress)
        return score

    def _save_weights(self, path: Path) -> None:
        progress = self.parts.progress
        facts = {**self.facts, "steps": str(progress.step), "minutes": f"{progress.minutes:.1f}"}
        if progress.validated:
            facts["validated_step"] = str(progress.validated)
            facts["validation_error"] = f"{progress.error:.4f}"
        if progress.std_factor is not None:
            facts["std_factor"] = f"{progress.std_factor:.4f}"
        save_network(path, self.parts.average, facts)

    def _log(self, score: Score | None) -> None:
        """Write a row of the log, with the means since the last row."""
        progress = self.parts.progress
        if self.processes.first and self._logged:
            means = {name: self._mean(name) for name in self._logged[0]}
            by_width = score.by_width if score else (math.nan,) * len(GAP_WIDTHS_PX)
            self.journal.write(
                {
                    "step": progress.step,
                    "minutes": progress.minutes,
                    "learning_rate": self._rate,
                    "loss": means.pop("loss"),
                    "gradient_norm": means.pop("gradient_norm"),
                    "validation": score.error if score else math.nan,
                    **{f"validation_{w:g}px": e for w, e in zip(GAP_WIDTHS_PX, by_width, strict=True)},
                    "std_factor": score.std_factor if score and score.std_factor else math.nan,
                    **means,
                }
            )
        self._logged.clear()
        progress.loss = math.nan


def _diverged(found: str) -> LandsatFillError:
    return LandsatFillError(
        f"expected a loss that falls, but {found}",
        hint="Lower optimiser.learning_rate, or set machine.precision to float32.",
    )


_WARM_UP_STEPS = 10
"""After n steps the memory is at most (n + 1) / (n + 10), as in TensorFlow's ExponentialMovingAverage with
`num_updates`."""


@torch.no_grad()
def update_average(average: Network, network: Network, memory: float, step: int) -> None:
    """Update the moving average of a network's weights; values that aren't floats are copied.

    Args:
        average: The network with averaged weights.
        network: The trained network.
        memory: Weight of the past in each step.
        step: Number of earlier steps.
    """
    memory = min(memory, (step + 1) / (step + _WARM_UP_STEPS))
    means = [*average.parameters(), *average.buffers()]
    for mean, value in zip(means, [*network.parameters(), *network.buffers()], strict=True):
        if mean.is_floating_point():
            mean.lerp_(value, 1 - memory)
        else:
            mean.copy_(value)
