"""The Typer app: its commands, with `fill` as the default."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from landsat_fill.cli.cluster import register as register_cluster
from landsat_fill.cli.evaluate import register as register_evaluate
from landsat_fill.cli.exits import print_usage_error
from landsat_fill.cli.fill import register as register_fill
from landsat_fill.cli.guides import register as register_guides
from landsat_fill.cli.info import register as register_info
from landsat_fill.cli.methods_and_models import register_methods, register_models
from landsat_fill.cli.tools import register_mask, register_simulate, register_tile, register_variogram
from landsat_fill.cli.train import register_dataset, register_train
from landsat_fill.errors import EXIT_INTERRUPTED, EXIT_USAGE, did_you_mean

if TYPE_CHECKING:
    from typer import Context


DEFAULT_COMMAND = "fill"
PARSER_ERROR: type[Exception] = typer.BadParameter.__mro__[1]
"""What the parser raises for a command line it can't read; Typer exports none but this child of it."""
EPILOG = """
[bold]Examples[/bold]

landsat-fill scene.tif                       writes scene_filled.tif beside it

landsat-fill scenes/ -o filled/ -m harmonic  a folder of scenes and products

landsat-fill info LE07_L1TP_….tar            what it is, and how much is missing

landsat-fill COMMAND --help                  the options of a command
"""


class FillByDefault(TyperGroup):
    """A group whose arguments are those of `fill` where they don't begin with a command's name."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Return the arguments left over, after putting `fill` before them where no command is named."""
        own = {flag for parameter in self.params for flag in parameter.opts} | {"--help"}
        if args and args[0] not in self.commands and args[0].split("=")[0] not in own:
            self._refuse_misspelt_command(ctx, args[0])
            args = [DEFAULT_COMMAND, *args]
        return super().parse_args(ctx, args)

    def _refuse_misspelt_command(self, ctx: Context, word: str) -> None:
        """End with a usage error if a word is no file, but nearly a command."""
        near = did_you_mean(word, self.commands, cutoff=0.7)
        if near and not Path(word).exists():
            ctx.fail(f"There is no file and no command {word!r}. {near}")

    def main(self, args: Any = None, standalone_mode: bool = True, **extra: Any) -> Any:  # type: ignore[override]
        """Run a command; the parser's own errors look like all others."""
        if not standalone_mode:
            return super().main(args, standalone_mode=False, **extra)
        try:
            code = super().main(args, standalone_mode=False, **extra)
        except PARSER_ERROR as error:
            if type(error).__name__ != "NoArgsIsHelpError":  # that one has printed the help already
                print_usage_error(error)
            sys.exit(EXIT_USAGE)
        except typer.Abort:
            sys.exit(EXIT_INTERRUPTED)
        sys.exit(code or 0)

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the commands in the order they are used, not of the alphabet."""
        return list(self.commands)


app = typer.Typer(
    cls=FillByDefault,
    name="landsat-fill",
    help="Fill the SLC-off gaps of Landsat 7 scenes: every observed pixel kept, every filled one recorded.",
    epilog=EPILOG,
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


for register in (
    register_fill,
    register_info,
    register_mask,
    register_tile,
    register_simulate,
    register_evaluate,
    register_methods,
    register_variogram,
    register_models,
    register_dataset,
    register_train,
    register_cluster,
    register_guides,
):
    register(app)
