"""`landsat-fill guide`, `cite`, `methods` and `models`: the guides, what to cite, the methods and the shipped weights."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from importlib.resources import files
from typing import TYPE_CHECKING, Annotated, Any

import typer

from landsat_fill.cli.options import Json, arg, command
from landsat_fill.errors import EXIT_FAILED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from landsat_fill.methods import MethodInfo
    from landsat_fill.networks.weights import WeightsFile


INDEX = "index"
"""The guide that lists the others."""

DATA = ("landsat7_level1", "landsat7_level2")
NEURAL_PROCESSES = ("convcnp", "convlnp", "unet", "partialconv")
"""The methods that Pondaven et al. 2022 compare on Landsat 7; `cite` adds their paper to the sources."""


@command
def guide(
    topic: Annotated[str | None, arg("TOPIC", "The guide to read. Default: a list of all guides.")] = None,
) -> None:
    """Show a guide, without network access: formatted on a terminal, otherwise as plain Markdown."""
    from landsat_fill.errors import UsageError

    guides = {path.name.removesuffix(".md"): path for path in (files("landsat_fill") / "guides").iterdir()}
    names = [name for name, path in guides.items() if path.name.endswith(".md")]
    wanted = topic or INDEX
    if wanted not in names:
        raise UsageError(
            f"expected the topic of a guide, but got {wanted!r}",
            hint=f"Choose one of: {', '.join(sorted(set(names) - {INDEX}))}",
        )
    print_markdown(guides[wanted].read_text(encoding="utf-8"))


def print_markdown(text: str) -> None:
    """Print Markdown: formatted on a terminal, otherwise as it is, because Rich would break the lines of tables."""
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console()
    if console.is_terminal:
        console.print(Markdown(re.sub(r"\[([^]]+)\]\(([\w-]+)\.md(?:#[\w-]+)?\)", _pointer, text)))
    else:
        typer.echo(text, nl=False)


def _pointer(link: re.Match[str]) -> str:
    """Return what stands for a link to another guide in a terminal."""
    text, topic = link.groups()
    return f"`{topic}`" if text == topic else f"{text} (`landsat-fill guide {topic}`)"


@command
def cite(method: Annotated[str | None, arg("METHOD", "A method whose sources are printed, too.")] = None) -> None:
    """Print BibTeX entries: this software, the Landsat 7 data of USGS, and the sources of a method."""
    from landsat_fill.methods import method_class
    from landsat_fill.version import __version__

    known = references()
    entries = [
        "@software{landsat_fill,\n"
        "  author  = {{landsat-fill developers}},\n"
        "  title   = {landsat-fill: fill the SLC-off gaps of Landsat 7 scenes},\n"
        f"  version = {{{__version__}}}\n}}"
    ]
    if method is not None:
        entries += method_references(method_class(method).info)
    entries += [known[key] for key in DATA]
    typer.echo("\n\n".join(entries))


def references() -> dict[str, str]:
    """Return the BibTeX entries that are shipped, by key."""
    text = (files("landsat_fill") / "guides" / "references.bib").read_text(encoding="utf-8")
    return {entry.split("{", 1)[1].split(",", 1)[0]: entry for entry in text.strip().split("\n\n")}


def method_references(info: MethodInfo) -> list[str]:
    """Return the BibTeX entries of a method's sources.

    An entry belongs to them if `info.source` contains its DOI or URL, or its title if it has neither. A method
    without such an entry gets one made of `info.source`.
    """
    known = references()
    found = [entry for entry in known.values() if _identity(entry).lower() in info.source.lower()]
    if info.name in NEURAL_PROCESSES:
        found.append(known["pondaven2022"])
    return found or [f"@misc{{{info.name},\n  title = {{{info.name}}},\n  note  = {{{info.source}}}\n}}"]


def _identity(entry: str) -> str:
    """Return what identifies an entry: its DOI, its URL or its title."""
    fields = dict(re.findall(r"^\s*(\w+)\s*= \{(.*)\},?$", entry, re.MULTILINE))
    return str(fields.get("doi") or fields.get("url") or fields["title"])


MEASURED = files("landsat_fill") / "methods" / "measured.json"
"""Figures of each method, written by `tests/benchmarks/bench_methods.py`: `error` is the RMSE of hidden pixels relative
to GDAL's fillnodata; `full_scene_s` are seconds on two cores, `computed` if they follow from a smaller scene."""

COLUMNS = ("method", "error", "full scene", "σ", "realizations", "references", "what it does")
"""The table of methods, here and in the README."""


@command
def methods(
    name: Annotated[str | None, arg("NAME", "A method whose options are shown.")] = None, as_json: Json = False
) -> None:
    """List the methods that fill a scene; with NAME, show what one does, its source and its options."""
    from rich.console import Console
    from rich.table import Table

    from landsat_fill.cli.console import print_error
    from landsat_fill.methods import broken_plugins, method_class, method_classes, method_options

    console = Console(highlight=False)
    classes = method_classes() if name is None else {name: method_class(name)}
    for plugin, reason in broken_plugins().items() if name is None else ():
        print_error(f"expected the method {plugin} to load, but got an error in {reason}", None)
    if as_json:
        typer.echo(json.dumps([_described(cls) for cls in classes.values()], indent=2))
        return
    if name is None:
        rows = [COLUMNS, *method_rows(cls.info for cls in classes.values())]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for name, *cells, summary in rows:
            figures = "  ".join(cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=False))
            console.print(f"[bold]{name:{widths[0]}}[/bold]  {figures}\n    {summary}", soft_wrap=True)
        console.print(
            "\nError: RMSE of hidden pixels of the sample scene relative to GDAL's fillnodata, smaller is better. "
            "Full scene: 8,000 × 7,000 pixels and six bands on two cores, ≈ where computed from a smaller one. "
            "–: not measured there; methods that need references are compared in `landsat-fill guide references`. "
            "σ: gives a standard deviation. References: other dates of the place. "
            "`landsat-fill methods NAME` shows the options of one."
        )
        return
    (cls,) = classes.values()
    info = cls.info
    console.print(f"[bold]{info.name}[/bold]  {info.summary}")
    console.print(f"source: {info.source}", soft_wrap=True, markup=False)
    console.print(f"tiles of {info.tile_px} px with a halo of {info.halo_px} px; runs on {', '.join(info.devices)}")
    table = Table("option", "default", "values", "what it does", box=None, pad_edge=False, header_style="bold")
    for option in method_options(cls):
        table.add_row(option.flag, str(option.default), option.allowed, option.help)
    console.print(table if table.row_count else "It has no options.")


