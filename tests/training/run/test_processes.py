"""Several processes train one network, as torchrun starts them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import torch

from landsat_fill.networks.weights import load_network

if TYPE_CHECKING:
    from pathlib import Path


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


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
        command,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("the budget is used") == 1
    assert load_network(run / "best.safetensors").name == "unet"
    assert (run / "log.csv").read_text().count("\n") == 3
