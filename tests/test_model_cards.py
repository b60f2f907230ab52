"""The cards of shipped weights, and the script that writes them."""

from __future__ import annotations

import json
import re
import runpy
import shlex
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from landsat_fill.networks import weights
from landsat_fill.networks.catalogue import build_network
from landsat_fill.networks.weights import load_network
from landsat_fill.training.run_folder import save_network
from landsat_fill.training.settings import changed, parse_assignments, recipe, run_file_text

SCRIPT = Path(__file__).parent / "benchmarks" / "ship_weights.py"
FACTS = {"trained_on": "2 scenes", "objective": "distance", "seed": "0", "steps": "50", "minutes": "0.5"}


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """Return the folder of a run that might have been."""
    folder = tmp_path_factory.mktemp("runs") / "own"
    folder.mkdir()
    network = {"name": "unet", "channels": 8, "most_channels": 8, "halvings": 1}
    tables = {
        "network": network,
        "data": {"paths": ["clean.tif"], "batch": 3},
        "budget": {"steps": 60},
        "objective": {"ms_ssim": 0.25},
    }
    settings = changed(recipe("unet"), tables, "a test")
    (folder / "run.toml").write_text(run_file_text(settings, "landsat-fill 0.1.0, torch 2"), encoding="utf-8")
    log = "step,minutes,loss,validation\n20,0.2,1,0.99\n40,0.4,0.9,0.95\n50,0.5,0.9,\n60,0.6,0.8,0.912\n"
    (folder / "log.csv").write_text(log, encoding="utf-8")
    settings = {key: value for key, value in network.items() if key != "name"}
    save_network(folder / "best.safetensors", build_network("unet", settings), FACTS)
    return folder


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
    """Return a file as `evaluate --json-file` writes it, with the keys that a card needs."""
    path = tmp_path_factory.mktemp("scores") / "scores.json"
    means = {"worst_rmse_ratio": 1.1, "r2": 0.5, "ssim": 0.8, "stripe_index": 0.4, "coverage_90": None}
    rows = [
        {"pattern": pattern, "method": "unet", "failures": 0, "rmse_ratio": ratio, **means}
        for pattern, ratio in (("4 px", 0.8), ("8 px", 1.0), ("all", 0.9))
    ]
    records = [
        {"place": place, "method": "unet", "band": "red", "rmse_ratio": ratio}
        for place, ratio in (("desert", 1.1), ("city", 0.7))
    ]
    found = {
        "reference": "inverse-distance",
        "methods": ["inverse-distance", "unet"],
        "summary": rows,
        "records": records,
    }
    path.write_text(json.dumps(found), encoding="utf-8")
    return path


@pytest.fixture
def ship(monkeypatch):
    """Return a function that runs the script in this process."""
    monkeypatch.syspath_prepend(str(SCRIPT.parent))

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, arguments)])
        runpy.run_path(str(SCRIPT), run_name="__main__")

    return run


def test_a_run_is_shipped_with_its_card(ship, run_folder, scores, tmp_path, monkeypatch):
    (tmp_path / "gone.safetensors").write_bytes(b"damaged")
    (tmp_path / weights.SUMS_NAME).write_text(f"{'0' * 64}  gone.safetensors\n{'1' * 64}  away.safetensors\n")
    ship(run_folder, "--half", "--hardware", "an abacus", "--scores", scores, "--folder", tmp_path)

    monkeypatch.setattr(weights, "shipped_folder", lambda: tmp_path)
    file = weights.shipped_file("unet")
    assert file.facts["scores"].startswith("RMSE 0.900 of fillnodata's (4 px 0.800, 8 px 1.000)")
    assert {"bands", "licence", "trained_on"} <= file.facts.keys()
    # A file that was damaged is not made good by shipping another one.
    sums = (tmp_path / weights.SUMS_NAME).read_text()
    assert sums == f"{'0' * 64}  gone.safetensors\n{file.sha256}  unet.safetensors\n"

    card = weights.shipped_card("unet")
    for said in (file.sha256, "an abacus", "60 steps", "step 50", "float16", "| city | 0.700 |", "MIT"):
        assert said in card
    assert "4.0 % of that error in the last third of the run: 0.9500 became 0.9120" in card
    command = re.search(r"^landsat-fill train .*$", card, re.MULTILINE)[0]
    for words in ("train unet clean.tif", "--steps 60", "-O data.batch=3", "-O objective.ms_ssim=0.25"):
        assert words in command
    assert "-O network.halvings=1" in command
    assert "learning_rate" not in command  # as the recipe has it

    half = load_network(file.path)[0].state_dict()
    whole = load_network(run_folder / "best.safetensors")[0].state_dict()
    for key, values in whole.items():
        assert half[key].dtype == values.dtype
        assert (half[key] - values).abs().max() <= 1e-3 * values.abs().max()


def test_scores_of_another_network_are_refused(ship, run_folder, scores, tmp_path):
    with pytest.raises(SystemExit, match="expected one row of convcnp"):
        ship(run_folder, "--hardware", "", "--scores", scores, "--label", "convcnp", "--folder", tmp_path)
    assert not list(tmp_path.iterdir())


def test_all_that_is_shipped_has_its_card():
    for name in weights.shipped_names():
        file, card = weights.shipped_file(name), weights.shipped_card(name)
        assert card is not None
        assert file.sha256 in card
        assert {"bands", "licence", "scores", "trained_on"} <= file.facts.keys()


@pytest.mark.parametrize("name", weights.shipped_names())
def test_the_commands_of_a_card_can_be_typed(name):
    commands = re.findall(r"^landsat-fill train .*$", weights.shipped_card(name), re.MULTILINE)
    assert commands
    for command in commands:
        words = shlex.split(command)
        options = [word for flag, word in pairwise(words) if flag == "-O"]
        settings = changed(recipe(words[2]), parse_assignments(options), name)
        build_network(settings.network.name, settings.network.options)
