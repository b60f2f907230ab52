"""The training loop: steps, log, validation and checkpoints. It can stop before any step."""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import distributed, nn
from torch.nn.utils import clip_grad_norm_

from landsat_fill.errors import LandsatFillError, MissingPackageError
from landsat_fill.training.batches import batches_from
from landsat_fill.training.checkpoints import save_checkpoint, save_network
from landsat_fill.training.progress import Ending, Standing
from landsat_fill.training.run_folder import draw_curve
from landsat_fill.training.validation import GAP_WIDTHS_PX

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from landsat_fill.training.batches import Batch, StepBatches
    from landsat_fill.training.checkpoints import Parts
    from landsat_fill.training.objective import Objective
    from landsat_fill.training.progress import Listener
    from landsat_fill.training.run_folder import Journal, RunFolder
    from landsat_fill.training.settings import BudgetSettings, OptimiserSettings, TrainingSettings
    from landsat_fill.training.validation import Score, ValidationSet


@dataclass(frozen=True, slots=True)
class Processes:
    """This process in a group of processes that train together.

    Attributes:
        rank: Number of this process; the first process validates and writes.
        count: Number of processes.
    """

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

_NOISES_A_SEED = 1 << 40
"""More than any run draws, so that runs with different seeds share no noise."""

_SEEDS = 1 << 63
"""Number of seeds of torch's generators."""


@dataclass(frozen=True, slots=True)
class Workshop:
    """The inputs of the loop.

    Attributes:
        settings: Settings of the run.
        parts: State of the run, on the device.
        objective: The loss.
        batches: The batch of each step.
        validation: Validation samples; only in the first process.
        journal: The log.
        folder: Folder of the run.
        device: The device.
        processes: This process in its group.
        facts: Metadata of the weights.
    """

    settings: TrainingSettings
    parts: Parts
    objective: Objective
    batches: StepBatches
    validation: ValidationSet | None
    journal: Journal
    folder: RunFolder
    device: torch.device
    processes: Processes
    facts: Mapping[str, str]


