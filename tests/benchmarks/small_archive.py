"""Makes archives of small striped scenes, and starts the Slurm that they are filled on."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from rasterio.crs import CRS
from rasterio.transform import Affine

if TYPE_CHECKING:
    from collections.abc import Iterator

ONE_NODE_SLURM = Path(__file__).resolve().parents[1] / "cluster" / "one_node_slurm.py"
STRIPE_PERIOD_PX, STRIPE_WIDTH_PX = 33, 7


def make_archive(folder: Path, scenes: int, side_px: int, *, distinct: int | None = None) -> list[Path]:
    """Return the files of an archive of scenes of three bands, after writing those that aren't there yet.

    Args:
        folder: Where they lie.
        scenes: How many.
        side_px: Pixels of a side.
        distinct: How many differ; the others are further names of those. All where not given.
    """
    paths = [folder / f"scene_{number:05d}.tif" for number in range(scenes)]
    made = [_scene(path, number, side_px) for number, path in enumerate(paths[:distinct])]
    for number, path in enumerate(paths[len(made) :], start=len(made)):
        if not path.exists():
            path.hardlink_to(made[number % len(made)])
    return paths


def digests(folder: Path) -> dict[str, str]:
    """Return the sha256 of each GeoTIFF below a folder, by its path there."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.tif"))
    }


@contextmanager
def slurm(**options: Any) -> Iterator[Any]:
    """Yield a running Slurm of one node; see `tests/cluster/one_node_slurm.py`."""
    spec = importlib.util.spec_from_file_location("one_node_slurm", ONE_NODE_SLURM)
    if spec is None or spec.loader is None:
        raise SystemExit(f"expected a module at {ONE_NODE_SLURM}")
    module = importlib.util.module_from_spec(spec)
    sys.modules["one_node_slurm"] = module
    spec.loader.exec_module(module)
    with tempfile.TemporaryDirectory(prefix="slurm-", dir="/tmp") as folder:
        running = module.start(Path(folder), **options)
        try:
            yield running
        finally:
            running.stop()


def _scene(path: Path, seed: int, side_px: int) -> Path:
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    row, col = np.mgrid[0:side_px, 0:side_px]
    noise = np.random.default_rng(seed).normal(0, 4, (3, side_px, side_px))
    values = (120 + 60 * np.sin(row / 19 + seed) * np.cos(col / 23) + noise).clip(1, 255).astype(np.uint8)
    values[:, (row + col // 6) % STRIPE_PERIOD_PX < STRIPE_WIDTH_PX] = 0
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 3, "height": side_px, "width": side_px, "nodata": 0}
    where = {"crs": CRS.from_epsg(32637), "transform": Affine(30, 0, 5e5, 0, -30, 12e5)}
    with rasterio.open(path, "w", compress="deflate", **profile, **where) as dataset:
        dataset.write(values)
    return path
