"""Hiding observed pixels, scoring the methods that fill them, tables and a figure of the scores."""

from landsat_fill.evaluation.figure import draw_figure, write_figure
from landsat_fill.evaluation.groups import GroupSummary, summarise_groups
from landsat_fill.evaluation.hiding import Trial, hide
from landsat_fill.evaluation.images import Sampling
from landsat_fill.evaluation.markdown import as_markdown, write_markdown
from landsat_fill.evaluation.paper_figure import draw_paper_figure, write_paper_figure
from landsat_fill.evaluation.paper_page import as_paper_page, write_paper_page
from landsat_fill.evaluation.patterns import (
    FLOOR_WIDTHS_PX,
    PAPER_PERCENTAGES,
    Pattern,
    RealStripes,
    SimulatedStripes,
)
from landsat_fill.evaluation.presets import PRESETS, Preset, preset_called
from landsat_fill.evaluation.protocol import REFERENCE, evaluate, method_label
from landsat_fill.evaluation.results import ALL_BANDS, Failure, Record, Results
from landsat_fill.evaluation.scoring import SCORE_NAMES, Scores, score_bands, score_together
from landsat_fill.evaluation.summaries import ALL_PATTERNS, Summary, summarise, summarise_pattern
from landsat_fill.evaluation.tables import (
    as_json,
    group_rows,
    record_rows,
    summary_rows,
    write_csv,
    write_json,
)

__all__ = [
    "ALL_BANDS",
    "ALL_PATTERNS",
    "FLOOR_WIDTHS_PX",
    "PAPER_PERCENTAGES",
    "PRESETS",
    "REFERENCE",
    "SCORE_NAMES",
    "Failure",
    "GroupSummary",
    "Pattern",
    "Preset",
    "RealStripes",
    "Record",
    "Results",
    "Sampling",
    "Scores",
    "SimulatedStripes",
    "Summary",
    "Trial",
    "as_json",
    "as_markdown",
    "as_paper_page",
    "draw_figure",
    "draw_paper_figure",
    "evaluate",
    "group_rows",
    "hide",
    "method_label",
    "preset_called",
    "record_rows",
    "score_bands",
    "score_together",
    "summarise",
    "summarise_groups",
    "summarise_pattern",
    "summary_rows",
    "write_csv",
    "write_figure",
    "write_json",
    "write_markdown",
    "write_paper_figure",
    "write_paper_page",
]
