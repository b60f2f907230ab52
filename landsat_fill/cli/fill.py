"""`landsat-fill fill`: fill scenes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Optional

import typer

from landsat_fill.cli.errors import EXIT_FAILED, reports_errors
from landsat_fill.cli.method_flags import MethodFlags
from landsat_fill.cli.options import (
    GAPS,
    OUTPUT,
    TERMINAL,
    Bands,
    Debug,
    Json,
    Nodata,
    Overwrite,
    Quiet,
    Verbose,
)

BATCH = "Batch"
METHOD = "Method"
INPUT = "Input"

EPILOG = """
[bold]Examples[/bold]

landsat-fill scene.tif                                writes scene_filled.tif beside it

landsat-fill scene.tif -o out.tif --preview           and a picture of before and after

landsat-fill scenes/ more/*.tar -o filled/ --jobs 2   a batch; report in filled/report.jsonl

landsat-fill scene.tif -m inverse-distance --smoothing 0    an option of a method

landsat-fill scene.tif -m unet --weights best.safetensors   your own weights

landsat-fill scene.tif -m convlnp --draw 4                  four plausible fills beside the mean

landsat-fill scene.tif --distrust cloud,shadow        clouds are no evidence for what lies beside them

[bold]Exit codes[/bold]  0 all filled, done already or without gaps · 1 some scene failed · 2 usage · 75 stopped by SIGUSR1
with scenes left · 130 interrupted · 143 terminated
"""


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command(
        "fill",
        cls=MethodFlags,
        epilog=EPILOG,
        no_args_is_help=True,
        short_help="Fill scenes: GeoTIFFs, products, folders. The command meant when none is named.",
    )(fill)


@reports_errors
def fill(
    ctx: typer.Context,
    inputs: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(
            metavar="SCENE…",
            help="GeoTIFFs, USGS or ESPA products (folder, .tar, .tar.gz, .zip), folders of them, globs, URLs.",
            show_default=False,
        ),
    ] = None,
    from_file: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option(
            "--from-file", metavar="LIST", help="A text file with one input a line.", rich_help_panel=INPUT
        ),
    ] = None,
    bands: Bands = None,
    nodata: Nodata = None,
    method: Annotated[
        str,
        typer.Option(
            "-m", "--method", help="How to fill; `landsat-fill methods` lists them.", rich_help_panel=METHOD
        ),
    ] = "auto",
    option: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            "-O",
            "--option",
            metavar="NAME=VALUE",
            help="An option of the method; --NAME VALUE does the same. `landsat-fill methods NAME` lists them.",
            rich_help_panel=METHOD,
        ),
    ] = None,
    device: Annotated[
        str,
        typer.Option(
            "--device",
            help="auto, cpu, cuda or cuda:1. auto is a graphics processor where the method and this machine can.",
            rich_help_panel=METHOD,
        ),
    ] = "auto",
    seed: Annotated[
        int, typer.Option("--seed", min=0, help="Seed of methods that draw.", rich_help_panel=METHOD)
    ] = 0,
    holes: Annotated[
        str,
        typer.Option(
            "--holes",
            metavar="narrow|every|stripes",
            help="What to fill inside the footprint: holes no wider than the largest gap, every hole, "
            "or SLC stripes only.",
            rich_help_panel=GAPS,
        ),
    ] = "narrow",
    largest_gap: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(
            "--largest-gap",
            metavar="PIXELS",
            min=1,
            help="The widest hole to fill; wider parts stay as they are. "
            "Without it one scan period (990 m), which no SLC gap exceeds.",
            rich_help_panel=GAPS,
        ),
    ] = None,
    distrust: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--distrust",
            metavar="FLAGS",
            help="Observed pixels to leave out of the evidence: cloud, dilated-cloud, shadow, saturated "
            "(from the quality bands), interpolated (from the gap masks), faint (stripes that aren't exactly nodata).",
            rich_help_panel=GAPS,
        ),
    ] = None,
    refill: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--refill",
            metavar="FLAGS",
            help="Observed pixels to treat as missing; same flags. The only option that replaces observations.",
            rich_help_panel=GAPS,
        ),
    ] = None,
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "-o",
            "--output",
            metavar="PATH",
            help="A file (.tif) for one GeoTIFF, a folder else. Without it, beside each input.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    name: Annotated[
        str, typer.Option("--name", metavar="TEMPLATE", help="Name of each output.", rich_help_panel=OUTPUT)
    ] = "{name}_filled",
    stack: Annotated[
        bool,
        typer.Option(
            "--stack",
            help="Write a product as one GeoTIFF a grid, not a folder of bands.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    fill_layer: Annotated[
        str,
        typer.Option(
            "--fill-layer",
            metavar="scene|bands|none",
            help="The record of what was filled (…_fill.tif): one layer, one a band, or none.",
            rich_help_panel=OUTPUT,
        ),
    ] = "scene",
    uncertainty: Annotated[
        bool | None,
        typer.Option(
            "--uncertainty/--no-uncertainty",
            help="Write the standard deviation (…_std.tif); unless told, where the method has one.",
            show_default=False,
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    draw: Annotated[
        int,
        typer.Option(
            "--draw",
            metavar="N",
            min=0,
            help="Write N plausible fills (…_draw1.tif and so on), with a method that draws.",
            rich_help_panel=OUTPUT,
        ),
    ] = 0,
    preview: Annotated[
        bool,
        typer.Option(
            "--preview", help="Write a picture of before and after (….png).", rich_help_panel=OUTPUT
        ),
    ] = False,
    creation_option: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            "--co",
            metavar="NAME=VALUE",
            help="GDAL creation option instead of the input's.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    cog: Annotated[
        bool, typer.Option("--cog", help="Write cloud-optimised GeoTIFFs.", rich_help_panel=OUTPUT)
    ] = False,
    overwrite: Overwrite = False,
    report: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "--report",
            metavar="FILE",
            help="Append a JSON line a scene here instead of to report.jsonl beside the outputs.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    jobs: Annotated[
        int,
        typer.Option(
            "--jobs",
            "-j",
            min=1,
            help="Scenes worked on at once, each in a process; several graphics processors take turns.",
            rich_help_panel=BATCH,
        ),
    ] = 1,
    memory: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--memory",
            metavar="SIZE",
            help="What all --jobs may take together, 16G for example; a scene waits until there is room. "
            "Without it nine tenths of what is free.",
            rich_help_panel=BATCH,
        ),
    ] = None,
    shard: Annotated[
        str,
        typer.Option(
            "--shard",
            metavar="I/N",
            help="Only the I-th of N shares of the scenes, I from 1: for several machines that each take one.",
            rich_help_panel=BATCH,
        ),
    ] = "1/1",
    manifest: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "--manifest",
            metavar="FILE",
            help="Scenes and their outputs, in place of SCENE… and -o; `cluster submit` writes such a file.",
            rich_help_panel=BATCH,
        ),
    ] = None,
    grace: Annotated[
        float,
        typer.Option(
            "--grace",
            metavar="SECONDS",
            min=0,
            help="After SIGUSR1 no scene is begun; those that run have so long to be finished.",
            rich_help_panel=BATCH,
        ),
    ] = 240,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", "-n", help="Print what would be done, and do nothing.", rich_help_panel=TERMINAL
        ),
    ] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
    as_json: Json = False,
) -> None:
    """Fill the gaps of scenes and write them beside their inputs, or to -o.

    Observed pixels stay bit-identical, georeferencing and metadata are kept, nothing is invented outside the
    footprint, and a fill layer records every pixel that was filled.
    """
    from landsat_fill.cli.scenes import most_at_once, planned_scenes
    from landsat_fill.pipeline import SpareProcesses

    at_once = (
        1 if dry_run else most_at_once(inputs or [], [*(from_file or []), *filter(None, [manifest])], jobs)
    )
    with SpareProcesses(at_once if at_once > 1 else 0) as spare:  # they get ready while we do
        from landsat_fill.cli.batch import Said, print_plan, run_batch
        from landsat_fill.cli.fill_requests import fill_requests, memory_bytes
        from landsat_fill.pipeline import Action, Resources, available_bytes, choose_devices

        request, outputs = fill_requests(ctx.params)
        scenes = planned_scenes(inputs or [], from_file or [], manifest, shard, outputs)
        if dry_run:
            print_plan(scenes.jobs, scenes.bad, as_json=as_json)
            refused = any(job.action is Action.REFUSE for job in scenes.jobs)
            raise typer.Exit(EXIT_FAILED if scenes.bad or refused else 0)
        devices = choose_devices(device, request.method.info, jobs)
        bound = memory_bytes(memory)
        resources = Resources(jobs, devices, available_bytes() if bound is None else bound)
        said = Said(quiet=quiet, verbose=verbose, debug=debug, as_json=as_json)
        request = replace(request, device=devices[0])
        raise typer.Exit(run_batch(scenes, request, resources, spare, said=said, grace_s=grace))
