"""`landsat-fill fill`: fill scenes."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from landsat_fill.cli.exits import reports_errors
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
    band_list,
    choice,
    flags,
    pairs,
)
from landsat_fill.errors import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_STOPPED,
    EXIT_TERMINATED,
    EXIT_USAGE,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from landsat_fill.pipeline.plan import Plan
    from landsat_fill.pipeline.request import FillRequest, OutputRequest


def most_at_once(inputs: Sequence[str], lists: Sequence[Path], jobs: int) -> int:
    """Return the most scenes that can be at work at once, told before anything is looked into.

    Args:
        inputs: What the command line names.
        lists: Files that name scenes.
        jobs: How many are wanted.
    """
    only_files = not lists and all(os.path.isfile(one) for one in inputs)  # noqa: PTH113 (never raises)
    return min(jobs, len(inputs)) if only_files else jobs


def planned_scenes(
    inputs: Sequence[str],
    lists: Sequence[Path],
    manifest: Path | None,
    shard: str,
    request: FillRequest,
    outputs: OutputRequest,
) -> Plan:
    """Return what is to be done.

    Raises:
        UsageError: If nothing is named, or two things that exclude each other, or outputs are in each other's way.
        InputError: If the manifest can't be read.
    """
    from landsat_fill.io import find_inputs
    from landsat_fill.pipeline.plan import Plan, plan_jobs, read_shard

    share = read_shard(shard)
    if manifest is not None:
        if inputs or lists or outputs.target is not None:
            raise UsageError("expected --manifest alone, but got scenes or -o beside it")
        return _of_manifest(manifest, shard, request, outputs)
    if not inputs and not lists:
        raise UsageError("expected at least one scene, but got none", hint="landsat-fill fill --help")
    found, bad = find_inputs(inputs, lists)
    return Plan(plan_jobs(found, outputs, share, request=request), share.of(bad), outputs)


def _of_manifest(manifest: Path, shard: str, request: FillRequest, outputs: OutputRequest) -> Plan:
    from landsat_fill.cluster import Round, jobs_of, read_manifest
    from landsat_fill.pipeline.plan import Plan, read_shard, with_actions

    lines = read_shard(shard).of(read_manifest(manifest))
    jobs, bad = jobs_of(lines, stack=outputs.stack)
    outputs = replace(outputs, done_since_ns=Round(manifest.parent).began_ns)
    return Plan(
        with_actions(jobs, outputs, request),
        [(line.source, error) for line, error in bad],
        outputs,
        {line.source: line.target for line, _ in bad},
    )


def fill_requests(given: Mapping[str, Any]) -> tuple[FillRequest, OutputRequest]:
    """Return how scenes are filled, on a device that is still to be chosen, and in which form.

    Args:
        given: The parameters of the command `fill` by name.

    Raises:
        UsageError: If they can't be meant.
    """
    from landsat_fill.gaps.holes import Holes
    from landsat_fill.methods import DEFAULT_METHOD, create_method, method_classes
    from landsat_fill.pipeline.request import FillLayer, FillRequest, OutputRequest, wants_std
    from landsat_fill.pipeline.resources import usable_cores

    chosen = create_method(given["method"], pairs("-O", given["option"]))
    request = FillRequest(
        method=chosen,
        holes=choice("--holes", given["holes"], Holes),
        largest_gap_px=given["largest_gap"],
        distrusted=flags("--distrust", given["distrust"]),
        refilled=flags("--refill", given["refill"]),
        nodata=given["nodata"],
        bands=band_list(given["bands"]),
        seed=given["seed"],
        threads=max(1, usable_cores() // given["jobs"]),
        is_choice=given["method"] != DEFAULT_METHOD,
    )
    outputs = OutputRequest(
        target=_path(given["output"]),
        name=given["name"],
        stack=given["stack"],
        fill_layer=choice("--fill-layer", given["fill_layer"], FillLayer),
        uncertainty=wants_std(given["uncertainty"], chosen.info),
        preview=given["preview"],
        overwrite=given["overwrite"],
        cog=given["cog"],
        creation_options=pairs("--co", given["creation_option"]),
        report=_path(given["report"]),
        realizations=given["realizations"],
    )
    if outputs.realizations and not chosen.info.gives_realizations:
        able = [name for name, cls in method_classes().items() if cls.info.gives_realizations]
        raise UsageError(
            f"expected a method that gives realizations for --realizations, but {chosen.info.name} has one answer only",
            hint=f"Methods with realizations: {', '.join(able)}.",
        )
    return request, outputs


def memory_bytes(text: str | None) -> int | None:
    """Return the bytes that `8G` or `800M` means, powers of 1024; None for None.

    Raises:
        UsageError: If it means none.
    """
    if text is None:
        return None
    sizes = {"K": 10, "M": 20, "G": 30, "T": 40}
    number, unit = text.strip().upper().removesuffix("B").removesuffix("I"), ""
    if number and number[-1] in sizes:
        number, unit = number[:-1], number[-1]
    try:
        count = float(number) * (1 << sizes.get(unit, 0))
    except ValueError:
        count = 0.0
    if not 1 <= count < float("inf"):
        raise UsageError(f"expected --memory to be a size, 8G for example, but got {text!r}")
    return int(count)


def _path(given: str | Path | None) -> Path | None:
    return None if given is None else Path(given)


BATCH = "Batch"
METHOD = "Method"
INPUT = "Input"

EPILOG = f"""
[bold]Examples[/bold]

