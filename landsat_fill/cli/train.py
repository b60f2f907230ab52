"""`landsat-fill dataset` and `landsat-fill train`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from landsat_fill.cli.options import (
    OUTPUT,
    Bands,
    Folder,
    Json,
    Nodata,
    Overwrite,
    Quiet,
    arg,
    command,
    command_line,
    open_all,
    opt,
)
from landsat_fill.errors import EXIT_FAILED, EXIT_INTERRUPTED, UsageError, printable
from landsat_fill.training import USUAL_STEPS, recipe_names

if TYPE_CHECKING:
    from landsat_fill.training.dataset_manifest import Manifest
    from landsat_fill.training.run_folder import RunFolder
    from landsat_fill.training.settings import TrainingSettings


PATCHES = "Patches"


@command
def dataset(
    ctx: typer.Context,
    clean: Annotated[list[str], arg("CLEAN…")],
    output: Folder,
    gaps_from: Annotated[list[str] | None, opt("--gaps-from SLC_OFF", PATCHES)] = None,
    size: Annotated[int, opt("--size PIXELS", PATCHES)] = 128,
    stride: Annotated[int | None, opt("--stride PIXELS", PATCHES)] = None,
    max_missing: Annotated[str, opt("--max-missing PERCENT", PATCHES)] = "10%",
    folds: Annotated[int, opt("--folds N", PATCHES, min=1)] = 5,
    bands: Bands = None,
    nodata: Nodata = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Cut patches from clean scenes and gaps from real SLC-off scenes, and write a dataset for training.

    Folds are geographic: scenes within 50 km of each other share a fold. Scenes without coordinates share a fold if
    their names agree up to the date. The same scenes always give the same dataset.

    Args:
        clean: Scenes without gaps.
        gaps_from: A real SLC-off scene whose gaps are stored; may be repeated.
        size: Side of a patch, a multiple of 8.
        stride: Distance between patches; patches overlap if it is less than the size. Default: the size.
        max_missing: Largest unobserved share of a patch in any band.
        folds: Number of folds. There are no more folds than places.
    """
    from landsat_fill.cli.console import print_error, progress_bar
    from landsat_fill.cli.options import share
    from landsat_fill.training.dataset import NEAR_KM
    from landsat_fill.training.dataset_writing import Cutting, write_dataset

    missing = 0.0 if max_missing.strip() in ("0", "0%") else share("--max-missing", max_missing)
    scenes, all_clean = open_all(clean, nodata, bands)
    gap_scenes, all_gappy = open_all(gaps_from or [])
    with progress_bar(quiet=quiet or as_json) as on_progress:
        manifest, failures = write_dataset(
            scenes,
            gap_scenes,
            output,
            Cutting(size, size if stride is None else stride, missing),
            folds=folds,
            command=command_line(ctx),
            overwrite=overwrite,
            on_progress=on_progress,
        )
    for name, error in failures:
        print_error(f"{name}: {error.message}", error.hint)
    if manifest.folds < folds and not quiet:
        typer.echo(
            f"warning: {manifest.folds} of {folds} folds, because there are no more places: scenes within "
            f"{NEAR_KM:.0f} km of each other share a fold",
            err=True,
        )
    if as_json:
        typer.echo(manifest.as_json(), nl=False)
    elif not quiet:
        _print(manifest, output)
    if failures or not (all_clean and all_gappy):
        raise typer.Exit(EXIT_FAILED)


