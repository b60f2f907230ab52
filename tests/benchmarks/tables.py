"""Shows figures as tables that are never cut off, on a terminal or in a log."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

WIDTH = 120


def figure_table(label: str, *figures: str) -> Table:
    """Return an empty table with a column of labels and columns of figures."""
    table = Table()
    table.add_column(label, no_wrap=True)
    for figure in figures:
        table.add_column(figure, justify="right")
    return table


def show(*things: str | Table) -> None:
    """Print lines and tables."""
    console = Console(width=WIDTH)
    for thing in things:
        console.print(thing)
    console.file.flush()


def table_row(cells: list[str]) -> str:
    """Return a row of a Markdown table."""
    return f"| {' | '.join(cells)} |\n"
