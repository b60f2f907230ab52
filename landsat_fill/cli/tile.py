"""`landsat-fill tile` and `stitch`: a scene into patches, and patches into the scene."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from landsat_fill.cli.errors import reports_errors
from landsat_fill.cli.options import OUTPUT, Bands, Debug, Nodata, Overwrite, Quiet, Target, band_list

Folder = Annotated[
    Path,
    typer.Option("-o", "--output", metavar="FOLDER", help="The folder to write.", rich_help_panel=OUTPUT),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.command("tile", no_args_is_help=True, short_help="Cut a scene into patches.")(tile)
    app.command("stitch", no_args_is_help=True, short_help="Put patches together again.")(stitch)


@reports_errors
def tile(
    scene: Annotated[str, typer.Argument(metavar="SCENE", help="A GeoTIFF or a product.")],
    output: Folder,
    size: Annotated[
        int, typer.Option("--size", min=16, help="Side of a patch in pixels: 64, 128, 256.")
    ] = 128,
    bands: Bands = None,
    nodata: Nodata = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Cut a scene into patches: GeoTIFFs with its georeferencing and metadata, and a manifest.

    The thermal and panchromatic bands of a product, on grids of their own, go to sub-folders.
    """
    from landsat_fill.cli.inputs import one_input
    from landsat_fill.cli.terminal import shares_shown
    from landsat_fill.io import open_input
    from landsat_fill.pipeline.job_outputs import scene_suffixes
    from landsat_fill.pipeline.patches import cut_scene

    scenes = open_input(one_input(scene), nodata=nodata, bands=band_list(bands))
    for part, suffix in zip(scenes, scene_suffixes(scenes), strict=True):
        folder = output / suffix.lstrip("_")
        with shares_shown(quiet=quiet) as shown:
            count = cut_scene(
                part,
                folder,
                size,
                overwrite=overwrite,
                on_progress=lambda share: shown(share, part.name),  # noqa: B023
            )
        if not quiet:
            typer.echo(f"{folder}  {count} patches of {size} px")


@reports_errors
def stitch(
    patches: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder that `tile` wrote.")],
    output: Target,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Put the patches of a scene together again, bit by bit and with its metadata."""
    from landsat_fill.cli.terminal import shares_shown
    from landsat_fill.pipeline.patches import join_patches

    with shares_shown(quiet=quiet) as shown:
        count = join_patches(
            patches, output, overwrite=overwrite, on_progress=lambda share: shown(share, output.name)
        )
    if not quiet:
        typer.echo(f"{output}  from {count} patches")
