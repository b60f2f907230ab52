"""The ways to fill, one file each; see `interface` for what they share."""

from landsat_fill.methods.method import Context, FillMethod, MethodInfo, option
from landsat_fill.methods.registry import (
    BEST_METHOD,
    DEFAULT_METHOD,
    MethodOption,
    create_method,
    method_class,
    method_classes,
    method_options,
    suited_method,
)

__all__ = [
    "BEST_METHOD",
    "DEFAULT_METHOD",
    "Context",
    "FillMethod",
    "MethodInfo",
    "MethodOption",
    "create_method",
    "method_class",
    "method_classes",
    "method_options",
    "option",
    "suited_method",
]
