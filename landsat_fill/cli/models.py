"""`landsat-fill models`: which trained weights are shipped."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from landsat_fill.cli.errors import EXIT_FAILED, reports_errors
from landsat_fill.cli.options import Debug, Json

if TYPE_CHECKING:
    from landsat_fill.networks.weights_file import WeightsFile

SHORT_SHA_DIGITS = 12


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("models", short_help="List the trained weights that are shipped, or show the card of one.")(
        models
    )


@reports_errors
def models(
    name: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(metavar="NAME", help="Weights whose card is shown.", show_default=False),
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """List the trained weights that are shipped, verified against their sums; with NAME, the card of one."""
    from landsat_fill.cli.terminal import print_error
    from landsat_fill.errors import InputError
    from landsat_fill.networks.shipped import shipped_file, shipped_names

    names = shipped_names() if name is None else (_known(name),)
    files, errors = [], []
    for one in names:
        try:
            files.append(shipped_file(one))
        except InputError as error:
            errors.append(error)
    if as_json:
        typer.echo(json.dumps([_described(file) for file in files], indent=2))
    elif name is not None and files:
        _print_card(files[0])
    elif name is None:
        _print_list(files)
    for damage in errors:
        print_error(damage.message, damage.hint)
    if errors:
        raise typer.Exit(EXIT_FAILED)


def _known(name: str) -> str:
    """Return the name of shipped weights, or end with a usage error."""
    import difflib

    from landsat_fill.errors import UsageError
    from landsat_fill.networks.shipped import shipped_names

    names = shipped_names()
    if name in names:
        return name
    near = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise UsageError(
        f"expected the name of shipped weights, but got {name!r}",
        hint=f"{hint}there are: {', '.join(names) or 'none'}",
    )


def _print_list(files: list[WeightsFile]) -> None:
    """Print a line of facts for each, and below it what it was trained on and how it scores."""
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False, soft_wrap=True)
    if not files:
        console.print("No weights are shipped with this copy of landsat-fill.")
        return
    width = max(len(file.name) for file in files)
    for file in files:
        facts = [
            f"network {file.network}",
            f"{file.parameters / 1e6:.2f} M parameters",
            f"{file.size_bytes / 1e6:.1f} MB",
            f"bands: {file.facts.get('bands', 'any')}",
            f"licence: {file.facts.get('licence', 'not said')}",
            f"sha256 {file.sha256[:SHORT_SHA_DIGITS]}…",
        ]
        console.print(f"[bold]{file.name:{width}}[/bold]  {escape(' · '.join(facts))}")
        for key, word in (("trained_on", "trained on"), ("scores", "scores")):
            if key in file.facts:
                console.print(f"{'':{width}}  {word}: {file.facts[key]}", markup=False)
    console.print(
        "\n`landsat-fill models NAME` shows the card of one; -m NETWORK --weights FILE runs your own."
    )


def _print_card(file: WeightsFile) -> None:
    from rich.console import Console
    from rich.markdown import Markdown

    from landsat_fill.networks.shipped import shipped_card

    console = Console(highlight=False)
    card = shipped_card(file.name)
    if card is not None:
        if console.is_terminal:
            console.print(Markdown(card))
        else:
            typer.echo(card, nl=False)  # as it is: the console would break the lines of its tables
        return
    for key, value in _described(file).items():
        console.print(f"{key}: {value}", markup=False, soft_wrap=True)


def _described(file: WeightsFile) -> dict[str, object]:
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
