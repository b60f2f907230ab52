"""`landsat-fill info`, `mask`, `tile`, `stitch`, `simulate` and `variogram`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from landsat_fill.cli.options import (
    OUTPUT,
    Bands,
    Debug,
    Extent,
    Folder,
    Json,
    Masks,
    Nodata,
    OneScene,
    Overwrite,
    Quiet,
    Target,
    arg,
    band_list,
    command,
    numbers_of,
    open_one,
    opt,
    pairs,
    refuse_targets,
    share,
)
from landsat_fill.errors import EXIT_FAILED, UsageError, printable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.console import Console

    from landsat_fill.methods.kriging import BandFit
    from landsat_fill.pipeline.outcome import Description
    from landsat_fill.scene import Window


@command
def info(
    inputs: Annotated[list[str], arg("SCENE…", "GeoTIFFs, products, folders of them.")],
    bands: Bands = None,
    nodata: Nodata = None,
    masks: Masks = None,
    extent: Extent = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Show sensor, date, bands, scan line corrector and gaps of a scene.

    The gaps are described by the missing share of the footprint, and by the period, tilt and width of the stripes.
    """
    from rich.console import Console

    from landsat_fill.cli.console import print_error
    from landsat_fill.errors import LandsatFillError
    from landsat_fill.io import find_inputs, open_input
    from landsat_fill.io.areas import as_areas, with_areas
    from landsat_fill.pipeline.outcome import describe

    console = Console(highlight=False, markup=False, soft_wrap=True)
    given, areas = numbers_of(nodata), as_areas(masks or (), extent)
    found, bad = find_inputs(inputs)
    failed = bool(bad)
    for source, error in bad:
        print_error(f"{source}: {error.message}", error.hint)
    for one in found:
        try:
            scenes = with_areas(open_input(one, nodata=given, bands=band_list(bands)), areas, one.name)
            for number, scene in enumerate(scenes):
                description = describe(scene)
                if as_json:
                    typer.echo(json.dumps(description.as_dict()))
                    continue
                _print_scene(console, description, with_heading=number == 0)
        except LandsatFillError as error:
            if debug:
                raise
            failed = True
            print_error(f"{one.name}: {error.message}", error.hint)
    if failed:
        raise typer.Exit(EXIT_FAILED)


