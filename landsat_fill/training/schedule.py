"""The learning rate along a run: it rises, then falls with the share of the budget that is done."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from landsat_fill.training.settings import BudgetSettings, OptimiserSettings


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
