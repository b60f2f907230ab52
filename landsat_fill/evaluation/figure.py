"""One picture of an evaluation: a crop filled by every method, and the scores against the gaps' size."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.errors import MissingPackageError, UsageError
from landsat_fill.evaluation.accuracy import RANGE_PERCENTILES, root_mean_square_error
from landsat_fill.evaluation.tables import ALL_PATTERNS, Summary, summarise
from landsat_fill.io.text_files import write_bytes_atomically

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.image import AxesImage
    from numpy.typing import NDArray

    from landsat_fill.evaluation.example import Example
    from landsat_fill.evaluation.results import Results

STRETCH_PERCENTILES = (1.0, 99.0)
GAP_COLOUR = (0.13, 0.13, 0.15)
TILE_INCHES = 2.3
MOST_COLUMNS = 6
CURVES_INCHES = 3.4
DOTS_PER_INCH = 130


def draw_figure(results: Results) -> Figure:
    """Return the figure of an evaluation, to be saved with `savefig`.

    Above, a crop of one trial: truth, gaps, and for each method its fill, its absolute error and its standard
    deviation where it has one, both in per cent of the bands' range. Below, the RMSE relative to that of the
    reference, and r², both against the patterns.

    Raises:
        MissingPackageError: If matplotlib isn't installed.
        UsageError: If nothing was scored.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingPackageError(
            "expected the package matplotlib, which figures need, but it can't be imported",
            hint="pip install 'landsat-fill[evaluate]'",
        ) from error
    example = results.example
    if example is None:
        raise UsageError("expected results to draw, but no method was scored", hint="look at the failures")

    rows, columns, kinds = _layout(example)
    crops_inches = rows * kinds * TILE_INCHES * 1.04 + 0.5
    figure = Figure(
        figsize=(max(columns * TILE_INCHES, 9.5), crops_inches + CURVES_INCHES),
        dpi=DOTS_PER_INCH,
        layout="constrained",
    )
    FigureCanvasAgg(figure)
    (above,), (below,) = figure.subfigures(2, 1, squeeze=False, height_ratios=[crops_inches, CURVES_INCHES])
    _draw_crops(above, example)
    _draw_curves(below, results)
    return figure


def write_figure(results: Results, path: Path) -> None:
    """Write the figure of an evaluation, in the format that the name's suffix tells (PNG, PDF, SVG).

    Raises:
        MissingPackageError: If matplotlib isn't installed.
        UsageError: If nothing was scored, or the suffix isn't one of a picture.
        OutputError: If the file can't be written.
    """
    figure = draw_figure(results)
    kinds = figure.canvas.get_supported_filetypes()
    kind = path.suffix.lstrip(".").lower()
    if kind not in kinds:
        raise UsageError(
            f"expected the name of a picture, but got {path.name!r}", hint="end it in .png, .pdf or .svg"
        )
    content = io.BytesIO()
    figure.savefig(content, format=kind)
    write_bytes_atomically(path, content.getvalue())


def _layout(example: Example) -> tuple[int, int, int]:
    """Return rows and columns of tiles, and how many pictures a tile stacks: fill, error and perhaps std."""
    tiles = len(example.fills) + 2
    rows = math.ceil(tiles / MOST_COLUMNS)
    kinds = 3 if any(filled.std is not None for filled in example.fills.values()) else 2
    return rows, math.ceil(tiles / rows), kinds


def _draw_crops(figure: SubFigure, example: Example) -> None:
    rows, columns, kinds = _layout(example)
    axes = figure.subplots(rows * kinds, columns, squeeze=False)
    for unused in axes.flat:
        unused.set_axis_off()

    stretch = _Stretch(example)
    errors = {
        label: stretch.percent(np.abs(example.composite(label) - example.truth)) for label in example.fills
    }
    worst = max(float(np.percentile(error[example.hidden.any(axis=0)], 99)) for error in errors.values())

    def tile(number: int) -> Sequence[Axes]:
        row, column = divmod(number, columns)
        return [axes[row * kinds + kind, column] for kind in range(kinds)]

    gaps = np.where(example.hidden, np.nan, example.truth)
    for number, (title, values) in enumerate((("truth", example.truth), ("gaps", gaps))):
        _show(tile(number)[0], stretch.picture(values), title)

    for number, (label, error) in enumerate(errors.items(), start=2):
        picture, error_axes, *std_axes = tile(number)
        _show(picture, stretch.picture(example.composite(label)), label)
        shown = _show_percent(error_axes, error, worst, "magma")
        error_axes.set_title(f"RMSE {_crop_rmse(example, label):.3g}", fontsize="small")
        std = example.fills[label].std
        if std is not None and std_axes:
            spread = stretch.percent(np.where(example.hidden, std, 0))
            _show_percent(std_axes[0], spread, worst, "magma")
            std_axes[0].set_title("standard deviation", fontsize="small")
    bar_axes = tile(1)[1]
    bar = figure.colorbar(shown, ax=bar_axes, location="left", fraction=0.6, shrink=0.9)
    bar.set_label("|error|, std\n(% of the band's range)", fontsize="small")
    bar.ax.tick_params(labelsize="small")
    figure.suptitle(f"{example.scene} · {example.pattern} gaps", fontsize="medium")


