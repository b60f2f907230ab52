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
        typer.Option(
            "--any-band", help="Write one layer: missing where any band is.", rich_help_panel=OUTPUT
        ),
    ] = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write where a scene has gaps, one layer per band: 0 outside the footprint, 1 observed, 2 missing.

    Thermal and panchromatic bands of a product have grids of their own, and so files of their own.
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

    Thermal and panchromatic bands of a product have grids of their own, and so sub-folders of their own.
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
    """Put the patches of a scene together again, bit-identical and with its metadata."""
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
            help="Use the gaps of a real SLC-off scene.",
            rich_help_panel=STRIPES,
        ),
    ] = None,
    width: Annotated[
        float | None,
        typer.Option("--width", metavar="PIXELS", help="Width of all gaps.", rich_help_panel=STRIPES),
    ] = None,
    missing: Annotated[
        str | None,
        typer.Option(
            "--missing", metavar="PERCENT", help="Share of the image to lose: 22%.", rich_help_panel=STRIPES
        ),
    ] = None,
    period: Annotated[
        float,
        typer.Option(
            "--period", metavar="PIXELS", help="Rows from one gap to the next.", rich_help_panel=STRIPES
        ),
    ] = 33.0,
    tilt: Annotated[
        float,
        typer.Option(
            "--tilt", metavar="DEGREES", help="How steeply gaps fall to the right.", rich_help_panel=STRIPES
        ),
    ] = 9.7,
    seed: Annotated[
        int, typer.Option("--seed", min=0, help="Seed of the gaps' place.", rich_help_panel=STRIPES)
    ] = 0,
    nodata: Nodata = None,
    bands: Bands = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Lay SLC-off stripes over a clean scene: simulated ones, or those of a real scene.

    Without --width and --missing, the gaps are those of a whole swath: none at nadir, widest at its edges.
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
"""Distances whose semivariance is printed."""

MODEL = """\
γ(h) = nugget + Σ sill · g(h / range), with g(x) = 1 − exp(−x) for exp and g(x) = 1 − (1 + √3 x) exp(−√3 x) for mat
(Matérn of smoothness 3/2). With a direction: ranges along it, azimuth from grid north; ranges across are divided by
the ratio. Semivariances are in squared stored numbers, or in units of the squared local roughness (the root mean
square difference of neighbouring pixels, whose mean over the scene is given in stored numbers)."""


def register_variogram(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command(
        "variogram", no_args_is_help=True, short_help="Print or plot the variograms that kriging fits."
    )(variogram)


@reports_errors
def variogram(
    source: Annotated[str, typer.Argument(metavar="SCENE", help="A GeoTIFF or a product.")],
    plot: Annotated[
        Path | None, typer.Option("--plot", "-o", metavar="FILE", help="Draw them (PNG, PDF, SVG).")
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option("-O", "--option", metavar="NAME=VALUE", help="An option of kriging.")
    ] = None,
    bands: Bands = None,
    nodata: Nodata = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Print the variogram that `-m kriging` fits to each band: model, nugget, sills, ranges in metres, units.

    Figures need matplotlib, which the extra 'evaluate' installs.
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
    rows = [_described(*pair, scene.grid.pixel_size_m) for pair in zip(names, found, strict=True)]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    table = Table("band", "unit", "nugget", "sills and ranges", "total sill", "direction", box=None)
    for row in rows:
        structures = [
            f"{one['sill']:.3g} {one['model'][:3]} "
            + (f"{one['range_px']:.3g} px" if one["range_m"] is None else f"{one['range_m']:.0f} m")
            for one in row["structures"]
        ]
        table.add_row(
            row["band"],
            f"roughness² ({row['roughness']:.4g})" if row["roughness"] else "stored number²",
            f"{row['nugget']:.3g}",
            "\n".join(structures) or "–",
            f"{row['sill']:.3g}",
            f"{row['azimuth_deg']:g}°, ratio {row['ratio']:g}" if row["ratio"] > 1 else "all directions",
        )
    console = Console(highlight=False)
    console.print(table)
    console.print(MODEL, markup=False, soft_wrap=True)


def _described(name: str, band: BandFit, pixel_m: float | None) -> dict[str, Any]:
    """Return a band's variogram as plain values.

    Args:
        name: The band's name.
        band: What kriging fitted.
        pixel_m: The size of a pixel, or None where it isn't known in metres.
    """
    import math

    import numpy as np

    from landsat_fill.methods.variogram import RANGES_PX

    model = band.variogram
    angle = math.radians(model.angle_deg)
    lags = np.array(SHOWN_PX, dtype=float)
    values = model.semivariance(lags * math.sin(angle), lags * math.cos(angle))
    return {
        "band": name,
        "unit": "squared local roughness" if band.roughness else "squared stored number",
        "roughness": band.roughness,
        "nugget": model.nugget,
        "structures": [
            {
                "model": kind,
                "sill": sill,
                "range_px": range_px,
                "range_m": None if pixel_m is None else range_px * pixel_m,
            }
            for kind, sills in (("exponential", model.exponential), ("matern 3/2", model.matern))
            for sill, range_px in zip(sills, RANGES_PX, strict=True)
            if sill > 0
        ],
        "sill": model.sill,
        "semivariance": {str(px): float(value) for px, value in zip(SHOWN_PX, values, strict=True)},
        "ratio": model.ratio,
        "angle_deg": model.angle_deg,
        "azimuth_deg": (90 + model.angle_deg) % 180,
    }
