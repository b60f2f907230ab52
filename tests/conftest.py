"""What several tests need: the real data beside the checkout, where it is, and the generated samples."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from landsat_fill.networks import weights

ROOT = Path(__file__).resolve().parents[1]
REAL_DATA = ROOT.parent / "shared" / "data"
SAMPLES = ROOT / "sample_data"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of real Landsat files; a test that asks for it is passed over where there is none."""
    if not REAL_DATA.is_dir():
        pytest.skip("the real Landsat files are not beside this checkout")
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
    from landsat_fill.training.checkpoints import save_network

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
