"""What became of a scene, for the line on the terminal and the row in the report."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Status(Enum):
    """How a job ended; one that was stopped will be begun anew by whoever resumes the batch."""

    FILLED = "filled"
    NO_GAPS = "no gaps"
    SKIPPED = "skipped"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Tally:
    """Pixels of a scene, counted over its bands.

    Attributes:
        observed: Pixels with an observation.
        filled: Pixels filled.
        left: Missing pixels left unfilled.
        outside: Pixels outside the footprint.
    """

    observed: int = 0
    filled: int = 0
    left: int = 0
    outside: int = 0

    def __add__(self, other: Tally) -> Tally:
        """Return the sum of two counts."""
        return Tally(
            self.observed + other.observed,
            self.filled + other.filled,
            self.left + other.left,
            self.outside + other.outside,
        )

    @property
    def missing_share(self) -> float:
        """Missing pixels of the footprint, 0 to 1."""
        inside = self.observed + self.filled + self.left
        return (self.filled + self.left) / inside if inside else 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a job.

    Attributes:
        name: What the scene is called.
        source: What was read.
        target: What was written, or would have been.
        status: How it ended.
        tally: Pixels counted over all bands.
        seconds: Wall time.
        method: Name of the method.
        median_std: Median standard deviation of the filled pixels in stored numbers, or None.
        notes: What a user should know beside: gaps left, doubtful stripes, changed compression.
        files: All files written.
        error: Why it failed, or None.
        hint: What to do about that, or None.
        trace: Where in the code that was, or None.
    """

    name: str
    source: str
    target: Path
    status: Status
    tally: Tally = Tally()
    seconds: float = 0.0
    method: str = ""
    median_std: float | None = None
    notes: tuple[str, ...] = ()
    files: tuple[Path, ...] = field(default=())
    error: str | None = None
    hint: str | None = None
    trace: str | None = None

    def as_dict(self) -> dict[str, object]:
        """Return the outcome as plain values for JSON, without the trace."""
        row = asdict(self)
        row.pop("trace")
        row.update(
            target=str(self.target),
            status=self.status.value,
            seconds=round(self.seconds, 3),
            files=[str(file) for file in self.files],
            missing_percent=round(100 * self.tally.missing_share, 3),
        )
        return row
