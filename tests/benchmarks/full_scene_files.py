"""The simulated full-size scene that the benchmarks share: made once, then kept."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import ArgumentParser

PROJECT = Path(__file__).resolve().parents[2]
GENERATOR = PROJECT / "sample_data" / "make.py"
REAL_DATA = PROJECT.parent / "shared" / "data"
"""Where real scenes lie beside a checkout; nothing that is needed."""

BANDS = 6
ROWS, COLS = 8000, 7000
DEFAULT_FOLDER = Path(tempfile.gettempdir()) / "landsat-fill-benchmarks"


@dataclass(frozen=True, slots=True)
class FullScene:
    """A simulated scene: uint8, fill 0, six bands, DEFLATE in blocks of 512.

    Attributes:
        path: The scene with its gaps.
        truth: 1 inside the footprint of each band, 0 outside.
        folder: Where both lie, and where results may go.
    """

    path: Path
    truth: Path
    folder: Path


def add_scene_options(parser: ArgumentParser) -> None:
    """Let a benchmark's command line say how large the scene is and where it lies."""
    parser.add_argument("--rows", type=int, default=ROWS, help=f"rows of the scene (default {ROWS})")
    parser.add_argument("--cols", type=int, default=COLS, help=f"columns of the scene (default {COLS})")
    parser.add_argument(
        "--folder", type=Path, default=DEFAULT_FOLDER, help=f"where scenes lie (default {DEFAULT_FOLDER})"
    )


def full_scene(folder: Path, rows: int, cols: int) -> FullScene:
    """Return the scene of a size, made if it isn't there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    scene = FullScene(folder / f"full_{rows}x{cols}.tif", folder / f"truth_{rows}x{cols}.tif", folder)
    if not (scene.path.exists() and scene.truth.exists()):
        making = [folder / f"making_{file.name}" for file in (scene.path, scene.truth)]
        files = ["--full-size", str(making[0]), "--truth", str(making[1])]
        size = ["--rows", str(rows), "--cols", str(cols)]
        subprocess.run([sys.executable, GENERATOR, *files, *size], check=True)
        # Under their names only once they are whole.
        making[0].replace(scene.path)
        making[1].replace(scene.truth)
    return scene
