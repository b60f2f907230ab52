"""`landsat-fill fill`: fill scenes."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from landsat_fill.cli.options import (
    INPUT,
    METHOD,
    OUTPUT,
    REFERENCES,
    Align,
    Bands,
    Debug,
    DryRun,
    Extent,
    Json,
    Masks,
    MaxReferences,
    Nodata,
    Overwrite,
    Quiet,
    ReferenceFolders,
    ReferenceScenes,
    SameSeason,
    Verbose,
    Within,
    arg,
    band_list,
    command,
    numbers_of,
    opt,
    pairs,
)
from landsat_fill.errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_STOPPED, EXIT_TERMINATED, EXIT_USAGE, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from landsat_fill.pipeline.plan import Plan, Shard
    from landsat_fill.pipeline.request import FillRequest, OutputRequest

GAPS = "Gaps"
BATCH = "Batch"


@dataclass(frozen=True, slots=True)
class FillOptions:
    """The options that `fill` and `cluster submit` share.

    Attributes:
        inputs: GeoTIFFs, USGS or ESPA products (folders or archives), archives or folders of them, globs or URLs.
        from_file: A text file with one input per line.
        bbox: Fill and write only a part of each scene: west, south, east, north in the scene's coordinate reference
            system. Its pixels are the same as in the fill of the whole scene.
        bbox_crs: The coordinate reference system of --bbox, for example EPSG:4326 for longitude and latitude in degrees.
        window: Fill and write only a window of pixels; in a product, of its first grid.
        method: The method; `landsat-fill methods` lists all.
        option: An option of the method; --NAME VALUE does the same. `landsat-fill methods NAME` lists them.
        device: auto, cpu, cuda or cuda:1. auto uses a GPU if the method and this machine support it.
        seed: Seed of methods that use random numbers.
        refresh: If a folder of references has grown since a scene was filled, fill the scene again.
        holes: What to fill inside the footprint: narrow (holes no wider than the largest gap), every (all holes) or
            stripes (SLC-off stripes only).
        largest_gap: Width of the widest hole to fill; wider parts stay as they are. Default: one scan period
            (990 m), which no SLC-off gap exceeds.
        distrust: Observed pixels that a fill must not use: cloud, dilated-cloud, shadow, saturated (from the quality
            bands), interpolated (from the gap masks), faint (stripes and gap borders that aren't exactly nodata).
            These pixels stay as they are. A gap that crosses a cloud is filled with land and shows as a dark stripe in
            the cloud.
        refill: Observed pixels to replace, by the same flags. Parts of holes wider than the largest gap stay as they
            are, unless --holes every is given.
        output: A file (.tif) for one GeoTIFF, otherwise a folder. Default: beside each input. Scenes from a folder are
            written to FOLDER_filled beside it (also for the current folder), in the same sub-folders.
        name: Name of each output; {name} stands for the name of the input.
        stack: Write one GeoTIFF for each grid of a product instead of a folder of bands.
        bands_only: Don't copy the other files of a product (MTL, quality bands, angles).
        fill_layer: Record of the filled pixels (…_fill.tif): scene (one layer), bands (a layer for each band), source
            (one layer with a code for each reference) or none.
        uncertainty: Write the standard deviation (…_std.tif). Default: if the method has one.
        realizations: Write N realizations (…_draw1.tif and so on), that is plausible fills, if the method gives them.
        preview: Write a picture of the scene before and after (….png).
        creation_option: GDAL creation option that replaces the input's.
        cog: Write cloud-optimised GeoTIFFs.
        jobs: Scenes filled at once, each in its own process. They take turns on the GPUs.
        threads: CPU threads for each scene. Default: the cores that this process may use, divided by --jobs.
        memory: Memory for all --jobs together, for example 16G; a scene waits until there is enough. Default: 90 % of
            the free memory.
    """

    inputs: Annotated[list[str] | None, arg("SCENE…")] = None
    from_file: Annotated[list[Path] | None, opt("--from-file LIST", INPUT)] = None
    bands: Bands = None
    nodata: Nodata = None
    mask: Masks = None
    extent: Extent = None
    bbox: Annotated[str | None, opt("--bbox W,S,E,N", INPUT)] = None
    bbox_crs: Annotated[str | None, opt("--bbox-crs CRS", INPUT)] = None
    window: Annotated[str | None, opt("--window COL,ROW,WIDTH,HEIGHT", INPUT)] = None
    method: Annotated[str, opt("-m, --method NAME", METHOD)] = "auto"
    option: Annotated[list[str] | None, opt("-O, --option NAME=VALUE", METHOD)] = None
    device: Annotated[str, opt("--device NAME", METHOD)] = "auto"
    seed: Annotated[int, opt("--seed N", METHOD, min=0)] = 0
    reference: ReferenceScenes = None
    references: ReferenceFolders = None
    within: Within = None
    same_season: SameSeason = False
    max_references: MaxReferences = 4
    align: Align = True
    refresh: Annotated[bool, opt("--refresh", REFERENCES)] = False
    holes: Annotated[str, opt("--holes KIND", GAPS)] = "narrow"
    largest_gap: Annotated[int | None, opt("--largest-gap PIXELS", GAPS, min=1)] = None
    distrust: Annotated[str | None, opt("--distrust FLAGS", GAPS)] = None
    refill: Annotated[str | None, opt("--refill FLAGS", GAPS)] = None
    output: Annotated[Path | None, opt("-o, --output PATH", OUTPUT)] = None
    name: Annotated[str, opt("--name TEMPLATE", OUTPUT)] = "{name}_filled"
    stack: Annotated[bool, opt("--stack", OUTPUT)] = False
    bands_only: Annotated[bool, opt("--bands-only", OUTPUT)] = False
    fill_layer: Annotated[str, opt("--fill-layer KIND", OUTPUT)] = "scene"
    uncertainty: Annotated[bool | None, opt("--uncertainty/--no-uncertainty", OUTPUT, show_default=False)] = None
    realizations: Annotated[int, opt("--realizations N", OUTPUT, min=0)] = 0
    preview: Annotated[bool, opt("--preview", OUTPUT)] = False
    creation_option: Annotated[list[str] | None, opt("--co NAME=VALUE", OUTPUT)] = None
    cog: Annotated[bool, opt("--cog", OUTPUT)] = False
    overwrite: Overwrite = False
    jobs: Annotated[int, opt("-j, --jobs N", BATCH, min=1)] = 1
    threads: Annotated[int | None, opt("--threads N", BATCH, min=1)] = None
    memory: Annotated[str | None, opt("--memory SIZE", BATCH)] = None
    quiet: Quiet = False
    verbose: Verbose = False


def planned_scenes(
    inputs: Sequence[str],
    lists: Sequence[Path],
    manifest: Path | None,
    shard: str,
    request: FillRequest,
    outputs: OutputRequest,
) -> Plan:
    """Return the scenes to fill, and their outputs.

    Raises:
        UsageError: If no scene is named, options exclude each other, or two scenes have the same output.
        InputError: If the manifest can't be read.
    """
    from landsat_fill.io import find_inputs
    from landsat_fill.pipeline.plan import Plan, plan_jobs, read_shard

    share = read_shard(shard)
    if manifest is not None:
        if inputs or lists or outputs.target is not None:
            raise UsageError(
                "expected --manifest without scenes and -o, but got them together",
                hint="The manifest names the scenes and the outputs.",
            )
        return _of_manifest(manifest, share, request, outputs)
    if not inputs and not lists:
        raise UsageError("expected at least one scene, but got none", hint="See `landsat-fill fill --help`.")
    found, bad = find_inputs(inputs, lists)
    return Plan(plan_jobs(found, outputs, share, request=request), share.of(bad), outputs)


def _of_manifest(manifest: Path, share: Shard, request: FillRequest, outputs: OutputRequest) -> Plan:
    from landsat_fill.cluster.archive import Round, jobs_of, read_manifest
    from landsat_fill.pipeline.plan import Plan, with_actions

    jobs, bad = jobs_of(share.of(read_manifest(manifest)), stack=outputs.stack)
    outputs = replace(outputs, done_since_ns=Round(manifest.parent).began_ns)
    return Plan(
        with_actions(jobs, outputs, request),
        [(line.source, error) for line, error in bad],
        outputs,
        {line.source: line.target for line, _ in bad},
    )


def fill_requests(options: FillOptions, report: Path | None = None) -> tuple[FillRequest, OutputRequest]:
    """Return two requests: how to fill (the device is chosen later), and where and how to write.

    Raises:
        UsageError: If a value isn't allowed, or the method can't do what is requested.
    """
    from landsat_fill.gaps.holes import Holes
    from landsat_fill.io.areas import as_areas
    from landsat_fill.methods import DEFAULT_METHOD, create_method, fallback_of
    from landsat_fill.pipeline.request import (
        FillLayer,
        FillRequest,
        OutputRequest,
        member,
        quality_flags,
        reference_request,
        require_realizations,
        require_references,
        wants_std,
    )
    from landsat_fill.pipeline.resources import usable_cores

    references = reference_request(
        options.reference or (),
        options.references or (),
        within_days=options.within,
        same_season=options.same_season,
        most=options.max_references,
        align=options.align,
    )
    method = create_method(options.method, pairs("-O", options.option), with_references=references is not None)
    require_references("--reference or --references", method.info, given=references is not None)
    request = FillRequest(
        method=method,
        holes=member("--holes", options.holes, Holes),
        largest_gap_px=options.largest_gap,
        distrusted=quality_flags("--distrust", options.distrust),
        refilled=quality_flags("--refill", options.refill),
        nodata=numbers_of(options.nodata),
        bands=band_list(options.bands),
        seed=options.seed,
        threads=options.threads or max(1, usable_cores() // options.jobs),
        is_choice=options.method != DEFAULT_METHOD,
        references=references,
        fallback=fallback_of(method),
        areas=as_areas(options.mask or (), options.extent, options.bbox, options.bbox_crs, options.window),
    )
    outputs = OutputRequest(
        target=options.output,
        name=options.name,
        stack=options.stack,
        bands_only=options.bands_only,
        fill_layer=member("--fill-layer", options.fill_layer, FillLayer),
        uncertainty=wants_std(options.uncertainty, method.info),
        preview=options.preview,
        overwrite=options.overwrite,
        refresh=options.refresh,
        cog=options.cog,
        creation_options=pairs("--co", options.creation_option),
        report=report,
        realizations=options.realizations,
    )
    require_realizations("--realizations", options.realizations, method.info)
    return request, outputs


def memory_bytes(text: str | None) -> int | None:
    """Return a size such as `8G` or `800M` in bytes, in powers of 1024; None for None.

    Raises:
        UsageError: If the text isn't a size.
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d*\.?\d+)\s*([KMGT]?)I?B?", text.strip().upper())
    size = float(match[1]) * 1024 ** " KMGT".index(match[2] or " ") if match else 0.0
    if not 1 <= size < float("inf"):
        raise UsageError(f"expected --memory to be a size, but got {text!r}", hint="For example: --memory 8G.")
    return int(size)


