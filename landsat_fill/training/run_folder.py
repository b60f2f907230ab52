"""The folder of a run: its files, its log with the curve, and the checkpoints from which it resumes."""

from __future__ import annotations

import csv
import io
import math
import pickle
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch

from landsat_fill.errors import InputError, MissingPackageError, OutputError, cannot_write
from landsat_fill.io.atomic import append_line, write_bytes_atomically, write_text_atomically
from landsat_fill.io.locks import Claim
from landsat_fill.networks.weights import network_content
from landsat_fill.schema import from_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch.optim import Optimizer

    from landsat_fill.networks.network import Network


class RunFolder:
    """The files of a run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.settings = path / "run.toml"  # all settings, which reproduce the run
        self.log = path / "log.csv"  # a row for some of the steps
        self.curve = path / "curve.png"  # the figure of the log
        self.checkpoint = path / "last.pt"  # the state from which the run resumes
        self.best = path / "best.safetensors"  # the averaged weights with the lowest validation error
        self.last = path / "last.safetensors"  # the averaged weights of the last checkpoint

    def begin(self, settings_text: str, *, resume: bool, overwrite: bool) -> None:
        """Create the folder with the settings of the run.

        Args:
            settings_text: Content of the settings file.
            resume: Whether to resume the run in the folder, instead of removing its files.
            overwrite: Whether to remove a run that has a checkpoint.

        Raises:
            OutputError: If the folder has a run that must not be overwritten, or a file can't be written.
        """
        if self.checkpoint.exists() and not (resume or overwrite):
            raise OutputError(
                f"expected a folder without a run, but {self.path} has one",
                hint="Continue it with --resume, replace it with --overwrite, or choose another with -o.",
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for file in () if resume else (self.log, self.curve, self.checkpoint, self.best, self.last):
                file.unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(self.settings, error) from error
        write_text_atomically(self.settings, settings_text)

    def claim(self) -> Claim:
        """Return the lock of the folder for the process that writes there, or raise OutputError."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(self.path, error) from error
        return Claim(self.path, hint="Wait for it, stop it, or choose another folder with -o.")

    def require_run(self) -> None:
        """Raise InputError unless the folder has a run to resume."""
        for file in (self.settings, self.checkpoint):
            if not file.is_file():
                raise InputError(
                    f"expected a run to resume, but {self.path} has no {file.name}",
                    hint="Leave out --resume to start one there.",
                )


class Journal:
    """Writes a log, and continues an existing one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._columns: tuple[str, ...] = ()

    def cut_after(self, step: int) -> None:
        """Remove the rows of later steps, or raise InputError or OutputError."""
        if not self.path.exists():
            return
        rows = [row for row in read_journal(self.path) if row["step"] <= step]
        if rows:
            self._columns = tuple(rows[0])
            lines = [",".join(self._columns), *map(self._line, rows)]
            write_text_atomically(self.path, "\n".join(lines) + "\n")
        else:
            self.path.unlink()

    def write(self, row: Mapping[str, float]) -> None:
        """Append a row, or raise OutputError; the first row defines the columns."""
        if not self._columns:
            self._columns = tuple(row)
            append_line(self.path, ",".join(self._columns))
        append_line(self.path, self._line(row))

    def _line(self, row: Mapping[str, float]) -> str:
        return ",".join(_text(row[column]) for column in self._columns)


def read_journal(path: Path) -> list[dict[str, float]]:
    """Return the rows of a log, or raise InputError; empty cells are NaN, incomplete rows of a killed run skipped."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [
                {key: float(text) if text else math.nan for key, text in row.items()}
                for row in csv.DictReader(file)
                if None not in row.values()
            ]
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f"expected the log of a run in {path}, but got an error: {error}",
            hint="Move it away; the run continues without it.",
        ) from error


def _text(number: float) -> str:
    """Return a number with six digits, a whole number with all digits, NaN as empty text."""
    if math.isnan(number):
        return ""
    return f"{number:.0f}" if float(number).is_integer() else f"{number:.6g}"


