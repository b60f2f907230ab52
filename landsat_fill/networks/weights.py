"""Saves a network with all it takes to build it again, and loads it after checking what it is."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from landsat_fill.errors import InputError, LandsatFillError, OutputError
from landsat_fill.networks.catalogue import build_network, name_of, settings_of
from landsat_fill.networks.torch_package import import_torch
from landsat_fill.networks.weights_file import FORMAT, described, weights_content

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    from landsat_fill.networks.interface import Network


@dataclass(frozen=True, slots=True)
class Weights:
    """A network with its weights.

    Attributes:
        network: The network on the CPU, in evaluation mode.
        name: Name of the network.
        facts: What its maker wrote down.
        sha256: Of the file, in hexadecimal.
        path: The file.
    """

    network: Network
    name: str
    facts: Mapping[str, str]
    sha256: str
    path: Path


def save_network(path: Path, network: Network, facts: Mapping[str, str] | None = None) -> None:
    """Write a network's weights, name and settings to a safetensors file, complete or not at all.

    Args:
        path: The file; replaced where there is one.
        network: A network of the catalogue.
        facts: What else is to be known of it, as text by name: `trained_on`, `patch_px`, `scores`, `licence`,
            `std_factor` and so on.

    Raises:
        OutputError: If it can't be written.
        UsageError: If the network isn't in the catalogue.
    """
    metadata = {
        **(facts or {}),
        "format": FORMAT,
        "network": name_of(network),
        "settings": json.dumps(settings_of(network), sort_keys=True),
        "reach_px": str(network.reach_px),
        "size_multiple_px": str(network.size_multiple_px),
    }
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        partial.write_bytes(_safetensors(network, metadata))
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise OutputError(
            f"expected to write {path}, but it failed: {error.strerror}",
            hint="check the folder and its space",
        ) from error


def load_network(path: Path, expected_sha256: str | None = None) -> Weights:
    """Return the network that a file holds.

    Numbers of another precision than the network's are converted.

    Args:
        path: A file that `save_network` wrote.
        expected_sha256: What its sha256 must be, or None to take it as it is.

    Raises:
        InputError: If it can't be read, has another sha256, doesn't fit the network it names, or holds
            numbers that aren't finite.
        MissingPackageError: If torch isn't installed.
    """
    import_torch()
    from safetensors import SafetensorError
    from safetensors.torch import load

    content = weights_content(path)
    file = described(path, content)
    if expected_sha256 is not None and file.sha256 != expected_sha256:
        raise InputError(
            f"expected {path} to have the sha256 {expected_sha256}, but it has {file.sha256}",
            hint="the file was changed or damaged: get it again, or name it with --weights if that is meant",
        )
    try:
        network = build_network(file.network, file.settings)
        given = load(content)
        _require_fit(network, given)
        network.load_state_dict(given)
    except (SafetensorError, RuntimeError, ValueError, LandsatFillError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"expected weights of the network {file.network} in {path}, but they don't fit it: {reason}",
            hint="they may be damaged, or of another version of landsat-fill",
        ) from error
    for name, values in network.state_dict().items():
        if not values.isfinite().all():
            raise InputError(
                f"expected finite numbers in the weights {path}, but {name} has others",
                hint="the training went astray, or the file is damaged: take other weights",
            )
    network.eval().requires_grad_(False)
    return Weights(network, file.network, file.facts, file.sha256, path)


def _require_fit(network: Network, given: Mapping[str, Tensor]) -> None:
    """Raise ValueError with the first tensor that is missing, unknown or of another shape."""
    own = network.state_dict()
    for name in (*own, *given):
        if name not in given:
            raise ValueError(f"{name} is missing")
        if name not in own:
            raise ValueError(f"the network has no {name}")
        shape, found = tuple(own[name].shape), tuple(given[name].shape)
        if found != shape:
            raise ValueError(f"{name} should have the shape {shape}, and has {found}")


def _safetensors(network: Network, metadata: Mapping[str, str]) -> bytes:
    """Return a safetensors file, the same bytes for the same weights and metadata.

    The package safetensors writes metadata in another order every time, so they are put in here.
    """
    from safetensors.torch import save

    content = save({key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()})
    end = 8 + int.from_bytes(content[:8], "little")
    header = {"__metadata__": dict(sorted(metadata.items())), **json.loads(content[8:end])}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the numbers begin at a multiple of 8 bytes
    return len(text).to_bytes(8, "little") + text + content[end:]
