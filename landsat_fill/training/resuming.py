"""What a run goes on with: the settings it began with, but for how long it lasts and where."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from landsat_fill.errors import UsageError
from landsat_fill.networks.catalogue import build_network
from landsat_fill.networks.weights_file import read_weights_file
from landsat_fill.training.beginning import BEGAN_FROM
from landsat_fill.training.run_file import read_run_file
from landsat_fill.training.settings import NetworkSettings, TrainingSettings, changed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from landsat_fill.networks.interface import Network
    from landsat_fill.training.run_folder import RunFolder

_FREE = ("budget.", "machine.", "validation.patience")
"""What may change from sitting to sitting: how long it lasts, and where."""


def continued(settings: TrainingSettings, folder: RunFolder) -> tuple[Network, Mapping[str, str]]:
    """Return the network of a run that goes on, as it was built, and what the run wrote down of its origin.

    The file it once began from isn't looked at: it may have gone, or changed.

    Args:
        settings: Those asked for; sizes and settings of the network that are left open are the run's own.
        folder: The run's.

    Raises:
        UsageError: If the settings are another run's.
        InputError: If the run's can't be read.
    """
    own = changed(TrainingSettings(), read_run_file(folder.settings), str(folder.settings))
    _require_same(settings, own, folder)
    facts = read_weights_file(folder.last).facts
    origin = {key: value for key, value in facts.items() if key == BEGAN_FROM}
    # Of those asked for only unknown ones are left to differ, which are refused here.
    return build_network(own.network.name, {**own.network.options, **settings.network.options}), origin


def _require_same(settings: TrainingSettings, own: TrainingSettings, folder: RunFolder) -> None:
    """Raise UsageError for a setting that makes it another run."""
    of_run = dict(_named(own))
    for name, value in _named(settings):
        is_open = name == "data.size_px" and not value
        if is_open or name.startswith(_FREE) or of_run.get(name, value) == value:
            continue
        raise UsageError(
            f"expected {name} to stay {of_run[name]!r} in a run that goes on, but got {value!r}",
            hint=f"begin another run from what it has learned, with --weights {folder.last}; "
            "only budget, machine and validation.patience may change",
        )


def _named(owner: Any, table: str = "") -> Iterator[tuple[str, object]]:
    """Yield every setting with its name, as `-O` takes it."""
    for f in fields(owner):
        value = getattr(owner, f.name)
        if isinstance(value, NetworkSettings):
            yield "network.name", value.name
            for key, option in value.options.items():
                yield f"network.{key}", option
        elif is_dataclass(value):
            yield from _named(value, f"{f.name}.")
        else:
            yield table + f.name, value
