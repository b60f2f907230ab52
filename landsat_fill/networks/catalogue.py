"""The networks by name, each imported when it is first asked for, and torch with them."""

from __future__ import annotations

import difflib
import importlib
import os
from dataclasses import asdict, field, fields
from typing import TYPE_CHECKING, Any, Literal, cast

from landsat_fill.errors import MissingPackageError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from dataclasses import Field

    from landsat_fill.networks.network import Network


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


MOST_HALVINGS = 9
"""How often a tile can be halved: one of 512 px, as learned methods are given it, is a single pixel then."""

_PARITIES = ("even", "odd")


def count(
    default: int, *, low: int = 1, high: int | None = None, parity: Literal["even", "odd"] | None = None
) -> Any:
    """Return the field of a setting that is a whole number.

    Args:
        default: Its value where nothing else is asked for.
        low: The least it may be.
        high: The most, or None.
        parity: What else it must be.
    """
    return field(default=default, metadata={"low": low, "high": high, "parity": parity})


def require_allowed(setting: Field[Any], value: object) -> None:
    """Refuse a value that the field of a setting, made by `count`, doesn't allow; any other field allows all.

    Raises:
        UsageError: If the network can't be built with it.
    """
    if not isinstance(value, int) or "low" not in setting.metadata:
        return
    low, high, parity = (setting.metadata[key] for key in ("low", "high", "parity"))
    if value >= low and (high is None or value <= high) and parity in (None, _PARITIES[value % 2]):
        return
    wanted = f"at least {low}" if high is None else f"from {low} to {high}"
    if parity:
        wanted = f"{parity} and {wanted}"
    raise UsageError(
        f"expected the setting {setting.name} to be {wanted}, but got {value}",
        hint=f"leave it out for its default, {setting.default}",
    )


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
