"""Trains networks: samples of clean scenes under gaps, losses, the loop and its checkpoints.

The folder `recipes` holds a TOML file for each network: where its training departs from the general defaults.
"""

from __future__ import annotations

from pathlib import Path

RECIPES = Path(__file__).parent / "recipes"

USUAL_STEPS = 20_000
"""Steps of a run without a limit: an hour or so on a GPU."""


def recipe_names() -> tuple[str, ...]:
    """Return the networks that have a recipe, in alphabetical order."""
    return tuple(sorted(path.stem for path in RECIPES.glob("*.toml")))
