"""What several tests need: the real data beside the checkout, where it is, and the generated samples."""

from __future__ import annotations

from pathlib import Path

import pytest

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
