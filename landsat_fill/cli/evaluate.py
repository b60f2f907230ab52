"""`landsat-fill evaluate`: compare methods on pixels hidden from them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from landsat_fill.cli.options import (
    METHOD,
    OUTPUT,
    Align,
    Bands,
    Json,
    MaxReferences,
    Nodata,
    Overwrite,
    Quiet,
    ReferenceFolders,
    ReferenceScenes,
    SameSeason,
    Within,
    arg,
    command,
    command_line,
    named,
    numbers,
    open_all,
    open_one,
    opt,
    pairs,
    refuse_targets,
)
from landsat_fill.errors import EXIT_FAILED, InputError, MethodError, MissingPackageError, UsageError, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from rich.table import Table

    from landsat_fill.evaluation import Pattern, Results
    from landsat_fill.methods import FillMethod
    from landsat_fill.scene import Scene


def patterns_of(
    width: str | None, missing: str | None, gaps_from: list[str], band_shift: float | None
) -> list[Pattern]:
    """Return the requested patterns of hidden pixels."""
    from landsat_fill.evaluation import RealStripes, SimulatedStripes
    from landsat_fill.pipeline.gap_files import missing_pixels

    if width is None and missing is None and not gaps_from:
        width = "4,8,14"
    shift = {} if band_shift is None else {"band_shift_px": band_shift}
    patterns: list[Pattern] = [SimulatedStripes.of_width(px, **shift) for px in numbers("--width", width)]
    patterns += [SimulatedStripes.of_share(percent, **shift) for percent in numbers("--missing", missing)]
    scenes = [open_one(source)[0] for source in gaps_from]
    return [*patterns, *(RealStripes(scene.name, missing_pixels(scene)) for scene in scenes)]


ALL = "all"

NEXT_OPTION = re.compile(r":(?=[A-Za-z][\w-]*=)")
"""The colon before an option; a colon in a value, as in C:\\weights, isn't followed by NAME=."""

OPTIONS_EXAMPLE = "-m inverse-distance:smoothing=0:max-distance-px=9"

PROBE_PX = 64


def methods_of(texts: Sequence[str], *, with_references: bool = False) -> tuple[list[FillMethod], dict[str, str]]:
    """Return the methods of comma-separated lists, and the methods that `all` leaves out, with the reasons.

    An item is `all`, `NAME` or `NAME:OPTION=VALUE:OPTION=VALUE`. A name may be repeated with other options.
    `all` leaves out slow methods and methods that can't run here. A method given by name is always returned.
    """
    from landsat_fill.methods import create_method, method_classes

    chosen: list[FillMethod] = []
    left_out: dict[str, str] = {}
    for item in (item for text in texts for item in named(text)):
        if item == ALL:
            for name, cls in method_classes().items():
                if cls.info.slow:
                    left_out[name] = f"it takes minutes; -m all,{name} includes it"
                    continue
                try:
                    method = create_method(name)
                    _try_out(method, with_references=with_references)
                except (InputError, MethodError, MissingPackageError) as error:
                    left_out[name] = error.message.splitlines()[0]
                else:
                    chosen.append(method)
        else:
            name, *options = NEXT_OPTION.split(item)
            if "=" in name:
                raise UsageError(
                    f"expected the name of a method, but got {name!r}",
                    hint=f"Options follow the method after colons: {OPTIONS_EXAMPLE}.",
                )
            chosen.append(create_method(name, pairs("-m", options), with_references=with_references))
    return chosen, left_out


def labels_of(text: str, methods: Sequence[FillMethod], *, with_references: bool = False) -> list[str]:
    """Return the labels of the compared methods that a comma-separated list names, in its order.

    An item is the name of a method, with or without options. Without options it stands for all rows of the
    method.
    """
    from landsat_fill.evaluation import method_label
    from landsat_fill.methods.registry import BEST_METHOD, DEFAULT_METHOD, REFERENCE_METHOD

    labels: list[str] = []
    for item in named(text):
        if NEXT_OPTION.search(item):
            wanted = methods_of([item], with_references=with_references)[0]
            found = [method_label(method) for method in methods if method in wanted]
        else:
            best = REFERENCE_METHOD if with_references else BEST_METHOD
            name = best if item == DEFAULT_METHOD else item
            found = [method_label(method) for method in methods if method.info.name == name]
        if not found:
            raise UsageError(
                f"expected --show to name methods that are compared, but got {item!r}",
                hint=f"These are compared: {', '.join(dict.fromkeys(method.info.name for method in methods))}.",
            )
        labels += found
    return list(dict.fromkeys(labels))


