"""Options of a method as flags of their own: `-m inverse-distance --smoothing 0`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from landsat_fill.cli.options import QuotedCommand
from landsat_fill.errors import did_you_mean

if TYPE_CHECKING:
    from typer import Context

    from landsat_fill.schema import Option


METHOD_FLAGS = ("-m", "--method")


class MethodFlags(QuotedCommand):
    """A command that reads `--NAME VALUE` as `-O NAME=VALUE` if NAME is an option of the method."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Return the arguments left over, after rewriting those that belong to the method."""
        own = {flag for parameter in self.get_params(ctx) for flag in (*parameter.opts, *parameter.secondary_opts)}
        if any(arg.startswith("--") and arg.split("=")[0] not in own for arg in args):
            options = _options_of(ctx, asked_method(args))
            _refuse_foreign_option(ctx, args, own, options)
            args = rewritten(args, own, options)
        return super().parse_args(ctx, args)


def _refuse_foreign_option(ctx: Context, args: list[str], own: set[str], options: dict[str, Option]) -> None:
    """End with a usage error for an unknown flag that belongs to another method, or resembles one of this method.

    Typer doesn't know these flags and couldn't name them.
    """
    from landsat_fill.methods import method_classes, method_options

    for arg in args:
        flag = arg.partition("=")[0]
        if arg == "--":
            return
        positive = "--" + flag.removeprefix("--no-")
        if not flag.startswith("--") or flag in own or flag in options or positive in options:
            continue
        known = {name: method_options(cls) for name, cls in method_classes().items()}
        owners = [name for name in known if any(one.flag in (flag, positive) for one in known[name])]
        if owners:
            ctx.fail(f"No such option: {flag}. It is one of {', '.join(owners)}: add -m {owners[0]}.")
        for option in options.values():
            if option.was and flag == "--" + option.was.replace("_", "-"):
                ctx.fail(f"No such option: {flag}. It is called {option.flag} now.")
        near = did_you_mean(flag, [*own, *options], cutoff=0.6)
        if any(repr(one) in near for one in options):
            ctx.fail(f"No such option: {flag}. {near}")


def asked_method(args: list[str]) -> str:
    """Return the method that the arguments name, or `auto`."""
    for number, arg in enumerate(args):
        if arg in METHOD_FLAGS and number + 1 < len(args):
            return args[number + 1]
        if arg.startswith("--method="):
            return arg.partition("=")[2]
        if arg.startswith("-m") and not arg.startswith("--") and len(arg) > 2:
            return arg[2:]
    return "auto"


def _options_of(ctx: Context, method: str) -> dict[str, Option]:
    """Return the method's options by flag; end with a usage error for an unknown method."""
    from landsat_fill.errors import UsageError
    from landsat_fill.methods import method_class, method_options

    try:
        return {option.flag: option for option in method_options(method_class(method))}
    except UsageError as error:
        ctx.fail(f"{error.message}; {error.hint}")


def rewritten(args: list[str], own: set[str], options: dict[str, Option]) -> list[str]:
    """Return the arguments with the method's flags turned into `-O NAME=VALUE`.

    Args:
        args: As typed.
        own: The command's own flags, which always win.
        options: The method's options by flag. A yes-or-no option takes no value; `--no-NAME` is its no.
    """
    result: list[str] = []
    waiting = iter(args)
    for arg in waiting:
        if arg == "--":
            return [*result, arg, *waiting]
        flag, equals, value = arg.partition("=")
        negated = "--" + flag.removeprefix("--no-")
        if not flag.startswith("--") or flag in own or (flag not in options and negated not in options):
            result.append(arg)
        elif flag not in options:
            result += ["-O", f"{options[negated].name}=false"]
        elif options[flag].kind is bool and not equals:
            result += ["-O", f"{options[flag].name}=true"]
        else:
            given = value if equals else next(waiting, None)
            result += [arg] if given is None else ["-O", f"{options[flag].name}={given}"]
    return result
