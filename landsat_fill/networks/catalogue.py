"""The networks by name: every class with a name in the modules of this package.

To add a network, add its file. torch and the networks are imported at their first use.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Any

from landsat_fill.errors import LackOfMemoryError, MissingPackageError, is_lack_of_memory, not_one_of
from landsat_fill.schema import parsed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from landsat_fill.networks.network import Network


def import_torch() -> Any:
    """Return the module torch. Its import takes seconds, so it happens at the first use.

    Raises:
        MissingPackageError: If torch isn't installed, or can't be imported.
        LackOfMemoryError: If there is too little memory for it, as under `ulimit -v`.
    """
    try:
        prefer_large_pages()
        return importlib.import_module("torch")
    except (ImportError, OSError) as error:  # a broken installation's libraries fail with OSError
        if is_lack_of_memory(error):
            raise LackOfMemoryError(
                f"expected more memory than there is for the package torch, but got: {error}",
                hint="Raise the limit (ulimit -v), or choose a method without torch, such as -m tension-spline.",
            ) from error
        raise MissingPackageError(
            f"expected the package torch, which learned methods run on, but it can't be imported: {error}",
            hint="Run: pip install torch; or choose a method that needs none, for example -m tension-spline.",
        ) from error


def prefer_large_pages() -> None:
    """Make torch use large memory pages on Linux, unless the user has set the variable.

    With pages of 4 KB, the system spends 10 to 50 % of the time on the feature maps' memory. Call this before
    the first tensor. Source: torch, c10/core/impl/alloc_cpu.cpp.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


def classes_of(package_name: str) -> Iterator[type]:
    """Yield every class that a module of a package defines, by module in alphabetical order."""
    package = importlib.import_module(package_name)
    for found in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package_name}.{found.name}")
        for member in vars(module).values():
            if isinstance(member, type) and member.__module__ == module.__name__:
                yield member


@cache
def network_classes() -> Mapping[str, type[Network]]:
    """Return every network class by name, in alphabetical order; raise MissingPackageError without torch."""
    import_torch()
    from landsat_fill.networks.network import Network

    networks = (cls for cls in classes_of("landsat_fill.networks") if issubclass(cls, Network))
    named = [cls for cls in networks if "name" in vars(cls)]
    return {cls.name: cls for cls in sorted(named, key=lambda cls: cls.name)}


def build_network(name: str, settings: Mapping[str, object] | None = None) -> Network:
    """Return a network with random weights.

    Args:
        name: Name of the network.
        settings: Values by field of its settings; other settings keep their defaults.

    Raises:
        UsageError: If the network or a setting doesn't exist, or a value isn't allowed.
        MissingPackageError: If torch isn't installed.
    """
    import_torch()
    classes = network_classes()
    if name not in classes:
        raise not_one_of("the name of a network", name, classes, "The networks are {}.")
    network = classes[name]
    values = parsed(
        network.settings_kind, settings or {}, f"a setting of the network {name}", called="the setting {name}"
    )
    return network(network.settings_kind(**values))  # type: ignore[call-arg]


def settings_of(network: Network) -> dict[str, object]:
    """Return a network's settings by name, for `build_network`."""
    return asdict(network.settings)
