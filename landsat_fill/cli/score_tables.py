"""The tables that `landsat-fill evaluate` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from landsat_fill.evaluation import ALL_PATTERNS, summarise, summarise_groups
from landsat_fill.evaluation.report import group_columns, three_digits

if TYPE_CHECKING:
    import pandas as pd

    from landsat_fill.evaluation import Results


COLUMNS = {
    "RMSE %": "rmse_pct",
    "MAE %": "mae_pct",
    "bias %": "bias_pct",
    "r²": "r2",
    "PSNR": "psnr_db",
    "SSIM": "ssim",
    "MS-SSIM": "ms_ssim",
    "angle °": "spectral_angle_deg",
    "border": "border_step",
    "inner": "inner_step",
    "stripe index": "stripe_index",
    "cover 90": "coverage_90",
    "CRPS %": "crps_pct",
    "s": "seconds",
}
"""Headings of the table, and the scores below them."""

SHOWN_IF_NARROW = ("r²", "SSIM", "stripe index", "cover 90", "s")
"""The columns that a narrow terminal shows; the files have all."""

WIDTH_WITHOUT_TERMINAL = 200


def print_scores(results: Results) -> None:
    """Print a table for each pattern, and one of the groups of scenes if there are several."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDTH_WITHOUT_TERMINAL)
    summary = summarise(results)
    known = [heading for heading, name in COLUMNS.items() if len(summary) and summary[name].notna().any()]
    for pattern in summary["pattern"].unique() if len(summary) else ():
        title = "all patterns" if pattern == ALL_PATTERNS else f"stripes: {pattern}"
        rows = summary[summary["pattern"] == pattern].set_index("method")
        rows = rows.rename(columns={"rmse_ratio": "RMSE/GDAL", "worst_rmse_ratio": "worst"})
        rows = rows.rename(columns={name: heading for heading, name in COLUMNS.items()})
        table = _table(title, rows[["RMSE/GDAL", "worst", *known]])
        if console.measure(table, options=console.options.update(max_width=10_000)).maximum > console.width:
            table = _table(title, rows[["RMSE/GDAL", "worst", *(h for h in known if h in SHOWN_IF_NARROW)]])
        console.print(table)
    groups = summarise_groups(results)
    if len(groups):
        columns = group_columns(results, groups, {"SSIM": "ssim", "r²": "r2"})
        console.print(_table("groups of scenes", columns))
    console.print(
        f"RMSE/GDAL: RMSE on hidden pixels relative to {results.methods[0]}, mean over scenes and bands; worst: "
        "the highest mean of one scene. RMSE, MAE, bias, CRPS: in % of the band's range (0.1 to 99.9 percentile of "
        "its observed pixels). border, inner: steps across the gaps' borders and inside them, relative to steps "
        "elsewhere; 1 is invisible. stripe index: how far both are from 1, on average; 0 is invisible.",
        soft_wrap=True,
    )
    if len(groups):
        console.print(
            "groups: RMSE/GDAL over all patterns, and its ratio to that of the first group.", soft_wrap=True
        )


def _table(title: str, rows: pd.DataFrame) -> Table:
    """Return a table of numbers whose index is the methods."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, header_style="bold")
    table.add_column("method", overflow="fold")
    for heading in rows.columns:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows.itertuples():
        table.add_row(row[0], *map(three_digits, row[1:]))
    return table
