"""Lets a command know its own command line, to quote it in what it writes."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from typer.core import TyperCommand

if TYPE_CHECKING:
    from typer import Context

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
