"""The folder of a run: its files, its log, and the curve drawn from it."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from landsat_fill.errors import InputError, MissingPackageError, OutputError, cannot_write
from landsat_fill.io.atomic import append_line, write_bytes_atomically, write_text_atomically
from landsat_fill.io.locks import Claim

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The files of a run.

    Attributes:
        path: The folder.
    """

    path: Path

    @property
    def settings(self) -> Path:
        """What reproduces the run."""
        return self.path / "run.toml"

    @property
    def log(self) -> Path:
        """The course of the run, a row every so many steps."""
        return self.path / "log.csv"

    @property
    def curve(self) -> Path:
        """The same as a figure."""
        return self.path / "curve.png"

    @property
    def checkpoint(self) -> Path:
        """What the run goes on from."""
        return self.path / "last.pt"

    @property
    def best(self) -> Path:
        """The averaged weights that scored best."""
        return self.path / "best.safetensors"

    @property
    def last(self) -> Path:
        """The averaged weights of the last checkpoint."""
        return self.path / "last.safetensors"

    def begin(self, settings_text: str, *, resume: bool, overwrite: bool) -> None:
        """Make the folder, with the run's settings in it.

        Args:
            settings_text: The settings, as the file will have them.
            resume: Whether the run that is there goes on; else what it left is removed.
            overwrite: Whether that may be done where a run can go on; one that came to no checkpoint has
                nothing to lose.

        Raises:
            OutputError: If there is a run already and it may not be overwritten, or a file can't be written.
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
        """Return the claim on the folder, to be entered by the process that writes there.

        Raises:
            OutputError: If the folder's own folder can't be made.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(self.path, error) from error
        return Claim(self.path, hint="Wait for it, stop it, or choose another folder with -o.")

    def require_run(self) -> None:
        """Raise InputError unless there is a run to go on with."""
        for file in (self.settings, self.checkpoint):
            if not file.is_file():
                raise InputError(
                    f"expected a run to go on with, but {self.path} has no {file.name}",
                    hint="Leave out --resume to start one there.",
                )


class Journal:
    """Writes the log, and goes on with one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._columns: tuple[str, ...] = ()

    def cut_after(self, step: int) -> None:
        """Drop the rows of steps that will be taken again.

        Raises:
            InputError: If the log can't be read.
            OutputError: If it can't be written.
        """
        if not self.path.exists():
            return
        rows = [row for row in read_journal(self.path) if row["step"] <= step]
        if rows:
            self._columns = tuple(rows[0])
            texts = [_line(self._columns), *(_line([_text(row[c]) for c in self._columns]) for row in rows)]
            write_text_atomically(self.path, "\n".join(texts) + "\n")
        else:
            self.path.unlink()

    def write(self, row: Mapping[str, float]) -> None:
        """Append a row; the first one names the columns.

        Raises:
            OutputError: If it can't be written.
        """
        if not self._columns:
            self._columns = tuple(row)
            append_line(self.path, _line(self._columns))
        append_line(self.path, _line([_text(row[column]) for column in self._columns]))


def read_journal(path: Path) -> list[dict[str, float]]:
    """Return the rows of a log, NaN where a row has nothing.

    A row that a kill cut off before its last column is passed over.

    Raises:
        InputError: If it can't be read.
    """
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
    """Return a number with six digits, whole numbers with all, NaN as nothing."""
    if math.isnan(number):
        return ""
    return f"{number:.0f}" if float(number).is_integer() else f"{number:.6g}"


def _line(texts: list[str] | tuple[str, ...]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(texts)
    return line.getvalue()


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
    scores.plot(
        [row["step"] for row in validated],
        [row["validation"] for row in validated],
        color="tab:blue",
        marker="o",
        ms=3,
    )
    scores.set_ylabel("error on hidden pixels, relative to the classical fill", color="tab:blue")
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=120)
    write_bytes_atomically(target, content.getvalue())
