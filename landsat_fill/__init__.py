"""Fill the SLC-off gaps of Landsat 7 scenes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from landsat_fill.version import __version__

if TYPE_CHECKING:
    from landsat_fill.api import fill_array, fill_file, list_methods
    from landsat_fill.errors import LandsatFillError
    from landsat_fill.scene import Filled


__all__ = ["Filled", "LandsatFillError", "__version__", "fill_array", "fill_file", "list_methods"]

_HOMES = {
    "fill_array": "landsat_fill.api",
    "fill_file": "landsat_fill.api",
    "list_methods": "landsat_fill.api",
    "Filled": "landsat_fill.scene",
    "LandsatFillError": "landsat_fill.errors",
}


def __getattr__(name: str) -> object:
    """Return a public name, imported when it is first asked for: `--help` needs none of them."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
