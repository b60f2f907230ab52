"""The package torch, or a clear word that it isn't there."""

from __future__ import annotations

import importlib
import os
from typing import Any

from landsat_fill.errors import MissingPackageError


def import_torch() -> Any:
    """Return the module torch, imported when it is first asked for: that takes seconds.

    Raises:
        MissingPackageError: If it isn't installed, or can't be imported.
    """
    try:
        prefer_large_pages()
        return importlib.import_module("torch")
    except (ImportError, OSError) as error:  # a broken installation's libraries fail with OSError
        raise MissingPackageError(
            f"expected the package torch, which learned methods run on, but it can't be imported: {error}",
            hint="pip install torch; or choose a method without: -m tension-spline",
        ) from error


def prefer_large_pages() -> None:
    """Ask torch for large pages of memory on Linux, unless the user has decided, before its first tensor.

    A network's maps come and go by tens of megabytes, and in pages of 4 KB the system was busy with them for
    a tenth to half of the time. Source: torch, c10/core/impl/alloc_cpu.cpp.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
