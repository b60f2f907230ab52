"""Settings of a run that takes seconds, a listener that records its calls, and a small batch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from landsat_fill.training.batches import Batch, make_batch
from landsat_fill.training.settings import TrainingSettings, changed, recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from landsat_fill.training.run_folder import Progress


TINY = {
    "band-unet": {"band_channels": 8, "channels": 8, "trunk_blocks": 1, "exit_blocks": 1},
    "convcnp": {"channels": 8, "blocks": 1, "decoder_layers": 1, "kernel_px": 3, "context_kernel_px": 5},
    "convlnp": {"channels": 8, "blocks": 1, "kernel_px": 3, "context_kernel_px": 5},
    "unet": {"channels": 8, "halvings": 2},
    "partialconv": {"channels": 8, "halvings": 2},
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Keep sums in one order, and leave the number of threads as it was."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def no_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the curve of a run, which takes longer than the run; tests/cli/test_train.py has one."""
    monkeypatch.setattr("landsat_fill.training.loop.draw_curve", lambda _log, _target: None)


@pytest.fixture
def settings_for(clean_scenes: list[str]) -> Callable[..., TrainingSettings]:
    """Return a function that makes settings of a small run; tables given by name are laid over them."""

    def make(network: str = "unet", /, **tables: dict[str, Any]) -> TrainingSettings:
        small = {
            "network": {"name": network, **TINY[network]},
            "data": {
                "paths": clean_scenes[:1],
                "validation": clean_scenes[1:],
                "size_px": 40,
                "batch": 2,
                "band_counts": [3, 1],
            },
            "objective": {"samples": 2},
            "optimiser": {"warm_up_steps": 2},
            "budget": {"steps": 6},
            "validation": {"every_steps": 3, "samples": 2},
            "machine": {"workers": 0, "threads": 1, "precision": "float32", "device": "cpu"},
        }
        return changed(changed(recipe(network), small, "the test"), tables, "the test")

    return make


@dataclass
class Recorder:
    """Records the progress of a run, and may request a stop after a step."""

    stop_after: int | None = None
    steps: list[int] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def stepped(self, progress: Progress) -> None:
        self.steps.append(progress.step)

    def validated(self, progress: Progress) -> None:
        assert progress.validated == progress.step
        self.scores.append(progress.error)

    def noted(self, text: str) -> None:
        self.notes.append(text)

    def stop_requested(self) -> bool:
        return self.stop_after is not None and bool(self.steps) and self.steps[-1] >= self.stop_after


@pytest.fixture
def recorder() -> type[Recorder]:
    return Recorder


@pytest.fixture
def batch() -> Batch:
    """Two tiles of two bands, a tenth of the pixels hidden, a corner never observed."""
    random = np.random.default_rng(3)
    rows, cols = np.mgrid[:48, :48]
    hills = 30 * np.sin(rows / 6)[None, None] * np.cos(cols / 8) + random.normal(0, 1, (2, 2, 48, 48))
    values = hills.astype(np.float32)
    observed = np.ones(values.shape, np.bool_)
    observed[:, :, :8, :8] = False
    hidden = observed & ((rows + cols // 5) % 20 < 4)
    usable = observed & ~hidden
    return make_batch(values, usable, hidden, np.full((2, 2), 5.0), filled=True)