@dataclass(slots=True)
class _Means:
    """Means of the logged values since the last row."""

    sums: dict[str, float] = field(default_factory=dict)
    steps: int = 0

    def add(self, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.steps += 1

    def of(self, name: str) -> float:
        return self.sums[name] / self.steps if self.steps else math.nan


class Loop:
    """One session of a run."""

    def __init__(self, workshop: Workshop, listener: Listener) -> None:
        self._workshop = workshop
        self._settings = workshop.settings
        self._parts = workshop.parts
        self._progress = workshop.parts.progress
        self._listener = listener
        self._began = time.perf_counter() - 60 * self._progress.minutes
        self._means = _Means()
        self._share = 0.0
        self._rate = 0.0
        self._bad_steps = 0
        self._draws_curve = True

    def run(self) -> Ending:
        """Train to the end, and return its reason.

        Raises:
            LandsatFillError: If samples can't be read, files can't be written, or the loss diverges.
        """
        workshop, progress = self._workshop, self._progress
        network = workshop.processes.wrap(self._parts.network.train(), workshop.device)
        generator = torch.Generator(workshop.device)
        batches = batches_from(
            progress.step, workshop.batches, workers=self._settings.machine.workers, device=workshop.device
        )
        is_kept = True
        while (ending := self._ending()) is None:
            self._rate = learning_rate(self._settings.optimiser, progress.step, self._share)
            self._seed(generator)
            self._step(network, next(batches).on(workshop.device), generator)
            progress.step += 1
            is_kept = progress.step % self._settings.validation.every_steps == 0
            if is_kept:
                self._keep(validates=True)
            elif progress.step % LOG_STEPS == 0:
                self._log(None)
            self._listener.stepped(self._standing())
        if not is_kept:
            self._keep(validates=ending is not Ending.INTERRUPTED)
        return ending

    def _ending(self) -> Ending | None:
        """Return the reason to stop here, or None; all processes agree."""
        progress, patience = self._progress, self._settings.validation.patience
        progress.minutes = (time.perf_counter() - self._began) / 60
        share = share_done(self._settings.budget, progress.step, progress.minutes)
        agreed = self._workshop.processes.agreed
        self._share, is_asked, stale = agreed(share, self._listener.stop_asked(), progress.stale)
        if is_asked:
            return Ending.INTERRUPTED
        if self._share >= 1:
            return Ending.BUDGET
        return Ending.PATIENCE if patience and stale >= patience else None

    def _seed(self, generator: torch.Generator) -> None:
        """Seed the noise from the seed and the step, so that a resumed run is exact."""
        processes = self._workshop.processes
        draw = self._progress.step * processes.count + processes.rank
        generator.manual_seed((_NOISES_A_SEED * self._settings.seed + draw) % _SEEDS)

    def _step(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> None:
        """Take a step if its gradient is finite."""
        optimiser = self._parts.optimiser
        for group in optimiser.param_groups:
            group["lr"] = self._rate
        optimiser.zero_grad()
        loss = self._workshop.objective(network, batch, generator)
        loss.total.backward()  # type: ignore[no-untyped-call]
        limit = self._settings.optimiser.gradient_norm or math.inf
        norm = float(clip_grad_norm_(self._parts.network.parameters(), limit))
        if not math.isfinite(norm):
            self._bad_steps += 1
            if self._bad_steps >= _MOST_BAD_STEPS:
                raise _diverged(f"the last {_MOST_BAD_STEPS} gradients aren't finite")
            return
        self._bad_steps = 0
        optimiser.step()
        self._parts.average.follow(self._parts.network, self._progress.step)
        parts = {name: float(part.detach()) for name, part in loss.parts.items()}
        self._means.add({"loss": float(loss.total.detach()), "gradient_norm": norm, **parts})

    def _keep(self, *, validates: bool) -> None:
        """Write a checkpoint, after an optional validation."""
        if not self._workshop.processes.first:
            return
        self._log(self._validate() if validates else None)
        folder = self._workshop.folder
        self._save_weights(folder.last)
        save_checkpoint(folder.checkpoint, self._parts)
        self._draw()

    def _validate(self) -> Score | None:
        """Return the score of the averaged network, and save the network if it is the best so far."""
        workshop, progress = self._workshop, self._progress
        if workshop.validation is None:
            return None
        network = self._parts.average.network
        score = workshop.validation.score(network, workshop.objective, workshop.device)
        if not math.isfinite(score.error):
            raise _diverged(f"the error of validation is {score.error}")
        progress.error, progress.std_factor, progress.validated = score.error, score.std_factor, progress.step
        if score.error < progress.best:
            progress.best, progress.stale = score.error, 0
            self._save_weights(workshop.folder.best)
        else:
            progress.stale += 1
        self._listener.validated(self._standing())
        return score

    def _save_weights(self, path: Path) -> None:
        progress = self._progress
        facts = {**self._workshop.facts, "steps": str(progress.step), "minutes": f"{progress.minutes:.1f}"}
        if progress.validated:
            facts["validated_step"] = str(progress.validated)
            facts["validation_error"] = f"{progress.error:.4f}"
        if progress.std_factor is not None:
            facts["std_factor"] = f"{progress.std_factor:.4f}"
        save_network(path, self._parts.average.network, facts)

    def _log(self, score: Score | None) -> None:
        """Write a row of the log."""
        if not self._workshop.processes.first or not self._means.steps:
            return
        means = {name: self._means.of(name) for name in self._means.sums}
        by_width = score.by_width if score else (math.nan,) * len(GAP_WIDTHS_PX)
        self._workshop.journal.write(
            {
                "step": self._progress.step,
                "minutes": self._progress.minutes,
                "learning_rate": self._rate,
                "loss": means.pop("loss"),
                "gradient_norm": means.pop("gradient_norm"),
                "validation": score.error if score else math.nan,
                **{f"validation_{w:g}px": e for w, e in zip(GAP_WIDTHS_PX, by_width, strict=True)},
                "std_factor": score.std_factor if score and score.std_factor else math.nan,
                **means,
            }
        )
        self._means = _Means()

    def _draw(self) -> None:
        """Draw the log, if matplotlib is installed."""
        if not self._draws_curve or not self._workshop.journal.path.exists():
            return
        try:
            draw_curve(self._workshop.journal.path, self._workshop.folder.curve)
        except MissingPackageError as error:
            self._draws_curve = False
            self._listener.noted(f"no curve: {error.message}")

    def _standing(self) -> Standing:
        progress = self._progress
        loss = self._means.of("loss") if self._means.steps else math.nan
        score = progress.error if progress.validated else None
        return Standing(progress.step, self._share, progress.minutes, loss, score, progress.best)


def _diverged(found: str) -> LandsatFillError:
    return LandsatFillError(
        f"expected a loss that falls, but {found}",
        hint="Lower optimiser.learning_rate, or set machine.precision to float32.",
    )
