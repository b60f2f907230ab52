"""The figures of an evaluation: crops, scores by gap width, calibration, variograms."""

from __future__ import annotations

import io
import math
import textwrap
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from landsat_fill.errors import MissingPackageError, UsageError
from landsat_fill.evaluation.metrics import NOMINAL_PCT, RANGE_PERCENTILES, error_scores
from landsat_fill.evaluation.results import summarise, summarise_pattern
from landsat_fill.io.atomic import write_bytes_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from numpy.typing import NDArray

    from landsat_fill.evaluation.results import Example, Results
    from landsat_fill.methods.kriging import BandFit


LINE_CHARACTERS = 30
"""Largest number of characters in a line above a picture."""


def in_lines(label: str) -> str:
    """Return a label broken at spaces, and within words that are longer than a line."""
    return "\n".join(textwrap.wrap(label, LINE_CHARACTERS))


def calibration_curves(results: Results) -> dict[str, list[float]]:
    """Return the coverage in per cent at each of `NOMINAL_PCT`, for the methods with a standard deviation.

    Each value is the mean over scenes, patterns, seeds and bands.
    """
    summary = summarise_pattern(results).set_index("method").reindex(results.methods)
    curves = 100 * summary[[f"coverage_{pct}" for pct in NOMINAL_PCT]].dropna()
    return {str(method): list(curve) for method, curve in zip(curves.index, curves.to_numpy(), strict=True)}


def draw_calibration(panel: Axes, results: Results, styles: Mapping[str, Mapping[str, Any]]) -> None:
    """Draw coverage against nominal coverage; below the diagonal a method is overconfident."""
    panel.plot((0, 100), (0, 100), color="0.6", linewidth=1)
    for method, curve in calibration_curves(results).items():
        panel.plot(NOMINAL_PCT, curve, **styles[method])
    panel.set_xlim(0, 100)
    panel.set_ylim(0, 100)
    panel.set_xlabel("nominal, %")
    panel.set_title("hidden pixels inside the central\ninterval, % (diagonal: well calibrated)", fontsize="medium")
    panel.grid(color="0.9")
    panel.spines[["top", "right"]].set_visible(False)


def draw_curves(figure: SubFigure, results: Results) -> None:
    """Draw RMSE ratio and r² against the patterns, a line for each method, and the calibration if any."""
    summary = summarise(results)
    patterns = results.patterns
    styles = {method: _line_style(number) for number, method in enumerate(results.methods)}
    calibrated = bool(calibration_curves(results))
    axes = figure.subplots(1, 3 if calibrated else 2)
    panels = (("RMSE on hidden pixels\n(1 = " + results.methods[0] + ")", "rmse_ratio"), ("r² on hidden pixels", "r2"))
    for panel, (title, score) in zip(axes[:2], panels, strict=True):
        for method in results.methods:
            found = summary[summary["method"] == method].set_index("pattern")[score].to_dict()
            places, values = _with_breaks(patterns, found)
            panel.plot(places, values, label=in_lines(method), **styles[method])
        panel.set_xticks(range(len(patterns)), patterns)
        panel.margins(x=0.08)
        panel.set_xlabel("gaps")
        panel.set_title(title, fontsize="medium")
        panel.grid(axis="y", color="0.9")
        panel.spines[["top", "right"]].set_visible(False)
    if calibrated:
        draw_calibration(axes[2], results, styles)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", frameon=False)


def _with_breaks(patterns: Sequence[str], found: Mapping[str, float]) -> tuple[list[float], list[float]]:
    """Return positions and values of a line, with a break between patterns of different units (px and %)."""
    places: list[float] = []
    values: list[float] = []
    for place, pattern in enumerate(patterns):
        if place and pattern.split()[-1:] != patterns[place - 1].split()[-1:]:
            places.append(place - 0.5)
            values.append(math.nan)
        places.append(place)
        values.append(found.get(pattern, math.nan))
    return places, values


def _line_style(number: int) -> dict[str, object]:
    """Return the line style of a method; the first is the reference."""
    if number == 0:
        return {"color": "0.35", "linestyle": "--", "marker": "o", "markersize": 4}
    markers = "osD^vP*X"
    return {"color": f"C{(number - 1) % 10}", "marker": markers[(number - 1) % len(markers)], "markersize": 5}


STRETCH_PERCENTILES = (1.0, 99.0)
GAP_COLOUR = (0.13, 0.13, 0.15)
OBSERVED_COLOUR = "0.9"
MOST_COLUMNS = 6


class Picture(NamedTuple):
    """A picture with its title: colours from 0 to 1, `(row, col, 3)`, or per cent, `(row, col)`.

    Per cent are NaN where nothing was hidden.
    """

    title: str
    pixels: NDArray[np.floating]


