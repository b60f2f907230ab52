"""Small archives, a way to call the command line, and a real Slurm of one node, where there can be one."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from making import write_geotiff
from rasterio.transform import Affine

import landsat_fill

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE_S = 240
"""Nothing depends on it where all is well: what is waited for ends a wait."""

MAX_ARRAY_SIZE = 5
"""So small that a handful of tasks doesn't fit into one array."""


@pytest.fixture(scope="session")
def write_scene() -> Callable[..., None]:
    """Return a function that writes a scene of two bands with stripes, another for each seed."""
    return _write_scene


@pytest.fixture
def archive(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes an archive of small striped scenes, some of them corrupt."""

    def make(count: int, *, corrupt: tuple[int, ...] = (), name: str = "scenes") -> Path:
        folder = tmp_path / name
        for number in range(count):
            _write_scene(folder / f"LE07_L1TP_{number:06d}_20100705_20200911_02_T1_crop.tif", number)
        for number in corrupt:
            (folder / f"LE07_L1TP_{number:06d}_20100705_20200911_02_T1_crop.tif").write_text("no raster")
        return folder

    return make


@dataclass
class Cluster:
    """The running cluster, and what tests do with it."""

    slurm: object

    def call(self, *command: str) -> str:
        return self.slurm.call(*command)  # type: ignore[attr-defined]

    def warn(self, task: str) -> None:
        self.slurm.warn(task)  # type: ignore[attr-defined]

    def states(self, job: str) -> dict[str, str]:
        """Return the states of a job's tasks by index; also of those that have ended."""
        lines = self.call("squeue", "--noheader", "--array", "--states=all", f"--jobs={job}", "--format=%K|%T")
        return dict(line.split("|") for line in lines.splitlines())

    def restarts(self, job: str) -> int:
        shown = self.call("scontrol", "show", "job", job)
        return int(shown.partition("Restarts=")[2].split()[0])

    def wait(self, what: Callable[[], bool], seconds: float = PATIENCE_S, *, every: float = 0.2) -> None:
        """Wait until something is so, for as long as a slow and busy machine may need."""
        until = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < until, self.call("squeue", "--array", "--states=all")
            time.sleep(every)

    def wait_for_end(self, *jobs: str, seconds: float = PATIENCE_S) -> None:
        """Wait until jobs have ended, whatever became of them."""
        self.wait(lambda: not self.call("squeue", "--noheader", f"--jobs={','.join(jobs)}"), seconds)


@pytest.fixture(scope="session")
def one_node_slurm() -> object:
    """Return the module that starts a Slurm."""
    path = Path(__file__).with_name("one_node_slurm.py")
    spec = importlib.util.spec_from_file_location("one_node_slurm", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["one_node_slurm"] = module  # its dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def running_slurm(one_node_slurm: object) -> Iterator[object]:
    """Yield a running Slurm, which only tests marked `slurm` need."""
    folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))
    try:
        running = one_node_slurm.start(folder, max_array_size=MAX_ARRAY_SIZE)
        yield running
        running.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def slurm(running_slurm: object, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """Return the running Slurm, with its commands on the search path."""
    for name, value in running_slurm.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", str(Path(landsat_fill.__file__).parents[1]))
    return Cluster(running_slurm)


def _write_scene(path: Path, seed: int, side_px: int = 96) -> None:
    """Write a scene of two bands with stripes, which differs from those of other seeds."""
    row, col = np.mgrid[0:side_px, 0:side_px]
    noise = np.random.default_rng(seed).normal(0, 4, (2, side_px, side_px))
    values = (120 + 60 * np.sin(row / 9 + seed) * np.cos(col / 11) + noise).clip(1, 255).astype(np.uint8)
    values[:, (row + col // 6) % 33 < 5] = 0
    write_geotiff(path, values, nodata=0, transform=Affine(30, 0, 5e5, 0, -30, 12e5 + 3000 * seed))


@pytest.fixture
def make_tif(tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that writes a small scene of that name."""

    def make(name: str) -> Path:
        _write_scene(tmp_path / name, 0)
        return tmp_path / name

    return make
