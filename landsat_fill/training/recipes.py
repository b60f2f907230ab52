"""How each network is trained where nothing else is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from landsat_fill.training.settings import NetworkSettings, TrainingSettings, changed

if TYPE_CHECKING:
    from collections.abc import Mapping

_RECIPES: Mapping[str, Mapping[str, object]] = {
    "convcnp": {
        "data": {"size_px": 64},
        "objective": {"kind": "likelihood"},
        "optimiser": {"learning_rate": 1e-3},
    },
    "convlnp": {
        "data": {"size_px": 64, "batch": 4},
        "objective": {"kind": "likelihood", "samples": 8},
        "optimiser": {"learning_rate": 5e-4},
    },
    "unet": {
        "objective": {"kind": "distance", "distance": "absolute"},
        "optimiser": {"learning_rate": 1e-3},
    },
    "partialconv": {
        "objective": {"kind": "partial-convolution"},
        "optimiser": {"learning_rate": 1e-3},
    },
    "band-unet": {
        "objective": {"kind": "residual", "step_weight": 1.0},
        "optimiser": {"learning_rate": 1e-3, "gradient_norm": 0.5},
    },
}
"""Where a recipe departs from the general defaults.

The rates are for hours, not for the talk's hundreds of epochs; its own way is `--lr 1e-4` (ConvLNP: 5e-4)
with `-O optimiser.decay=exponential -O optimiser.decay_factor=5 -O optimiser.weight_decay=0
-O objective.hidden_weight=1`."""


def recipe(network: str) -> TrainingSettings:
    """Return the settings a network is trained with by default; the general ones where it has no recipe."""
    settings = TrainingSettings(network=NetworkSettings(network))
    return changed(settings, _RECIPES.get(network, {}), f"the recipe of {network}")
