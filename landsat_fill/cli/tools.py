"""`landsat-fill mask`, `tile`, `stitch`, `simulate` and `variogram`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from landsat_fill.cli.exits import reports_errors
from landsat_fill.cli.options import OUTPUT, Bands, Debug, Json, Nodata, Overwrite, Quiet, Target, band_list

if TYPE_CHECKING:
    from landsat_fill.methods.kriging import BandFit


def register_mask(app: typer.Typer) -> None:
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
    from landsat_fill.cli.options import one_input
    from landsat_fill.io import open_input
    from landsat_fill.pipeline.gap_files import write_gap_layer
    from landsat_fill.pipeline.outputs import scene_suffixes

    scenes = open_input(one_input(scene), nodata=nodata, bands=band_list(bands))
    for part, suffix in zip(scenes, scene_suffixes(scenes), strict=True):
        target = output.with_name(f"{output.stem}{suffix}{output.suffix}")
        share = write_gap_layer(part, target, any_band=any_band, overwrite=overwrite)
        if not quiet:
            typer.echo(f"{target}  {100 * share:.2f} % missing")


Folder = Annotated[
    Path,
    typer.Option("-o", "--output", metavar="FOLDER", help="The folder to write.", rich_help_panel=OUTPUT),
]


def register_tile(app: typer.Typer) -> None:
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
    from landsat_fill.cli.console import shares_shown
    from landsat_fill.cli.options import one_input
    from landsat_fill.io import open_input
    from landsat_fill.pipeline.outputs import scene_suffixes
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
    from landsat_fill.cli.console import shares_shown
    from landsat_fill.pipeline.patches import join_patches

    with shares_shown(quiet=quiet) as shown:
        count = join_patches(
            patches, output, overwrite=overwrite, on_progress=lambda share: shown(share, output.name)
        )
    if not quiet:
        typer.echo(f"{output}  from {count} patches")


STRIPES = "Stripes"


def register_simulate(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("simulate", no_args_is_help=True, short_help="Lay SLC-off stripes over a clean scene.")(
        simulate
    )


@reports_errors
def simulate(
    clean: Annotated[str, typer.Argument(metavar="CLEAN", help="A GeoTIFF without gaps.")],
    output: Target,
    gaps_from: Annotated[
        str | None,
        typer.Option(
            "--gaps-from",
            metavar="SCENE",
            help="A real SLC-off scene whose gaps to use.",
            rich_help_panel=STRIPES,
        ),
    ] = None,
    width: Annotated[
        float | None,
        typer.Option("--width", metavar="PIXELS", help="One width of all gaps.", rich_help_panel=STRIPES),
    ] = None,
    missing: Annotated[
        str | None,
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

    from landsat_fill.cli.options import one_input, share
    from landsat_fill.errors import UsageError
    from landsat_fill.gaps.simulation import StripeModel, lay_stripes
    from landsat_fill.gaps.simulation import gaps_from as borrowed_gaps
    from landsat_fill.io import open_input
    from landsat_fill.pipeline.gap_files import Lost, LostCube, missing_pixels, simulate_scene

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


SHOWN_PX = (1, 4, 16)
"""Distances whose semivariance is told."""


def register_variogram(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("variogram", no_args_is_help=True, short_help="Tell or plot the variograms of a scene.")(
        variogram
    )


@reports_errors
def variogram(
    source: Annotated[str, typer.Argument(metavar="SCENE", help="A GeoTIFF or a product.")],
    plot: Annotated[
        Path | None,
        typer.Option("--plot", "-o", metavar="FILE", help="Draw them (PNG, PDF, SVG)."),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("-O", "--option", metavar="NAME=VALUE", help="An option of kriging."),
    ] = None,
    bands: Bands = None,
    nodata: Nodata = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Tell the variograms that `-m kriging` fits to a scene, band by band, and plot them on request.

    Figures need matplotlib, which the extra 'evaluate' brings.
    """
    from typing import cast

    from rich.console import Console
    from rich.table import Table

    from landsat_fill.cli.options import one_input, pairs
    from landsat_fill.evaluation.figures import write_variograms
    from landsat_fill.io import open_input
    from landsat_fill.io.atomic import refuse_target
    from landsat_fill.methods import create_method
    from landsat_fill.methods.kriging import Kriging
    from landsat_fill.pipeline.evidence import scene_variograms
    from landsat_fill.pipeline.outputs import input_files
    from landsat_fill.pipeline.resources import usable_cores

    kriging = cast("Kriging", create_method("kriging", pairs("-O", option)))
    scene = open_input(one_input(source), nodata=nodata, bands=band_list(bands))[0]
    if plot is not None:
        refuse_target(plot, overwrite=overwrite, protected=input_files(scene))
    found = scene_variograms(scene, kriging, usable_cores())
    names = [band.name for band in scene.bands]
    if plot is not None:
        write_variograms(found, names, plot)
    if as_json:
        typer.echo(json.dumps([_described(*pair) for pair in zip(names, found, strict=True)]))
        return
    table = Table(
        "band", "roughness", "nugget", *(f"at {px} px" for px in SHOWN_PX), "longest range", box=None
    )
    for name, band in zip(names, found, strict=True):
        told = _described(name, band)
        ratio, angle = told["ratio"], told["angle_deg"]
        table.add_row(
            name,
            f"{told['roughness']:.4g}" if band.roughness else "–",
            f"{told['nugget']:.3g}",
            *(f"{value:.3g}" for value in told["semivariance"].values()),
            f"{ratio:g} times the shortest, at {angle:g}°" if ratio > 1 else "in all directions alike",
        )
    Console(highlight=False).print(table)


def _described(name: str, band: BandFit) -> dict[str, Any]:
    """Return a band's variogram as plain values."""
    import math

    import numpy as np

    model = band.variogram
    angle = math.radians(model.angle_deg)
    lags = np.array(SHOWN_PX, dtype=float)
    values = model.semivariance(lags * math.sin(angle), lags * math.cos(angle))
    return {
        "band": name,
        "roughness": band.roughness,
        "nugget": model.nugget,
        "sill": model.sill,
        "semivariance": {str(px): float(value) for px, value in zip(SHOWN_PX, values, strict=True)},
        "ratio": model.ratio,
        "angle_deg": model.angle_deg,
    }
