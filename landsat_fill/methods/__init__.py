"""The fill methods. `method` has the interface they share, `registry` finds them by name."""

from landsat_fill.methods.method import Context, FillMethod, MethodInfo, TilePlace
from landsat_fill.methods.registry import (
    BEST_METHOD,
    DEFAULT_METHOD,
    broken_plugins,
    create_method,
    fallback_of,
    method_class,
    method_classes,
    method_options,
    methods_by_band,
    suited_method,
)
from landsat_fill.schema import Option, option

__all__ = [
    "BEST_METHOD",
    "DEFAULT_METHOD",
    "Context",
    "FillMethod",
    "MethodInfo",
    "Option",
    "TilePlace",
    "broken_plugins",
    "create_method",
    "fallback_of",
    "method_class",
    "method_classes",
    "method_options",
    "methods_by_band",
    "option",
    "suited_method",
]
