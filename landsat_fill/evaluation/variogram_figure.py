"""A picture of variograms: estimated semivariances by distance, and the models fitted to them."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.errors import MissingPackageError, UsageError
from landsat_fill.io.text_files import write_bytes_atomically

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from landsat_fill.methods.kriging import BandFit

COLUMNS = 3
PANEL_INCHES = (3.4, 2.6)
DOTS_PER_INCH = 130
DIRECTIONS_DEG = (0, 90)
"""Directions that the model is drawn in, from its longest range."""


def write_variograms(bands: Sequence[BandFit], names: Sequence[str], path: Path) -> None:
    """Draw a panel a band, and write them as PNG, PDF or SVG.

    Args:
        bands: What kriging knows of each.
        names: Their names.
        path: Where to write; the ending decides the format.

    Raises:
        MissingPackageError: If matplotlib isn't installed.
        UsageError: If the ending is none that can be drawn.
        OutputError: If the file can't be written.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingPackageError(
            "expected the package matplotlib, which figures need, but it can't be imported",
            hint="pip install 'landsat-fill[evaluate]'",
        ) from error
    rows, columns = math.ceil(len(bands) / COLUMNS), min(len(bands), COLUMNS)
    figure = Figure(
        figsize=(columns * PANEL_INCHES[0], rows * PANEL_INCHES[1]), dpi=DOTS_PER_INCH, layout="constrained"
    )
    canvas = FigureCanvasAgg(figure)
    kind = path.suffix.lower().lstrip(".")
    if kind not in canvas.get_supported_filetypes():
        raise UsageError(
            f"expected a figure to end in .png, .pdf or .svg, but got {path.name!r}",
            hint="choose another name",
        )
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel, band, name in zip(panels, bands, names, strict=False):
        _draw(panel, band, name)
    for panel in panels[len(bands) :]:
        panel.set_axis_off()
    drawn = io.BytesIO()
    figure.savefig(drawn, format=kind)
    write_bytes_atomically(path, drawn.getvalue())


def _draw(panel, band: BandFit, name: str) -> None:  # type: ignore[no-untyped-def]  # matplotlib's Axes
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
