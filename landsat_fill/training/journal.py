"""The log of a run: a CSV file with a row every so many steps and for each validation."""

from __future__ import annotations

import csv
import io
import math
from typing import TYPE_CHECKING

from landsat_fill.errors import InputError
from landsat_fill.io.text_files import append_line, write_text_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


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
            hint="move it away; the run goes on without",
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
