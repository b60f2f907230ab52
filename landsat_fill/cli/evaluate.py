"""`landsat-fill evaluate`: measure methods side by side on pixels hidden from them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from landsat_fill.cli.exits import reports_errors
from landsat_fill.cli.options import (
    OUTPUT,
    Bands,
    Debug,
    Json,
    Nodata,
    Overwrite,
    Quiet,
    QuotedCommand,
    band_list,
    command_line,
    pairs,
)
from landsat_fill.errors import EXIT_FAILED, InputError, MethodError, MissingPackageError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from landsat_fill.evaluation import Pattern, Preset, Sampling
    from landsat_fill.methods import FillMethod
    from landsat_fill.scene import Scene


DEFAULT_WIDTHS = "4,8,14"


def experiment_of(name: str | None, others: Sequence[object]) -> Preset | None:
    """Return the preset that was asked for, or None.

    Raises:
        UsageError: If there is none of that name, or gaps were asked for beside it.
    """
    from landsat_fill.evaluation import preset_called

    if name is None:
        return None
    if any(other is not None for other in others):
        raise UsageError(
            "expected --preset without --width, --missing, --gaps-from and --band-shift, but got one of them",
            hint="A preset decides these itself. Without --preset you choose the gaps.",
        )
    return preset_called(name)


def sampling_of(experiment: Preset | None, window_px: int | None, windows: int | None) -> Sampling:
    """Return how much of a scene is read."""
    from landsat_fill.evaluation import Sampling

    if experiment is not None:
        return experiment.sampling(window_px, windows)
    usual = Sampling()
    return Sampling(window_px or usual.window_px, windows or usual.windows)


def patterns_of(
    width: str | None, missing: str | None, gaps_from: list[str], band_shift: float | None
) -> list[Pattern]:
    """Return the ways to hide pixels that were asked for."""
    from landsat_fill.cli.options import numbers, one_input
    from landsat_fill.evaluation import RealStripes, SimulatedStripes
    from landsat_fill.io import open_input
    from landsat_fill.pipeline.gap_files import missing_pixels

    if width is None and missing is None and not gaps_from:
        width = DEFAULT_WIDTHS
    geometry = {} if band_shift is None else {"band_shift_px": band_shift}
    patterns: list[Pattern] = [
        SimulatedStripes.of_width(px, **geometry) for px in numbers("--width", width or "")
    ]
    patterns += [
        SimulatedStripes.of_share(percent, **geometry) for percent in numbers("--missing", missing or "")
    ]
    for source in gaps_from:
        scene = open_input(one_input(source))[0]
        patterns.append(RealStripes(scene.name, missing_pixels(scene)))
    return patterns


ALL = "all"

NEXT_OPTION = re.compile(r":(?=[A-Za-z][\w-]*=)")
"""The colon before an option; a colon in a value, as in C:\\weights, isn't followed by NAME=."""

OPTIONS_EXAMPLE = "-m inverse-distance:smoothing=0:max-distance-px=9"

PROBE_PX = 64


def methods_of(texts: Sequence[str]) -> tuple[list[FillMethod], dict[str, str]]:
    """Return the methods of comma-separated lists, and those of `all` that can't run here, with the reason.

    A method that is named is always returned: what it lacks shows when it is used.

    Args:
        texts: Lists of `NAME` or `NAME:OPTION=VALUE:OPTION=VALUE`. A name may be repeated with other options.

    Raises:
        UsageError: If a method, an option or its value doesn't exist.
    """
    from landsat_fill.methods import create_method, method_classes

    chosen: list[FillMethod] = []
    left_out: dict[str, str] = {}
    for item in (item.strip() for text in texts for item in text.split(",")):
        if item == ALL:
            for name, cls in method_classes().items():
                if cls.info.slow:
                    left_out[name] = f"it takes minutes; -m all,{name} includes it"
                    continue
                try:
                    method = create_method(name)
                    _try_out(method)
                except (InputError, MethodError, MissingPackageError) as error:
                    left_out[name] = error.message.splitlines()[0]
                else:
                    chosen.append(method)
        elif item:
            name, *options = NEXT_OPTION.split(item)
            if "=" in name:
                raise UsageError(
                    f"expected the name of a method, but got {name!r}",
                    hint=f"Options follow the method after colons: {OPTIONS_EXAMPLE}.",
                )
            chosen.append(create_method(name, pairs("-m", options)))
    return chosen, left_out


