"""Loops over pixels, compiled by numba when a method first runs them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

from numba import njit

if TYPE_CHECKING:
    from collections.abc import Callable

    Loop = TypeVar("Loop", bound=Callable[..., object])


def compiled(loop: Loop) -> Loop:
    """Return the loop as machine code that lets other threads run.

    The code is kept beside the module, or in the user's cache folder; where neither may be written to it is
    compiled anew in each process.
    """
    try:
        return cast("Loop", njit(cache=True, nogil=True)(loop))
    except RuntimeError:  # numba has found no folder that it may write to
        return cast("Loop", njit(nogil=True)(loop))
