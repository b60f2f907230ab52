"""`landsat-fill info`: what a file or product is, and how much of it is missing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from landsat_fill.cli.exits import reports_errors
from landsat_fill.cli.options import Bands, Debug, Json, Nodata, band_list
from landsat_fill.errors import EXIT_FAILED

if TYPE_CHECKING:
    from rich.console import Console

    from landsat_fill.pipeline.outcome import Description


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("info", no_args_is_help=True, short_help="Show what a scene is, and its gaps.")(info)


@reports_errors
def info(
    inputs: Annotated[
        list[str], typer.Argument(metavar="SCENE…", help="GeoTIFFs, products, folders of them.")
    ],
    bands: Bands = None,
    nodata: Nodata = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Show what a scene is: sensor, date, bands, scan line corrector, and its gaps.

    For the gaps: the share of the footprint that is missing, and the period, tilt and width of the stripes.
    """
    from rich.console import Console

    from landsat_fill.cli.console import print_error
    from landsat_fill.errors import LandsatFillError
    from landsat_fill.io import find_inputs, open_input
    from landsat_fill.pipeline.outcome import describe

    console = Console(highlight=False, soft_wrap=True)
    found, bad = find_inputs(inputs)
    failed = bool(bad)
    for source, error in bad:
        print_error(f"{source}: {error.message}", error.hint)
    for one in found:
        try:
            for number, scene in enumerate(open_input(one, nodata=nodata, bands=band_list(bands))):
                description = describe(scene)
                if as_json:
                    typer.echo(json.dumps(description.as_dict()))
                    continue
                if number == 0:
                    _print_acquisition(console, description)
                _print_bands(console, description)
        except LandsatFillError as error:
            if debug:
                raise
            failed = True
            print_error(f"{one.name}: {error.message}", error.hint)
    if failed:
        raise typer.Exit(EXIT_FAILED)


def _print_acquisition(console: Console, description: Description) -> None:
    """Print what all scenes of an acquisition share."""
    scene = description.scene
    console.print(scene.name, style="bold", markup=False)
    facts = [scene.sensor or "sensor unknown", str(scene.acquired or "date unknown"), description.corrector]
    console.print("  " + " · ".join(facts), markup=False)


def _print_bands(console: Console, description: Description) -> None:
    """Print the bands of a scene, their gaps and its stripes."""
    from rich.table import Table

    scene, grid = description.scene, description.scene.grid
    pixel = f"{grid.pixel_size_m:g} m" if grid.pixel_size_m else "pixel size unknown"
    crs = grid.crs.to_string() if grid.crs else "no CRS"
    if len(crs) > 40:
        crs = crs[:37] + "…"
    console.print(f"  {grid.height} rows × {grid.width} columns · {pixel} · {crs}", markup=False)
    table = Table("band", "colour", "type", "nodata", "missing", "outside", box=None, header_style="bold")
    for band, missing, outside in zip(
        scene.bands, description.missing_shares, description.outside_shares, strict=True
    ):
        table.add_row(
            band.name,
            band.band.colour if band.band else "",
            band.dtype,
            "none" if band.nodata is None else f"{band.nodata:g}",
            f"{100 * missing:.2f} %",
            f"{100 * outside:.2f} %",
        )
    console.print(table)
    stripes = description.survey.geometry
    if stripes is None:
        console.print("  no stripes", markup=False)
    else:
        console.print(
            f"  stripes: period {stripes.period_px:.1f} px · tilt {stripes.tilt_deg:.1f}° · "
            f"width {stripes.median_width_px:.0f} px (widest {stripes.largest_width_px:.0f})",
            markup=False,
        )
    extra = [q.kind for q in scene.quality] + (["gap_mask"] if any(b.gap_mask for b in scene.bands) else [])
    if extra:
        console.print(f"  quality: {', '.join(extra)}", markup=False)
    for note in description.notes:
        console.print(f"  {note}" if note.startswith("warning:") else f"  note: {note}", markup=False)