def labels_of(text: str, methods: Sequence[FillMethod]) -> list[str]:
    """Return the labels that a comma-separated list of methods means, in its order.

    Args:
        text: Names of methods, which mean all rows of a method, or methods with the options of one row.
        methods: The methods that are compared.

    Raises:
        UsageError: If one of them isn't among the methods.
    """
    from landsat_fill.evaluation import method_label
    from landsat_fill.methods.registry import BEST_METHOD, DEFAULT_METHOD

    labels: list[str] = []
    for item in (item.strip() for item in text.split(",")):
        if not item:
            continue
        if NEXT_OPTION.search(item):
            wanted = methods_of([item])[0]
            found = [method_label(method) for method in methods if method in wanted]
        else:
            name = BEST_METHOD if item == DEFAULT_METHOD else item
            found = [method_label(method) for method in methods if method.info.name == name]
        if not found:
            raise UsageError(
                f"expected --show to name methods that are compared, but got {item!r}",
                hint=f"These are compared: {', '.join(dict.fromkeys(method.info.name for method in methods))}.",
            )
        labels += found
    return list(dict.fromkeys(labels))


def _try_out(method: FillMethod) -> None:
    """Fill a few pixels, to find out whether a method can run here: weights or a package may be missing.

    Raises:
        LandsatFillError: If it can't.
    """
    import numpy as np

    from landsat_fill.methods import Context
    from landsat_fill.pipeline.arrays import fill_array
    from landsat_fill.scene import Gaps

    if method.info.needs_references:
        raise MethodError("expected a method for one scene, but it needs other acquisitions of the place")
    missing = np.zeros((1, PROBE_PX, PROBE_PX), dtype=bool)
    missing[:, PROBE_PX // 2 : PROBE_PX // 2 + 4] = True
    ramp = np.arange(missing.size, dtype=np.float32).reshape(missing.shape)
    fill_array(ramp, Gaps(missing=missing, usable=~missing), method, context=Context(threads=1))


STRIPES = "Hidden pixels"
METHODS = "Methods"
OTHERS = "others"

EPILOG = """
[bold]Examples[/bold]

landsat-fill evaluate clean.tif                          all methods that can run here

landsat-fill evaluate clean/ -m auto,harmonic --figure scores.png --markdown scores.md

landsat-fill evaluate clean.tif -m unet,unet:weights=runs/a/best.safetensors,convlnp:samples=8

landsat-fill evaluate clean.tif --preset paper-bands -m deep-image-prior,kriging --markdown table.md

landsat-fill evaluate new/*.tif --group seen='train/*.tif'   training places against others
"""


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command(
        "evaluate",
        cls=QuotedCommand,
        epilog=EPILOG,
        no_args_is_help=True,
        short_help="Measure methods on pixels hidden from them.",
    )(evaluate)


@reports_errors
def evaluate(
    ctx: typer.Context,
    clean: Annotated[
        list[str] | None,
        typer.Argument(metavar="CLEAN…", help="Scenes with observed pixels to hide.", show_default=False),
    ] = None,
    group: Annotated[
        list[str] | None,
        typer.Option(
            "--group",
            metavar="NAME=SCENE",
            help="Scenes to score apart from the others, under a name; again for more of them, or for more groups. "
            "The first group is the one that others are compared with, say the places trained on.",
        ),
    ] = None,
    methods: Annotated[
        list[str] | None,
        typer.Option(
            "-m",
            "--methods",
            metavar="LIST",
            help="Comma-separated methods, each with options if wanted: NAME:OPTION=VALUE:OPTION=VALUE. "
            "Default: all that can run here.",
            rich_help_panel=METHODS,
        ),
    ] = None,
    device: Annotated[
        str,
        typer.Option(
            "--device",
            help="auto, cpu or cuda. Methods that don't run there use the CPU.",
            rich_help_panel=METHODS,
        ),
    ] = "auto",
    threads: Annotated[
        int | None,
        typer.Option("--threads", min=1, help="CPU threads. Default: all cores.", rich_help_panel=METHODS),
    ] = None,
    width: Annotated[
        str | None,
        typer.Option(
            "--width",
            metavar="LIST",
            help=f"Widths of the stripes in pixels. Default, without --missing and --gaps-from: {DEFAULT_WIDTHS}.",
            rich_help_panel=STRIPES,
        ),
    ] = None,
    missing: Annotated[
        str | None,
        typer.Option(
            "--missing",
            metavar="LIST",
            help="Percentages of the image to hide: 3,6,15,35,55.",
            rich_help_panel=STRIPES,
        ),
    ] = None,
    gaps_from: Annotated[
        list[str] | None,
        typer.Option(
            "--gaps-from",
            metavar="SCENE",
            help="Use the gaps of a real SLC-off scene.",
            rich_help_panel=STRIPES,
        ),
    ] = None,
    seeds: Annotated[
        int,
        typer.Option(
            "--seeds",
            min=1,
            help="How often each pattern is placed, each time elsewhere.",
            rich_help_panel=STRIPES,
        ),
    ] = 1,
    band_shift: Annotated[
        float | None,
        typer.Option(
            "--band-shift",
            metavar="PX",
            help="By how many rows the stripes of two bands differ at most. Default: 1. With 0, all bands lose the "
            "same pixels.",
            rich_help_panel=STRIPES,
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset",
            metavar="NAME",
            help="An experiment of Petrovskaia et al. 2020, on crops of 12 km²: paper-bands (55 % hidden, all bands "
            "together and each alone) or paper-shares (3 to 55 % hidden). --markdown and --figure then write tables "
            "and figures like the paper's.",
            rich_help_panel=STRIPES,
        ),
    ] = None,
    window: Annotated[
        int | None,
        typer.Option(
            "--window",
            metavar="PX",
            min=32,
            help="Side of the windows that are scored. A scene with fewer pixels than all its windows is scored "
            "whole. Default: 1024; with --preset: 115.",
            rich_help_panel=STRIPES,
        ),
    ] = None,
    windows: Annotated[
        int | None,
        typer.Option(
            "--windows",
            metavar="N",
            min=1,
            help="How many windows of a scene are scored. Default: 4; with --preset: 1.",
            rich_help_panel=STRIPES,
        ),
    ] = None,
    bands: Bands = None,
    nodata: Nodata = None,
    csv: Annotated[
        Path | None,
        typer.Option(
            "--csv",
            metavar="FILE",
            help="Write a row for each scene, pattern, method and band.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option("--json-file", metavar="FILE", help="Write everything as JSON.", rich_help_panel=OUTPUT),
    ] = None,
    figure: Annotated[
        Path | None,
        typer.Option(
            "--figure", metavar="FILE", help="Draw crops and curves (PNG, PDF, SVG).", rich_help_panel=OUTPUT
        ),
    ] = None,
    show: Annotated[
        str | None,
        typer.Option(
            "--show",
            metavar="LIST",
            help="Methods whose crops the figure shows, in this order. Default: all.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    markdown: Annotated[
        Path | None,
        typer.Option(
            "--markdown",
            metavar="FILE",
            help="Write the summary as a Markdown table, with this command line.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Hide observed pixels under stripes, fill them with each method, and score the hidden pixels only.

    All methods fill the same pixels. The ratios refer to GDAL's fillnodata with three smoothing passes
    (inverse-distance), which is always scored. Figures need matplotlib, which the extra 'evaluate' installs.
    """
    from landsat_fill.cli.console import print_error, shares_shown
    from landsat_fill.cli.score_tables import print_scores
    from landsat_fill.evaluation import (
        REFERENCE,
        write_csv,
        write_figure,
        write_json,
        write_markdown,
        write_paper_figure,
        write_paper_page,
    )
    from landsat_fill.evaluation import as_json as json_of
    from landsat_fill.evaluation import evaluate as score
    from landsat_fill.evaluation.figures import refuse_picture
    from landsat_fill.methods import Context
    from landsat_fill.pipeline.resources import usable_cores

    arguments = _grouped(clean or [], group or [])
    experiment = experiment_of(preset, [width, missing, gaps_from, band_shift])
    patterns = (
        experiment.patterns() if experiment else patterns_of(width, missing, gaps_from or [], band_shift)
    )
    contenders, left_out = methods_of(methods or ["all"])
    contenders = experiment.contenders(contenders) if experiment else contenders
    shown = labels_of(show, [REFERENCE, *contenders]) if show is not None else None
    for name, reason in left_out.items():
        if not quiet:
            typer.echo(f"left out: {name}: {reason}", err=True)
    noted: set[str] = set()

    def note(text: str) -> None:
        if text not in noted and not quiet:
            typer.echo(text, err=True)
        noted.add(text)

    scenes, groups, complete = _open(arguments, nodata=nodata, bands=band_list(bands))
    _refuse_targets([csv, json_file, figure, markdown], scenes, overwrite=overwrite)
    if figure is not None:
        refuse_picture(figure)
    with shares_shown(quiet=quiet or as_json) as on_progress:
        results = score(
            scenes,
            contenders,
            patterns,
            groups=groups if group else (),
            seeds=range(seeds),
            context=Context(threads=threads or usable_cores(), notify=note),
            device=device,
            sampling=sampling_of(experiment, window, windows),
            shown=patterns[-1] if experiment else None,
            on_progress=on_progress,
        )
    if csv is not None:
        write_csv(results.records, csv)
    if json_file is not None:
        write_json(results, json_file)
    if markdown is not None and experiment is not None:
        write_paper_page(results, markdown, command_line(ctx), experiment)
    elif markdown is not None:
        write_markdown(results, markdown, command_line(ctx))
    if figure is not None:
        (write_figure if experiment is None else write_paper_figure)(results, figure, shown)
    if as_json:
        typer.echo(json.dumps(json_of(results)))
    elif not quiet:
        print_scores(results)
    for failure in results.failures:
        print_error(f"{failure.scene} {failure.pattern} {failure.method}: {failure.error}", None)
    if results.failures or not complete:
        raise typer.Exit(EXIT_FAILED)


def _grouped(clean: list[str], texts: list[str]) -> dict[str, list[str]]:
    """Return the arguments that name scenes by group, in the order given; those without a group come last."""
    groups: dict[str, list[str]] = {}
    for text in texts:
        name, _, argument = text.partition("=")
        if not name or not argument:
            raise UsageError(f"expected --group NAME=SCENE, but got --group {text!r}")
        groups.setdefault(name.strip(), []).append(argument)
    if clean:
        groups.setdefault(OTHERS, []).extend(clean)
    return groups


def _open(
    arguments: dict[str, list[str]], *, nodata: float | None, bands: tuple[str, ...] | None
) -> tuple[list[Scene], list[str], bool]:
    """Return the scenes, the group of each, and whether all that was named is among them.

    Raises:
        InputError: If there is no scene at all.
    """
    from landsat_fill.cli.console import print_error
    from landsat_fill.io import find_inputs, open_input

    scenes: list[Scene] = []
    groups: list[str] = []
    complete = True
    for name, named in arguments.items():
        found, bad = find_inputs(named)
        for source, error in bad:
            print_error(f"{source}: {error.message}", error.hint)
        complete = complete and not bad
        opened = [scene for one in found for scene in open_input(one, nodata=nodata, bands=bands)]
        scenes += opened
        groups += [name] * len(opened)
    if not scenes:
        raise InputError("expected at least one scene to hide pixels of, but got none")
    return scenes, groups, complete


def _refuse_targets(targets: Sequence[Path | None], scenes: Sequence[Scene], *, overwrite: bool) -> None:
    """Raise an error, before hours of work, for files that must not be written."""
    from landsat_fill.io.atomic import refuse_target
    from landsat_fill.pipeline.outputs import input_files

    wanted = [target for target in targets if target is not None]
    if len({target.resolve() for target in wanted}) < len(wanted):
        raise UsageError(
            f"expected files of different names, but got {', '.join(str(target) for target in wanted)}"
        )
    protected = [path for scene in scenes for path in input_files(scene)]
    for target in wanted:
        refuse_target(target, overwrite=overwrite, protected=protected)
