"""How commands declare their options, those that several share or that a method has, and how values are read."""

from __future__ import annotations

import functools
import inspect
import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import contextmanager
from copy import copy
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup

from landsat_fill.errors import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_TERMINATED,
    EXIT_USAGE,
    InputError,
    TerminatedError,
    UsageError,
    did_you_mean,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from typer import Context

    from landsat_fill.scene import MissingNumbers, Scene
    from landsat_fill.schema import Option


def opt(declared: str, panel: str | None = None, text: str | None = None, **more: Any) -> Any:
    """Return an option of a command.

    Args:
        declared: The option as help shows it: `-o, --output PATH`.
        panel: The heading that it stands under in help.
        text: What help says about it. Default: what the docstring says.
        more: Further arguments of `typer.Option`.
    """
    words = [word.rstrip(",") for word in declared.split()]
    names = sorted((word for word in words if word.startswith("-")), key=len, reverse=True)
    metavar = " ".join(words[len(names) :]) or None
    return typer.Option(*names, metavar=metavar, rich_help_panel=panel, help=text, **more)


def arg(metavar: str, text: str | None = None) -> Any:
    """Return an argument of a command; `text` is what help says about it, by default the docstring's words."""
    return typer.Argument(metavar=metavar, help=text, show_default=False)


INPUT = "Input"
METHOD = "Method"
REFERENCES = "Other dates"
OUTPUT = "Output"
TERMINAL = "Terminal"

Debug = Annotated[bool, opt("--debug", TERMINAL, "Show tracebacks of errors.")]


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Return a function as Typer takes it, with errors printed for users.

    Help is the function's docstring. Its section `Args` says what the options do. A parameter whose type is a
    dataclass stands for one option per field, and the section `Attributes` of the dataclass says what they do.
    Each command has the option --debug; the function gets it only if it has the parameter `debug`.
    """
    text, described = _documented(function)
    types = {"debug": Debug} | get_type_hints(function, include_extras=True)
    groups: dict[str, Any] = {}
    defaults: dict[str, Any] = {}
    own = inspect.signature(function).parameters
    for name, parameter in own.items():
        if is_dataclass(kind := types[name]):
            groups[name] = kind
            types |= get_type_hints(kind, include_extras=True)
            for base in kind.__mro__:  # type: ignore[union-attr]
                described = _documented(base)[1] | described
            defaults |= {field.name: field.default for field in fields(kind)}
        else:
            defaults[name] = parameter.default
    defaults.setdefault("debug", False)
    parameters = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=default,
            annotation=_with_help(types[name], described.get(name)),
        )
        for name, default in defaults.items()
    ]

    @functools.wraps(function)
    def run(debug: bool, **given: Any) -> None:
        with errors_reported(debug=debug):
            for name, kind in groups.items():
                given[name] = kind(**{field.name: given.pop(field.name) for field in fields(kind)})
            function(**given, **({"debug": debug} if "debug" in own else {}))

    run.__doc__ = text
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return run


@contextmanager
def errors_reported(*, debug: bool) -> Iterator[None]:
    """Print an error as users need it and exit with its code; with `debug`, raise it."""
    from landsat_fill.cli.console import print_error

    try:
        yield
    except (typer.Exit, typer.Abort, typer.BadParameter):
        raise
    except KeyboardInterrupt as error:
        terminated = isinstance(error, TerminatedError)
        print_error("terminated" if terminated else "interrupted", None)
        raise typer.Exit(EXIT_TERMINATED if terminated else EXIT_INTERRUPTED) from None
    except Exception as error:
        if debug:
            raise
        from landsat_fill.pipeline.outcome import explained

        print_error(*explained(error))
        raise typer.Exit(EXIT_USAGE if isinstance(error, UsageError) else EXIT_FAILED) from None


def _documented(documented: Any) -> tuple[str, dict[str, str]]:
    """Return a docstring without its arguments or attributes, and what it says about each of them."""
    text, *sections = re.split(r"\n\n(?:Args|Attributes):\n", inspect.getdoc(documented) or "")
    text = re.sub(r"(?<!\n)\n(?!\n)", " ", text)  # help breaks lines to the width of the terminal
    items = re.findall(r"^    (\w+): (.*(?:\n     .*)*)", "\n".join(sections), re.MULTILINE)
    return text, {name: " ".join(words.split()) for name, words in items}


def _with_help(kind: Any, text: str | None) -> Any:
    """Return an annotated type whose option has the help `text`."""
    if text is None:
        return kind
    base, option = get_args(kind)
    option = copy(option)
    option.help = text
    return Annotated[base, option]


_TYPED = "landsat_fill.typed"


class PlainHelp:
    """Prints help without Rich, because importing Rich takes longer than everything else in `--help`."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write a section for each panel of options, and one for the commands of a group."""
        sections: dict[str, list[tuple[str, str]]] = defaultdict(list, {"Arguments": [], "Options": []})
        for one in self.get_params(ctx):  # type: ignore[attr-defined]
            row = one.get_help_record(ctx)
            if row is not None and one.param_type_name == "argument":
                sections["Arguments"].append((one.metavar, row[1]))
            elif row is not None:
                sections[getattr(one, "rich_help_panel", None) or "Options"].append(row)
        if isinstance(self, TyperGroup):
            sections["Commands"] = [(name, one.short_help or "") for name, one in self.commands.items()]
        for title, rows in sections.items():
            if not rows:
                continue
            with formatter.section(typer.style(title, bold=True)):
                formatter.write_dl(rows)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the lines of the epilog as they are; those that end with a colon are headings."""
        for line in (self.epilog or "").splitlines():  # type: ignore[attr-defined]
            if line.endswith(":"):
                formatter.write(f"\n{typer.style(line, bold=True)}\n")
            else:
                formatter.write(f"  {line}\n")


class CommandGroup(PlainHelp, TyperGroup):
    """A group of commands."""


class QuotedCommand(PlainHelp, TyperCommand):
    """A command that keeps its arguments as they were typed, and takes no option twice unless all its values count."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Return the arguments left over, after noting all of them."""
        ctx.meta[_TYPED] = tuple(args)
        _, _, found = self.make_parser(ctx).parse_args(args=list(args))
        for one, times in Counter(found).items():
            is_switch = getattr(one, "is_flag", False) and not one.secondary_opts
            if times > 1 and one.param_type_name == "option" and not (is_switch or getattr(one, "multiple", False)):
                # The parser would use the last value without a word.
                flags = " / ".join(max(names, key=len) for names in (one.opts, one.secondary_opts) if names)
                ctx.fail(f"expected {flags} once, but got it {times} times. Give one of them only.")
        return super().parse_args(ctx, args)