def picture_grid(example: Example, methods: Sequence[str] | None = None) -> list[list[Picture | None]]:
    """Return rows of pictures: truth, gaps, and the fill, error and standard deviation of each method.

    More than six columns continue in further rows. None is an empty cell.

    Args:
        example: The example to show.
        methods: Labels of the methods to show, in this order; all if not given.
    """
    labels = list(example.fills) if methods is None else [label for label in methods if label in example.fills]
    columns = _columns(example, labels)
    breadth = math.ceil(len(columns) / math.ceil(len(columns) / MOST_COLUMNS))
    rows: list[list[Picture | None]] = []
    for start in range(0, len(columns), breadth):
        band = columns[start : start + breadth]
        for depth in range(max(len(column) for column in band)):
            row = [column[depth] if depth < len(column) else None for column in band]
            rows.append(row + [None] * (breadth - len(band)))
    return rows


def draw_crops(figure: SubFigure, example: Example, grid: Sequence[Sequence[Picture | None]]) -> None:
    """Draw the pictures of an example, with a scale of the errors below the truth."""
    from matplotlib import colormaps

    worst = _worst_percent(grid)
    colours = colormaps["magma"].with_extremes(bad=OBSERVED_COLOUR)
    all_axes = figure.subplots(len(grid), len(grid[0]), squeeze=False)
    for axes, picture in zip(all_axes.flat, (picture for row in grid for picture in row), strict=True):
        axes.set_axis_off()
        if picture is None:
            continue
        image = axes.imshow(picture.pixels, vmin=0, vmax=worst, cmap=colours, interpolation="nearest")
        axes.set_title(picture.title, fontsize="small")
        if picture.pixels.ndim == 2:
            percent = image
    bar = figure.colorbar(percent, cax=all_axes[1, 0].inset_axes((0.75, 0.1, 0.08, 0.8)), extend="max")
    bar.ax.yaxis.set_ticks_position("left")
    bar.ax.yaxis.set_label_position("left")
    bar.ax.tick_params(labelsize="small")
    bar.set_label("in % of the bands' range", fontsize="small")
    figure.suptitle(f"{example.scene} · {example.pattern} gaps", fontsize="medium")


def _columns(example: Example, labels: Sequence[str]) -> list[list[Picture]]:
    """Return the pictures from left to right, and from top to bottom."""
    stretch = Stretch(example)
    hidden = example.hidden[list(example.drawn_bands)].any(axis=0)
    gaps = np.where(example.hidden, np.nan, example.truth)
    columns = [[Picture("truth", stretch.colours(example.truth))], [Picture("gaps", stretch.colours(gaps))]]
    for label in labels:
        filled = example.fills[label]
        composite = example.composite(label)
        error = np.where(hidden, stretch.percent(np.abs(composite - example.truth)), np.nan)
        column = [
            Picture(in_lines(label), stretch.colours(composite)),
            Picture(f"|error|, RMSE {_rmse_text(example, label)}", error),
        ]
        if filled.std is not None:
            std = stretch.percent(np.where(example.hidden, filled.std, 0))
            column.append(Picture("standard deviation", np.where(hidden, std, np.nan)))
        columns.append(column)
    return columns


def _worst_percent(grid: Sequence[Sequence[Picture | None]]) -> float:
    """Return the maximum of the error scale: the 99th percentile of the hidden pixels."""
    percents = [p.pixels for row in grid for p in row if p is not None and p.pixels.ndim == 2]
    hidden = [percent[np.isfinite(percent)] for percent in percents]
    return max((float(np.percentile(percent, 99)) for percent in hidden if percent.size), default=0) or 1.0


def _rmse_text(example: Example, label: str) -> str:
    """Return the RMSE over the hidden pixels of all bands of the crop, in stored numbers."""
    filled = example.fills[label].mean
    known = example.hidden & np.isfinite(filled)
    if not known.any():
        return "–"
    rmse = error_scores(example.truth[known], filled[known], 1.0)["rmse"]
    return f"{rmse:,.0f}" if rmse >= 1000 else f"{rmse:.3g}"


