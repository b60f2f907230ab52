"""What a run says of itself while it goes on, and who may end it."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple, Protocol


class Ending(Enum):
    """Why a run stopped."""

    BUDGET = "the budget is used"
    PATIENCE = "no better score came"
    INTERRUPTED = "interrupted"


class Standing(NamedTuple):
    """How a run stands.

    Attributes:
        step: Steps taken.
        share: How much of the budget is used, 0 to 1.
        minutes: Time spent, over all sittings.
        loss: Mean loss since the last row of the log.
        score: The latest validation error, or None before the first of this sitting.
        best: The best one, infinite before the first.
    """

    step: int
    share: float
    minutes: float
    loss: float
    score: float | None
    best: float


class Listener(Protocol):
    """Who is told how a run goes, and may end it."""

    def stepped(self, standing: Standing) -> None:
        """Hear that a step was taken."""
        ...

    def validated(self, standing: Standing) -> None:
        """Hear of a new score."""
        ...

    def noted(self, text: str) -> None:
        """Hear of something else worth a line."""
        ...

    def stop_asked(self) -> bool:
        """Return whether to stop before the next step; the run can go on from there."""
        ...
