"""`landsat-fill references`: which other acquisitions would help to fill a scene, and an index of an archive."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from landsat_fill.cli.options import INPUT, OUTPUT, Debug, Json, MaxReferences, SameSeason, Within, arg, command, opt
from landsat_fill.errors import EXIT_FAILED, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from landsat_fill.pipeline.reference_scenes import Suitability

EPILOG = """\
Examples:
landsat-fill references scene.tif archive/               what fill would use, best first
landsat-fill references --index archive/ -o archive.json   an index, once
landsat-fill scene.tif --references archive.json         fill with it
"""


@command
def references(
    inputs: Annotated[list[str], arg("SCENE ARCHIVE…")],
    within: Within = None,
    same_season: SameSeason = False,
    max_references: MaxReferences = 4,
    index: Annotated[bool, opt("--index", INPUT)] = False,
    output: Annotated[Path | None, opt("-o, --output FILE", OUTPUT)] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Show which acquisitions of an archive help to fill a scene, and why; or write an index of an archive.

    The table shows for each: days apart, the clear share of its pixels, the share of the gaps that it covers, its
    shift in pixels, and its agreement with the scene (squared correlation).

    Args:
        inputs: A scene, then folders, lists, globs or indexes with other acquisitions; with --index, only folders.
        index: Write an index of the folders (STAC items) to -o. With `--references FILE.json`, the files of a large
            archive needn't be opened again.
        output: The index to write.
    """
    from landsat_fill.io import one_input, write_bytes_atomically
    from landsat_fill.methods import create_method
    from landsat_fill.pipeline.fill_scene import reference_facts
    from landsat_fill.pipeline.reference_scenes import index_of
    from landsat_fill.pipeline.request import FillRequest, ReferenceRequest
    from landsat_fill.pipeline.resources import usable_cores

    if index != (output is not None):
        raise UsageError(
            "expected --index and -o FILE.json together, but got one of them",
            hint="`landsat-fill references --index ARCHIVE -o archive.json` writes an index.",
        )
    if index and output is not None:
        text, problems = index_of(inputs)
        write_bytes_atomically(output, text.encode())
        for line in problems:
            typer.echo(line, err=True)
        typer.echo(f"{output}: {len(json.loads(text)['features'])} acquisitions")
        if problems:
            raise typer.Exit(EXIT_FAILED)
        return
    if len(inputs) < 2:
        raise UsageError("expected a scene and at least one archive, but got one argument", hint="Add a folder.")
    request = FillRequest(
        method=create_method("multi-date"),
        threads=usable_cores(),
        references=ReferenceRequest(
            archives=tuple(inputs[1:]), within_days=within, same_season=same_season, most=max_references
        ),
    )
    rows = reference_facts(one_input(inputs[0]), request)
    if as_json:
        for row in rows:
            typer.echo(json.dumps(row.as_dict()))
    else:
        _print_rows(rows)


FIGURES = (3, 5, 5, 6, 9, 6)
"""Widths of the columns of figures. With a name of USGS behind them, a row has 80 characters."""

INDENT = "    "


def _print_rows(rows: Sequence[Suitability]) -> None:
    """Print a line of figures for each reference, those to use first, and below it the day and the reasons."""
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    _print_figures(console, ("", "days", "clear", "covers", "shift", "agrees"), "reference")
    for row in rows:
        figures = (
            "use" if row.used else "",
            "" if row.days is None else f"{row.days:+d}",
            f"{row.clear:.0%}" if row.clear else "",
            f"{row.covers:.0%}" if row.covers else "",
            "" if row.shift_px is None else f"{row.shift_px[0]:+.1f} {row.shift_px[1]:+.1f}",
            "" if row.agreement is None else f"{row.agreement:.2f}",
        )
        _print_figures(console, figures, row.name)
        why = "; ".join(filter(None, ("" if row.date is None else row.date.isoformat(), row.reason, *row.notes)))
        width = console.width - 1 if console.is_terminal else len(INDENT + why)
        console.print(textwrap.fill(why, width, initial_indent=INDENT, subsequent_indent=INDENT), soft_wrap=True)


def _print_figures(console: Console, figures: Sequence[str], name: str) -> None:
    cells = [figure.rjust(width) for figure, width in zip(figures, FIGURES, strict=True)]
    console.print(" ".join((*cells, name)), soft_wrap=True)
