"""The Typer app: its commands, with `fill` as the default."""

from __future__ import annotations

import errno
import os
import re
import sys
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.main import get_command

from landsat_fill.cli.options import CommandGroup, MethodFlags, QuotedCommand, add
from landsat_fill.errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typer import Context


PARSER_ERROR: type[Exception] = typer.BadParameter.__mro__[1]
"""What the parser raises for a command line that it can't read; Typer exports only a subclass."""
EPILOG = """\
Examples:
landsat-fill scene.tif                       writes scene_filled.tif beside it
landsat-fill scenes/ -o filled/ -m harmonic  a folder of scenes and products
landsat-fill info LE07_L1TP_….tar            sensor, date, bands and gaps
landsat-fill COMMAND --help                  the options of a command
"""


_PARSER_WORDS = (
    (r"No such option: (\S+?)\.?(?: \(?(.*?)\)?)?$", r"expected an option of `{command}`, but got \1", r"\2"),
    (r"No such command (.+?)\.(?: (.*))?$", r"expected a command, but got \1", r"\2"),
    (r"There is no file and no command (.+?)\. (.*)$", r"expected a file or a command, but got \1", r"\2"),
    (r"Missing \w+ '?(.+?)'?\.$", r"expected \1, but got nothing", ""),
    (r"Option '(.+?)' requires an argument\.$", r"expected a value after \1, but got none", ""),
    (r"Invalid value for '(.+?)'.*?: (.+)$", r"expected a value that \1 can have, but got another", r"\2"),
    (r"(expected .+ once, but got it .+)\. (Give .+)$", r"\1", r"\2"),
    (r"Got unexpected extra argument\S* \((.+)\)$", r"expected no further argument, but got \1", ""),
)
"""The parser's message, ours, and the hint. Other messages stay as they are."""

RENAMED = {"--draw": "--realizations"}
"""The new names of options, by their old names."""


def print_usage_error(error: Exception) -> None:
    """Print an error of the parser like all others: what was expected, what was found, and a hint."""
    from landsat_fill.cli.console import print_error

    context = getattr(error, "ctx", None)
    command = context.command_path if context else "landsat-fill"
    message, hint = str(getattr(error, "format_message", error.__str__)()), ""
    for pattern, words, hint_words in _PARSER_WORDS:
        match = re.match(pattern, message, re.DOTALL)
        if match is not None:
            message = match.expand(words.replace("{command}", command)).replace("' / '", " / ")
            hint = match.expand(hint_words)
            break
    renamed = RENAMED.get(getattr(error, "option_name", ""))
    if renamed is not None:
        hint = f"It is called {renamed} now."
    print_error(message, hint or f"See `{command} --help`.")


class LazyCommand(QuotedCommand):
    """A command listed in help, whose module is imported when the command runs."""

    def __init__(self, name: str, module: str, short_help: str, **more: Any) -> None:
        super().__init__(name, short_help=short_help)
        self._module, self._more = module, more

    def load(self) -> Any:
        """Return the command itself."""
        module = import_module(f"landsat_fill.cli.{self._module}")
        loaded = getattr(module, str(self.name))
        if isinstance(loaded, typer.Typer):
            return get_command(loaded)
        epilog = module.EPILOG if self.name == self._module else ""
        alone = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
        add(alone, loaded, str(self.short_help), epilog=epilog, **self._more)
        return get_command(alone)

    def make_context(self, *args: Any, **more: Any) -> Any:
        """Return the context of the command itself."""
        return self.load().make_context(*args, **more)


