"""The lower part of the figure: scores against the size of the gaps, a line a method."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from landsat_fill.evaluation.calibration import calibration_curves, draw_calibration
from landsat_fill.evaluation.labels import in_lines
from landsat_fill.evaluation.summaries import ALL_PATTERNS, Summary, summarise

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import SubFigure

    from landsat_fill.evaluation.results import Results


def draw_curves(figure: SubFigure, results: Results) -> None:
    """Draw RMSE ratio and r² against the patterns, a line a method; the calibration where there is one."""
    summaries = [summary for summary in summarise(results) if summary.pattern != ALL_PATTERNS]
    patterns = list(dict.fromkeys(record.pattern for record in results.records))
    styles = {method: _line_style(number) for number, method in enumerate(results.methods)}
    calibrated = bool(calibration_curves(results))
    axes = figure.subplots(1, 3 if calibrated else 2)
    panels = (
        ("RMSE on hidden pixels\n(1 = " + results.methods[0] + ")", _rmse_ratio),
        ("r² on hidden pixels", _r2),
    )
    for panel, (title, score) in zip(axes[:2], panels, strict=True):
        for method in results.methods:
            found = {s.pattern: score(s) for s in summaries if s.method == method}
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
    """Return places and values of a line that breaks off between patterns of different units (px and %)."""
    places: list[float] = []
    values: list[float] = []
    for place, pattern in enumerate(patterns):
        if place and pattern.split()[-1:] != patterns[place - 1].split()[-1:]:
            places.append(place - 0.5)
            values.append(math.nan)
        places.append(place)
        values.append(found.get(pattern, math.nan))
    return places, values


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
