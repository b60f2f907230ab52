"""What a run begins from: fresh weights, or those of a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from landsat_fill.errors import UsageError
from landsat_fill.networks.catalogue import build_network
from landsat_fill.networks.weights import load_network
from landsat_fill.networks.weights_file import WeightsFile, read_weights_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from landsat_fill.training.settings import TrainingSettings


def begun(settings: TrainingSettings) -> tuple[nn.Module, Mapping[str, str]]:
    """Return the network that a run begins with, ready to learn, and what to write down of its origin.

    Args:
        settings: The run's.

    Raises:
        UsageError: If the network doesn't exist, or the weights to begin from are of another one; of the same
            kind it may have more blocks than they, which begin fresh.
        InputError: If these can't be read.
    """
    asked = settings.network
    if not settings.weights:
        return build_network(asked.name, asked.options), {}
    file = read_weights_file(Path(settings.weights))
    if file.network != asked.name:
        raise UsageError(
            f"expected weights of the network {asked.name} to begin from, "
            f"but {file.path} holds {file.network}",
            hint=f"train {file.network}, or give other --weights",
        )
    known = load_network(file.path, expected_sha256=file.sha256).network
    network = build_network(asked.name, {**file.settings, **asked.options})
    fresh = _taken_over(network, known, file)
    origin = _origin(file) + (f", with {len(fresh)} layers added" if fresh else "")
    return network, {"began_from": origin}


def _taken_over(network: nn.Module, known: nn.Module, file: WeightsFile) -> set[str]:
    """Give a network the weights of one that is the same or smaller; return the layers that stay fresh."""
    try:
        lacking, beyond = network.load_state_dict(known.state_dict(), strict=False)
    except RuntimeError:  # of another shape
        beyond = ["its layers' widths"]
    if beyond:
        raise UsageError(
            f"expected a network with all layers of {file.path} to begin from, "
            f"but got one without {beyond[0]}",
            hint=f"its settings: {file.settings}; a number of blocks may be raised, the rest must stay",
        )
    return {name.rpartition(".")[0] for name in lacking}


def _origin(file: WeightsFile) -> str:
    """Return which weights these are, and how long they had been trained."""
    facts = file.facts
    words = [f"{file.path.name} sha256:{file.sha256}"]
    if "steps" in facts and "minutes" in facts:
        words.append(f"{int(facts['steps']):,} steps in {float(facts['minutes']):.0f} minutes")
    if "began_from" in facts:
        words.append(f"which began from {facts['began_from']}")
    return ", ".join(words)
