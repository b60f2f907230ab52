"""The upper part of the figure: one crop as it was, with its gaps, and as each method fills it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.evaluation.accuracy import RANGE_PERCENTILES, root_mean_square_error
from landsat_fill.evaluation.labels import in_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import SubFigure
    from numpy.typing import NDArray

    from landsat_fill.evaluation.example import Example

STRETCH_PERCENTILES = (1.0, 99.0)
GAP_COLOUR = (0.13, 0.13, 0.15)
OBSERVED_COLOUR = "0.9"
MOST_COLUMNS = 6


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One picture.

    Attributes:
        title: What stands above it.
        pixels: Colours from 0 to 1, `(row, col, 3)`; or per cent, `(row, col)`, NaN where nothing was hidden.
    """

    title: str
    pixels: NDArray[np.floating]

    @property
    def is_colour(self) -> bool:
        """Whether the pixels are colours rather than per cent."""
        return self.pixels.ndim == 3


def picture_grid(example: Example, shown: Sequence[str] | None = None) -> list[list[Picture | None]]:
    """Return rows of pictures: truth, gaps and each method's fill, below it its error, below that its std.

    More than six columns are broken into several such bands of rows. None is room left free; there is some
    below the truth.

    Args:
        example: What to show.
        shown: The labels of the methods to show, in their order; all if not given.
    """
    labels = list(example.fills) if shown is None else [label for label in shown if label in example.fills]
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
        if not picture.is_colour:
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
    hidden = example.hidden[list(example.shown)].any(axis=0)
    gaps = np.where(example.hidden, np.nan, example.truth)
    columns = [
        [Picture("truth", stretch.colours(example.truth))],
        [Picture("gaps", stretch.colours(gaps))],
    ]
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
    """Return the top of the scale of errors: a few pixels lie above it."""
    percents = [p.pixels for row in grid for p in row if p is not None and not p.is_colour]
    hidden = [percent[np.isfinite(percent)] for percent in percents]
    return max((float(np.percentile(percent, 99)) for percent in hidden if percent.size), default=0) or 1.0


def _rmse_text(example: Example, label: str) -> str:
    """Return the RMSE over the hidden pixels of all bands of the crop, in stored numbers."""
    filled = example.fills[label].mean
    known = example.hidden & np.isfinite(filled)
    if not known.any():
        return "–"
    rmse = root_mean_square_error(example.truth[known], filled[known])
    return f"{rmse:,.0f}" if rmse >= 1000 else f"{rmse:.3g}"


class Stretch:
    """Turns an example's stored numbers into colours and errors into per cent, alike for all pictures."""

    def __init__(self, example: Example) -> None:
        self._shown = list(example.shown)
        truth = example.truth[self._shown]
        self._low, high = _limits(truth, STRETCH_PERCENTILES)
        self._span = high - self._low
        least, most = _limits(truth, RANGE_PERCENTILES)
        self._range = most - least

    def colours(self, values: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return `(row, col, 3)` from 0 to 1 of `(band, row, col)`; dark where a shown band is NaN."""
        unit = (values[self._shown] - self._low) / self._span
        colour = np.moveaxis(np.clip(unit, 0, 1), 0, -1)  # (H, W, 3 or 1)
        colour = np.broadcast_to(colour, (*colour.shape[:2], 3)).copy()
        colour[np.isnan(colour).any(axis=-1)] = GAP_COLOUR
        return colour

    def percent(self, differences: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return `(row, col)`: the mean over the shown bands in per cent of their ranges, 0 where NaN."""
        percent: NDArray[np.floating] = np.mean(
            np.nan_to_num(100 * differences[self._shown] / self._range), axis=0
        )
        return percent


def _limits(
    truth: NDArray[np.floating], percentiles: tuple[float, float]
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Return a low and a higher number for each band, `(band, 1, 1)`, also where it is constant or empty."""
    known = [band[np.isfinite(band)] for band in truth]
    limits = np.array([np.percentile(band, percentiles) if band.size else (0, 1) for band in known])
    low, high = limits[:, 0, None, None], limits[:, 1, None, None]
    return low, np.where(high > low, high, low + 1)
