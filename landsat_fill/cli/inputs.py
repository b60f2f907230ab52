"""The one input of the commands that take only one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from landsat_fill.errors import UsageError

if TYPE_CHECKING:
    from landsat_fill.io import Input


def one_input(argument: str) -> Input:
    """Return the input an argument names.

    Raises:
        InputError: If it names none.
        UsageError: If it names several.
    """
    from landsat_fill.io import find_inputs

    found, bad = find_inputs([argument])
    if bad:
        raise bad[0][1]
    if len(found) != 1:
        raise UsageError(
            f"expected one scene, but {argument} holds {len(found)}",
            hint=f"name one of them: {found[0].source}, …",
        )
    return found[0]
