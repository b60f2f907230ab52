"""What a run begins from: fresh weights, or those of a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from landsat_fill.errors import UsageError
from landsat_fill.networks.catalogue import build_network
from landsat_fill.networks.weights import load_network
from landsat_fill.networks.weights_file import WeightsFile, read_weights_file

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from landsat_fill.networks.interface import Network
    from landsat_fill.training.settings import NetworkSettings, TrainingSettings

BEGAN_FROM = "began_from"
"""What the origin of a run's weights is called beside them."""


def begun(settings: TrainingSettings) -> tuple[Network, Mapping[str, str]]:
    """Return the network that a run begins with, ready to learn, and what to write down of its origin.

    Args:
        settings: The run's.

    Raises:
        UsageError: If the network doesn't exist, or the weights to begin from are of another one. It may have
            more of what `growing` names, such as blocks, which begin fresh, and fewer of what `shrinking`
            names: the last ones are left out.
        InputError: If these can't be read.
    """
    asked = settings.network
    if not settings.weights:
        return build_network(asked.name, asked.options), {}
    file = read_weights_file(Path(settings.weights))
    _require_kind(file, asked)
    network = build_network(asked.name, {**file.settings, **asked.options})
    _require_fit(file, asked, network)
    known = load_network(file.path, expected_sha256=file.sha256).network
    # What the file lacks can only be blocks that were added, which say nothing yet.
    lacking, left_out = network.load_state_dict(known.state_dict(), strict=False)
    origin = _origin(file)
    if lacking:
        origin += f", with {_layers(lacking)} layers added"
    if left_out:
        origin += f", with {_layers(left_out)} layers left out"
    return network, {BEGAN_FROM: origin}


def _require_kind(file: WeightsFile, asked: NetworkSettings) -> None:
    """Raise UsageError unless the weights are of the network that was asked for."""
    if file.network != asked.name:
        raise UsageError(
            f"expected weights of the network {asked.name} to begin from, "
            f"but {file.path} holds {file.network}",
            hint=f"train {file.network}, or give other --weights",
        )


def _require_fit(file: WeightsFile, asked: NetworkSettings, network: Network) -> None:
    """Raise UsageError unless the settings asked for are those of the weights, or grow or shrink them."""
    for name, value in asked.options.items():
        own = file.settings.get(name, value)
        raised = name in network.growing and value > own  # type: ignore[operator]  # numbers or switches
        lowered = name in network.shrinking and value < own  # type: ignore[operator]  # numbers
        if value == own or raised or lowered:
            continue
        raise UsageError(
            f"expected weights of a {asked.name} with {name} {value!r} to begin from, "
            f"but {file.path} has {own!r}",
            hint=f"leave network.{name} out: the weights' own settings hold"
            + (", or raise it" if name in network.growing else ""),
        )


def _layers(names: Collection[str]) -> int:
    """Return how many layers some parameters are of."""
    return len({name.rpartition(".")[0] for name in names})


def _origin(file: WeightsFile) -> str:
    """Return which weights these are, and how long they had been trained."""
    facts = file.facts
    words = [f"{file.path.name} sha256:{file.sha256}"]
    if "steps" in facts and "minutes" in facts:
        words.append(f"{int(facts['steps']):,} steps in {float(facts['minutes']):.0f} minutes")
    if BEGAN_FROM in facts:
        words.append(f"which began from {facts[BEGAN_FROM]}")
    return ", ".join(words)
