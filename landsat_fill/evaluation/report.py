"""Results as CSV, JSON and Markdown."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from landsat_fill.evaluation.results import ALL_PATTERNS, Results, summarise, summarise_groups, summarise_pattern
from landsat_fill.io.atomic import write_text_atomically

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV, or raise OutputError; scores that don't apply are empty."""
    write_text_atomically(path, table.to_csv(index=False, lineterminator="\n"))


def write_json(results: Results, path: Path) -> None:
    """Write summaries, records and failures as JSON, or raise OutputError."""
    write_text_atomically(path, json.dumps(as_json(results), indent=2, ensure_ascii=False) + "\n")


def as_json(results: Results) -> dict[str, Any]:
    """Return summaries, records and failures; scores that don't apply are None."""
    return {
        "reference": results.methods[0],
        "methods": list(results.methods),
        "devices": list(results.devices),
        "summary": _finite_rows(summarise(results)),
        "groups": _finite_rows(summarise_groups(results)),
        "records": _finite_rows(results.records),
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


def _finite_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table with None for NaN and the infinities, which JSON lacks."""
    return [
        {name: None if isinstance(cell, float) and not math.isfinite(cell) else cell for name, cell in row.items()}
        for row in table.to_dict("records")
    ]


_FURTHER_SCORES = {
    "r²": "r2",
    "SSIM": "ssim",
    "stripe index": "stripe_index",
    "cover 90": "coverage_90",
    "s": "seconds",
}
"""The scores on the page after the RMSE, by heading."""


def write_markdown(results: Results, path: Path, command: str) -> None:
    """Write the page of `as_markdown`, or raise OutputError."""
    write_text_atomically(path, as_markdown(results, command))


def as_markdown(results: Results, command: str) -> str:
    """Return a page with a row for each method: RMSE ratios by pattern, the worst place, other scores.

    Args:
        results: Results of the evaluation.
        command: The command line, quoted on the page.
    """
    parts = [f"```sh\n{command}\n```", _scores_table(results), _explanation(results)]
    groups = summarise_groups(results)
    if len(groups):
        table = group_columns(results, groups, {"SSIM": "ssim"}).map(three_digits)
        parts += [markdown_table(table), _groups_explanation(results)]
    return "\n\n".join(parts) + "\n"


def _scores_table(results: Results) -> str:
    """Return the methods by patterns, the best over all patterns first."""
    overall = summarise_pattern(results).set_index("method")
    table = overall[[]].copy()
    for pattern in results.patterns:
        by_method = summarise_pattern(results, pattern).set_index("method")
        table[pattern] = by_method["rmse_ratio"].map(three_digits)
    table[ALL_PATTERNS] = overall["rmse_ratio"].map(lambda ratio: f"**{three_digits(ratio)}**")
    table["worst place"] = [
        f"{three_digits(ratio)} ({place})" if place else "–"
        for ratio, place in zip(overall["worst_rmse_ratio"], overall["worst_place"], strict=True)
    ]
    for heading, name in _FURTHER_SCORES.items():
        if overall[name].notna().any():
            table[heading] = overall[name].map(three_digits)
    return markdown_table(table)


def _explanation(results: Results) -> str:
    """Return what the columns of the first table mean."""
    count = results.records["place"].nunique()
    places = "1 place" if count == 1 else f"{count} places"
    devices = ", ".join(sorted(set(results.devices))) or "cpu"
    return (
        f"RMSE on hidden pixels relative to `{results.methods[0]}` (GDAL's fillnodata with three smoothing "
        f"passes) by pattern of the gaps, mean over bands and {places}; worst place: the highest mean of one "
        "place. The other columns are means over all patterns. SSIM: of the composite. stripe index: how far "
        "the steps across the gaps' borders and inside the gaps are from those between observed pixels, mean "
        "of the two; 0 is invisible. cover 90: share of the hidden pixels inside the 90 % "
        f"interval, where a method gives one. s: seconds per fill ({devices})."
    )


def group_columns(results: Results, groups: pd.DataFrame, scores: dict[str, str]) -> pd.DataFrame:
    """Return a row for each method, the best on the first group first.

    The columns are the RMSE ratio on each group, its ratio to that on the first group, and further scores.

    Args:
        results: Results of the evaluation.
        groups: From `summarise_groups`.
        scores: The further columns by heading.
    """
    first, *others = results.groups
    by_group = {group: part.set_index("method") for group, part in groups.groupby("group")}
    table = by_group[first][["rmse_ratio"]].rename(columns={"rmse_ratio": first})
    for group in others:
        table[group] = by_group[group]["rmse_ratio"]
    for group in others:
        table[f"{group} / {first}"] = by_group[group]["shift"]
    for heading, name in scores.items():
        for group in results.groups:
            table[f"{heading} {group}"] = by_group[group][name]
    return table


def _groups_explanation(results: Results) -> str:
    """Return what the columns of the second table mean."""
    places = results.records.groupby("group")["place"].nunique()
    sizes = ", ".join(f"{group}: {places.get(group, 0)}" for group in results.groups)
    return (
        f"The same RMSE ratio by groups of places ({sizes}), the ratio between the groups, which is 1 for a "
        "method that does equally well on both, and SSIM."
    )


def markdown_table(table: pd.DataFrame) -> str:
    """Return a table of texts, indexed by method, with its columns aligned to the right."""
    lines: list[Sequence[str]] = [["method", *table.columns], ["---", *["---:"] * len(table.columns)]]
    lines += [[f"`{row[0]}`", *row[1:]] for row in table.itertuples()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def three_digits(value: float) -> str:
    """Return a number with three digits, and a dash for NaN."""
    if math.isnan(value):
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:#.3g}".rstrip(".")


def method_means(records: pd.DataFrame, score: str, key: str) -> pd.DataFrame:
    """Return the means of a score: a row for each method, a column for each value of `key` in its order."""
    means = records.groupby(["method", key], sort=False)[score].mean().unstack()
    return means.reindex(columns=list(records[key].unique()))


def relative_error(records: pd.DataFrame) -> pd.Series:
    """Return the RMSE relative to the standard deviation of the hidden pixels."""
    return np.sqrt((1 - records["r2"]).clip(lower=0))