landsat-fill scene.tif                                writes scene_filled.tif beside it

landsat-fill scene.tif -o out.tif --preview           and a picture of before and after

landsat-fill scenes/ more/*.tar -o filled/ --jobs 2   a batch; report in filled/report.jsonl

landsat-fill scene.tif -m inverse-distance --smoothing 0    an option of a method

landsat-fill scene.tif -m unet --weights best.safetensors   your own weights

landsat-fill scene.tif -m convlnp --realizations 4          four plausible fills beside the mean

landsat-fill scene.tif --distrust cloud,shadow        clouds are no evidence for what lies beside them

[bold]Exit codes[/bold]  0 all filled, already done or without gaps · {EXIT_FAILED} a scene failed · {EXIT_USAGE} usage error ·
{EXIT_STOPPED} stopped by SIGUSR1 with scenes left · {EXIT_INTERRUPTED} interrupted · {EXIT_TERMINATED} terminated
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
            "(from the quality bands), interpolated (from the gap masks), faint (stripes and borders of gaps that "
            "aren't exactly nodata). They stay as they are: gaps that cross a cloud are filled with ground and show "
            "as dark stripes in it.",
            rich_help_panel=GAPS,
        ),
    ] = None,
    refill: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--refill",
            metavar="FLAGS",
            help="Observed pixels to treat as missing; same flags. The only option that replaces observations. "
            "Those in holes wider than the largest gap stay, unless --holes every is given.",
            rich_help_panel=GAPS,
        ),
    ] = None,
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "-o",
            "--output",
            metavar="PATH",
            help="A file (.tif) for one GeoTIFF, a folder otherwise. Without it, beside each input; what a folder "
            "holds goes to FOLDER_filled beside that folder (also of the current one), in the same sub-folders.",
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
    realizations: Annotated[
        int,
        typer.Option(
            "--realizations",
            metavar="N",
            min=0,
            help="Write N plausible fills (…_draw1.tif and so on), with a method that gives realizations.",
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
    """Fill the gaps of scenes and write them beside their inputs, folders as FOLDER_filled, or to -o.

    Observed pixels stay bit-identical, georeferencing and metadata are kept, nothing is invented outside the
    footprint, and a fill layer records every pixel that was filled.
    """
    from landsat_fill.pipeline.workers import SpareProcesses

    at_once = (
        1 if dry_run else most_at_once(inputs or [], [*(from_file or []), *filter(None, [manifest])], jobs)
    )
    with SpareProcesses(at_once if at_once > 1 else 0) as spare:  # they get ready while we do
        from landsat_fill.cli.console import Said, print_plan, run_batch
        from landsat_fill.pipeline.batch import Resources
        from landsat_fill.pipeline.plan import Action
        from landsat_fill.pipeline.resources import available_bytes, choose_devices

        request, outputs = fill_requests(ctx.params)
        scenes = planned_scenes(inputs or [], from_file or [], manifest, shard, request, outputs)
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