def _print(manifest: Manifest, folder: Path) -> None:
    """Print a table of the folds, and a summary line."""
    from rich.console import Console
    from rich.table import Column, Table

    console = Console(highlight=False)
    headings = ("fold", "scenes", "patches", "share", "bands")
    columns = [Column(heading, justify="right", no_wrap=True) for heading in headings]
    table = Table(*columns, box=None, header_style="bold")
    total = sum(scene.patches for scene in manifest.scenes)
    for fold in range(manifest.folds):
        own = [scene for scene in manifest.scenes if scene.fold == fold]
        patches = sum(scene.patches for scene in own)
        counts = ", ".join(str(count) for count in sorted({len(scene.bands) for scene in own}))
        table.add_row(str(fold), str(len(own)), str(patches), f"{patches / total:.0%}", counts or "–")
    console.print(table)
    megabytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
    crops = sum(gaps.crops for gaps in manifest.gaps)
    gap_facts = "no real gaps, only simulated ones"
    if crops:
        missing = sum(gaps.crops * gaps.missing_share for gaps in manifest.gaps) / crops
        gap_facts = f"{crops} crops of real gaps, {missing:.0%} missing"
    facts = (
        f"{len(manifest.scenes)} scenes · {total} patches of {manifest.size_px} px · {gap_facts} · {megabytes:.1f} MB"
    )
    console.print(printable(f"{folder}  {facts}"), soft_wrap=True)


BUDGET = "Budget"
DATA = "Data"
MACHINE = "Machine"

EPILOG = """\
Examples:
landsat-fill train convcnp data/ -o runs/kenya --minutes 120
landsat-fill train convcnp -o runs/kenya --resume            continues a run
landsat-fill train -o runs/again --config runs/kenya/run.toml      repeats it
landsat-fill train unet clean/*.tif --gaps-from slc_off/ -o runs/own
landsat-fill train unet data/ -o runs/u -O objective.distance=huber
landsat-fill train band-unet own/ --weights trained.safetensors -o runs/own
torchrun --nproc-per-node 4 -m landsat_fill train convcnp data/ -o runs/big
"""


