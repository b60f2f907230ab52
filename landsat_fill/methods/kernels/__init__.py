"""Loops over pixels, compiled by numba when a method first runs them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

from numba import njit

if TYPE_CHECKING:
    from collections.abc import Callable

    Loop = TypeVar("Loop", bound=Callable[..., object])


def compiled(loop: Loop) -> Loop:
    """Return the loop as machine code, which releases the interpreter lock.

    A division by 0 gives an infinite number or NaN, as in numpy. The code is cached next to the module or in the
    user's cache folder. If neither is writable, each process compiles it again.
    """
    try:
        return cast("Loop", njit(cache=True, nogil=True, error_model="numpy")(loop))
    except RuntimeError:  # numba found no writable folder
        return cast("Loop", njit(nogil=True, error_model="numpy")(loop))
