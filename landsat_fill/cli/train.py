"""`landsat-fill dataset` and `landsat-fill train`."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from landsat_fill.cli.exits import reports_errors
from landsat_fill.cli.options import OUTPUT, Bands, Debug, Json, Nodata, Overwrite, Quiet, band_list
from landsat_fill.errors import EXIT_FAILED, EXIT_INTERRUPTED
from landsat_fill.training import USUAL_STEPS, recipe_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from landsat_fill.errors import LandsatFillError
    from landsat_fill.scene import Scene
    from landsat_fill.training.dataset_manifest import Manifest
    from landsat_fill.training.run_folder import RunFolder
    from landsat_fill.training.settings import TrainingSettings


PATCHES = "Patches"


def register_dataset(app: typer.Typer) -> None:
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
        list[str] | None,
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
        int | None,
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
    from landsat_fill.cli.console import print_error, shares_shown
    from landsat_fill.cli.options import share
    from landsat_fill.training.dataset_writing import Cutting, write_dataset
    from landsat_fill.training.folds import NEAR_KM

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


BUDGET = "Budget"
DATA = "Data"
MACHINE = "Machine"

EPILOG = """
[bold]Examples[/bold]

landsat-fill train convcnp data/ -o runs/kenya --minutes 120

landsat-fill train convcnp -o runs/kenya --resume                     go on after a break

landsat-fill train -o runs/again --config runs/kenya/run.toml         the same run once more