def draw_curve(log: Path, target: Path) -> None:
    """Write a figure of the loss and the validation error against the steps.

    Args:
        log: The run's CSV file, with at least one row.
        target: The PNG file to write.

    Raises:
        MissingPackageError: If matplotlib isn't installed.
        InputError: If the log can't be read.
        OutputError: If the figure can't be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingPackageError(
            "expected matplotlib to draw the curve, but it isn't installed",
            hint="Run: pip install 'landsat-fill[evaluate]'; log.csv has the numbers.",
        ) from error
    rows = read_journal(log)
    validated = [row for row in rows if not math.isnan(row["validation"])]
    figure = Figure(figsize=(7, 4), layout="constrained")
    losses = figure.add_subplot()
    losses.plot([row["step"] for row in rows], [row["loss"] for row in rows], color="0.6", lw=1)
    losses.set(xlabel="step", ylabel="loss")
    scores = losses.twinx()
    steps, errors = [row["step"] for row in validated], [row["validation"] for row in validated]
    scores.plot(steps, errors, color="tab:blue", marker="o", ms=3)
    scores.set_ylabel("error on hidden pixels, relative to the classical fill", color="tab:blue")
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=120)
    write_bytes_atomically(target, content.getvalue())


_FORMAT = "landsat-fill-checkpoint/2"


@dataclass(slots=True)
class Progress:
    """The progress of a run. It has no state of random generators, because each step has its own seed."""

    step: int = 0  # number of steps
    minutes: float = 0.0  # training time, over all sessions
    best: float = math.inf  # lowest validation error
    stale: int = 0  # validations since the lowest error
    error: float = math.nan  # of the last validation
    std_factor: float | None = None  # correction factor of the standard deviation, from the last validation
    validated: int = 0  # step of the last validation; 0 before the first
    share: float = 0.0  # used share of the budget, 0 to 1
    loss: float = math.nan  # mean since the last row of the log


@dataclass(frozen=True, slots=True)
class Parts:
    """The state of a run."""

    network: Network
    average: Network  # has the moving average of the weights, and is in evaluation mode
    optimiser: Optimizer
    progress: Progress


def save_network(path: Path, network: Network, facts: Mapping[str, str] | None = None) -> None:
    """Write `network_content` to a file atomically, or raise OutputError."""
    write_bytes_atomically(path, network_content(network, facts))


def save_checkpoint(path: Path, parts: Parts) -> None:
    """Write a checkpoint atomically, or raise OutputError."""
    content = io.BytesIO()
    torch.save(
        {
            "format": _FORMAT,
            "network": parts.network.state_dict(),
            "average": parts.average.state_dict(),
            "optimiser": parts.optimiser.state_dict(),
            "progress": asdict(parts.progress),
        },
        content,
    )
    write_bytes_atomically(path, content.getvalue())


def load_checkpoint(path: Path, parts: Parts) -> None:
    """Restore the state of a run from a checkpoint.

    Raises:
        InputError: If the file can't be read, or belongs to another network.
    """
    try:
        # With weights_only, a checkpoint can't run code.
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        if state.get("format") != _FORMAT:
            raise ValueError(f"its format is {state.get('format')!r}")
        parts.network.load_state_dict(state["network"])
        parts.average.load_state_dict(state["average"])
        parts.optimiser.load_state_dict(state["optimiser"])
        _require_shapes(parts.optimiser)
        progress: Progress = from_json(Progress, state["progress"])
        for name, value in asdict(progress).items():
            setattr(parts.progress, name, value)
    except Exception as error:  # torch raises errors of any kind for a damaged file
        # torch advises to switch the safety off.
        unsafe = isinstance(error, pickle.UnpicklingError)
        reason = "it holds more than numbers" if unsafe else str(error).partition("\n")[0] or type(error).__name__
        raise InputError(
            f"expected a checkpoint of this run in {path}, but got an error: {reason}",
            hint="Start the run again with --overwrite: its checkpoint is missing, damaged or of another version.",
        ) from error


def _require_shapes(optimiser: Optimizer) -> None:
    """Raise ValueError if the moments of a parameter have another shape than it."""
    for parameter, moments in optimiser.state.items():
        for name, moment in moments.items():
            if not isinstance(moment, torch.Tensor) or moment.shape not in (parameter.shape, torch.Size([])):
                raise ValueError(f"{name} of the optimiser has another shape")