def command_line(ctx: Context) -> str:
    """Return the command line of a `QuotedCommand`, quoted for a shell."""
    names: list[str] = []
    one: Any = ctx
    while one.parent is not None:
        names.insert(0, str(one.info_name))
        one = one.parent
    return shlex.join(["landsat-fill", *names, *ctx.meta[_TYPED]])


def add(app: typer.Typer, function: Callable[..., None], short_help: str, **more: Any) -> None:
    """Add a command to an app."""
    given: dict[str, Any] = {"cls": QuotedCommand, "no_args_is_help": True, "epilog": ""} | more
    app.command(short_help=short_help, **given)(function)


Quiet = Annotated[bool, opt("-q, --quiet", TERMINAL, "Print errors only.")]
Verbose = Annotated[bool, opt("-v, --verbose", TERMINAL, "Print the details of each scene.")]
Json = Annotated[bool, opt("--json", TERMINAL, "Print machine-readable JSON instead of text.")]
DryRun = Annotated[bool, opt("-n, --dry-run", TERMINAL)]
ReferenceScenes = Annotated[
    list[str] | None,
    opt(
        "--reference SCENE",
        REFERENCES,
        "Another acquisition of the place to fill from: a GeoTIFF or product of Landsat, Sentinel-2 or HLS, on any grid. "
        "It is an error if it can't be used.",
    ),
]
ReferenceFolders = Annotated[
    list[str] | None,
    opt(
        "--references FOLDER",
        REFERENCES,
        "A folder, list, glob or index; the best references for each scene are chosen from it. "
        "`landsat-fill references` shows which ones, and why.",
    ),
]
Within = Annotated[
    int | None, opt("--within DAYS", REFERENCES, "Largest number of days between a scene and a reference.", min=0)
]
SameSeason = Annotated[
    bool,
    opt("--same-season", REFERENCES, "Use only references whose day of the year is within 45 days of the scene's."),
]
MaxReferences = Annotated[
    int, opt("--max-references N", REFERENCES, "Largest number of references for a scene.", min=1, max=8)
]
Align = Annotated[
    bool,
    opt(
        "--align/--no-align",
        REFERENCES,
        "Correct references that lie a quarter of a pixel or more off.",
        show_default=False,
    ),
]
Overwrite = Annotated[bool, opt("--overwrite", OUTPUT, "Replace existing outputs.")]
Nodata = Annotated[
    list[str] | None,
    opt(
        "--nodata NUMBERS",
        INPUT,
        "Numbers of missing pixels, in addition to the file's own: 0,255 or -9999 or 250:255 (a range) or nan. "
        "With 0,only the file's own number doesn't count.",
    ),
]
Bands = Annotated[str | None, opt("--bands LIST", INPUT, "Bands to work on: B3,B4 or 1,2.")]
Masks = Annotated[
    list[str] | None,
    opt(
        "--mask FILE",
        INPUT,
        "A raster on any grid: pixels other than 0 (and the mask's nodata) are missing, too. Observed pixels there are replaced. "
        "One band applies to all bands, BAND=FILE to one. Also gap_mask files of USGS (0 is missing), or their folder. "
        "{name} stands for the name of the input. The option may be repeated.",
    ),
]
Extent = Annotated[
    str | None,
    opt("--extent FILE", INPUT, "The polygon (GeoJSON) that a scene was clipped with: gaps are filled up to its edge."),
]
Target = Annotated[Path, opt("-o, --output PATH", OUTPUT, "The file to write.")]
Folder = Annotated[Path, opt("-o, --output FOLDER", OUTPUT, "The folder to write.")]
OneScene = Annotated[str, arg("SCENE", "A GeoTIFF or a product.")]


