"""Hiding observed pixels, scoring the methods that fill them, tables and a figure of the scores."""

from landsat_fill.evaluation.figure import draw_figure, write_figure
from landsat_fill.evaluation.hiding import Trial, hide
from landsat_fill.evaluation.images import Sampling
from landsat_fill.evaluation.patterns import (
    FLOOR_WIDTHS_PX,
    PAPER_PERCENTAGES,
    Pattern,
    RealStripes,
    SimulatedStripes,
)
from landsat_fill.evaluation.protocol import REFERENCE, evaluate, method_label
from landsat_fill.evaluation.results import ALL_BANDS, Failure, Record, Results
from landsat_fill.evaluation.scoring import SCORE_NAMES, Scores, score_bands, score_together
from landsat_fill.evaluation.tables import (
    ALL_PATTERNS,
    Summary,
    as_json,
    record_rows,
    summarise,
    summary_rows,
    write_csv,
    write_json,
)

__all__ = [
    "ALL_BANDS",
    "ALL_PATTERNS",
    "FLOOR_WIDTHS_PX",
    "PAPER_PERCENTAGES",
    "REFERENCE",
    "SCORE_NAMES",
    "Failure",
    "Pattern",
    "RealStripes",
    "Record",
    "Results",
    "Sampling",
    "Scores",
    "SimulatedStripes",
    "Summary",
    "Trial",
    "as_json",
    "draw_figure",
    "evaluate",
    "hide",
    "method_label",
    "record_rows",
    "score_bands",
    "score_together",
    "summarise",
    "summary_rows",
    "write_csv",
    "write_figure",
    "write_json",
]
