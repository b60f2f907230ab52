"""Trains networks: samples of clean scenes with gaps, losses, the training loop and its checkpoints.

The folder `recipes` has a TOML file for each network, with the settings that differ from the defaults.
"""

from __future__ import annotations

from pathlib import Path

RECIPES = Path(__file__).parent / "recipes"

USUAL_STEPS = 20_000
"""Steps of a run without a limit: about an hour on a GPU."""


def recipe_names() -> tuple[str, ...]:
    """Return the networks that have a recipe, in alphabetical order."""
    return tuple(sorted(path.stem for path in RECIPES.glob("*.toml")))
