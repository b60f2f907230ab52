"""Breaks the labels of methods into lines: those with the path of their weights are long."""

from __future__ import annotations

import textwrap

LINE_CHARACTERS = 30
"""What fits above a picture of the figure in small letters."""


def in_lines(label: str) -> str:
    """Return a label broken at spaces, and within words that are longer than a line."""
    return "\n".join(textwrap.wrap(label, LINE_CHARACTERS))
