"""A network is its file, a method's file and, if it wants one, a recipe: then it trains and fills."""

from __future__ import annotations

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
import sys
from pathlib import Path

import landsat_fill.methods, landsat_fill.networks, landsat_fill.training

folder = Path(sys.argv.pop(1))
landsat_fill.networks.__path__.append(str(folder / "networks"))
landsat_fill.methods.__path__.append(str(folder / "methods"))
landsat_fill.training.RECIPES = folder / "recipes"

from landsat_fill.__main__ import main

main()
"""


def test_a_network_that_was_added_trains_and_fills(tmp_path: Path, clean_scenes: list[str]) -> None:
    for folder, name, text in (
        ("networks", "toy.py", NETWORK), ("methods", "toy.py", METHOD), ("recipes", "toy.toml", RECIPE)
    ):  # fmt: skip
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text(text)
    (tmp_path / "added.py").write_text(ADDED)

    def run(*arguments: object) -> str:
        command = [sys.executable, str(tmp_path / "added.py"), str(tmp_path), *map(str, arguments)]
        paths = os.pathsep.join(path for path in sys.path if path)
        environment = {**os.environ, "PYTHONPATH": paths, "COLUMNS": "200"}
        ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    assert "toy" in run("train", "--help")
    folder = tmp_path / "run"
    run(
        "train", "toy", clean_scenes[0], "--validation", clean_scenes[1], "-o", folder, "--steps", 4,
        *("--size", 40, "--batch", 1, "--workers", 0, "--threads", 1, "--device", "cpu"),
        *("-O", "network.kernel_px=5", "-O", "validation.every_steps=4", "-O", "validation.samples=1"),
    )  # fmt: skip
    assert 'distance = "squared"' in (folder / "run.toml").read_text()

    with rasterio.open(clean_scenes[1]) as file:
        cube, profile = file.read(), {**file.profile, "nodata": 0}
    cube[:, 20:26] = 0
    gappy, filled = tmp_path / "gappy.tif", tmp_path / "filled.tif"
    with rasterio.open(gappy, "w", **profile) as file:
        file.write(cube)
    run(gappy, "-m", "toy", "--weights", folder / "best.safetensors", "-o", filled, "--device", "cpu")
    with rasterio.open(filled) as file:
        result = file.read()
    assert result.all()
    np.testing.assert_array_equal(result[cube > 0], cube[cube > 0])