def method_rows(infos: Iterable[MethodInfo]) -> list[tuple[str, ...]]:
    """Return a row of `COLUMNS` for each method, the smallest error first; – if there is no figure."""
    from landsat_fill.methods import BEST_METHOD

    figures = json.loads(MEASURED.read_text(encoding="utf-8"))
    rows: list[tuple[str, ...]] = []
    for info in sorted(infos, key=lambda info: figures.get(info.name, {}).get("error", float("inf"))):
        own = figures.get(info.name, {})
        rows.append(
            (
                info.name + (" (default)" if info.name == BEST_METHOD else ""),
                f"{own['error']:.2f}" if "error" in own else "–",
                _duration(own["full_scene_s"], computed=own["computed"]) if "full_scene_s" in own else "–",
                "yes" if info.gives_std else "–",
                "yes" if info.gives_realizations else "–",
                "needed" if info.needs_references else "optional" if info.uses_references else "–",
                info.summary,
            )
        )
    return rows


def markdown_table() -> str:
    """Return the table of methods for the README."""
    from landsat_fill.methods import method_classes

    rows: list[tuple[str, ...]] = [COLUMNS, ("---", "---:", "---:", "---", "---", "---", "---")]
    for name, *cells in method_rows(cls.info for cls in method_classes().values()):
        word, *mark = name.split(" ", 1)
        rows.append((" ".join([f"`{word}`", *mark]), *cells))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _duration(seconds: float, *, computed: bool) -> str:
    """Return a duration with its unit, to two digits if it is computed."""
    for least_s, unit_s, unit in ((7200, 3600, "h"), (300, 60, "min")):
        if seconds >= least_s:
            return f"{'≈ ' if computed else ''}{seconds / unit_s:.0f} {unit}"
    return f"≈ {float(f'{seconds:.2g}'):.0f} s" if computed else f"{seconds:.0f} s"


def _described(cls: Any) -> dict[str, object]:
    """Return a method as plain values."""
    from landsat_fill.methods import method_options

    options = [asdict(option) for option in method_options(cls)]
    for option in options:
        option["type"] = option.pop("kind").__name__
    return asdict(cls.info) | {"options": options}


@command
def models(
    name: Annotated[str | None, arg("NAME", "Weights whose card is shown.")] = None, as_json: Json = False
) -> None:
    """List the trained weights that are shipped, with verified checksums; with NAME, show the card of one."""
    from landsat_fill.cli.console import print_error
    from landsat_fill.errors import InputError, not_one_of
    from landsat_fill.networks.weights import shipped_card, shipped_file, shipped_names

    names = shipped_names()
    if name is not None and name not in names:
        raise not_one_of("the name of shipped weights", name, names)
    files, errors = [], []
    for one in names if name is None else (name,):
        try:
            files.append(shipped_file(one))
        except InputError as error:
            errors.append(error)
    if as_json:
        typer.echo(json.dumps([_weights_described(file) for file in files], indent=2))
    elif name is None:
        _print_list(files)
    elif files and (card := shipped_card(name)) is not None:
        print_markdown(card)
    elif files:
        typer.echo("\n".join(f"{key}: {value}" for key, value in _weights_described(files[0]).items()))
    for damage in errors:
        print_error(damage.message, damage.hint)
    if errors:
        raise typer.Exit(EXIT_FAILED)


def _print_list(files: list[WeightsFile]) -> None:
    """Print a line of facts for each, and below it the training data and the scores."""
    from rich.console import Console

    from landsat_fill.cli.console import escape

    console = Console(highlight=False, soft_wrap=True)
    if not files:
        console.print("No weights are shipped with this copy of landsat-fill.")
        return
    width = max(len(file.name) for file in files)
    for file in files:
        facts = [
            f"network {file.network}",
            f"{file.parameters / 1e6:.2f} M parameters, {file.size_bytes / 1e6:.1f} MB",
            f"bands: {file.facts.get('bands', 'any')}",
            f"licence: {file.facts.get('licence', 'not said')}",
            f"sha256 {file.sha256[:12]}…",
        ]
        console.print(f"[bold]{escape(file.name):{width}}[/bold]  {escape(' · '.join(facts))}")
        for key, word in (("trained_on", "trained on"), ("scores", "scores")):
            if key in file.facts:
                console.print(f"{'':{width}}  {word}: {escape(file.facts[key])}")
    console.print("\n`landsat-fill models NAME` shows the card of one; -m NETWORK --weights FILE runs your own.")


def _weights_described(file: WeightsFile) -> dict[str, object]:
    """Return weights as plain values."""
    return {
        "name": file.name,
        "network": file.network,
        "parameters": file.parameters,
        "bytes": file.size_bytes,
        "settings": dict(file.settings),
        "reach_px": file.reach_px,
        **file.facts,
        "sha256": file.sha256,
        "path": str(file.path),
    }
