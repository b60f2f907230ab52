"""`landsat-fill methods`: which ways to fill there are."""

from __future__ import annotations

import json
from typing import Annotated, Any, Optional

import typer

from landsat_fill.cli.errors import reports_errors
from landsat_fill.cli.options import Debug, Json


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("methods", short_help="List the methods, or the options of one.")(methods)


@reports_errors
def methods(
    name: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(metavar="NAME", help="A method whose options are shown.", show_default=False),
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """List the methods that fill a scene; with NAME, what one does, its source and its options."""
    from rich.console import Console
    from rich.table import Table

    from landsat_fill.methods import BEST_METHOD, method_class, method_classes, method_options

    console = Console(highlight=False)
    classes = method_classes() if name is None else {name: method_class(name)}
    if as_json:
        typer.echo(json.dumps([_described(cls) for cls in classes.values()], indent=2))
        return
    if name is None:
        table = Table("method", "what it does", "σ", "devices", box=None, pad_edge=False, header_style="bold")
        for cls in classes.values():
            info = cls.info
            mark = " (auto)" if info.name == BEST_METHOD else ""
            table.add_row(
                info.name + mark, info.summary, "yes" if info.gives_std else "–", ", ".join(info.devices)
            )
        console.print(table)
        console.print("\n`landsat-fill methods NAME` shows the options of one.")
        return
    (cls,) = classes.values()
    info = cls.info
    console.print(f"[bold]{info.name}[/bold]  {info.summary}")
    console.print(f"source: {info.source}", soft_wrap=True, markup=False)
    console.print(
        f"tiles of {info.tile_px} px with a halo of {info.halo_px} px; runs on {', '.join(info.devices)}"
    )
    options = method_options(cls)
    if not options:
        console.print("It has no options.")
        return
    table = Table(
        "option", "default", "values", "what it does", box=None, pad_edge=False, header_style="bold"
    )
    for option in options:
        kind = option.kind.__name__
        table.add_row(option.flag, str(option.default), f"{kind} {option.range_text}".strip(), option.help)
    console.print(table)


def _described(cls: Any) -> dict[str, object]:
    """Return a method as plain values."""
    from landsat_fill.methods import method_options

    info = cls.info
    return {
        "name": info.name,
        "summary": info.summary,
        "source": info.source,
        "gives_std": info.gives_std,
        "draws": info.draws,
        "devices": list(info.devices),
        "tile_px": info.tile_px,
        "halo_px": info.halo_px,
        "options": [
            {
                "name": o.name,
                "type": o.kind.__name__,
                "default": o.default,
                "low": o.low,
                "high": o.high,
                "help": o.help,
            }
            for o in method_options(cls)
        ],
    }
