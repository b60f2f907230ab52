"""Draws the log of a run."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING

from landsat_fill.errors import MissingPackageError
from landsat_fill.io.text_files import write_bytes_atomically
from landsat_fill.training.journal import read_journal

if TYPE_CHECKING:
    from pathlib import Path


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
            hint="pip install 'landsat-fill[evaluate]'; log.csv has the numbers",
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