def _draw_curves(figure: SubFigure, results: Results) -> None:
    """Draw RMSE ratio and r² against the patterns, a line a method."""
    summaries = [summary for summary in summarise(results) if summary.pattern != ALL_PATTERNS]
    patterns = list(dict.fromkeys(record.pattern for record in results.records))
    axes = figure.subplots(1, 2)
    panels = (
        ("RMSE on hidden pixels\n(1 = " + results.methods[0] + ")", _rmse_ratio),
        ("r² on hidden pixels", _r2),
    )
    for panel, (title, score) in zip(axes, panels, strict=True):
        for number, method in enumerate(results.methods):
            found = {s.pattern: score(s) for s in summaries if s.method == method}
            panel.plot(
                range(len(patterns)),
                [found.get(pattern, math.nan) for pattern in patterns],
                label=method,
                **_line_style(number),
            )
        panel.set_xticks(range(len(patterns)), patterns)
        panel.margins(x=0.08)
        panel.set_xlabel("gaps")
        panel.set_title(title, fontsize="medium")
        panel.grid(axis="y", color="0.9")
        panel.spines[["top", "right"]].set_visible(False)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", frameon=False)


def _rmse_ratio(summary: Summary) -> float:
    return summary.ratios["rmse"]


def _r2(summary: Summary) -> float:
    return summary.means["r2"]


def _line_style(number: int) -> dict[str, object]:
    """Return how the line of a method looks; the first is the reference."""
    if number == 0:
        return {"color": "0.35", "linestyle": "--", "marker": "o", "markersize": 4}
    markers = "osD^vP*X"
    return {"color": f"C{(number - 1) % 10}", "marker": markers[(number - 1) % len(markers)], "markersize": 5}


class _Stretch:
    """Turns an example's stored numbers into colours and errors into per cent, alike for all pictures."""

    def __init__(self, example: Example) -> None:
        self._shown = list(example.shown)
        truth = example.truth[self._shown]
        self._low, high = _limits(truth, STRETCH_PERCENTILES)
        self._span = high - self._low
        least, most = _limits(example.truth, RANGE_PERCENTILES)
        self._range = most - least

    def picture(self, values: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return `(row, col, 3)` from 0 to 1 of `(band, row, col)`; dark where a shown band is NaN."""
        unit = (values[self._shown] - self._low) / self._span
        colour = np.moveaxis(np.clip(unit, 0, 1), 0, -1)  # (H, W, 3 or 1)
        colour = np.broadcast_to(colour, (*colour.shape[:2], 3)).copy()
        colour[np.isnan(colour).any(axis=-1)] = GAP_COLOUR
        return colour

    def percent(self, differences: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return `(row, col)`: the mean over the bands in per cent of their ranges, 0 where NaN."""
        percent: NDArray[np.floating] = np.mean(np.nan_to_num(100 * differences / self._range), axis=0)
        return percent


def _limits(
    truth: NDArray[np.floating], percentiles: tuple[float, float]
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Return a low and a higher number for each band, `(band, 1, 1)`, also where it is constant or empty."""
    known = [band[np.isfinite(band)] for band in truth]
    limits = np.array([np.percentile(band, percentiles) if band.size else (0, 1) for band in known])
    low, high = limits[:, 0, None, None], limits[:, 1, None, None]
    return low, np.where(high > low, high, low + 1)


def _show(axes: Axes, picture: NDArray[np.floating], title: str) -> None:
    axes.imshow(picture, interpolation="nearest")
    axes.set_title(title, fontsize="small")


def _show_percent(axes: Axes, percent: NDArray[np.floating], worst: float, colours: str) -> AxesImage:
    return axes.imshow(percent, vmin=0, vmax=worst or 1.0, cmap=colours, interpolation="nearest")


def _crop_rmse(example: Example, label: str) -> float:
    """Return the RMSE over the hidden pixels of all bands of the crop, in stored numbers."""
    filled = example.fills[label].mean
    known = example.hidden & np.isfinite(filled)
    return root_mean_square_error(example.truth[known], filled[known])
