"""Results as rows: one a band and trial, and a summary; as CSV and as JSON."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.evaluation.results import ALL_BANDS, Record, Results
from landsat_fill.evaluation.scoring import SCORE_NAMES, mean_of_known
from landsat_fill.io.text_files import write_text_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    Cell = str | int | float | None
    Row = dict[str, Cell]

ALL_PATTERNS = "all"
"""The pattern of a summary that averages over all patterns."""

RATIO_SCORES = ("rmse", "mae")
"""Scores in stored numbers, which only compare from scene to scene as ratios to the reference's."""

UNIT_SCORES = ("rmse", "mae", "bias", "crps")
"""Scores that have a unit, and so are also given in the band's physical one."""

_AVERAGED = tuple(name for name in SCORE_NAMES if name != "hidden")
_OF_ALL_BANDS = frozenset({"spectral_angle_deg", "seconds"})


@dataclass(frozen=True, slots=True)
class Summary:
    """A method's scores under one pattern, averaged over scenes, seeds and bands, each band counting once.

    Attributes:
        method: The method's label.
        pattern: The pattern's label, or `ALL_PATTERNS`.
        trials: Scenes × seeds (× patterns) that were scored.
        failures: Those that failed.
        means: Mean of each score. Means of RMSE, MAE, bias and CRPS are in stored numbers: between scenes of
            different types they mean nothing, the ratios do.
        ratios: Mean over the bands of all trials of a score divided by the reference's of the same pixels;
            below 1 is better than GDAL's fillnodata. NaN where the reference is perfect or failed.
    """

    method: str
    pattern: str
    trials: int
    failures: int
    means: Mapping[str, float]
    ratios: Mapping[str, float]


def summarise(results: Results) -> tuple[Summary, ...]:
    """Return a summary a pattern and method, then one a method over all patterns; the best RMSE first."""
    patterns = list(dict.fromkeys(record.pattern for record in results.records))
    if len(patterns) > 1:
        patterns.append(ALL_PATTERNS)
    reference = {_pixels(r): r for r in results.records if r.method == results.methods[0]}
    summaries = []
    for pattern in patterns:
        group = [_summary(results, reference, method, pattern) for method in results.methods]
        summaries += sorted(group, key=lambda summary: _nan_last(summary.ratios["rmse"]))
    return tuple(summaries)


def record_rows(results: Results) -> list[Row]:
    """Return a row for each record; None where a score doesn't apply."""
    reference = {_pixels(r): r for r in results.records if r.method == results.methods[0]}
    rows = []
    for record in results.records:
        row: Row = {
            "scene": record.scene,
            "pattern": record.pattern,
            "seed": record.seed,
            "method": record.method,
            "band": record.band,
            "hidden_pct": record.hidden_pct,
        }
        row |= {name: _cell(getattr(record.scores, name)) for name in SCORE_NAMES}
        row |= {f"{name}_ratio": _cell(_ratio(record, reference, name)) for name in RATIO_SCORES}
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
            **{name: _cell(value) for name, value in summary.means.items()},
        }
        for summary in summaries
    ]


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
        "summary": [_finite(row) for row in summary_rows(summarise(results))],
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


def _summary(
    results: Results, reference: Mapping[tuple[object, ...], Record], method: str, pattern: str
) -> Summary:
    wanted = [r for r in results.records if r.method == method and pattern in (r.pattern, ALL_PATTERNS)]
    bands = [record for record in wanted if record.band != ALL_BANDS]
    together = [record for record in wanted if record.band == ALL_BANDS]
    failures = [
        f for f in results.failures if f.method in (method, "") and pattern in (f.pattern, ALL_PATTERNS)
    ]
    means = {}
    for name in _AVERAGED:
        counted = together if name in _OF_ALL_BANDS else bands
        means[name] = mean_of_known(np.array([getattr(r.scores, name) for r in counted], dtype=np.float64))
    ratios = {
        name: mean_of_known(np.array([_ratio(record, reference, name) for record in bands]))
        for name in RATIO_SCORES
    }
    return Summary(method, pattern, len(together), len(failures), means, ratios)


def _pixels(record: Record) -> tuple[object, ...]:
    """Return what tells the hidden pixels of one record from those of others."""
    return record.scene, record.pattern, record.seed, record.band


def _ratio(record: Record, reference: Mapping[tuple[object, ...], Record], name: str) -> float:
    other = reference.get(_pixels(record))
    if other is None:
        return math.nan
    value: float = getattr(record.scores, name)
    base: float = getattr(other.scores, name)
    return value / base if base > 0 else math.nan


def _cell(value: float) -> float | None:
    return None if math.isnan(value) else value


def _finite(row: Row) -> Row:
    """Return the row without infinities, which JSON lacks."""
    return {
        name: None if isinstance(value, float) and math.isinf(value) else value for name, value in row.items()
    }


def _nan_last(value: float) -> float:
    return math.inf if math.isnan(value) else value
