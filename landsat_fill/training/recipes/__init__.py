"""Where the training of a network departs from the general defaults: parts of a run.toml, one a network."""

from __future__ import annotations

from pathlib import Path

RECIPES = Path(__file__).parent

USUAL_STEPS = 20_000
"""Steps of a run without a limit: an hour or so on a GPU."""


def recipe_names() -> tuple[str, ...]:
    """Return the networks that have a recipe, in alphabetical order."""
    return tuple(sorted(path.stem for path in RECIPES.glob("*.toml")))
