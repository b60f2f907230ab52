"""Results as CSV, JSON and a page of Markdown."""

from __future__ import annotations

import csv
import io
import json
import math
from typing import TYPE_CHECKING

from landsat_fill.evaluation.results import (
    ALL_PATTERNS,
    RATIO_SCORES,
    GroupSummary,
    Summary,
    ratio_to,
    reference_records,
    summarise,
    summarise_groups,
    summarise_pattern,
)
from landsat_fill.evaluation.scoring import SCORE_NAMES
from landsat_fill.io.atomic import write_text_atomically

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


_SCORES = {
    "r²": "r2",
    "SSIM": "ssim",
    "stripe index": "stripe_index",
    "cover 90": "coverage_90",
    "s": "seconds",
}
"""Headings of the columns that follow those of the RMSE, and the means below them."""


def write_markdown(results: Results, path: Path, command: str) -> None:
    """Write the page that `as_markdown` returns.

    Raises:
        OutputError: If the file can't be written.
    """
    write_text_atomically(path, as_markdown(results, command))


def as_markdown(results: Results, command: str) -> str:
    """Return a page with a row a method: RMSE ratios by pattern, the worst place, and the other scores.

    Args:
        results: What was found.
        command: The command line that made it, quoted on the page.
    """
    parts = [f"```sh\n{command}\n```", _scores_table(results), _explanation(results)]
    groups = summarise_groups(results)
    if groups:
        parts += [_groups_table(results, groups), _groups_explanation(results)]
    return "\n\n".join(parts) + "\n"


def _scores_table(results: Results) -> str:
    """Return the methods by patterns, the best over all patterns first."""
    overall = summarise_pattern(results)
    patterns = list(dict.fromkeys(record.pattern for record in results.records))
    ratios = {
        (summary.pattern, summary.method): summary.ratios["rmse"]
        for pattern in patterns
        for summary in summarise_pattern(results, pattern)
    }
    shown = [
        heading for heading, name in _SCORES.items() if any(not math.isnan(s.means[name]) for s in overall)
    ]
    rows = []
    for summary in overall:
        worst = f"{three_digits(summary.worst_ratio)} ({summary.worst_place})" if summary.worst_place else "–"
        rows.append(
            [
                f"`{summary.method}`",
                *(three_digits(ratios[pattern, summary.method]) for pattern in patterns),
                f"**{three_digits(summary.ratios['rmse'])}**",
                worst,
                *(three_digits(summary.means[_SCORES[heading]]) for heading in shown),
            ]
        )
    return markdown_table(["method", *patterns, ALL_PATTERNS, "worst place", *shown], rows)


def _explanation(results: Results) -> str:
    """Return what the columns of the first table mean."""
    count = len({record.place for record in results.records})
    places = "1 place" if count == 1 else f"{count} places"
    devices = ", ".join(sorted(set(results.devices))) or "cpu"
    return (
        f"RMSE on hidden pixels relative to `{results.methods[0]}` (GDAL's fillnodata with three smoothing "
        f"passes) by pattern of the gaps, mean over bands and {places}; worst place: the highest mean of one "
        "place. The other columns are means over all patterns. SSIM: of the composite. stripe index: how far "
        "the steps across the gaps' borders and inside the gaps are from those between observed pixels, mean "
        "of the two; 0 is invisible. cover 90: share of the hidden pixels inside the 90 % "
        f"interval, where a method gives one. s: seconds a fill ({devices})."
    )


def _groups_table(results: Results, groups: Sequence[GroupSummary]) -> str:
    """Return the methods by groups of scenes, the best on the first group first."""
    found = {(one.group, one.summary.method): one for one in groups}
    first, *others = results.groups
    rows = []
    for method in (one.summary.method for one in groups if one.group == first):
        cells = [f"`{method}`"]
        cells += [three_digits(found[group, method].summary.ratios["rmse"]) for group in results.groups]
        cells += [three_digits(found[group, method].shift) for group in others]
        cells += [three_digits(found[group, method].summary.means["ssim"]) for group in results.groups]
        rows.append(cells)
    headings = ["method", *results.groups, *(f"{group} / {first}" for group in others)]
    return markdown_table([*headings, *(f"SSIM {group}" for group in results.groups)], rows)


def _groups_explanation(results: Results) -> str:
    """Return what the columns of the second table mean."""
    sizes = ", ".join(
        f"{group}: {len({r.place for r in results.records if r.group == group})}" for group in results.groups
    )
    return (
        f"The same RMSE ratio by groups of places ({sizes}), the ratio between the groups, which is 1 for a "
        "method that does as well on the one as on the other, and SSIM."
    )


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table whose columns are numbers, all but the first."""
    lines = [headings, ["---", *["---:"] * (len(headings) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def three_digits(value: float) -> str:
    """Return three digits, as tables of people have them."""
    if math.isnan(value):
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:#.3g}".rstrip(".")
