"""One picture of an evaluation: a crop filled by every method, and the scores against the gaps' size."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from landsat_fill.errors import MissingPackageError, UsageError
from landsat_fill.evaluation.crops import draw_crops, picture_grid
from landsat_fill.evaluation.curves import draw_curves
from landsat_fill.io.text_files import write_bytes_atomically

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.figure import Figure

    from landsat_fill.evaluation.results import Results

TILE_INCHES = 2.3
CURVES_INCHES = 3.4
DOTS_PER_INCH = 130


def draw_figure(results: Results, shown: Sequence[str] | None = None) -> Figure:
    """Return the figure of an evaluation, to be saved with `savefig`.

    Above, a crop of one trial: truth, gaps, and for each method its fill, its absolute error and its standard
    deviation where it has one, both in per cent of the bands' range. Below, the RMSE relative to that of the
    reference, and r², both against the patterns, and where methods give a std the coverage of their central
    intervals against the nominal one.

    Args:
        results: What to draw.
        shown: Labels of the methods whose crops to show; all if not given. The curves always show all.

    Raises:
        MissingPackageError: If matplotlib isn't installed.
        UsageError: If nothing was scored.
    """
    example = results.example
    if example is None:
        raise UsageError("expected results to draw, but no method was scored", hint="look at the failures")

    grid = picture_grid(example, shown)
    crops_inches = len(grid) * TILE_INCHES * 1.04 + 0.5
    figure = empty_figure((max(len(grid[0]) * TILE_INCHES, 9.5), crops_inches + CURVES_INCHES), DOTS_PER_INCH)
    (above,), (below,) = figure.subfigures(2, 1, squeeze=False, height_ratios=[crops_inches, CURVES_INCHES])
    draw_crops(above, example, grid)
    draw_curves(below, results)
    return figure


def write_figure(results: Results, path: Path, shown: Sequence[str] | None = None) -> None:
    """Write the figure of an evaluation, in the format that the name's suffix tells (PNG, PDF, SVG).

    Args:
        results: What to draw.
        path: The file.
        shown: As in `draw_figure`.

    Raises:
        MissingPackageError: If matplotlib isn't installed.
        UsageError: If nothing was scored, or the suffix isn't one of a picture.
        OutputError: If the file can't be written.
    """
    save_figure(draw_figure(results, shown), path)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as the kind of picture that the file's suffix names, whole or not at all.

    Raises:
        UsageError: If the suffix isn't one of a picture.
        OutputError: If the file can't be written.
    """
    content = io.BytesIO()
    figure.savefig(content, format=picture_kind(figure, path))
    write_bytes_atomically(path, content.getvalue())


def empty_figure(size_inches: tuple[float, float], dots_per_inch: int) -> Figure:
    """Return a figure to draw on, which needs no screen.

    Raises:
        MissingPackageError: If matplotlib isn't installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingPackageError(
            "expected the package matplotlib, which figures need, but it can't be imported",
            hint="pip install 'landsat-fill[evaluate]'",
        ) from error
    figure = Figure(figsize=size_inches, dpi=dots_per_inch, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def picture_kind(figure: Figure, path: Path) -> str:
    """Return the format of a picture file.

    Raises:
        UsageError: If the name's suffix isn't one of a picture.
    """
    kind = path.suffix.lstrip(".").lower()
    if kind not in figure.canvas.get_supported_filetypes():
        raise UsageError(
            f"expected the name of a picture, but got {path.name!r}", hint="end it in .png, .pdf or .svg"
        )
    return kind
