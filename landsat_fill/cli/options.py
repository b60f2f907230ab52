"""The options that several commands share: one letter, one meaning."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

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
    Optional[float],  # noqa: UP045 - Typer evaluates the annotation
    typer.Option(
        "--nodata",
        metavar="NUMBER",
        help="The stored number that means 'no observation', where the file doesn't say.",
        rich_help_panel=GAPS,
    ),
]
Bands = Annotated[
    Optional[str],  # noqa: UP045
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