COMMANDS = (
    LazyCommand("fill", "fill", "Fill scenes: GeoTIFFs, products, folders. The default.", cls=MethodFlags),
    LazyCommand("info", "tools", "Show sensor, date, bands and gaps of a scene."),
    LazyCommand("references", "references", "Show which other dates help to fill a scene."),
    LazyCommand("mask", "tools", "Write a layer of the gaps of a scene."),
    LazyCommand("tile", "tools", "Cut a scene into patches."),
    LazyCommand("stitch", "tools", "Join the patches of a scene again."),
    LazyCommand("simulate", "tools", "Lay SLC-off stripes over a clean scene."),
    LazyCommand("evaluate", "evaluate", "Score methods on pixels hidden from them."),
    LazyCommand("methods", "about", "List the methods, or the options of one.", no_args_is_help=False),
    LazyCommand("variogram", "tools", "Print or plot the variograms that kriging fits."),
    LazyCommand("models", "about", "List the trained weights, or show the card of one.", no_args_is_help=False),
    LazyCommand("dataset", "train", "Make a dataset for training."),
    LazyCommand("train", "train", "Train a network."),
    LazyCommand("cluster", "cluster", "Fill archives on a Slurm cluster: submit, status, resubmit, merge."),
    LazyCommand("guide", "about", "Read a guide: first steps, outputs, clusters, training, …", no_args_is_help=False),
    LazyCommand("cite", "about", "Print BibTeX of this software, the data and a method.", no_args_is_help=False),
)
"""All commands, in the order in which they are used."""


class _LastingStream:
    """Standard output or error, whose texts go nowhere after a write has failed: a batch continues without its log."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.failure: OSError | None = None
        with suppress(AttributeError):
            stream.reconfigure(errors="replace")  # a terminal without UTF-8 must not stop a batch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write a text."""
        self._try(self._stream.write, text)
        return len(text)

    def flush(self) -> None:
        """Write what is buffered."""
        self._try(self._stream.flush)

    def _try(self, call: Callable[..., object], *given: str) -> None:
        try:
            call(*given)
        except OSError as error:
            self.failure = self.failure or error
            with suppress(OSError):  # a stream without a file
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())


@contextmanager
def _lasting_output() -> Iterator[_LastingStream]:
    """Let output be lost rather than the work of a command, and yield standard output."""
    before = sys.stdout, sys.stderr
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:  # for streams that are closed
        streams = [_LastingStream(one or nowhere) for one in before]
        sys.stdout, sys.stderr = streams
        try:
            yield streams[0]
        finally:
            for one in streams:
                one.flush()
            sys.stdout, sys.stderr = before


class FillByDefault(CommandGroup):
    """A group that runs `fill` if its first argument isn't the name of a command."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.commands = {str(command.name): command for command in COMMANDS}

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Return the arguments left over, after inserting `fill` if no command is named."""
        own = {flag for parameter in self.params for flag in parameter.opts} | {"--help"}
        if args and args[0] not in self.commands and args[0].split("=")[0] not in own:
            near = did_you_mean(args[0], self.commands, cutoff=0.7)
            if near and not Path(args[0]).exists():
                ctx.fail(f"There is no file and no command {args[0]!r}. {near}")
            args = ["fill", *args]
        return super().parse_args(ctx, args)

    def main(self, args: Any = None, standalone_mode: bool = True, **extra: Any) -> Any:  # type: ignore[override]
        """Run a command, and print errors of the parser like all others."""
        if not standalone_mode:
            return super().main(args, standalone_mode=False, **extra)
        with _lasting_output() as output:
            try:
                code = super().main(args, standalone_mode=False, **extra)
            except PARSER_ERROR as error:
                code = EXIT_USAGE
                if type(error).__name__ == "NoArgsIsHelpError":
                    typer.echo(str(error))
                else:
                    print_usage_error(error)
            except (typer.Abort, KeyboardInterrupt):  # a second Ctrl-C while the first one is handled
                code = EXIT_INTERRUPTED
            output.flush()
            if output.failure is not None and output.failure.errno != errno.EPIPE:  # not `| head`
                from landsat_fill.cli.console import print_error

                print_error(f"expected to write to standard output, but got: {output.failure.strerror}", None)
                code = code or EXIT_FAILED
        sys.exit(code or 0)


app = typer.Typer(
    cls=FillByDefault,
    name="landsat-fill",
    help="Fill the SLC-off gaps of Landsat 7 scenes: every observed pixel kept, every filled one recorded.",
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _version(wanted: bool) -> None:
    if wanted:
        from landsat_fill.version import __version__

        typer.echo(f"landsat-fill {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Fill the SLC-off gaps of Landsat 7 scenes."""


def main() -> None:
    """Run `landsat-fill`."""
    app()
