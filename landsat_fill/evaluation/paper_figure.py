"""The figures of the deep image prior paper, drawn from the results of a preset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from landsat_fill.errors import UsageError
from landsat_fill.evaluation.bands_alone import ENDING
from landsat_fill.evaluation.crops import GAP_COLOUR, Stretch
from landsat_fill.evaluation.figure import DOTS_PER_INCH, empty_figure, save_figure
from landsat_fill.evaluation.labels import in_lines
from landsat_fill.evaluation.paper_page import relative_error
from landsat_fill.evaluation.results import ALL_BANDS
from landsat_fill.evaluation.scoring import mean_of_known

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from landsat_fill.evaluation.example import Example
    from landsat_fill.evaluation.results import Results

REGIONS = 3
ABOVE_INCHES = 5.2
REGION_PX = 40
"""Side of the regions shown closely: more than a period of the stripes."""


def write_paper_figure(results: Results, path: Path, shown: Sequence[str] | None = None) -> None:
    """Write the figure, in the format that the name's suffix tells (PNG, PDF, SVG).

    Args:
        results: What to draw.
        path: The file.
        shown: Labels of methods, of which the first is the one whose pictures are shown.

    Raises:
        MissingPackageError: If matplotlib isn't installed.
        UsageError: If nothing was scored, or the suffix isn't one of a picture.
        OutputError: If the file can't be written.
    """
    save_figure(draw_paper_figure(results, shown), path)


def draw_paper_figure(results: Results, shown: Sequence[str] | None = None) -> Figure:
    """Return the figure: above (a) scores and (b) similarity at each pixel, below three regions closely.

    Args:
        results: What to draw.
        shown: Labels of methods, of which the first is the one whose pictures are shown; the first after the
            reference if not given.

    Raises:
        MissingPackageError: If matplotlib isn't installed.
        UsageError: If nothing was scored.
    """
    example = results.example
    if example is None:
        raise UsageError("expected results to draw, but no method was scored", hint="look at the failures")
    wanted = [label for label in shown or results.methods[1:] or results.methods if label in example.fills]
    label = wanted[0] if wanted else next(iter(example.fills))
    figure = empty_figure((11.0, ABOVE_INCHES + 2.6 * REGIONS), DOTS_PER_INCH)
    (above,), (below,) = figure.subfigures(2, 1, squeeze=False, height_ratios=[ABOVE_INCHES, 2.6 * REGIONS])
    left, right = above.subplots(1, 2, width_ratios=[1.6, 1])
    _draw_scores(left, results)
    _draw_similarity(right, example, label)
    _draw_regions(below.subplots(REGIONS, 3), example, label)
    return figure


def _draw_scores(axes: Axes, results: Results) -> None:
    """Draw r² (full lines) and RMSE (broken ones) against the shares, or r² by band of a single share."""
    records = [record for record in results.records if record.band != ALL_BANDS]
    patterns = list(dict.fromkeys(record.pattern for record in records))
    key = "pattern" if len(patterns) > 1 else "band"
    steps = list(dict.fromkeys(getattr(record, key) for record in records))
    other = axes.twinx() if len(patterns) > 1 else None
    together = list(dict.fromkeys(method.removesuffix(ENDING) for method in results.methods))
    for method in results.methods:
        mine = [record for record in records if record.method == method]
        parts = [[record for record in mine if getattr(record, key) == step] for step in steps]
        colour = f"C{together.index(method.removesuffix(ENDING)) % 10}"
        line, dot = (":", "none") if method.endswith(ENDING) else ("-", "full")
        r2 = [_mean([r.scores.r2 for r in p]) for p in parts]
        axes.plot(r2, "o", linestyle=line, fillstyle=dot, color=colour, label=in_lines(method))
        if other is not None:
            other.plot(
                [_mean([relative_error(r) for r in p]) for p in parts], "s--", color=colour, markersize=4
            )
    axes.set_xticks(range(len(steps)), steps)
    axes.set_ylabel("r² (full lines)" if other is not None else "r²")
    axes.set_xlabel("hidden" if other is not None else f"band, {patterns[-1]} hidden")
    axes.set_title("(a) hidden pixels, mean over places", fontsize="medium")
    if other is not None:
        other.set_ylabel("RMSE / σ of the hidden pixels (broken lines)")
    axes.legend(fontsize="x-small", frameon=False, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.15))


def _draw_similarity(axes: Axes, example: Example, label: str) -> None:
    """Draw how similar each pixel is to the true one: dark green is alike, white is not."""
    stretch = Stretch(example)
    percent = stretch.percent(np.abs(example.composite(label) - example.truth))
    image = axes.imshow(
        100 - np.clip(percent, 0, 100), cmap="Greens", vmin=70, vmax=100, interpolation="nearest"
    )
    axes.figure.colorbar(image, ax=axes, extend="min", label="100 − |error| in % of the bands' range")
    axes.set_axis_off()
    axes.set_title(f"(b) similarity, {example.pattern} hidden\n{in_lines(label)}", fontsize="medium")


def _draw_regions(all_axes: Any, example: Example, label: str) -> None:
    """Draw the gaps, the fill and the truth of the regions with most detail."""
    stretch = Stretch(example)
    truth = stretch.colours(example.truth)
    gaps = truth.copy()
    gaps[example.hidden[list(example.shown)].any(axis=0)] = GAP_COLOUR
    columns = (("with gaps", gaps), (label, stretch.colours(example.composite(label))), ("truth", truth))
    for row, region in zip(all_axes, _regions(truth), strict=False):
        for axes, (title, picture) in zip(row, columns, strict=True):
            axes.imshow(picture[region], interpolation="nearest")
            axes.set_title(in_lines(title), fontsize="small")
    for axes in all_axes.flat:
        axes.set_axis_off()


def _regions(truth: NDArray[np.floating]) -> list[tuple[slice, slice]]:
    """Return the regions that differ most within themselves; they don't overlap."""
    height, width = truth.shape[:2]
    found = []
    for row in range(0, max(height - REGION_PX, 0) + 1, REGION_PX):
        for col in range(0, max(width - REGION_PX, 0) + 1, REGION_PX):
            region = slice(row, row + REGION_PX), slice(col, col + REGION_PX)
            found.append((float(np.var(truth[region])), region))
    found.sort(key=lambda one: -one[0])
    return [region for _, region in found[:REGIONS]]


def _mean(values: list[float]) -> float:
    return mean_of_known(np.array(values, np.float64))
