"""`landsat-fill variogram`: how unlike pixels are by how far apart they lie, as kriging sees a scene."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from landsat_fill.cli.errors import reports_errors
from landsat_fill.cli.options import Bands, Debug, Json, Nodata, Overwrite, band_list

if TYPE_CHECKING:
    from landsat_fill.methods.kriging import BandFit

SHOWN_PX = (1, 4, 16)
"""Distances whose semivariance is told."""


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("variogram", no_args_is_help=True, short_help="Tell or plot the variograms of a scene.")(
        variogram
    )


@reports_errors
def variogram(
    source: Annotated[str, typer.Argument(metavar="SCENE", help="A GeoTIFF or a product.")],
    plot: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--plot", "-o", metavar="FILE", help="Draw them (PNG, PDF, SVG)."),
    ] = None,
    option: Annotated[
        Optional[list[str]],  # noqa: UP045
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

    from landsat_fill.cli.choices import pairs
    from landsat_fill.cli.inputs import one_input
    from landsat_fill.evaluation.variogram_figure import write_variograms
    from landsat_fill.io import open_input
    from landsat_fill.io.atomic import refuse_target
    from landsat_fill.methods import create_method
    from landsat_fill.methods.kriging import Kriging
    from landsat_fill.pipeline.cores import usable_cores
    from landsat_fill.pipeline.scene_outputs import input_files
    from landsat_fill.pipeline.variograms import scene_variograms

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
