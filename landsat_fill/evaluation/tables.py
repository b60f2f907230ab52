"""Results as rows: one a band and trial, and a summary; as CSV and as JSON."""

from __future__ import annotations

import csv
import io
import json
import math
from typing import TYPE_CHECKING

from landsat_fill.evaluation.groups import GroupSummary, summarise_groups
from landsat_fill.evaluation.scoring import SCORE_NAMES
from landsat_fill.evaluation.summaries import (
    RATIO_SCORES,
    Summary,
    ratio_to,
    reference_records,
    summarise,
)
from landsat_fill.io.text_files import write_text_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from landsat_fill.evaluation.results import Results

    Cell = str | int | float | None
    Row = dict[str, Cell]

UNIT_SCORES = ("rmse", "mae", "bias", "crps")
"""Scores that have a unit, and so are also given in the band's physical one."""


def record_rows(results: Results) -> list[Row]:
    """Return a row for each record; None where a score doesn't apply."""
    reference = reference_records(results)
    rows = []
    for record in results.records:
        row: Row = {
            "scene": record.scene,
            "place": record.place,
            "group": record.group,
            "pattern": record.pattern,
            "seed": record.seed,
            "method": record.method,
            "band": record.band,
            "hidden_pct": record.hidden_pct,
        }
        row |= {name: _cell(getattr(record.scores, name)) for name in SCORE_NAMES}
        row |= {f"{name}_ratio": _cell(ratio_to(reference, record, name)) for name in RATIO_SCORES}
        row["scale"] = record.scale
        row |= {f"{name}_scaled": _cell(getattr(record.scores, name) * record.scale) for name in UNIT_SCORES}
        rows.append(row)
    return rows


def summary_rows(summaries: Iterable[Summary]) -> list[Row]:
    """Return a row for each summary; None where a score doesn't apply."""
    return [
        {
            "pattern": summary.pattern,
            "method": summary.method,
            "trials": summary.trials,
            "failures": summary.failures,
            **{f"{name}_ratio": _cell(value) for name, value in summary.ratios.items()},
            "worst_rmse_ratio": _cell(summary.worst_ratio),
            "worst_place": summary.worst_place,
            **{name: _cell(value) for name, value in summary.means.items()},
        }
        for summary in summaries
    ]


def group_rows(summaries: Iterable[GroupSummary]) -> list[Row]:
    """Return a row for each method and group; None where a score doesn't apply."""
    rows = []
    for one in summaries:
        (row,) = summary_rows([one.summary])
        rows.append({"group": one.group, "shift": _cell(one.shift)} | row)
    return rows


def write_csv(rows: Sequence[Row], path: Path) -> None:
    """Write rows as CSV with a header, the columns of the first row; an empty cell for None.

    Raises:
        OutputError: If the file can't be written.
    """
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    write_text_atomically(path, text.getvalue())


def write_json(results: Results, path: Path) -> None:
    """Write summaries, records and failures as one JSON object; null where a score doesn't apply.

    Raises:
        OutputError: If the file can't be written.
    """
    write_text_atomically(path, json.dumps(as_json(results), indent=2, ensure_ascii=False) + "\n")


def as_json(results: Results) -> dict[str, object]:
    """Return what `write_json` writes."""
    return {
        "reference": results.methods[0],
        "methods": list(results.methods),
        "devices": list(results.devices),
        "summary": [_finite(row) for row in summary_rows(summarise(results))],
        "groups": [_finite(row) for row in group_rows(summarise_groups(results))],
        "records": [_finite(row) for row in record_rows(results)],
        "failures": [
            {
                "scene": failure.scene,
                "pattern": failure.pattern,
                "seed": failure.seed,
                "method": failure.method,
                "error": f"{type(failure.error).__name__}: {failure.error}",
            }
            for failure in results.failures
        ],
    }


def _cell(value: float) -> float | None:
    return None if math.isnan(value) else value


def _finite(row: Row) -> Row:
    """Return the row without infinities, which JSON lacks."""
    return {
        name: None if isinstance(value, float) and math.isinf(value) else value for name, value in row.items()
    }
