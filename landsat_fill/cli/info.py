"""`landsat-fill info`: what a file or product is, and how much of it is missing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from landsat_fill.cli.options import Bands, Debug, Json, Nodata, arg, band_list, command
from landsat_fill.errors import EXIT_FAILED

if TYPE_CHECKING:
    from rich.console import Console

    from landsat_fill.pipeline.outcome import Description


@command
def info(
    inputs: Annotated[list[str], arg("SCENE…", "GeoTIFFs, products, folders of them.")],
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

    console = Console(highlight=False, markup=False, soft_wrap=True)
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
                _print(console, description, with_heading=number == 0)
        except LandsatFillError as error:
            if debug:
                raise
            failed = True
            print_error(f"{one.name}: {error.message}", error.hint)
    if failed:
        raise typer.Exit(EXIT_FAILED)


def _print(console: Console, description: Description, *, with_heading: bool) -> None:
    """Print the bands of a scene, its gaps and its stripes; the heading holds what the scenes of an input share."""
    from rich.table import Table

    scene, grid = description.scene, description.scene.grid
    if with_heading:
        console.print(scene.name, style="bold")
        date = str(scene.acquired or "date unknown")
        console.print(f"  {scene.sensor or 'sensor unknown'} · {date} · {description.corrector}")
    pixel = f"{grid.pixel_size_m:g} m" if grid.pixel_size_m else "pixel size unknown"
    crs = grid.crs.to_string() if grid.crs else "no CRS"
    if len(crs) > 40:
        crs = crs[:37] + "…"
    console.print(f"  {grid.height} rows × {grid.width} columns · {pixel} · {crs}")
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
        console.print("  no stripes")
    else:
        console.print(
            f"  stripes: period {stripes.period_px:.1f} px · tilt {stripes.tilt_deg:.1f}° · "
            f"width {stripes.median_width_px:.0f} px (widest {stripes.largest_width_px:.0f})"
        )
    extra = [q.kind for q in scene.quality] + (["gap_mask"] if any(b.gap_mask for b in scene.bands) else [])
    if extra:
        console.print(f"  quality: {', '.join(extra)}")
    for note in description.notes:
        console.print(f"  {note}" if note.startswith("warning:") else f"  note: {note}")