landsat-fill train unet clean/*.tif --gaps-from slc_off/ -o runs/own --steps 5000    from scenes as they are

landsat-fill train unet data/ -o runs/u --steps 5000 -O objective.distance=huber     any setting of run.toml

landsat-fill train band-unet own/ --weights models/band-unet.safetensors -o runs/own    from trained weights

torchrun --nproc-per-node 4 -m landsat_fill train convcnp data/ -o runs/big --minutes 60    four GPUs
"""


def register_train(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("train", epilog=EPILOG, no_args_is_help=True, short_help="Train a network.")(train)


@reports_errors
def train(
    network: Annotated[
        str | None,
        typer.Argument(
            metavar="NETWORK",
            help=f"{', '.join(recipe_names())}; --config and --resume know theirs.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="DATA…",
            help="A folder that `landsat-fill dataset` made, or clean scenes.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="RUN", help="The folder of the run.", rich_help_panel=OUTPUT),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="Settings: a run.toml, or a part of one."),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            "-O",
            "--option",
            metavar="TABLE.KEY=VALUE",
            help="Any setting of run.toml: optimiser.decay=exponential, network.channels=64.",
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            "--weights", metavar="FILE", help="Begin from these weights (.safetensors), not from fresh ones."
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in RUN.")] = False,
    minutes: Annotated[
        float | None,
        typer.Option("--minutes", min=0, help="Time to train, over all sittings.", rich_help_panel=BUDGET),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            "--steps",
            min=0,
            help=f"Steps to train; {USUAL_STEPS:,} if no limit is given.",
            rich_help_panel=BUDGET,
        ),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            "--patience",
            min=0,
            help="Scores without a better one before it stops; 0 never stops.",
            rich_help_panel=BUDGET,
        ),
    ] = None,
    validation: Annotated[
        list[str] | None,
        typer.Option(
            "--validation",
            metavar="SCENE",
            help="Scenes, or a folder of them, to score on; without, one fold of the data.",
            rich_help_panel=DATA,
        ),
    ] = None,
    gaps_from: Annotated[
        list[str] | None,
        typer.Option(
            "--gaps-from",
            metavar="SCENE",
            help="An SLC-off scene whose gaps to lay too.",
            rich_help_panel=DATA,
        ),
    ] = None,
    fold: Annotated[
        int | None,
        typer.Option("--fold", min=0, help="The fold to score on.", rich_help_panel=DATA),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option("--size", metavar="PIXELS", help="Side of a sample.", rich_help_panel=DATA),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option("--batch", min=1, help="Samples in a step.", rich_help_panel=DATA),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option("--lr", "--learning-rate", min=0, help="The highest learning rate."),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", min=0, help="Seed of weights, samples and noise."),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option("--device", help="auto, cpu, cuda or cuda:N.", rich_help_panel=MACHINE),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=0, help="Processes that make samples.", rich_help_panel=MACHINE),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option("--threads", min=1, help="CPU threads of the training.", rich_help_panel=MACHINE),
    ] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Train a network on clean scenes with gaps laid over them.

    RUN gets run.toml (all settings: it reproduces the run), log.csv, curve.png, the checkpoint last.pt, and the
    weights best.safetensors and last.safetensors, which `landsat-fill SCENE -m NETWORK --weights FILE` takes.
    Ctrl-C stops after a step; --resume goes on from there as if nothing had been.
    """
    from landsat_fill.cli.console import stops_asked, training_screen
    from landsat_fill.errors import UsageError
    from landsat_fill.networks.catalogue import import_torch

    if output is None:
        raise UsageError("expected a folder for the run, but got none", hint="give one with -o")
    import_torch()
    from landsat_fill.training.progress import Ending
    from landsat_fill.training.run import train as train_in
    from landsat_fill.training.run_folder import RunFolder

    folder = RunFolder(output)
    flags = {
        "network": {"name": network},
        "data": {
            "paths": _absolute(data),
            "validation": _absolute(validation),
            "gaps_from": _absolute(gaps_from),
            "fold": fold,
            "size_px": size,
            "batch": batch,
        },
        "optimiser": {"learning_rate": learning_rate},
        "budget": {"steps": steps, "minutes": minutes},
        "validation": {"patience": patience},
        "machine": {"device": device, "workers": workers, "threads": threads},
        "seed": seed,
        "weights": None if weights is None else str(weights.expanduser().resolve()),
    }
    settings = _settings(folder, flags, config, option or [], resume=resume)
    is_first = os.environ.get("RANK", "0") == "0"  # of those that torchrun started
    with stops_asked() as stop, training_screen(stop, quiet=quiet or not is_first) as screen:
        result = train_in(settings, folder, screen, resume=resume, overwrite=overwrite)
    if result.ending is Ending.INTERRUPTED:
        screen.noted(f"stopped after step {result.progress.step}; go on with: --resume -o {folder.path}")
        raise typer.Exit(EXIT_INTERRUPTED)
    screen.noted(
        f"{result.ending.value} after {result.progress.step} steps and {result.progress.minutes:.1f} minutes; "
        f"best error {result.progress.best:.4f} of the classical fill's: {folder.best}"
    )


def _settings(
    folder: RunFolder, flags: dict[str, Any], config: Path | None, options: list[str], *, resume: bool
) -> TrainingSettings:
    """Return the settings: the network's recipe, then the file's, then the flags, then the options."""
    from landsat_fill.errors import UsageError
    from landsat_fill.training.settings import changed, parse_assignments, read_run_file, recipe

    if resume:
        if config is not None:
            raise UsageError(
                "expected --config or --resume, but got both", hint="--resume reads RUN/run.toml"
            )
        folder.require_run()
        config = folder.settings
    tables = {} if config is None else read_run_file(config)
    of_file = tables.get("network")
    named = of_file.get("name") if isinstance(of_file, dict) else None
    asked = flags["network"]["name"]
    if asked and named and asked != named:
        raise UsageError(
            f"expected the network of {config}, {named}, but got {asked}",
            hint="leave the network out, or take its table [network] out of a copy of the file",
        )
    if not (asked or named):
        raise UsageError("expected a network to train, but got none", hint="landsat-fill train --help")
    settings = changed(recipe(str(asked or named)), tables, str(config))
    settings = changed(settings, _given(flags), "the command line")
    return changed(settings, parse_assignments(options), "the command line")


def _given(flags: dict[str, Any]) -> dict[str, Any]:
    """Return the flags that were given, without tables that are empty then."""
    given = {
        key: _given(value) if isinstance(value, dict) else value
        for key, value in flags.items()
        if value is not None
    }
    return {key: value for key, value in given.items() if value != {}}


def _absolute(paths: list[str] | None) -> list[str] | None:
    """Return paths that hold wherever a run.toml is used; what isn't a path here, such as a URL, stays as it is."""
    if not paths:
        return None
    return [str(Path(path).resolve()) if Path(path).exists() else path for path in paths]
