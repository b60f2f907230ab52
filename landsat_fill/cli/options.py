"""The options that several commands share, and how their text becomes values."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from typer.core import TyperCommand

from landsat_fill.errors import UsageError, not_one_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from enum import Enum

    from typer import Context

    from landsat_fill.io import Input
    from landsat_fill.pipeline.request import Flag


TERMINAL = "Terminal"
GAPS = "Gaps and evidence"
OUTPUT = "Output"

Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Print errors only.", rich_help_panel=TERMINAL)]
Verbose = Annotated[
    bool, typer.Option("-v", "--verbose", help="Print the details of each scene.", rich_help_panel=TERMINAL)
]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.", rich_help_panel=TERMINAL)]
Json = Annotated[
    bool,
    typer.Option("--json", help="Print machine-readable JSON instead of text.", rich_help_panel=TERMINAL),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace outputs that exist.", rich_help_panel=OUTPUT)
]
Nodata = Annotated[
    float | None,
    typer.Option(
        "--nodata",
        metavar="NUMBER",
        help="The stored number that means 'no observation', if the file doesn't say.",
        rich_help_panel=GAPS,
    ),
]
Bands = Annotated[
    str | None,
    typer.Option("--bands", metavar="LIST", help="Bands to work on: B3,B4 or 1,2.", rich_help_panel=GAPS),
]
Target = Annotated[
    Path, typer.Option("-o", "--output", metavar="PATH", help="The file to write.", rich_help_panel=OUTPUT)
]


def band_list(text: str | None) -> tuple[str, ...] | None:
    """Return the names in a comma-separated list, or None for none."""
    if text is None:
        return None
    return tuple(name.strip() for name in text.split(",") if name.strip())


E = TypeVar("E", bound="Enum")


def choice(flag: str, text: str, kind: type[E]) -> E:
    """Return the member of `kind` whose value is `text`.

    Raises:
        UsageError: If there is none; the hint names the nearest.
    """
    values = [str(member.value) for member in kind]
    if text in values:
        return kind(text)
    raise not_one_of(f"{flag} to be one of {', '.join(values)}", text, values, "")


def flags(flag: str, text: str | None) -> frozenset[Flag]:
    """Return the quality flags in a comma-separated list, none for None."""
    from landsat_fill.pipeline.request import Flag

    names = [name.strip() for name in (text or "").split(",") if name.strip()]
    return frozenset(choice(flag, name, Flag) for name in names)


def pairs(flag: str, texts: Sequence[str] | None) -> dict[str, str]:
    """Return the names and values of `NAME=VALUE` texts.

    Raises:
        UsageError: If one isn't of that form.
    """
    found: dict[str, str] = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"expected {flag} NAME=VALUE, but got {flag} {text!r}")
        found[name.strip()] = value.strip()
    return found


def share(flag: str, text: str) -> float:
    """Return the share that a percentage means, 0 to 1: `55%` and `55` are 0.55.

    Raises:
        UsageError: If it isn't a percentage above 0 and below 100.
    """
    try:
        percent = float(text.strip().removesuffix("%"))
    except ValueError:
        percent = -1.0
    if not 0 < percent < 100:
        raise UsageError(f"expected {flag} to be a percentage between 0 and 100, but got {text!r}")
    return percent / 100


def numbers(flag: str, text: str) -> list[float]:
    """Return the numbers of a comma-separated list; percent signs are passed over.

    Raises:
        UsageError: If something else is in it.
    """
    try:
        return [float(item.strip().removesuffix("%")) for item in text.split(",") if item.strip()]
    except ValueError:
        raise UsageError(
            f"expected {flag} to be numbers with commas between them, but got {text!r}"
        ) from None


def one_input(argument: str) -> Input:
    """Return the input an argument names.

    Raises:
        InputError: If it names none.
        UsageError: If it names several.
    """
    from landsat_fill.io import find_inputs

    found, bad = find_inputs([argument])
    if bad:
        raise bad[0][1]
    if len(found) != 1:
        raise UsageError(
            f"expected one scene, but {argument} holds {len(found)}",
            hint=f"name one of them: {found[0].source}, …",
        )
    return found[0]


_TYPED = "landsat_fill.typed"


class QuotedCommand(TyperCommand):
    """A command that keeps its arguments as they were typed."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Return the arguments left over, after noting all of them."""
        ctx.meta[_TYPED] = tuple(args)
        return super().parse_args(ctx, args)


def command_line(ctx: Context) -> str:
    """Return the command line of a `QuotedCommand` as it can be typed again."""
    return shlex.join(["landsat-fill", str(ctx.info_name), *ctx.meta[_TYPED]])
