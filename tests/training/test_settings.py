"""Settings: TOML there and back, and words for what can't be meant."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

import pytest

from landsat_fill.errors import InputError, UsageError
from landsat_fill.networks.catalogue import network_classes
from landsat_fill.training.settings import (
    NetworkSettings,
    TrainingSettings,
    changed,
    parse_assignments,
    read_run_file,
    recipe,
    run_file_text,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("network", network_classes())
def test_a_recipe_survives_toml(network: str) -> None:
    settings = changed(
        recipe(network),
        {
            "seed": 7,
            "data": {"paths": ['C:\\data "x"', "é\x7f\n"], "band_counts": [3, 1]},
            "network": {"channels": 16, "averaged": False},
            "optimiser": {"learning_rate": 1e-5},
        },
        "the test",
    )
    text = run_file_text(settings, "a heading\nof two lines")
    assert changed(TrainingSettings(), tomllib.loads(text), "run.toml") == settings


@pytest.mark.parametrize(
    ("tables", "said", "hint"),
    [
        ({"optimizer": {}}, "optimizer", "optimiser"),
        ({"optimiser": {"learning_rat": 1}}, "'learning_rat'", "'learning_rate'"),
        ({"optimiser": 3}, "optimiser", None),
        ({"optimiser": {"learning_rate": "fast"}}, "number", None),
        ({"optimiser": {"learning_rate": float("nan")}}, "learning_rate", None),
        ({"optimiser": {"decay": "linear"}}, "cosine", None),
        ({"data": {"batch": 0}}, "at least 1", None),
        ({"data": {"batch": 2.5}}, "whole number", None),
        ({"data": {"batch": True}}, "whole number", None),
        ({"data": {"band_counts": [3, 0]}}, "band_counts", None),
        ({"data": {"paths": [3]}}, "text", None),
        ({"optimiser": {"average": 1.5}}, "0 to 1", None),
    ],
)
def test_invalid_values_are_refused(tables: dict[str, Any], said: str, hint: str | None) -> None:
    with pytest.raises(UsageError) as caught:
        changed(TrainingSettings(), tables, "run.toml")
    assert said in caught.value.message
    assert "run.toml" in caught.value.message
    if hint:
        assert hint in (caught.value.hint or "")


def test_another_network_takes_none_of_the_options_of_the_first() -> None:
    settings = TrainingSettings(network=NetworkSettings("unet", {"halvings": 2}))
    assert changed(settings, {"network": {"channels": 8}}, "x").network.options == {"halvings": 2, "channels": 8}
    assert changed(settings, {"network": {"name": "convcnp"}}, "x").network.options == {}


def test_assignments_are_toml_or_text() -> None:
    found = parse_assignments(["optimiser.learning_rate=1e-4", "data.band_counts=[6, 1]", "optimiser.decay=none"])
    assert found == {"optimiser": {"learning_rate": 1e-4, "decay": "none"}, "data": {"band_counts": [6, 1]}}
    for bad in ("learning_rate=1", "optimiser.learning_rate", "=3"):
        with pytest.raises(UsageError, match="TABLE"):
            parse_assignments([bad])


def test_a_file_that_is_no_toml(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    with pytest.raises(InputError, match="settings"):
        read_run_file(path)
    path.write_text("[data\n")
    with pytest.raises(InputError, match="TOML"):
        read_run_file(path)
