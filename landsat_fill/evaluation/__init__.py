"""Hides observed pixels, scores the methods that fill them, and writes tables and figures."""

from landsat_fill.evaluation.figures import draw_figure, save_figure
from landsat_fill.evaluation.petrovskaia2020 import PRESETS, Preset, as_paper_page, draw_paper_figure, preset_called
from landsat_fill.evaluation.protocol import REFERENCE, evaluate, method_label
from landsat_fill.evaluation.results import (
    ALL_PATTERNS,
    Results,
    as_json,
    summarise,
    summarise_groups,
    write_csv,
    write_json,
    write_markdown,
)
from landsat_fill.evaluation.trials import Pattern, RealStripes, Sampling, SimulatedStripes, Trial, hide

__all__ = [
    "ALL_PATTERNS",
    "PRESETS",
    "REFERENCE",
    "Pattern",
    "Preset",
    "RealStripes",
    "Results",
    "Sampling",
    "SimulatedStripes",
    "Trial",
    "as_json",
    "as_paper_page",
    "draw_figure",
    "draw_paper_figure",
    "evaluate",
    "hide",
    "method_label",
    "preset_called",
    "save_figure",
    "summarise",
    "summarise_groups",
    "write_csv",
    "write_json",
    "write_markdown",
]
