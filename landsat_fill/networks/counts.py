"""Whole numbers among the settings of networks: each says what it may be, and is held to it."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any, Literal

from landsat_fill.errors import UsageError

if TYPE_CHECKING:
    from dataclasses import Field

MOST_HALVINGS = 9
"""How often a tile can be halved: one of 512 px, as learned methods are given it, is a single pixel then."""

_PARITIES = ("even", "odd")


def count(
    default: int, *, low: int = 1, high: int | None = None, parity: Literal["even", "odd"] | None = None
) -> Any:
    """Return the field of a setting that is a whole number.

    Args:
        default: Its value where nothing else is asked for.
        low: The least it may be.
        high: The most, or None.
        parity: What else it must be.
    """
    return field(default=default, metadata={"low": low, "high": high, "parity": parity})


def require_allowed(setting: Field[Any], value: object) -> None:
    """Refuse a value that the field of a setting, made by `count`, doesn't allow; any other field allows all.

    Raises:
        UsageError: If the network can't be built with it.
    """
    if not isinstance(value, int) or "low" not in setting.metadata:
        return
    low, high, parity = (setting.metadata[key] for key in ("low", "high", "parity"))
    if value >= low and (high is None or value <= high) and parity in (None, _PARITIES[value % 2]):
        return
    wanted = f"at least {low}" if high is None else f"from {low} to {high}"
    if parity:
        wanted = f"{parity} and {wanted}"
    raise UsageError(
        f"expected the setting {setting.name} to be {wanted}, but got {value}",
        hint=f"leave it out for its default, {setting.default}",
    )