def named(text: str | None) -> tuple[str, ...]:
    """Return the names in a comma-separated list, none for None."""
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def band_list(text: str | None) -> tuple[str, ...] | None:
    """Return the names in a comma-separated list, or None for None."""
    return None if text is None else named(text)


def pairs(flag: str, texts: Sequence[str] | None) -> dict[str, str]:
    """Return the names and values of `NAME=VALUE` texts.

    Raises:
        UsageError: If one isn't of that form, or a name has two values.
    """
    found: dict[str, str] = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(
                f"expected {flag} NAME=VALUE, but got {flag} {text!r}",
                hint="Put an equals sign between name and value, without spaces.",
            )
        if name.strip() in found:
            raise UsageError(
                f"expected one value of {name.strip()}, but got {found[name.strip()]} and {value.strip()}",
                hint="Give one of them only.",
            )
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
        raise UsageError(
            f"expected {flag} to be a percentage between 0 and 100, but got {text!r}", hint=f"For example: {flag} 22."
        )
    return percent / 100


def numbers(flag: str, text: str | None) -> list[float]:
    """Return the numbers in a comma-separated list, without their percent signs; none for None.

    Raises:
        UsageError: If something that isn't a number is in it.
    """
    try:
        return [float(item.removesuffix("%")) for item in named(text)]
    except ValueError:
        raise UsageError(
            f"expected {flag} to be numbers separated by commas, but got {text!r}", hint=f"For example: {flag} 4,8,14."
        ) from None


def numbers_of(nodata: Sequence[str] | None) -> MissingNumbers | None:
    """Return the missing numbers of --nodata, or raise UsageError."""
    from landsat_fill.scene import missing_numbers

    return missing_numbers(nodata, "--nodata")


def open_one(argument: str, nodata: Sequence[str] | None = None, bands: str | None = None) -> list[Scene]:
    """Return the scenes of one input, one for each grid of a product.

    Raises:
        InputError: If there is no such input, or it can't be opened.
        UsageError: If the argument names several inputs.
    """
    from landsat_fill.io import one_input, open_input

    return list(open_input(one_input(argument), nodata=numbers_of(nodata), bands=band_list(bands)))


def open_all(
    arguments: Sequence[str], nodata: Sequence[str] | None = None, bands: str | None = None
) -> tuple[list[Scene], bool]:
    """Return the scenes that arguments name, and whether all could be opened; print why others could not."""
    from landsat_fill.cli.console import print_error
    from landsat_fill.io import find_inputs, open_input

    given = numbers_of(nodata)
    found, bad = find_inputs(arguments)
    failed = list(bad)
    scenes: list[Scene] = []
    for one in found:
        try:
            scenes += open_input(one, nodata=given, bands=band_list(bands))
        except InputError as error:
            failed.append((one.source, error))
    for source, failure in failed:
        print_error(f"{source}: {failure.message}", failure.hint)
    return scenes, not failed


def refuse_targets(targets: Sequence[Path | None], scenes: Sequence[Scene], *, overwrite: bool) -> None:
    """Raise an error, before hours of work, for files that must not be written."""
    from landsat_fill.io.atomic import refuse_target
    from landsat_fill.pipeline.outputs import input_files

    wanted = [target for target in targets if target is not None]
    if len({target.resolve() for target in wanted}) < len(wanted):
        raise UsageError(
            f"expected files of different names, but got {', '.join(str(target) for target in wanted)}",
            hint="Give each output a name of its own.",
        )
    protected = [path for scene in scenes for path in input_files(scene)]
    for target in wanted:
        refuse_target(target, overwrite=overwrite, protected=protected)


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
