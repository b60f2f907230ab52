"""What tests of several folders need: data, tiny weights, and ways to run the command line."""

from __future__ import annotations

import gc
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import numpy as np
import pytest
from hypothesis.configuration import set_hypothesis_home_dir
from making import landscape, stripes, write_geotiff
from rasterio.transform import Affine
from typer.testing import CliRunner

from landsat_fill.io import find_inputs, open_input
from landsat_fill.networks import weights

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from landsat_fill.scene import Scene


hypothesis.settings.register_profile(
    "steady",
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],  # a busy machine is no defect
)
hypothesis.settings.load_profile("steady")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the folders whose single tests take longest, so that both processes end at about the same time."""
    longest = [Path(__file__).parent / name for name in ("training", "cli", "methods")]
    items.sort(
        key=lambda item: next((n for n, folder in enumerate(longest) if folder in item.path.parents), len(longest))
    )


def pytest_collection_finish() -> None:
    """Look for garbage again, but not among tests and modules, which are many and stay."""
    gc.freeze()
    gc.enable()


def pytest_configure(config: pytest.Config) -> None:
    """Keep what libraries write beside the tests in a folder of its own, which the test processes share."""
    gc.disable()  # until the tests are collected
    if hasattr(config, "workerinput"):  # a test process of pytest-xdist, which has inherited the environment
        set_hypothesis_home_dir(os.environ["HYPOTHESIS_STORAGE_DIRECTORY"])
        sys.dont_write_bytecode = True
        return
    folder = Path(tempfile.mkdtemp(prefix="landsat-fill-tests-"))
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    os.environ["OMP_NUM_THREADS"] = "1"  # there are two test processes, and more threads than cores only wait
    # Loops are compiled, and fonts are listed, once for all.
    os.environ["NUMBA_CACHE_DIR"] = str(folder / "numba")
    os.environ["MPLCONFIGDIR"] = str(folder / "matplotlib")
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(folder / "hypothesis")
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    set_hypothesis_home_dir(folder / "hypothesis")
    sys.dont_write_bytecode = True


ROOT = Path(__file__).resolve().parents[1]
REAL_DATA = ROOT.parent / "shared" / "data"
SAMPLES = ROOT / "sample_data"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of real Landsat files, which only tests marked `real_data` need."""
    assert REAL_DATA.is_dir(), f"expected the real Landsat files in {REAL_DATA}"
    return REAL_DATA


@pytest.fixture(scope="session")
def samples() -> Path:
    """Return the folder of the generated sample scenes."""
    return SAMPLES