EPILOG = f"""\
Examples:
landsat-fill scene.tif                              writes scene_filled.tif
landsat-fill scene.tif -o out.tif --preview         also a picture of it
landsat-fill scenes/ more/*.tar -o filled/ -j 2     a batch with a report
landsat-fill scene.tif -m inverse-distance --smoothing 0    a method's option
landsat-fill scene.tif -m unet --weights best.safetensors   your own weights
landsat-fill scene.tif -m convlnp --realizations 4          four realizations
landsat-fill scene.tif --distrust cloud,shadow      no gap filled from clouds
landsat-fill scene.tif --reference earlier.tif      filled from another date
landsat-fill scenes/ --references scenes/           each scene from the others
Exit codes:
0 all filled, already done or without gaps · {EXIT_FAILED} a scene failed · {EXIT_USAGE} usage error
{EXIT_STOPPED} stopped by SIGUSR1 with scenes left · {EXIT_INTERRUPTED} interrupted · {EXIT_TERMINATED} terminated
"""


@command
def fill(
    options: FillOptions,
    report: Annotated[Path | None, opt("--report FILE", OUTPUT)] = None,
    shard: Annotated[str, opt("--shard I/N", BATCH)] = "1/1",
    manifest: Annotated[Path | None, opt("--manifest FILE", BATCH)] = None,
    grace: Annotated[float, opt("--grace SECONDS", BATCH, min=0)] = 240,
    dry_run: DryRun = False,
    debug: Debug = False,
    as_json: Json = False,
) -> None:
    """Fill the gaps of scenes and write the results beside the inputs (folders to FOLDER_filled) or to -o.

    Observed pixels stay bit-identical. Georeferencing and metadata are kept. Nothing is invented outside the
    footprint. A fill layer records every pixel that was filled.

    Args:
        report: File to which one JSON line for each scene is appended. Default: report.jsonl beside the outputs.
        shard: Fill only the I-th of N shares of the scenes, from 1, so that several machines can share them.
        manifest: A list of scenes and outputs, instead of SCENE… and -o; `cluster submit` writes it.
        grace: Time that running scenes have to finish after SIGUSR1, which stops the batch from starting others.
        dry_run: Print what would be done, and do nothing.
    """
    from landsat_fill.pipeline.workers import WorkerPool

    inputs, lists = options.inputs or [], options.from_file or []
    if options.threads is not None:
        os.environ["GDAL_NUM_THREADS"] = str(options.threads)
    only_files = not lists and manifest is None and all(map(os.path.isfile, inputs))
    at_once = min(options.jobs, len(inputs)) if only_files else options.jobs
    with WorkerPool(at_once if at_once > 1 and not dry_run else 0) as pool:  # workers start while we plan
        from landsat_fill.cli.console import Verbosity, print_plan, run_batch
        from landsat_fill.pipeline.batch import Resources
        from landsat_fill.pipeline.plan import Action
        from landsat_fill.pipeline.resources import available_bytes, choose_devices

        request, outputs = fill_requests(options, report)
        scenes = planned_scenes(inputs, lists, manifest, shard, request, outputs)
        if dry_run:
            print_plan(scenes.jobs, scenes.bad, as_json=as_json)
            refused = any(job.action is Action.REFUSE for job in scenes.jobs)
            raise typer.Exit(EXIT_FAILED if scenes.bad or refused else 0)
        devices = choose_devices(options.device, request.method.info, options.jobs)
        bound = memory_bytes(options.memory)
        resources = Resources(options.jobs, devices, available_bytes() if bound is None else bound)
        verbosity = Verbosity(quiet=options.quiet, verbose=options.verbose, debug=debug, as_json=as_json)
        request = replace(request, device=devices[0])
        raise typer.Exit(run_batch(scenes, request, resources, pool, verbosity=verbosity, grace_s=grace))
