"""A panel of the figure: whether the methods' standard deviations can be believed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from landsat_fill.evaluation.summaries import summarise_pattern
from landsat_fill.evaluation.uncertainty import NOMINAL_PCT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes

    from landsat_fill.evaluation.results import Results


def calibration_curves(results: Results) -> dict[str, list[float]]:
    """Return the coverage in per cent at each of `NOMINAL_PCT`, by method, for the methods that give a std.

    Means over scenes, patterns, seeds and bands, each band counting once.
    """
    means = {summary.method: summary.means for summary in summarise_pattern(results)}
    curves = {
        method: [100 * means[method][f"coverage_{pct}"] for pct in NOMINAL_PCT] for method in results.methods
    }
    return {method: curve for method, curve in curves.items() if not any(math.isnan(c) for c in curve)}


def draw_calibration(panel: Axes, results: Results, styles: Mapping[str, Mapping[str, Any]]) -> None:
    """Draw coverage against nominal coverage; below the diagonal a method is too sure of itself."""
    panel.plot((0, 100), (0, 100), color="0.6", linewidth=1)
    for method, curve in calibration_curves(results).items():
        panel.plot(NOMINAL_PCT, curve, **styles[method])
    panel.set_xlim(0, 100)
    panel.set_ylim(0, 100)
    panel.set_xlabel("nominal, %")
    panel.set_title("hidden pixels inside the central\ninterval, % (diagonal: honest)", fontsize="medium")
    panel.grid(color="0.9")
    panel.spines[["top", "right"]].set_visible(False)
