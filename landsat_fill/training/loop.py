"""The training loop: step, log, validate, keep the best, and be ready to stop before any step."""

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
    """This process among those that train together.

    Attributes:
        rank: Its number; the first one validates and writes.
        count: How many there are.
    """

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that validates and writes."""
        return self.rank == 0

    def wrap(self, network: nn.Module, device: torch.device) -> nn.Module:
        """Return the network such that its gradients are the mean over all processes."""
        if self.count == 1:
            return network
        return nn.parallel.DistributedDataParallel(
            network, device_ids=[device] if device.type == "cuda" else None
        )

    def agreed(self, *numbers: float) -> tuple[float, ...]:
        """Return the first process's numbers in every process."""
        if self.count == 1:
            return numbers
        told = list(numbers)
        distributed.broadcast_object_list(told, src=0)
        return tuple(told)

    def leave(self) -> None:
        """Part from the others."""
        if self.count > 1:
            distributed.destroy_process_group()


def join_processes(device: str) -> tuple[Processes, str]:
    """Return this process among the others, and its own device; alone, unless torchrun started it.

    Args:
        device: The device asked for; `cuda` becomes this process's own GPU.
    """
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
"""Share of a budget after which the rate has risen, whatever the settings say: for short runs."""


def share_done(budget: BudgetSettings, step: int, minutes: float) -> float:
    """Return how much of the budget is used, 0 to 1: of steps or of time, whichever is nearer its end."""
    of_steps = step / budget.steps if budget.steps else 0.0
    of_time = minutes / budget.minutes if budget.minutes else 0.0
    return min(max(of_steps, of_time), 1.0)


def learning_rate(optimiser: OptimiserSettings, step: int, share: float) -> float:
    """Return the learning rate of a step.

    Args:
        optimiser: The highest rate, and how it falls.
        step: The step, from 0.
        share: How much of the budget is used, 0 to 1.
    """
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
"""Steps in a row without a finite gradient after which nothing can be hoped for."""

_NOISES_A_SEED = 1 << 40
"""More than any run draws, so that runs of different seeds share none."""

_SEEDS = 1 << 63
"""As many as torch's generators take."""


@dataclass(frozen=True, slots=True)
class Workshop:
    """All that the loop works with.

    Attributes:
        settings: The run's.
        parts: The network and what goes with it, on the device.
        objective: What is minimised.
        batches: The batch of each step.
        validation: What is scored on; only the first process needs it.
        journal: The log.
        folder: Where the run's files go.
        device: Where it runs.
        processes: This process among those that train together.
        facts: What to write down beside the weights.
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
    """Means of what is logged, since the last row."""

    sums: dict[str, float] = field(default_factory=dict)
    steps: int = 0

    def add(self, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.steps += 1

    def of(self, name: str) -> float:
        return self.sums[name] / self.steps if self.steps else math.nan


class Loop:
    """One sitting of a run."""

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
        """Train until the budget is used, patience ends or the listener asks to stop; return which.

        Raises:
            LandsatFillError: If samples can't be read, files can't be written, or the loss has diverged.
        """
        workshop, progress = self._workshop, self._progress
        network = workshop.processes.wrap(self._parts.network.train(), workshop.device)
        generator = torch.Generator(workshop.device)
        batches = batches_from(
            progress.step,
            workshop.batches,
            workers=self._settings.machine.workers,
            device=workshop.device,
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
        """Return why to stop here, or None; every process comes to the same."""
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
        """Make the noise of a step a function of the seed and the step, so that resuming is exact."""
        processes = self._workshop.processes
        draw = self._progress.step * processes.count + processes.rank
        generator.manual_seed((_NOISES_A_SEED * self._settings.seed + draw) % _SEEDS)

    def _step(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> None:
        """Take a step, unless its gradient isn't finite."""
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
        """Write all that the run can go on from, after a validation if there is to be one."""
        if not self._workshop.processes.first:
            return
        self._log(self._validate() if validates else None)
        folder = self._workshop.folder
        self._save_weights(folder.last)
        save_checkpoint(folder.checkpoint, self._parts)
        self._draw()

    def _validate(self) -> Score | None:
        """Return the score of the averaged network, which is saved if it is the best yet."""
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
        facts = {
            **self._workshop.facts,
            "steps": str(progress.step),
            "minutes": f"{progress.minutes:.1f}",
        }
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
        """Draw the log, if that can be done."""
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
