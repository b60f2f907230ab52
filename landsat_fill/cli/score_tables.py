"""The tables that `landsat-fill evaluate` prints."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from landsat_fill.evaluation import ALL_PATTERNS, summarise, summarise_groups

if TYPE_CHECKING:
    from collections.abc import Sequence

    from landsat_fill.evaluation import GroupSummary, Results, Summary


COLUMNS = {
    "RMSE": "rmse",
    "MAE": "mae",
    "bias": "bias",
    "r²": "r2",
    "PSNR": "psnr_db",
    "SSIM": "ssim",
    "MS-SSIM": "ms_ssim",
    "angle °": "spectral_angle_deg",
    "border": "border_step",
    "inner": "inner_step",
    "stripe index": "stripe_index",
    "cover 90": "coverage_90",
    "CRPS": "crps",
    "s": "seconds",
}
"""Headings of the table, and the scores below them."""

LEFT_OUT_IF_NARROW = ("RMSE", "MAE", "bias", "PSNR", "MS-SSIM", "angle °", "border", "inner", "CRPS")
"""What a terminal that is too narrow for the whole table doesn't show; the files have it."""

WIDTH_WITHOUT_TERMINAL = 200


def print_scores(results: Results) -> None:
    """Print the summary, a table a pattern, and one of the groups of scenes where there are several."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDTH_WITHOUT_TERMINAL)
    summaries = summarise(results)
    shown = [h for h, name in COLUMNS.items() if any(not math.isnan(s.means[name]) for s in summaries)]
    for pattern in dict.fromkeys(summary.pattern for summary in summaries):
        title = "all patterns" if pattern == ALL_PATTERNS else f"stripes: {pattern}"
        rows = [summary for summary in summaries if summary.pattern == pattern]
        table = _scores_table(title, rows, shown)
        if console.measure(table, options=console.options.update(max_width=10_000)).maximum > console.width:
            table = _scores_table(title, rows, [h for h in shown if h not in LEFT_OUT_IF_NARROW])
        console.print(table)
    groups = summarise_groups(results)
    if groups:
        console.print(_groups_table(results, groups))
    console.print(
        f"RMSE/GDAL: RMSE on hidden pixels relative to {results.methods[0]}, mean over scenes and bands; worst: "
        "the highest mean of one scene. Scores in stored numbers. border, inner: steps across the gaps' borders "
        "and inside them, relative to steps elsewhere; 1 is invisible. stripe index: how far both are from 1, on "
        "average; 0 is invisible.",
        soft_wrap=True,
    )
    if groups:
        console.print(
            "groups: RMSE/GDAL over all patterns, and how many times that of the first group it is.",
            soft_wrap=True,
        )


def _scores_table(title: str, summaries: Sequence[Summary], shown: Sequence[str]) -> Table:
    """Return a row a summary, and a column for each of the shown headings."""
    table = _table(title)
    for heading in ("RMSE/GDAL", "worst", *shown):
        table.add_column(heading, justify="right", no_wrap=True)
    for summary in summaries:
        scores = [summary.means[COLUMNS[heading]] for heading in shown]
        table.add_row(
            summary.method, *map(number_shown, [summary.ratios["rmse"], summary.worst_ratio, *scores])
        )
    return table


def _groups_table(results: Results, groups: Sequence[GroupSummary]) -> Table:
    """Return a row a method, the best on the first group first."""
    found = {(one.group, one.summary.method): one for one in groups}
    first, *others = results.groups
    table = _table("groups of scenes")
    for heading in (
        *results.groups,
        *(f"{group} / {first}" for group in others),
        *(f"SSIM {group}" for group in results.groups),
        *(f"r² {group}" for group in results.groups),
    ):
        table.add_column(heading, justify="right", no_wrap=True)
    for method in (one.summary.method for one in groups if one.group == first):
        summaries = [found[group, method].summary for group in results.groups]
        scores = [summary.ratios["rmse"] for summary in summaries]
        scores += [found[group, method].shift for group in others]
        scores += [summary.means[name] for name in ("ssim", "r2") for summary in summaries]
        table.add_row(method, *map(number_shown, scores))
    return table


def _table(title: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, header_style="bold")
    table.add_column("method", overflow="fold")
    return table


def number_shown(value: float) -> str:
    """Return three digits, and a dash for what isn't known."""
    if math.isnan(value):
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
