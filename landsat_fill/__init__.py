"""Fill the SLC-off gaps of Landsat 7 scenes.

`fill_file` fills a GeoTIFF or a product, `fill_array` an array in memory. `open_scene` reads a scene with its
gaps and its footprint, `find_gaps` finds them in an array, `simulate_gaps` lays gaps over a clean image,
`evaluate` measures methods on pixels hidden from them, and `list_methods` says which methods there are.
Every error is a `LandsatFillError` with a `message` and a `hint`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from landsat_fill.version import __version__

if TYPE_CHECKING:
    from landsat_fill.api import (
        FoundGaps,
        OpenedScene,
        evaluate,
        fill_array,
        fill_file,
        find_gaps,
        list_methods,
        open_scene,
        simulate_gaps,
    )
    from landsat_fill.errors import LandsatFillError
    from landsat_fill.methods import FillMethod, MethodInfo
    from landsat_fill.pipeline.outcome import Outcome
    from landsat_fill.scene import Filled

_HOMES = {
    "FillMethod": "landsat_fill.methods",
    "Filled": "landsat_fill.scene",
    "LandsatFillError": "landsat_fill.errors",
    "MethodInfo": "landsat_fill.methods",
    "Outcome": "landsat_fill.pipeline.outcome",
}
"""The modules of public names that aren't defined in `landsat_fill.api`."""

__all__ = [
    "FillMethod",
    "Filled",
    "FoundGaps",
    "LandsatFillError",
    "MethodInfo",
    "OpenedScene",
    "Outcome",
    "__version__",
    "evaluate",
    "fill_array",
    "fill_file",
    "find_gaps",
    "list_methods",
    "open_scene",
    "simulate_gaps",
]


def __getattr__(name: str) -> object:
    """Return a public name, imported on its first use, so that `--help` answers at once."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES.get(name, "landsat_fill.api")), name)


def __dir__() -> list[str]:
    """Return the public names, for completion and `help()`."""
    return sorted({*globals(), *__all__})
