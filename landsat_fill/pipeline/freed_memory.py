"""Gives memory that was freed back to the system."""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def return_freed_memory() -> None:
    """Let the C library return what it keeps of freed memory; where it can't be asked, nothing happens.

    glibc keeps freed blocks of up to 32 MB for the next of their size, and tiles worked in several threads
    leave holes between them that grow with every strip.
    """
    trim = _trim()
    if trim is not None:
        trim(0)


@cache
def _trim() -> Callable[[int], int] | None:
    """Return glibc's `malloc_trim`, or None where the C library is another."""
    if sys.platform != "linux":
        return None
    trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim
