"""A network is its file, a method's file and, if it wants one, a recipe: then it trains and fills."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import rasterio

if TYPE_CHECKING:
    from pathlib import Path

NETWORK = """
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from landsat_fill.networks.network import Prediction, SlotNetwork
from landsat_fill.schema import option


@dataclass(frozen=True)
class ToySettings:
    slots: int = option(3, "bands it works at once", low=1)
    kernel_px: int = option(9, "side of its kernel", low=1, parity="odd")


class Toy(SlotNetwork):
    name: ClassVar[str] = "toy"
    settings_kind: ClassVar[type] = ToySettings

    def __init__(self, settings):
        super().__init__(settings.slots, reach_px=settings.kernel_px // 2 + 1)
        self.settings = settings
        self.layer = nn.Conv2d(settings.slots, settings.slots, settings.kernel_px, padding="same")

    def predict_slots(self, signal, observed, noise):
        return Prediction(self.layer(signal))
"""

METHOD = """
from dataclasses import dataclass
from typing import ClassVar

from landsat_fill.methods.learned import LearnedMethod
from landsat_fill.methods.method import MethodInfo


@dataclass(frozen=True)
class ToyMethod(LearnedMethod):
    info: ClassVar[MethodInfo] = MethodInfo(
        "toy", "a single convolution", "a test of 2026", halo_px=48, align_px=8
    )
    network: ClassVar[str] = "toy"
"""

RECIPE = """
[objective]
kind = "distance"
distance = "squared"
"""

ADDED = """
import json
import sys
from pathlib import Path

import landsat_fill.methods, landsat_fill.networks, landsat_fill.training

folder = Path(sys.argv.pop(1))
landsat_fill.networks.__path__.append(str(folder / "networks"))
landsat_fill.methods.__path__.append(str(folder / "methods"))
landsat_fill.training.RECIPES = folder / "recipes"

from typer.testing import CliRunner

from landsat_fill.cli.app import app

for arguments in json.loads(sys.stdin.read()):
    result = CliRunner().invoke(app, arguments)
    print(result.output, "ENDED", sep="")
    if result.exit_code:
        sys.exit(result.exit_code)
"""


def test_a_network_that_was_added_trains_and_fills(tmp_path: Path, clean_scenes: list[str]) -> None:
    for folder, name, text in (
        ("networks", "toy.py", NETWORK), ("methods", "toy.py", METHOD), ("recipes", "toy.toml", RECIPE)
    ):  # fmt: skip
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text(text)
    (tmp_path / "added.py").write_text(ADDED)
    with rasterio.open(clean_scenes[1]) as file:
        cube, profile = file.read(), {**file.profile, "nodata": 0}
    cube[:, 20:26] = 0
    gappy, filled, trained = tmp_path / "gappy.tif", tmp_path / "filled.tif", tmp_path / "run"
    with rasterio.open(gappy, "w", **profile) as file:
        file.write(cube)

    commands = [
        ["train", "--help"],
        [
            "train", "toy", clean_scenes[0], "--validation", clean_scenes[1], "-o", trained, "--steps", 4,
            *("--size", 40, "--batch", 1, "--workers", 0, "--threads", 1, "--device", "cpu"),
            *("-O", "network.kernel_px=5", "-O", "validation.every_steps=4", "-O", "validation.samples=1"),
        ],
        [gappy, "-m", "toy", "--weights", trained / "best.safetensors", "-o", filled, "--device", "cpu"],
    ]  # fmt: skip
    ended = subprocess.run(
        [sys.executable, str(tmp_path / "added.py"), str(tmp_path)],
        input=json.dumps([[str(word) for word in words] for words in commands]),
        capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "COLUMNS": "200"},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "toy" in ended.stdout.partition("ENDED")[0]  # the help
    assert 'distance = "squared"' in (trained / "run.toml").read_text()
    with rasterio.open(filled) as file:
        result = file.read()
    assert result.all()
    np.testing.assert_array_equal(result[cube > 0], cube[cube > 0])
