"""The learning rate along a run, and the average of the weights."""

from __future__ import annotations

import copy
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import torch

from landsat_fill.networks.weights import read_weights_file
from landsat_fill.training.loop import learning_rate, share_done, update_average
from landsat_fill.training.settings import BudgetSettings, OptimiserSettings

if TYPE_CHECKING:
    from pathlib import Path


def test_the_share_is_that_of_what_ends_first() -> None:
    assert share_done(BudgetSettings(steps=100), 25, 1e6) == 0.25
    assert share_done(BudgetSettings(minutes=10), 10**6, 5) == 0.5
    assert share_done(BudgetSettings(steps=100, minutes=10), 25, 5) == 0.5
    assert share_done(BudgetSettings(steps=100), 200, 0) == 1


def test_cosine_and_exponential_end_at_their_factor() -> None:
    for decay in ("cosine", "exponential"):
        optimiser = OptimiserSettings(learning_rate=2.0, decay=decay, decay_factor=5.0, warm_up_steps=0)
        assert learning_rate(optimiser, 0, 0.2) > learning_rate(optimiser, 0, 0.6)
        assert learning_rate(optimiser, 10, 1.0) == pytest.approx(0.4)
    constant = OptimiserSettings(learning_rate=2.0, decay="none", warm_up_steps=0)
    assert learning_rate(constant, 10, 1.0) == 2.0


def test_the_rate_rises_by_steps_but_no_longer_than_a_tenth_of_the_budget() -> None:
    optimiser = OptimiserSettings(learning_rate=1.0, decay="none", warm_up_steps=99)
    assert learning_rate(optimiser, 0, 0.0) == pytest.approx(0.01)
    assert learning_rate(optimiser, 49, 0.0) == pytest.approx(0.5)
    assert learning_rate(optimiser, 99, 0.0) == 1.0
    assert learning_rate(optimiser, 5, 0.1) == 1.0


def test_the_average_follows_faster_at_first() -> None:
    network = torch.nn.Linear(1, 1)
    with torch.no_grad():
        network.weight.fill_(0.0)
        average = copy.deepcopy(network)
        network.weight.fill_(1.0)
    update_average(average, network, 0.9, 0)
    assert average.weight.item() == pytest.approx(0.9)  # memory 1 / 10
    update_average(average, network, 0.9, 1000)
    assert average.weight.item() == pytest.approx(0.91)  # memory 0.9


def test_the_average_takes_counts_as_they_are() -> None:
    network = torch.nn.BatchNorm2d(2)
    average = copy.deepcopy(network)
    network(torch.randn(2, 2, 4, 4))
    update_average(average, network, 0.99, 0)
    assert average.num_batches_tracked.item() == 1


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


@pytest.mark.slow
@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch trains in one process only")
@pytest.mark.skipif(sys.platform == "win32", reason="torchrun needs a Unix there")
def test_two_processes_make_one_run(tmp_path: Path, clean_scenes: list[str]) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command += ["--master-addr", "127.0.0.1", "--master-port", str(free_port()), "-m", "landsat_fill"]
    command += ["train", "unet", clean_scenes[0], "--validation", clean_scenes[1], "-o", str(run)]
    command += ["--steps", "4", "--size", "40", "--batch", "1", "--workers", "0", "--device", "cpu"]
    command += ["-O", "network.channels=8", "-O", "network.halvings=2", "-O", "validation.every_steps=2"]
    command += ["-O", "validation.samples=1"]
    done = subprocess.run(
        command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("the budget is used") == 1
    assert read_weights_file(run / "best.safetensors").network == "unet"
    assert (run / "log.csv").read_text().count("\n") == 3