def _print_scene(console: Console, description: Description, *, with_heading: bool) -> None:
    """Print the bands of a scene, its gaps and its stripes; the heading holds what the scenes of an input share."""
    from rich.table import Table

    scene, grid = description.scene, description.scene.grid
    if with_heading:
        console.print(printable(scene.name), style="bold")
        date = str(scene.acquired or "date unknown")
        console.print(f"  {scene.sensor or 'sensor unknown'} · {date} · {description.corrector}")
    pixel = f"{grid.pixel_size_m:g} m" if grid.pixel_size_m else "pixel size unknown"
    crs = printable(grid.crs.to_string()) if grid.crs else "no CRS"
    if len(crs) > 40:
        crs = crs[:37] + "…"
    console.print(f"  {grid.height} rows × {grid.width} columns · {pixel} · {crs}")
    table = Table("band", "colour", "type", "nodata", "missing", "outside", box=None, header_style="bold")
    for band, missing, outside in zip(scene.bands, description.missing_shares, description.outside_shares, strict=True):
        numbers = [] if band.nodata is None else [f"{band.nodata:g}"]
        numbers += [f"{low:g}:{high:g}" if low < high else f"{low:g}" for low, high in band.also_missing]
        table.add_row(
            printable(band.name),
            band.band.colour if band.band else "",
            band.dtype,
            ", ".join(numbers) or "none",
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
        console.print(printable(f"  {note}" if note.startswith("warning:") else f"  note: {note}"))


@command
def mask(
    scene: OneScene,
    output: Target,
    bands: Bands = None,
    nodata: Nodata = None,
    any_band: Annotated[bool, opt("--any-band", OUTPUT)] = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Write the gaps of a scene, one layer for each band: 0 outside the footprint, 1 observed, 2 missing.

    Thermal and panchromatic bands of a product have their own grids, and so their own files.

    Args:
        any_band: Write a single layer, which is missing where any band is missing.
    """
    from landsat_fill.pipeline.gap_files import write_gap_layer
    from landsat_fill.pipeline.outputs import scene_suffixes

    scenes = open_one(scene, nodata, bands)
    for part, suffix in zip(scenes, scene_suffixes(scenes), strict=True):
        target = output.with_name(f"{output.stem}{suffix}{output.suffix}")
        missing = write_gap_layer(part, target, any_band=any_band, overwrite=overwrite)
        if not quiet:
            typer.echo(printable(f"{target}  {100 * missing:.2f} % missing"))


@command
def tile(
    scene: OneScene,
    output: Folder,
    size: Annotated[int, opt("--size PIXELS", min=16)] = 128,
    bands: Bands = None,
    nodata: Nodata = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Cut a scene into patches: GeoTIFFs with its georeferencing and metadata, and a manifest.

    Thermal and panchromatic bands of a product have their own grids, and so their own sub-folders.

    Args:
        size: Side of a patch: 64, 128, 256.
    """
    from landsat_fill.cli.console import progress_bar
    from landsat_fill.pipeline.outputs import scene_suffixes
    from landsat_fill.pipeline.patches import cut_scene

    scenes = open_one(scene, nodata, bands)
    for part, suffix in zip(scenes, scene_suffixes(scenes), strict=True):
        folder = output / suffix.lstrip("_")
        with progress_bar(part.name, quiet=quiet) as show:
            count = cut_scene(part, folder, size, overwrite=overwrite, on_progress=show)
        if not quiet:
            typer.echo(printable(f"{folder}  {count} patches of {size} px"))


@command
def stitch(
    patches: Annotated[Path, arg("FOLDER")], output: Target, overwrite: Overwrite = False, quiet: Quiet = False
) -> None:
    """Join the patches of a scene again, bit-identical and with its metadata.

    Args:
        patches: A folder that `tile` wrote.
    """
    from landsat_fill.cli.console import progress_bar
    from landsat_fill.pipeline.patches import join_patches

    with progress_bar(output.name, quiet=quiet) as show:
        count = join_patches(patches, output, overwrite=overwrite, on_progress=show)
    if not quiet:
        typer.echo(printable(f"{output}  from {count} patches"))


STRIPES = "Stripes"


@command
def simulate(
    clean: Annotated[str, arg("CLEAN")],
    output: Target,
    gaps_from: Annotated[str | None, opt("--gaps-from SCENE", STRIPES)] = None,
    width: Annotated[float | None, opt("--width PIXELS", STRIPES)] = None,
    missing: Annotated[str | None, opt("--missing PERCENT", STRIPES)] = None,
    period: Annotated[float, opt("--period PIXELS", STRIPES)] = 33.0,
    tilt: Annotated[float, opt("--tilt DEGREES", STRIPES)] = 9.7,
    seed: Annotated[int, opt("--seed N", STRIPES, min=0)] = 0,
    nodata: Nodata = None,
    bands: Bands = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Lay SLC-off stripes over a clean scene: simulated ones, or those of a real scene.

    Without --width and --missing, the gaps are those of a whole swath: closed at nadir, widest at its edges.

    Args:
        clean: A GeoTIFF without gaps.
        gaps_from: Use the gaps of a real SLC-off scene.
        width: Width of all gaps.
        missing: Share of the image that the gaps cover: 22%.
        period: Rows from one gap to the next.
        tilt: Angle at which gaps descend to the right.
        seed: Seed of the positions of the gaps.
    """
    import numpy as np

    from landsat_fill.gaps.simulation import StripeModel, lay_stripes
    from landsat_fill.gaps.simulation import gaps_from as gaps_of
    from landsat_fill.pipeline.gap_files import missing_pixels, simulate_scene

    if gaps_from is not None and (width is not None or missing is not None):
        raise UsageError(
            "expected --gaps-from, or --width or --missing, but got both",
            hint="Leave out --gaps-from for simulated stripes.",
        )
    scene = open_one(clean, nodata, bands)[0]
    shape = (len(scene.bands), scene.grid.height, scene.grid.width)
    generator = np.random.default_rng(seed)
    if gaps_from is not None:
        lost = gaps_of(missing_pixels(open_one(gaps_from)[0]), shape, generator)

        def missing_in(window: Window) -> NDArray[np.bool_]:
            return lost[:, *window.slices]
    else:
        part = None if missing is None else share("--missing", missing)
        model = StripeModel(width_px=width, missing=part, period_px=period, tilt_deg=tilt)
        missing_in = lay_stripes(shape, model, generator).missing_in
    lost_share = simulate_scene(scene, missing_in, output, nodata=numbers_of(nodata), overwrite=overwrite)
    if not quiet:
        typer.echo(printable(f"{output}  {100 * lost_share:.2f} % lost"))


SHOWN_PX = (1, 4, 16)
"""Distances at which the semivariance is printed."""

MODEL = """\
γ(h) = nugget + Σ sill · g(h / range), with g(x) = 1 − exp(−x) for exp and g(x) = 1 − (1 + √3 x) exp(−√3 x) for mat
(Matérn of smoothness 3/2). With a direction: ranges along it, azimuth from grid north; ranges across are divided by
the ratio. Semivariances are in squared stored numbers, or in units of the squared local roughness (the root mean
square difference of neighbouring pixels, whose mean over the scene is given in stored numbers)."""


@command
def variogram(
    source: OneScene,
    plot: Annotated[Path | None, opt("-o, --plot FILE")] = None,
    option: Annotated[list[str] | None, opt("-O, --option NAME=VALUE")] = None,
    bands: Bands = None,
    nodata: Nodata = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Print the variogram that `-m kriging` fits to each band: model, nugget, sills, ranges in metres, units.

    Figures need matplotlib, which the extra 'evaluate' installs.

    Args:
        plot: Plot the variograms (PNG, PDF, SVG).
        option: An option of kriging.
    """
    from rich.console import Console
    from rich.table import Table

    from landsat_fill.evaluation.figures import write_variograms
    from landsat_fill.methods import create_method
    from landsat_fill.pipeline.gap_finder import scene_variograms
    from landsat_fill.pipeline.resources import usable_cores

    kriging: Any = create_method("kriging", pairs("-O", option))
    scene = open_one(source, nodata, bands)[0]
    refuse_targets([plot], [scene], overwrite=overwrite)
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
            printable(row["band"]),
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
    """Return the variogram that was fitted to a band as plain values, with ranges in metres if the pixel size is known."""
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