class Stretch:
    """Turns an example's stored numbers into colours and errors into per cent, alike for all pictures."""

    def __init__(self, example: Example) -> None:
        self._bands = list(example.drawn_bands)
        truth = example.truth[self._bands]
        self._low, high = _limits(truth, STRETCH_PERCENTILES)
        self._span = high - self._low
        least, most = _limits(truth, RANGE_PERCENTILES)
        self._range = most - least

    def colours(self, values: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return `(row, col, 3)` from 0 to 1 of `(band, row, col)`; dark where a drawn band is NaN."""
        unit = (values[self._bands] - self._low) / self._span
        colour = np.moveaxis(np.clip(unit, 0, 1), 0, -1)  # (H, W, 3 or 1)
        colour = np.broadcast_to(colour, (*colour.shape[:2], 3)).copy()
        colour[np.isnan(colour).any(axis=-1)] = GAP_COLOUR
        return colour

    def percent(self, differences: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return `(row, col)`: the mean over the drawn bands in per cent of their ranges, 0 where NaN."""
        percent: NDArray[np.floating] = np.mean(np.nan_to_num(100 * differences[self._bands] / self._range), axis=0)
        return percent


def _limits(
    truth: NDArray[np.floating], percentiles: tuple[float, float]
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Return two different limits for each band, `(band, 1, 1)`, even if it is constant or empty."""
    known = [band[np.isfinite(band)] for band in truth]
    limits = np.array([np.percentile(band, percentiles) if band.size else (0, 1) for band in known])
    low, high = limits[:, 0, None, None], limits[:, 1, None, None]
    return low, np.where(high > low, high, low + 1)


TILE_INCHES = 2.3
CURVES_INCHES = 3.4
DOTS_PER_INCH = 130


def draw_figure(results: Results, methods: Sequence[str] | None = None) -> Figure:
    """Return the figure of an evaluation, to be saved with `savefig`.

    The upper part shows a crop of one trial: truth, gaps, and the fill, absolute error and standard deviation
    of each method, in per cent of the bands' range. The lower part has the relative RMSE and r² for each
    pattern, and the calibration of methods with a standard deviation.

    Args:
        results: The results to draw.
        methods: Labels of the methods whose crops to show; all if not given. The curves always show all.

    Raises:
        MissingPackageError: If matplotlib isn't installed.
        UsageError: If nothing was scored.
    """
    example = results.example
    if example is None:
        raise UsageError("expected results to draw, but no method was scored", hint="Look at the failures.")

    grid = picture_grid(example, methods)
    crops_inches = len(grid) * TILE_INCHES * 1.04 + 0.5
    figure = empty_figure((max(len(grid[0]) * TILE_INCHES, 9.5), crops_inches + CURVES_INCHES))
    (above,), (below,) = figure.subfigures(2, 1, squeeze=False, height_ratios=[crops_inches, CURVES_INCHES])
    draw_crops(above, example, grid)
    draw_curves(below, results)
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure atomically, in the format of the file's suffix (PNG, PDF, SVG).

    Raises:
        MissingPackageError: If matplotlib isn't installed.
        UsageError: If the suffix isn't that of a picture.
        OutputError: If the file can't be written.
    """
    refuse_picture(path)
    content = io.BytesIO()
    figure.savefig(content, format=path.suffix.lstrip(".").lower())
    write_bytes_atomically(path, content.getvalue())


def empty_figure(size_inches: tuple[float, float]) -> Figure:
    """Return a figure to draw on, which needs no screen, or raise MissingPackageError without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingPackageError(
            "expected the package matplotlib, which figures need, but it can't be imported",
            hint="Run: pip install 'landsat-fill[evaluate]'",
        ) from error
    figure = Figure(figsize=size_inches, dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def refuse_picture(path: Path) -> None:
    """Raise the errors of `save_figure` for a name or a missing package, before hours of work."""
    if path.suffix.lstrip(".").lower() not in empty_figure((1, 1)).canvas.get_supported_filetypes():
        raise UsageError(
            f"expected a figure to end in .png, .pdf or .svg, but got {path.name!r}", hint="Choose another name."
        )


COLUMNS = 3
PANEL_INCHES = (3.4, 2.6)
DIRECTIONS_DEG = (0, 90)
"""Directions that the model is drawn in, from its longest range."""


def write_variograms(bands: Sequence[BandFit], names: Sequence[str], path: Path) -> None:
    """Write the variogram of each band as a panel of a figure; raises the errors of `save_figure`."""
    rows, columns = math.ceil(len(bands) / COLUMNS), min(len(bands), COLUMNS)
    figure = empty_figure((columns * PANEL_INCHES[0], rows * PANEL_INCHES[1]))
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel, band, name in zip(panels, bands, names, strict=False):
        _draw_variogram(panel, band, name)
    for panel in panels[len(bands) :]:
        panel.set_axis_off()
    save_figure(figure, path)


def _draw_variogram(panel: Axes, band: BandFit, name: str) -> None:
    """Draw a band's semivariances and model."""
    found, model = band.found, band.variogram
    panel.plot(np.hypot(found.rows, found.cols), found.values, "o", ms=3, color="0.6", label="estimated")
    distance = np.linspace(0.01, 32, 200)
    for across in DIRECTIONS_DEG if model.ratio > 1 else DIRECTIONS_DEG[:1]:
        angle = math.radians(model.angle_deg + across)
        curve = model.semivariance(distance * math.sin(angle), distance * math.cos(angle))
        label = "model" if model.ratio == 1 else f"model, {(model.angle_deg + across) % 180:.0f}°"
        panel.plot(distance, curve, "-" if not across else "--", color="C0", label=label)
    panel.set(title=name, xlabel="distance, pixels", xlim=(0, None), ylim=(0, None))
    panel.set_ylabel("semivariance" + (", units of local roughness²" if band.roughness else ""), fontsize=8)
    panel.legend(fontsize=7, frameon=False)
