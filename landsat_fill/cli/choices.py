"""Turns the text of options into values, and says what was expected where that fails."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, TypeVar

from landsat_fill.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from enum import Enum

    from landsat_fill.pipeline import Flag

E = TypeVar("E", bound="Enum")


def choice(flag: str, text: str, kind: type[E]) -> E:
    """Return the member of `kind` whose value is `text`.

    Raises:
        UsageError: If there is none; the hint names the nearest.
    """
    values = [str(member.value) for member in kind]
    if text in values:
        return kind(text)
    near = difflib.get_close_matches(text.lower(), values, n=1, cutoff=0.5)
    raise UsageError(
        f"expected {flag} to be one of {', '.join(values)}, but got {text!r}",
        hint=f"did you mean {near[0]!r}?" if near else None,
    )


def flags(flag: str, text: str | None) -> frozenset[Flag]:
    """Return the quality flags in a comma-separated list, none for None."""
    from landsat_fill.pipeline import Flag

    names = [name.strip() for name in (text or "").split(",") if name.strip()]
    return frozenset(choice(flag, name, Flag) for name in names)


def pairs(flag: str, texts: Sequence[str] | None) -> dict[str, str]:
    """Return the names and values of `NAME=VALUE` texts.

    Raises:
        UsageError: If one isn't of that form.
    """
    found: dict[str, str] = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"expected {flag} NAME=VALUE, but got {flag} {text!r}")
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
        raise UsageError(f"expected {flag} to be a percentage between 0 and 100, but got {text!r}")
    return percent / 100


def numbers(flag: str, text: str) -> list[float]:
    """Return the numbers of a comma-separated list; percent signs are passed over.

    Raises:
        UsageError: If something else is in it.
    """
    try:
        return [float(item.strip().removesuffix("%")) for item in text.split(",") if item.strip()]
    except ValueError:
        raise UsageError(
            f"expected {flag} to be numbers with commas between them, but got {text!r}"
        ) from None
