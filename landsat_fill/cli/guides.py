"""`landsat-fill guide` shows the guides, and `landsat-fill cite` prints what to cite."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import TYPE_CHECKING, Annotated

import typer

from landsat_fill.cli.options import arg, command

if TYPE_CHECKING:
    from landsat_fill.methods import MethodInfo

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
