"""A command that takes the options of `fill` beside its own, and hands them on."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand

from landsat_fill.cli.fill import register as register_fill

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typer import Context

_FILL = "landsat_fill.fill"
_OF_EACH_TASK = ("--manifest", "--shard", "--report", "--grace", "--json")
"""Options of `fill` that the script of an array sets."""
_NOT_HANDED_ON = ("inputs", "from_file", "output", "dry_run")


@dataclass(frozen=True, slots=True)
class FillOptions:
    """What was given of `fill`.

    Attributes:
        command: The whole command line, as it can be typed again.
        given: All its parameters by name.
        words: The options that were typed, as words of a command line; without scenes and -o.
        typed: Names of the parameters that were typed.
    """

    command: str
    given: Mapping[str, Any]
    words: tuple[str, ...]
    typed: frozenset[str]


class WithFillOptions(TyperCommand):
    """A command whose arguments are its own options and, for the rest, those of `fill`."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Return the arguments left over, after reading those of `fill`."""
        own, others = self._parted(ctx, args)
        foreign = next((word for word in others if word.partition("=")[0] in _OF_EACH_TASK), None)
        if foreign is not None:
            ctx.fail(f"No such option: {foreign}. Each task has its own.")
        self.no_args_is_help = not args  # all may be those of `fill`
        left = super().parse_args(ctx, own)
        ctx.meta[_FILL] = _read(ctx, args, others)
        return left

    def collect_usage_pieces(self, ctx: Context) -> list[str]:  # type: ignore[override]
        """Return what the usage line shows after the command."""
        return ["SCENE…", "-o FOLDER", "[OPTIONS]", "[OPTIONS of fill]"]

    def _parted(self, ctx: Context, args: list[str]) -> tuple[list[str], list[str]]:
        """Return the arguments that are this command's, and the others, both in their order."""
        values = {
            flag: 0 if getattr(parameter, "is_flag", False) else parameter.nargs
            for parameter in self.get_params(ctx)
            for flag in (*parameter.opts, *parameter.secondary_opts)
        }
        own: list[str] = []
        others: list[str] = []
        waiting = iter(args)
        for word in waiting:
            if word == "--":
                others += [word, *waiting]
            flag, equals, _ = word.partition("=")
            if flag not in values:
                others.append(word)
                continue
            own.append(word)
            if not equals:
                own += [value for _ in range(values[flag]) if (value := next(waiting, None)) is not None]
        return own, others


def fill_options(ctx: Context) -> FillOptions:
    """Return what was given of `fill` to a command of this kind."""
    options: FillOptions = ctx.meta[_FILL]
    return options


def _read(ctx: Context, typed_words: list[str], args: list[str]) -> FillOptions:
    """Return arguments as `fill` reads them; end with its usage error where it can't.

    Args:
        ctx: Of the command.
        typed_words: All its arguments.
        args: Those that are of `fill`.
    """
    app = typer.Typer()
    register_fill(app)
    command = typer.main.get_command(app)
    command.no_args_is_help = False
    fill = command.make_context(str(ctx.info_name), list(args), parent=ctx.parent)
    words: list[str] = []
    typed = set()
    for parameter in command.params:
        name = str(parameter.name)
        source = fill.get_parameter_source(name)
        if source is None or source.name != "COMMANDLINE":
            continue
        typed.add(name)
        if name in _NOT_HANDED_ON:
            continue
        flag, value = max(parameter.opts, key=len), fill.params[name]
        if isinstance(value, bool):
            words += [flag] if value else []
        else:
            values = value if isinstance(value, list | tuple) else [value]
            words += [word for one in values for word in (flag, str(one))]
    return FillOptions(
        shlex.join([ctx.command_path, *typed_words]), fill.params, tuple(words), frozenset(typed)
    )
