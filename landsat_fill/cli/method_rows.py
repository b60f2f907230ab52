"""The methods to compare, as typed: `all`, or `convcnp,unet:weights=best.safetensors,convlnp:samples=8:draw=1`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from landsat_fill.errors import InputError, MethodError, MissingPackageError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from landsat_fill.methods import FillMethod

ALL = "all"

NEXT_OPTION = re.compile(r":(?=[A-Za-z][\w-]*=)")
"""The colon before an option; one in a value, as in C:\\weights, is followed by something else."""

PROBE_PX = 64


def methods_of(texts: Sequence[str]) -> tuple[list[FillMethod], dict[str, str]]:
    """Return the methods of comma-separated lists, and of `all` those that can't run here, with the reason.

    A method named by itself is always returned: what it lacks shows when it is used.

    Args:
        texts: Lists of `NAME` or `NAME:OPTION=VALUE:OPTION=VALUE`; the same name may come again with other
            options.

    Raises:
        UsageError: If a method, an option or its value doesn't exist.
    """
    from landsat_fill.methods import create_method, method_classes

    chosen: list[FillMethod] = []
    left_out: dict[str, str] = {}
    for item in (item.strip() for text in texts for item in text.split(",")):
        if item == ALL:
            for name, cls in method_classes().items():
                if cls.info.slow:
                    left_out[name] = f"it takes minutes; -m all,{name} takes it along"
                    continue
                try:
                    method = create_method(name)
                    _try_out(method)
                except (InputError, MethodError, MissingPackageError) as error:
                    left_out[name] = error.message.splitlines()[0]
                else:
                    chosen.append(method)
        elif item:
            name, *options = NEXT_OPTION.split(item)
            if "=" in name:
                raise UsageError(
                    f"expected the name of a method, but got {name!r}",
                    hint="a method's options follow it with colons: -m convlnp:samples=8:draw=1",
                )
            chosen.append(create_method(name, dict(_pair(option) for option in options)))
    return chosen, left_out


def labels_of(text: str, methods: Sequence[FillMethod]) -> list[str]:
    """Return the labels that a comma-separated list of methods means, in its order.

    Args:
        text: Names of methods, each of which means all rows of it, or whole rows as they are typed.
        methods: The methods that are compared.

    Raises:
        UsageError: If one of them isn't among the methods.
    """
    from landsat_fill.evaluation import method_label

    labels: list[str] = []
    for item in (item.strip() for item in text.split(",")):
        if not item:
            continue
        if NEXT_OPTION.search(item):
            wanted = methods_of([item])[0]
            found = [method_label(method) for method in methods if method in wanted]
        else:
            found = [method_label(method) for method in methods if method.info.name == item]
        if not found:
            raise UsageError(
                f"expected --show to name methods that are compared, but got {item!r}",
                hint=f"these are: {', '.join(dict.fromkeys(method.info.name for method in methods))}",
            )
        labels += found
    return list(dict.fromkeys(labels))


def _pair(option: str) -> tuple[str, str]:
    name, _, value = option.partition("=")
    return name, value


def _try_out(method: FillMethod) -> None:
    """Let a method fill a little, to find out whether it can run here: weights or a package may be missing.

    Raises:
        LandsatFillError: If it can't.
    """
    import numpy as np

    from landsat_fill.methods import Context
    from landsat_fill.pipeline.arrays import fill_array
    from landsat_fill.scene import Gaps

    if method.info.needs_references:
        raise MethodError("expected a method for one scene, but it needs other acquisitions of the place")
    missing = np.zeros((1, PROBE_PX, PROBE_PX), dtype=bool)
    missing[:, PROBE_PX // 2 : PROBE_PX // 2 + 4] = True
    ramp = np.arange(missing.size, dtype=np.float32).reshape(missing.shape)
    fill_array(ramp, Gaps(missing=missing, usable=~missing), method, context=Context(threads=1))
