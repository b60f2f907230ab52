"""The package torch, or a clear word that it isn't there."""

from __future__ import annotations

import importlib
from typing import Any

from landsat_fill.errors import MissingPackageError


def import_torch() -> Any:
    """Return the module torch, imported when it is first asked for: that takes seconds.

    Raises:
        MissingPackageError: If it isn't installed, or can't be imported.
    """
    try:
        return importlib.import_module("torch")
    except (ImportError, OSError) as error:  # a broken installation's libraries fail with OSError
        raise MissingPackageError(
            f"expected the package torch, which learned methods run on, but it can't be imported: {error}",
            hint="pip install torch; or choose a method without: -m tension-spline",
        ) from error