@pytest.fixture
def sample_maker(monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the modules that generate the samples importable, and return their folder."""
    monkeypatch.syspath_prepend(str(SAMPLES))
    return SAMPLES


TINY_NETWORKS = {
    "band-unet": ("band-unet", {"band_channels": 8, "channels": 8, "trunk_blocks": 1, "exit_blocks": 1}),
    "convcnp": ("convcnp", {"channels": 8, "blocks": 1, "kernel_px": 3, "context_kernel_px": 3}),
    "convlnp-64": ("convlnp", {"channels": 8, "blocks": 1, "kernel_px": 3, "context_kernel_px": 3}),
    "convlnp-128": ("convlnp", {"channels": 8, "blocks": 1, "kernel_px": 3, "context_kernel_px": 3}),
    "partialconv": ("partialconv", {"channels": 8, "halvings": 2}),
    "unet": ("unet", {"channels": 8, "halvings": 2}),
}


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of tiny untrained weights, listed as shipped ones are."""

    import torch

    from landsat_fill.networks.catalogue import build_network
    from landsat_fill.training.run_folder import save_network

    folder = tmp_path_factory.mktemp("models")
    lines = []
    for name, (network, settings) in TINY_NETWORKS.items():
        torch.manual_seed(1)
        built = build_network(network, settings)
        for parameter in built.parameters():
            parameter.data *= 0.2  # untrained partial convolutions answer with thousands of deviations
            if not parameter.any():
                parameter.data.normal_(0, 0.05)  # what is silent at first would hide a leak
        path = folder / f"{name}.safetensors"
        save_network(path, built, {"trained_on": "nothing", "licence": "MIT"})
        lines.append(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n")
    (folder / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")
    return folder


@pytest.fixture
def tiny_models(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the tiny weights stand for the shipped ones, and return their folder."""
    monkeypatch.setattr(weights, "shipped_folder", lambda: tiny_folder)
    return tiny_folder


@dataclass(frozen=True)
class Written:
    """A scene, its file and what it holds."""

    path: Path
    scene: Scene
    values: NDArray[np.generic]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Written]:
    """Return a function that writes a scene: `east_km` moves it, None leaves it without coordinates."""

    def write_here(
        name: str = "clean",
        shape: tuple[int, int, int] = (4, 100, 120),
        dtype: str = "uint8",
        *,
        east_km: float | None = 0.0,
        seed: int = 0,
        missing: NDArray[np.bool_] | None = None,
        nodata: float | None = None,
    ) -> Written:
        values = landscape(shape, dtype, seed)
        if missing is not None:
            values[missing] = nodata
        path = tmp_path / f"{name}.tif"
        corner = Affine(30, 0, 500_000 + 1000 * (east_km or 0), 0, -30, 4_000_000)
        where = {"georeferenced": False} if east_km is None else {"crs": "EPSG:32650", "transform": corner}
        write_geotiff(path, values, nodata=nodata, **where)
        return Written(path, reopened(path), values)

    return write_here


def reopened(path: Path) -> Scene:
    """Return a file's scene."""
    found, bad = find_inputs([str(path)])
    assert not bad
    return open_input(found[0])[0]


@pytest.fixture
def slc_off(write: Callable[..., Written]) -> Written:
    """Return a scene with stripes in its three bands."""
    shape = (3, 200, 230)
    return write("slc_off", shape, missing=stripes(shape, 7), nodata=0, east_km=900.0)


@pytest.fixture(scope="session")
def clean_scenes(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("clean")
    paths = []
    for number in range(2):
        rows, cols = np.mgrid[:72, :80]
        hills = np.sin(rows / 9 + number) * np.cos(cols / (7 + number))
        noise = np.random.default_rng(number).normal(0, 0.1, (3, 72, 80))
        cube = (120 + 60 * hills + 20 * noise + 10 * np.arange(3)[:, None, None]).astype(np.uint8)
        path = folder / f"place{number}.tif"
        write_geotiff(path, cube, transform=Affine(30, 0, 400_000 + 90_000 * number, 0, -30, 1_200_000))
        paths.append(str(path))
    return paths


@dataclass(frozen=True)
class Ended:
    """How a call of the command line ended."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        return self.out + self.err

    @property
    def err_in_a_line(self) -> str:
        """Standard error without the box that Typer draws, which breaks lines."""
        return " ".join(self.err.replace("│", " ").split())


@pytest.fixture(scope="session")
def run() -> Callable[..., Ended]:
    """Return a function that runs a command in this process."""
    from landsat_fill.cli.app import app

    def run_here(*arguments: object) -> Ended:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        ended = Ended(result.exit_code, result.stdout, result.stderr)
        assert "Traceback" not in ended.said or "--debug" in arguments
        return ended

    return run_here


@pytest.fixture(scope="session")
def spawn() -> Callable[..., Ended]:
    """Return a function that runs a command in a process of its own."""

    def run_apart(*arguments: object, **options: object) -> Ended:
        command = [sys.executable, "-m", "landsat_fill", *map(str, arguments)]
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, **options)
        ended = Ended(result.returncode, result.stdout, result.stderr)
        assert "Traceback" not in ended.said or "--debug" in arguments
        return ended

    return run_apart
