"""`landsat-fill mask`: write where a scene has gaps."""

from __future__ import annotations

from typing import Annotated

import typer

from landsat_fill.cli.errors import reports_errors
from landsat_fill.cli.options import OUTPUT, Bands, Debug, Nodata, Overwrite, Quiet, Target, band_list


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("mask", no_args_is_help=True, short_help="Write where a scene has gaps.")(mask)


@reports_errors
def mask(
    scene: Annotated[str, typer.Argument(metavar="SCENE", help="A GeoTIFF or a product.")],
    output: Target,
    bands: Bands = None,
    nodata: Nodata = None,
    any_band: Annotated[
        bool,
        typer.Option("--any-band", help="One layer: missing where any band is.", rich_help_panel=OUTPUT),
    ] = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write where a scene has gaps: 0 outside the footprint, 1 observed, 2 missing; a layer a band.

    The thermal and panchromatic bands of a product, on grids of their own, go to files of their own.
    """
    from landsat_fill.cli.inputs import one_input
    from landsat_fill.io import open_input
    from landsat_fill.pipeline.gap_layer import write_gap_layer
    from landsat_fill.pipeline.job_outputs import scene_suffixes

    scenes = open_input(one_input(scene), nodata=nodata, bands=band_list(bands))
    for part, suffix in zip(scenes, scene_suffixes(scenes), strict=True):
        target = output.with_name(f"{output.stem}{suffix}{output.suffix}")
        share = write_gap_layer(part, target, any_band=any_band, overwrite=overwrite)
        if not quiet:
            typer.echo(f"{target}  {100 * share:.2f} % missing")
