"""The progress reports of a run, and the listener that receives them."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple, Protocol


class Ending(Enum):
    """Why a run stopped."""

    BUDGET = "the budget is used"
    PATIENCE = "the score no longer improved"
    INTERRUPTED = "interrupted"


class Standing(NamedTuple):
    """The state of a run, for display.

    Attributes:
        step: Number of steps.
        share: Used share of the budget, 0 to 1.
        minutes: Training time, over all sessions.
        loss: Mean loss since the last row of the log.
        score: Latest validation error, or None before the first validation.
        best: Lowest validation error, infinite before the first validation.
    """

    step: int
    share: float
    minutes: float
    loss: float
    score: float | None
    best: float


class Listener(Protocol):
    """Receives the progress of a run, and may stop it."""

    def stepped(self, standing: Standing) -> None:
        """Receive the state after a step."""
        ...

    def validated(self, standing: Standing) -> None:
        """Receive the state after a validation."""
        ...

    def noted(self, text: str) -> None:
        """Receive a message for the user."""
        ...

    def stop_asked(self) -> bool:
        """Return whether to stop before the next step; the run can be resumed."""
        ...
