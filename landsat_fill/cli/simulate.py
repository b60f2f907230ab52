"""`landsat-fill simulate`: lay SLC-off stripes over a clean scene."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from landsat_fill.cli.errors import reports_errors
from landsat_fill.cli.options import Bands, Debug, Nodata, Overwrite, Quiet, Target, band_list

STRIPES = "Stripes"


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("simulate", no_args_is_help=True, short_help="Lay SLC-off stripes over a clean scene.")(
        simulate
    )


@reports_errors
def simulate(
    clean: Annotated[str, typer.Argument(metavar="CLEAN", help="A GeoTIFF without gaps.")],
    output: Target,
    gaps_from: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--gaps-from",
            metavar="SCENE",
            help="A real SLC-off scene whose gaps to use.",
            rich_help_panel=STRIPES,
        ),
    ] = None,
    width: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option("--width", metavar="PIXELS", help="One width of all gaps.", rich_help_panel=STRIPES),
    ] = None,
    missing: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--missing", metavar="PERCENT", help="Share to lose: 22%.", rich_help_panel=STRIPES),
    ] = None,
    period: Annotated[
        float, typer.Option("--period", metavar="PIXELS", help="Rows between gaps.", rich_help_panel=STRIPES)
    ] = 33.0,
    tilt: Annotated[
        float,
        typer.Option(
            "--tilt", metavar="DEGREES", help="How far gaps dip to the right.", rich_help_panel=STRIPES
        ),
    ] = 9.7,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Places the gaps.", rich_help_panel=STRIPES)] = 0,
    nodata: Nodata = None,
    bands: Bands = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Lay SLC-off stripes over a clean scene: simulated ones, or those of a real scene.

    Without --width and --missing the gaps are those of a whole swath, closed at nadir and widest at its edges.
    """
    import numpy as np

    from landsat_fill.cli.choices import share
    from landsat_fill.cli.inputs import one_input
    from landsat_fill.errors import UsageError
    from landsat_fill.gaps.borrowed import gaps_from as borrowed_gaps
    from landsat_fill.gaps.simulation import StripeModel, lay_stripes
    from landsat_fill.io import open_input
    from landsat_fill.pipeline.simulation import Lost, LostCube, missing_pixels, simulate_scene

    if gaps_from is not None and (width is not None or missing is not None):
        raise UsageError("expected --gaps-from, or --width or --missing, but got both")
    scene = open_input(one_input(clean), nodata=nodata, bands=band_list(bands))[0]
    shape = (len(scene.bands), scene.grid.height, scene.grid.width)
    generator = np.random.default_rng(seed)
    lost: Lost
    if gaps_from is not None:
        pattern = missing_pixels(open_input(one_input(gaps_from))[0])
        lost = LostCube(borrowed_gaps(pattern, shape, generator))
    else:
        model = StripeModel(
            width_px=width,
            missing=None if missing is None else share("--missing", missing),
            period_px=period,
            tilt_deg=tilt,
        )
        lost = lay_stripes(shape, model, generator)
    lost_share = simulate_scene(scene, lost, output, nodata=nodata, overwrite=overwrite)
    if not quiet:
        typer.echo(f"{output}  {100 * lost_share:.2f} % lost")