@command
def train(
    network: Annotated[
        str | None, arg("NETWORK", f"{', '.join(recipe_names())}; not needed with --config and --resume.")
    ] = None,
    data: Annotated[list[str] | None, arg("DATA…")] = None,
    output: Annotated[Path | None, opt("-o, --output RUN", OUTPUT)] = None,
    config: Annotated[Path | None, opt("--config FILE")] = None,
    option: Annotated[list[str] | None, opt("-O, --option TABLE.KEY=VALUE")] = None,
    weights: Annotated[Path | None, opt("--weights FILE")] = None,
    resume: Annotated[bool, opt("--resume")] = False,
    minutes: Annotated[float | None, opt("--minutes X", BUDGET, min=0)] = None,
    steps: Annotated[
        int | None, opt("--steps N", BUDGET, f"Steps to train; {USUAL_STEPS:,} if no limit is given.", min=0)
    ] = None,
    patience: Annotated[int | None, opt("--patience N", BUDGET, min=0)] = None,
    validation: Annotated[list[str] | None, opt("--validation SCENE", DATA)] = None,
    gaps_from: Annotated[list[str] | None, opt("--gaps-from SCENE", DATA)] = None,
    fold: Annotated[int | None, opt("--fold N", DATA, min=0)] = None,
    size: Annotated[int | None, opt("--size PIXELS", DATA)] = None,
    batch: Annotated[int | None, opt("--batch N", DATA, min=1)] = None,
    learning_rate: Annotated[float | None, opt("--lr, --learning-rate X", min=0)] = None,
    seed: Annotated[int | None, opt("--seed N", min=0)] = None,
    device: Annotated[str | None, opt("--device NAME", MACHINE)] = None,
    workers: Annotated[int | None, opt("--workers N", MACHINE, min=0)] = None,
    threads: Annotated[int | None, opt("--threads N", MACHINE, min=1)] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Train a network on clean scenes with gaps laid over them.

    RUN gets run.toml (all settings: it reproduces the run), log.csv, curve.png, the checkpoint last.pt, and the
    weights best.safetensors and last.safetensors for `landsat-fill SCENE -m NETWORK --weights FILE`.
    Ctrl-C stops after the current step; --resume continues exactly from there.

    Args:
        data: A folder that `landsat-fill dataset` made, or clean scenes.
        output: The folder of the run.
        config: Settings: a run.toml, or a part of one.
        option: Any setting of run.toml, such as optimiser.decay=exponential or network.channels=64.
        weights: Start from these weights (.safetensors) instead of random ones.
        resume: Continue the run in RUN.
        minutes: Time to train, including earlier parts of a resumed run.
        patience: Validations without improvement before training stops; 0 never stops.
        validation: Scenes to validate on, or a folder of them. Default: one fold of the data.
        gaps_from: An SLC-off scene whose gaps are also laid over samples; may be repeated.
        fold: The fold to validate on.
        size: Side of a sample.
        batch: Samples per step.
        learning_rate: The highest learning rate.
        seed: Seed of weights, samples and noise.
        device: auto, cpu, cuda or cuda:N.
        workers: Processes that prepare samples.
        threads: CPU threads for training.
    """
    from landsat_fill.cli.console import TrainingScreen, progress_bar, stop_requests
    from landsat_fill.networks.catalogue import import_torch

    if output is None:
        raise UsageError("expected a folder for the run, but got none", hint="Give one with -o.")
    import_torch()
    from landsat_fill.training.loop import Ending
    from landsat_fill.training.run import train as train_in
    from landsat_fill.training.run_folder import RunFolder

    folder = RunFolder(output)
    sources = {"paths": data, "validation": validation, "gaps_from": gaps_from}
    flags = {
        "network": {"name": network},
        "data": {name: _absolute(paths) for name, paths in sources.items()}
        | {"fold": fold, "size_px": size, "batch": batch},
        "optimiser": {"learning_rate": learning_rate},
        "budget": {"steps": steps, "minutes": minutes},
        "validation": {"patience": patience},
        "machine": {"device": device, "workers": workers, "threads": threads},
        "seed": seed,
        "weights": None if weights is None else str(weights.expanduser().resolve()),
    }
    settings = _settings(folder, flags, config, option or [], resume=resume)
    silent = quiet or os.environ.get("RANK", "0") != "0"  # one process of torchrun prints
    with stop_requests() as stop, progress_bar(quiet=silent) as show:
        screen = TrainingScreen(stop, show, quiet=silent)
        result = train_in(settings, folder, screen, resume=resume, overwrite=overwrite)
    if result.ending is Ending.INTERRUPTED:
        screen.noted(f"stopped after step {result.progress.step}; continue with: --resume -o {folder.path}")
        raise typer.Exit(EXIT_INTERRUPTED)
    screen.noted(
        f"{result.ending.value} after {result.progress.step} steps and {result.progress.minutes:.1f} minutes; "
        f"best error {result.progress.best:.4f} relative to the classical fill: {folder.best}"
    )


def _settings(
    folder: RunFolder, flags: dict[str, Any], config: Path | None, options: list[str], *, resume: bool
) -> TrainingSettings:
    """Return the settings of the network's recipe, changed by the file, then the flags, then the options."""
    from landsat_fill.training.settings import changed, parse_assignments, read_run_file, recipe

    if resume:
        if config is not None:
            raise UsageError("expected --config or --resume, but got both", hint="--resume reads RUN/run.toml.")
        folder.require_run()
        config = folder.settings
    tables = {} if config is None else read_run_file(config)
    table = tables.get("network")
    in_file = table.get("name") if isinstance(table, dict) else None
    network = flags["network"]["name"] or in_file
    if in_file and network != in_file:
        raise UsageError(
            f"expected the network of {config}, {in_file}, but got {network}",
            hint="Omit the network, or remove the table [network] from a copy of the file.",
        )
    if not network:
        raise UsageError("expected a network to train, but got none", hint="See `landsat-fill train --help`.")
    settings = changed(recipe(str(network)), tables, str(config))
    settings = changed(settings, _set_flags(flags), "the command line")
    return changed(settings, parse_assignments(options), "the command line")


def _set_flags(flags: dict[str, Any]) -> dict[str, Any]:
    """Return the flags that were set, and the tables that have any."""
    values = {key: _set_flags(value) if isinstance(value, dict) else value for key, value in flags.items()}
    return {key: value for key, value in values.items() if value not in (None, {})}


def _absolute(paths: list[str] | None) -> list[str] | None:
    """Return absolute paths, so that run.toml works in any folder; other texts, such as URLs, stay as they are."""
    if not paths:
        return None
    return [str(Path(path).resolve()) if Path(path).exists() else path for path in paths]
