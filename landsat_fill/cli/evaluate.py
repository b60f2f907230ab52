"""`landsat-fill evaluate`: measure methods side by side on pixels hidden from them."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from landsat_fill.cli.errors import EXIT_FAILED, reports_errors
from landsat_fill.cli.options import OUTPUT, Bands, Debug, Json, Nodata, Quiet, band_list

if TYPE_CHECKING:
    from landsat_fill.evaluation import Pattern, Results

STRIPES = "Hidden pixels"
DEFAULT_WIDTHS = "4,8,14"


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("evaluate", no_args_is_help=True, short_help="Measure methods on pixels hidden from them.")(
        evaluate
    )


@reports_errors
def evaluate(
    clean: Annotated[
        list[str], typer.Argument(metavar="CLEAN…", help="Scenes with observed pixels to hide.")
    ],
    methods: Annotated[
        str,
        typer.Option("-m", "--methods", metavar="LIST", help="Methods with commas between them, or all."),
    ] = "all",
    width: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--width",
            metavar="LIST",
            help=f"Widths of the stripes in pixels ({DEFAULT_WIDTHS} if nothing else is asked for).",
            rich_help_panel=STRIPES,
        ),
    ] = None,
    missing: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--missing", metavar="LIST", help="Shares to hide: 3,6,15,35,55.", rich_help_panel=STRIPES
        ),
    ] = None,
    gaps_from: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            "--gaps-from",
            metavar="SCENE",
            help="A real SLC-off scene whose gaps to use.",
            rich_help_panel=STRIPES,
        ),
    ] = None,
    seeds: Annotated[
        int, typer.Option("--seeds", min=1, help="Places to lay each pattern.", rich_help_panel=STRIPES)
    ] = 1,
    bands: Bands = None,
    nodata: Nodata = None,
    csv: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "--csv",
            metavar="FILE",
            help="Write a row a scene, pattern, method and band.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    json_file: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--json-file", metavar="FILE", help="Write everything as JSON.", rich_help_panel=OUTPUT),
    ] = None,
    figure: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "--figure", metavar="FILE", help="Draw crops and curves (PNG, PDF, SVG).", rich_help_panel=OUTPUT
        ),
    ] = None,
    quiet: Quiet = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Hide observed pixels under stripes, fill them with each method, and score the hidden pixels only.

    All methods fill the same pixels in one run. GDAL's fillnodata with three smoothing passes is always one of
    the rows, and the one the ratios refer to. Figures need matplotlib, which the extra 'evaluate' brings.
    """
    from landsat_fill.cli.terminal import print_error, shares_shown
    from landsat_fill.errors import InputError
    from landsat_fill.evaluation import as_json as json_of
    from landsat_fill.evaluation import evaluate as score
    from landsat_fill.evaluation import record_rows, write_csv, write_figure, write_json
    from landsat_fill.io import find_inputs, open_input
    from landsat_fill.methods import Context, create_method, method_classes

    chosen = list(method_classes()) if methods == "all" else [name.strip() for name in methods.split(",")]
    contenders = [create_method(name) for name in chosen if name]
    patterns = _patterns(width, missing, gaps_from or [])
    found, bad = find_inputs(clean)
    for source, error in bad:
        print_error(f"{source}: {error.message}", error.hint)
    scenes = [scene for one in found for scene in open_input(one, nodata=nodata, bands=band_list(bands))]
    if not scenes:
        raise InputError("expected at least one scene to hide pixels of, but got none")
    with shares_shown(quiet=quiet or as_json) as on_progress:
        results = score(
            scenes,
            contenders,
            patterns,
            seeds=range(seeds),
            context=Context(threads=os.cpu_count() or 1),
            on_progress=on_progress,
        )
    if csv is not None:
        write_csv(record_rows(results), csv)
    if json_file is not None:
        write_json(results, json_file)
    if figure is not None:
        write_figure(results, figure)
    if as_json:
        typer.echo(json.dumps(json_of(results)))
    elif not quiet:
        _print(results)
    for failure in results.failures:
        print_error(f"{failure.scene} {failure.pattern} {failure.method}: {failure.error}", None)
    if bad or results.failures:
        raise typer.Exit(EXIT_FAILED)


def _patterns(width: str | None, missing: str | None, gaps_from: list[str]) -> list[Pattern]:
    """Return the ways to hide pixels that were asked for."""
    from landsat_fill.cli.choices import numbers
    from landsat_fill.cli.inputs import one_input
    from landsat_fill.evaluation import RealStripes, SimulatedStripes
    from landsat_fill.io import open_input
    from landsat_fill.pipeline.simulation import missing_pixels

    if width is None and missing is None and not gaps_from:
        width = DEFAULT_WIDTHS
    patterns: list[Pattern] = [SimulatedStripes.of_width(px) for px in numbers("--width", width or "")]
    patterns += [SimulatedStripes.of_share(percent) for percent in numbers("--missing", missing or "")]
    for source in gaps_from:
        scene = open_input(one_input(source))[0]
        patterns.append(RealStripes(scene.name, missing_pixels(scene)))
    return patterns


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
    "cover 90": "coverage_90",
    "CRPS": "crps",
    "s": "seconds",
}
"""Headings of the table, and the scores below them."""

WIDTH_WITHOUT_TERMINAL = 160


def _print(results: Results) -> None:
    """Print the summary, a table a pattern."""
    from rich.console import Console
    from rich.table import Table

    from landsat_fill.evaluation import ALL_PATTERNS, summarise

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDTH_WITHOUT_TERMINAL)
    summaries = summarise(results)
    shown = [h for h, name in COLUMNS.items() if any(_is_known(s.means.get(name)) for s in summaries)]
    for pattern in dict.fromkeys(summary.pattern for summary in summaries):
        title = "all patterns" if pattern == ALL_PATTERNS else f"stripes: {pattern}"
        table = Table(title=title, title_justify="left", title_style="bold", box=None, header_style="bold")
        table.add_column("method", no_wrap=True)
        for heading in ("RMSE/GDAL", *shown):
            table.add_column(heading, justify="right", no_wrap=True)
        for summary in summaries:
            if summary.pattern == pattern:
                cells = [_cell(summary.means.get(COLUMNS[heading])) for heading in shown]
                table.add_row(summary.method, _cell(summary.ratios["rmse"]), *cells)
        console.print(table)
    console.print(
        f"RMSE/GDAL: RMSE on hidden pixels relative to {results.methods[0]}, mean over scenes and bands. "
        "Scores in stored numbers. border, inner: steps across the gaps' borders and inside them, relative "
        "to steps elsewhere; 1 is invisible.",
        soft_wrap=True,
    )


def _is_known(value: float | None) -> bool:
    return value is not None and not math.isnan(value)


def _cell(value: float | None) -> str:
    if value is None or math.isnan(value):
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
