"""`landsat-fill dataset`: patches of clean scenes and gaps of real ones, to train on."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from landsat_fill.cli.errors import EXIT_FAILED, reports_errors
from landsat_fill.cli.options import OUTPUT, Bands, Debug, Json, Nodata, Overwrite, Quiet, band_list

if TYPE_CHECKING:
    from collections.abc import Sequence

    from landsat_fill.errors import LandsatFillError
    from landsat_fill.scene import Scene
    from landsat_fill.training.manifest import Manifest

PATCHES = "Patches"


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("dataset", no_args_is_help=True, short_help="Cut clean scenes and real gaps to train on.")(
        dataset
    )


@reports_errors
def dataset(
    clean: Annotated[list[str], typer.Argument(metavar="CLEAN…", help="Scenes without gaps.")],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="FOLDER", help="The folder to write.", rich_help_panel=OUTPUT),
    ],
    gaps_from: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            "--gaps-from",
            metavar="SLC_OFF",
            help="Real SLC-off scenes whose gaps to take; may be given several times.",
            rich_help_panel=PATCHES,
        ),
    ] = None,
    size: Annotated[
        int,
        typer.Option(
            "--size",
            metavar="PIXELS",
            help="Side of a patch: 64, 128, any multiple of 8.",
            rich_help_panel=PATCHES,
        ),
    ] = 128,
    stride: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(
            "--stride",
            metavar="PIXELS",
            help="From patch to patch; less than the size makes them overlap. [default: the size]",
            rich_help_panel=PATCHES,
        ),
    ] = None,
    max_missing: Annotated[
        str,
        typer.Option(
            "--max-missing",
            metavar="PERCENT",
            help="Share of a patch that may be unobserved in a band.",
            rich_help_panel=PATCHES,
        ),
    ] = "10%",
    folds: Annotated[
        int,
        typer.Option(
            "--folds",
            min=1,
            help="Parts to deal the scenes out to, no more than there are places; scenes near each other share one.",
            rich_help_panel=PATCHES,
        ),
    ] = 5,
    bands: Bands = None,
    nodata: Nodata = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Cut clean scenes into patches, and the gaps of real SLC-off scenes, and write a dataset to train on.

    Folds are geographic: scenes within 50 km of each other, or of one name up to the date where there are no
    coordinates, share a fold. Nothing is drawn by chance: the same scenes give the same dataset.
    """
    from landsat_fill.cli.choices import share
    from landsat_fill.cli.terminal import print_error, shares_shown
    from landsat_fill.training.cutting import Cutting
    from landsat_fill.training.dataset_writing import write_dataset
    from landsat_fill.training.places import NEAR_KM

    missing = 0.0 if max_missing.strip() in ("0", "0%") else share("--max-missing", max_missing)
    scenes, bad = _opened(clean, nodata, band_list(bands))
    gap_scenes, bad_gaps = _opened(gaps_from or [], None, None)
    for source, error in (*bad, *bad_gaps):
        print_error(f"{source}: {error.message}", error.hint)
    with shares_shown(quiet=quiet or as_json) as on_progress:
        manifest, failures = write_dataset(
            scenes,
            gap_scenes,
            output,
            Cutting(size, size if stride is None else stride, missing),
            folds=folds,
            command=shlex.join(["landsat-fill", *sys.argv[1:]]),
            overwrite=overwrite,
            on_progress=on_progress,
        )
    for failure in failures:
        print_error(f"{failure.scene}: {failure.error.message}", failure.error.hint)
    if manifest.folds < folds and not quiet:
        typer.echo(
            f"warning: {manifest.folds} of {folds} folds, for there are no more places: scenes within "
            f"{NEAR_KM:.0f} km of each other share one",
            err=True,
        )
    if as_json:
        typer.echo(manifest.as_json(), nl=False)
    elif not quiet:
        _print(manifest, output)
    if bad or bad_gaps or failures:
        raise typer.Exit(EXIT_FAILED)


def _opened(
    arguments: Sequence[str], nodata: float | None, bands: tuple[str, ...] | None
) -> tuple[list[Scene], list[tuple[str, LandsatFillError]]]:
    """Return the scenes that arguments name, and the inputs that can't be opened, with why."""
    from landsat_fill.errors import InputError
    from landsat_fill.io import find_inputs, open_input

    found, unfound = find_inputs(arguments)
    bad: list[tuple[str, LandsatFillError]] = list(unfound)
    scenes: list[Scene] = []
    for given in found:
        try:
            scenes.extend(open_input(given, nodata=nodata, bands=bands))
        except InputError as error:
            bad.append((given.source, error))
    return scenes, bad


def _print(manifest: Manifest, folder: Path) -> None:
    """Print what the dataset holds."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    table = Table(box=None, header_style="bold")
    for heading in ("fold", "scenes", "patches", "share", "bands"):
        table.add_column(heading, justify="right", no_wrap=True)
    total = sum(scene.patches for scene in manifest.scenes)
    for fold in range(manifest.folds):
        own = [scene for scene in manifest.scenes if scene.fold == fold]
        patches = sum(scene.patches for scene in own)
        counts = ", ".join(str(count) for count in sorted({len(scene.bands) for scene in own}))
        table.add_row(str(fold), str(len(own)), str(patches), f"{patches / total:.0%}", counts or "–")
    console.print(table)
    megabytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
    crops = sum(gaps.crops for gaps in manifest.gaps)
    facts = [f"{len(manifest.scenes)} scenes", f"{total} patches of {manifest.size_px} px"]
    if crops:
        missing = sum(gaps.crops * gaps.missing_share for gaps in manifest.gaps) / crops
        facts.append(f"{crops} crops of real gaps, {missing:.0%} missing")
    else:
        facts.append("no real gaps: simulated ones alone")
    console.print(f"{folder}  {' · '.join((*facts, f'{megabytes:.1f} MB'))}", soft_wrap=True)