def _try_out(method: FillMethod, *, with_references: bool) -> None:
    """Fill a few pixels, to find out whether a method can run here: its weights or a package may be missing."""
    import numpy as np

    from landsat_fill.methods import Context
    from landsat_fill.pipeline.arrays import fill_array
    from landsat_fill.scene import Gaps

    if method.info.needs_references:
        if not with_references:
            raise MethodError("it needs references; give some with --reference or --references")
        return
    missing = np.zeros((1, PROBE_PX, PROBE_PX), dtype=bool)
    missing[:, PROBE_PX // 2 : PROBE_PX // 2 + 4] = True
    ramp = np.arange(missing.size, dtype=np.float32).reshape(missing.shape)
    fill_array(ramp, Gaps(missing=missing, usable=~missing), method, context=Context(threads=1))


STRIPES = "Hidden pixels"

EPILOG = """\
Examples:
landsat-fill evaluate clean.tif                    all methods but slow ones
landsat-fill evaluate clean/ -m auto,harmonic --figure scores.png
landsat-fill evaluate clean.tif -m unet,unet:weights=runs/a/best.safetensors
landsat-fill evaluate clean.tif -m kriging,convlnp:samples=8 --markdown t.md
landsat-fill evaluate clean.tif --preset paper-bands -m deep-image-prior
landsat-fill evaluate clean.tif --reference earlier.tif -m auto,llhm,band-unet
landsat-fill evaluate new/*.tif --group seen='train/*.tif'   two groups
"""


@command
def evaluate(
    ctx: typer.Context,
    clean: Annotated[list[str] | None, arg("CLEAN…")] = None,
    group: Annotated[list[str] | None, opt("--group NAME=SCENE")] = None,
    methods: Annotated[list[str] | None, opt("-m, --methods LIST", METHOD)] = None,
    device: Annotated[str, opt("--device NAME", METHOD)] = "auto",
    threads: Annotated[int | None, opt("--threads N", METHOD, min=1)] = None,
    reference: ReferenceScenes = None,
    references: ReferenceFolders = None,
    within: Within = None,
    same_season: SameSeason = False,
    max_references: MaxReferences = 4,
    align: Align = True,
    width: Annotated[str | None, opt("--width LIST", STRIPES)] = None,
    missing: Annotated[str | None, opt("--missing LIST", STRIPES)] = None,
    gaps_from: Annotated[list[str] | None, opt("--gaps-from SCENE", STRIPES)] = None,
    seeds: Annotated[int, opt("--seeds N", STRIPES, min=1)] = 1,
    band_shift: Annotated[float | None, opt("--band-shift PX", STRIPES)] = None,
    preset: Annotated[str | None, opt("--preset NAME", STRIPES)] = None,
    window: Annotated[int | None, opt("--window PX", STRIPES, min=32)] = None,
    windows: Annotated[int | None, opt("--windows N", STRIPES, min=1)] = None,
    bands: Bands = None,
    nodata: Nodata = None,
    csv: Annotated[Path | None, opt("--csv FILE", OUTPUT)] = None,
    json_file: Annotated[Path | None, opt("--json-file FILE", OUTPUT)] = None,
    figure: Annotated[Path | None, opt("--figure FILE", OUTPUT)] = None,
    show: Annotated[str | None, opt("--show LIST", OUTPUT)] = None,
    markdown: Annotated[Path | None, opt("--markdown FILE", OUTPUT)] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Hide observed pixels under stripes, fill them with each method, and score the hidden pixels only.

    All methods fill the same pixels. The ratios refer to GDAL's fillnodata with three smoothing passes
    (inverse-distance), which is always scored. Figures need matplotlib, which the extra 'evaluate' installs.

    With --reference or --references, methods that fill from other dates are compared, too. References are chosen for
    each scene as in `fill`; hidden pixels have no influence on the choice.

    Args:
        clean: Scenes with observed pixels to hide.
        group: Scenes to score as a group with a name. Repeat it for more scenes or more groups. All groups are
            compared with the first one, for example with the places used for training.
        methods: Comma-separated methods, with options if wanted: NAME:OPTION=VALUE:OPTION=VALUE. Default: all that
            can run here, except those that take minutes.
        device: auto, cpu or cuda. Methods that don't support the GPU use the CPU.
        threads: CPU threads. Default: all cores.
        width: Widths of the stripes in pixels. Default, without --missing and --gaps-from: 4,8,14.
        missing: Percentages of the image to hide: 3,6,15,35,55.
        gaps_from: Use the gaps of a real SLC-off scene.
        seeds: How often each pattern is placed, each time at another position.
        band_shift: Largest number of rows by which the stripes of two bands differ. Default: 1, and 0 with references.
            With 0, all bands lose the same pixels.
        preset: An experiment of Petrovskaia et al. 2020, on crops of 12 km²: paper-bands (55 % hidden, all bands
            together and each alone) or paper-shares (3 to 55 % hidden). --markdown and --figure then write tables
            and figures like the paper's.
        window: Side of the windows that are scored. A scene with fewer pixels than all its windows is scored whole.
            Default: 1024; with --preset: 115.
        windows: Number of windows per scene that are scored. Default: 4; with --preset: 1.
        csv: Write a row for each scene, pattern, method and band.
        json_file: Write everything as JSON.
        figure: Plot crops and curves (PNG, PDF, SVG).
        show: Methods whose crops the figure shows, in this order. Default: all.
        markdown: Write the summary as a Markdown table, with the command line.
    """
    from landsat_fill import evaluation
    from landsat_fill.cli.console import print_error, progress_bar
    from landsat_fill.evaluation.figures import refuse_picture
    from landsat_fill.io.atomic import write_text_atomically
    from landsat_fill.methods import Context
    from landsat_fill.pipeline.request import reference_request, require_references
    from landsat_fill.pipeline.resources import usable_cores

    arguments = _grouped(clean or [], group or [])
    others = reference_request(
        reference or (), references or (), within_days=within, same_season=same_season, most=max_references, align=align
    )
    contenders, left_out = methods_of(methods or [ALL], with_references=others is not None)
    for method in contenders:
        if method.info.needs_references:
            require_references("--reference or --references", method.info, given=others is not None)
    if others is not None and preset is not None:
        raise UsageError("expected --preset without references, but got both", hint="Leave one of them out.")
    if others is not None and band_shift is None:
        band_shift = 0.0
    if preset is None:
        experiment = None
        patterns = patterns_of(width, missing, gaps_from or [], band_shift)
        usual = evaluation.Sampling()
        sampling = evaluation.Sampling(window or usual.window_px, windows or usual.windows)
    elif (width, missing, gaps_from, band_shift) == (None,) * 4:
        experiment = evaluation.preset_called(preset)
        patterns = list(experiment.patterns())
        contenders = experiment.contenders(contenders)
        sampling = experiment.sampling(window, windows)
    else:
        raise UsageError(
            "expected --preset without --width, --missing, --gaps-from and --band-shift, but got one of them",
            hint="A preset decides these itself. Without --preset you choose the gaps.",
        )
    compared = [evaluation.REFERENCE, *contenders]
    pictured = labels_of(show, compared, with_references=others is not None) if show is not None else None
    noted: set[str] = set()

    def note(text: str) -> None:
        if text not in noted and not quiet:
            typer.echo(printable(text), err=True)
        noted.add(text)

    for name, reason in left_out.items():
        note(f"left out: {name}: {reason}")
    scenes: list[Scene] = []
    groups: list[str] = []
    complete = True
    for name, sources in arguments.items():
        opened, whole = open_all(sources, nodata, bands)
        scenes += opened
        groups += [name] * len(opened)
        complete = complete and whole
    if not scenes:
        raise InputError("expected at least one scene to hide pixels of, but got none")
    refuse_targets([csv, json_file, figure, markdown], scenes, overwrite=overwrite)
    if figure is not None:
        refuse_picture(figure)
    with progress_bar(quiet=quiet or as_json) as on_progress:
        results = evaluation.evaluate(
            scenes,
            contenders,
            patterns,
            groups=groups if group else (),
            seeds=range(seeds),
            context=Context(threads=threads or usable_cores(), notify=note),
            device=device,
            references=others,
            sampling=sampling,
            example_pattern=patterns[-1] if experiment else None,
            on_progress=on_progress,
        )
    if csv is not None:
        evaluation.write_csv(results.records, csv)
    if json_file is not None:
        evaluation.write_json(results, json_file)
    if markdown is not None and experiment is not None:
        write_text_atomically(markdown, evaluation.as_paper_page(results, command_line(ctx), experiment))
    elif markdown is not None:
        evaluation.write_markdown(results, markdown, command_line(ctx))
    if figure is not None:
        draw = evaluation.draw_figure if experiment is None else evaluation.draw_paper_figure
        evaluation.save_figure(draw(results, pictured), figure)
    if as_json:
        typer.echo(json.dumps(evaluation.as_json(results)))
    elif not quiet:
        print_scores(results)
    for failure in results.failures:
        print_error(f"{failure.scene} {failure.pattern} {failure.method}: {failure.error}", None)
    if results.failures or not complete:
        raise typer.Exit(EXIT_FAILED)


def _grouped(clean: list[str], texts: list[str]) -> dict[str, list[str]]:
    """Return the scenes of each group, in the order given; scenes without a group come last, as `others`."""
    groups: dict[str, list[str]] = {}
    for text in texts:
        name, _, argument = text.partition("=")
        if not name or not argument:
            raise UsageError(
                f"expected --group NAME=SCENE, but got --group {text!r}", hint="For example: --group seen=train/a.tif."
            )
        groups.setdefault(name.strip(), []).append(argument)
    if clean:
        groups.setdefault("others", []).extend(clean)
    return groups


SCORES = {
    "RMSE %": "rmse_pct",
    "MAE %": "mae_pct",
    "bias %": "bias_pct",
    "r²": "r2",
    "PSNR": "psnr_db",
    "SSIM": "ssim",
    "MS-SSIM": "ms_ssim",
    "angle °": "spectral_angle_deg",
    "border": "border_step",
    "inner": "inner_step",
    "stripe index": "stripe_index",
    "cover 90": "coverage_90",
    "CRPS %": "crps_pct",
    "s": "seconds",
}
"""The scores in the printed tables, by heading."""

NARROW_SCORES = ("r²", "SSIM", "stripe index", "cover 90", "s")
"""The columns that a narrow terminal shows; the files have all."""

WIDTH_WITHOUT_TERMINAL = 200


def print_scores(results: Results) -> None:
    """Print a table for each pattern, and one of the groups of scenes if there are several."""
    from rich.console import Console

    from landsat_fill.evaluation import ALL_PATTERNS, summarise, summarise_groups
    from landsat_fill.evaluation.results import group_columns

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDTH_WITHOUT_TERMINAL)
    summary = summarise(results)
    known = [heading for heading, name in SCORES.items() if len(summary) and summary[name].notna().any()]
    for pattern in summary["pattern"].unique() if len(summary) else ():
        title = "all patterns" if pattern == ALL_PATTERNS else f"stripes: {pattern}"
        rows = summary[summary["pattern"] == pattern].set_index("method")
        rows = rows.rename(columns={"rmse_ratio": "RMSE/GDAL", "worst_rmse_ratio": "worst"})
        rows = rows.rename(columns={name: heading for heading, name in SCORES.items()})
        table = _table(title, rows[["RMSE/GDAL", "worst", *known]])
        if console.measure(table, options=console.options.update(max_width=10_000)).maximum > console.width:
            table = _table(title, rows[["RMSE/GDAL", "worst", *(h for h in known if h in NARROW_SCORES)]])
        console.print(table)
    groups = summarise_groups(results)
    if len(groups):
        columns = group_columns(results, groups, {"SSIM": "ssim", "r²": "r2"})
        console.print(_table("groups of scenes", columns))
    console.print(
        f"RMSE/GDAL: RMSE on hidden pixels relative to {results.methods[0]}, mean over scenes and bands; worst: "
        "the highest mean of one scene. RMSE, MAE, bias, CRPS: in % of the band's range (0.1 to 99.9 percentile of "
        "its observed pixels). border, inner: steps across the gaps' borders and inside them, relative to steps "
        "elsewhere; 1 is invisible. stripe index: how far both are from 1, on average; 0 is invisible.",
        soft_wrap=True,
    )
    if len(groups):
        console.print("groups: RMSE/GDAL over all patterns, and its ratio to that of the first group.", soft_wrap=True)


def _table(title: str, rows: pd.DataFrame) -> Table:
    """Return a table of numbers whose index is the methods."""
    from rich.table import Table

    from landsat_fill.evaluation.results import three_digits

    table = Table(title=title, title_justify="left", title_style="bold", box=None, header_style="bold")
    table.add_column("method", overflow="fold")
    for heading in rows.columns:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows.itertuples():
        table.add_row(row[0], *map(three_digits, row[1:]))
    return table
