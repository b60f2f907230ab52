"""The networks by name, each imported when it is first asked for."""

from __future__ import annotations

import difflib
import importlib
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, cast

from landsat_fill.errors import UsageError
from landsat_fill.networks.counts import require_allowed
from landsat_fill.networks.torch_package import import_torch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from landsat_fill.networks.interface import Network

_CLASSES = {
    "band-unet": "landsat_fill.networks.band_unet.BandUNet",
    "convcnp": "landsat_fill.networks.convcnp.ConvCNP",
    "convlnp": "landsat_fill.networks.convlnp.ConvLNP",
    "partialconv": "landsat_fill.networks.partialconv.PartialConv",
    "unet": "landsat_fill.networks.unet.UNet",
}
"""Each network's class; the dataclass of its settings is beside it, and its name ends in `Settings`."""


def network_names() -> tuple[str, ...]:
    """Return the names of all networks, in alphabetical order."""
    return tuple(sorted(_CLASSES))


def build_network(name: str, settings: Mapping[str, object] | None = None) -> Network:
    """Return a network with fresh weights.

    Args:
        name: A network's name.
        settings: Values by field of its settings; the rest are at their defaults.

    Raises:
        UsageError: If the network, or a setting of it, doesn't exist, has another type or can't be meant.
        MissingPackageError: If torch isn't installed.
    """
    network, settings_kind = _found(name)
    known = {field.name: field for field in fields(settings_kind)}
    values = dict(settings or {})
    for key, value in values.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise UsageError(
                f"expected a setting of the network {name}, but got {key!r}",
                hint=f"{hint}its settings: {', '.join(known)}",
            )
        kind = type(known[key].default)
        if kind is float and type(value) is int:
            values[key] = float(value)
        elif type(value) is not kind:
            raise UsageError(f"expected the setting {key} to be {kind.__name__}, but got {value!r}")
        require_allowed(known[key], value)
    return cast("Network", network(settings_kind(**values)))


def settings_of(network: Network) -> dict[str, object]:
    """Return a network's settings by name, which `build_network` makes the same network from."""
    return asdict(network.settings)


def name_of(network: Network) -> str:
    """Return the name of a network's kind.

    Raises:
        UsageError: If it isn't in the catalogue.
    """
    kind = type(network)
    path = f"{kind.__module__}.{kind.__qualname__}"
    for name, home in _CLASSES.items():
        if home == path:
            return name
    raise UsageError(f"expected a network of the catalogue, but got {path}")


def _found(name: str) -> tuple[Any, Any]:
    """Return the class of a network, and that of its settings."""
    if name not in _CLASSES:
        near = difflib.get_close_matches(name.lower(), _CLASSES, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UsageError(
            f"expected the name of a network, but got {name!r}",
            hint=f"{hint}the networks: {', '.join(network_names())}",
        )
    import_torch()
    module_name, _, class_name = _CLASSES[name].rpartition(".")
    module = importlib.import_module(module_name)
    return getattr(module, class_name), getattr(module, f"{class_name}Settings")
