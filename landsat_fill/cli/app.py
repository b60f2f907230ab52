"""The Typer app: its commands, with `fill` as the default."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from landsat_fill.cli import cluster, evaluate, fill, guides, methods_and_models, tools, train
from landsat_fill.cli.method_flags import MethodFlags
from landsat_fill.cli.options import add
from landsat_fill.errors import EXIT_INTERRUPTED, EXIT_USAGE, did_you_mean

if TYPE_CHECKING:
    from typer import Context


PARSER_ERROR: type[Exception] = typer.BadParameter.__mro__[1]
"""What the parser raises for a command line that it can't read; Typer exports only a subclass."""
EPILOG = """\
[bold]Examples[/bold]
landsat-fill scene.tif                       writes scene_filled.tif beside it
landsat-fill scenes/ -o filled/ -m harmonic  a folder of scenes and products
landsat-fill info LE07_L1TP_….tar            what it is, and its gaps
landsat-fill COMMAND --help                  the options of a command
"""


_PARSER_WORDS = (
    (r"No such option: (\S+?)\.?(?: \(?(.*?)\)?)?$", r"expected an option of `{command}`, but got \1", r"\2"),
    (r"No such command (.+?)\.(?: (.*))?$", r"expected a command, but got \1", r"\2"),
    (r"There is no file and no command (.+?)\. (.*)$", r"expected a file or a command, but got \1", r"\2"),
    (r"Missing \w+ '?(.+?)'?\.$", r"expected \1, but got nothing", ""),
    (r"Option '(.+?)' requires an argument\.$", r"expected a value after \1, but got none", ""),
    (r"Invalid value for '(.+?)'.*?: (.+)$", r"expected a value that \1 can have, but got another", r"\2"),
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


class FillByDefault(TyperGroup):
    """A group that runs `fill` if its first argument isn't the name of a command."""

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
        try:
            code = super().main(args, standalone_mode=False, **extra)
        except PARSER_ERROR as error:
            if type(error).__name__ != "NoArgsIsHelpError":  # it has printed the help already
                print_usage_error(error)
            sys.exit(EXIT_USAGE)
        except typer.Abort:
            sys.exit(EXIT_INTERRUPTED)
        sys.exit(code or 0)

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the commands in the order in which they are used, not in that of the alphabet."""
        return list(self.commands)


app = typer.Typer(
    cls=FillByDefault,
    name="landsat-fill",
    help="Fill the SLC-off gaps of Landsat 7 scenes: every observed pixel kept, every filled one recorded.",
    epilog=EPILOG.replace("\n", "\n\n"),
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
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
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")  # a terminal without UTF-8 must not stop a batch


add(app, fill.fill, "Fill scenes: GeoTIFFs, products, folders. The default.", cls=MethodFlags, epilog=fill.EPILOG)
add(app, tools.info, "Show what a scene is, and its gaps.")
add(app, tools.mask, "Write where a scene has gaps.")
add(app, tools.tile, "Cut a scene into patches.")
add(app, tools.stitch, "Join patches to a scene again.")
add(app, tools.simulate, "Lay SLC-off stripes over a clean scene.")
add(app, evaluate.evaluate, "Score methods on pixels hidden from them.", epilog=evaluate.EPILOG)
add(app, methods_and_models.methods, "List the methods, or the options of one.", no_args_is_help=False)
add(app, tools.variogram, "Print or plot the variograms that kriging fits.")
add(app, methods_and_models.models, "List the trained weights, or show the card of one.", no_args_is_help=False)
add(app, train.dataset, "Make a dataset for training.")
add(app, train.train, "Train a network.", epilog=train.EPILOG)
app.add_typer(cluster.commands, name="cluster")
add(app, guides.guide, "Read a guide: first steps, outputs, clusters, training, …", no_args_is_help=False)
add(app, guides.cite, "Print BibTeX of this software, the data and a method.", no_args_is_help=False)


def main() -> None:
    """Run `landsat-fill`."""
    app()
