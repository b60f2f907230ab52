"""The manifest of a dataset's folder, read and written.

    manifest.json                   the content of the folder, and its sources
    scenes/000_NAME.npy             patches (patch, band, row, col), in the scene's own data type
    scenes/000_NAME.observed.npy    which pixels are observations, as bits; only where not all are
    gaps/000_NAME.npy               missing pixels of a real SLC-off scene, (crop, band, row, byte), as bits

`.npy` files are memory-mapped, so nothing is decompressed, and all workers share the cache of the operating
system. A patch is read fifty times as fast as a window of a compressed GeoTIFF
(tests/benchmarks/bench_patches.py).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from landsat_fill.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path


FORMAT = "landsat-fill-dataset/1"
"""Version of the format; other versions aren't read."""

MANIFEST_NAME = "manifest.json"


@dataclass(frozen=True, slots=True)
class BandFacts:
    """One band of a scene in a dataset; statistics of the observed pixels, in stored numbers.

    Attributes:
        name: Name of the band.
        mean: Mean.
        std: Standard deviation.
        min: Smallest number.
        max: Largest number.
        squared_step: Mean squared difference of pixels a few rows apart; see `error_scale`.
    """

    name: str
    mean: float
    std: float
    min: float
    max: float
    squared_step: float


@dataclass(frozen=True, slots=True)
class SceneFacts:
    """One scene of a dataset.

    Attributes:
        name: Name of the scene.
        source: The source file or product.
        sensor: `LE07`, `LT05`, …, or None.
        acquired: The day, `2001-06-10`, or None.
        dtype: Data type of its numbers.
        pixel_m: Pixel size in metres, or None.
        lon: Longitude of its centre, or None.
        lat: Latitude of its centre, or None.
        fold: Its fold, from 0.
        patches: Number of patches.
        values: File of the patches.
        observed: File of the observed pixels, or None if all pixels are observed.
        bands: The bands.
    """

    name: str
    source: str
    sensor: str | None
    acquired: str | None
    dtype: str
    pixel_m: float | None
    lon: float | None
    lat: float | None
    fold: int
    patches: int
    values: str
    observed: str | None
    bands: tuple[BandFacts, ...]


@dataclass(frozen=True, slots=True)
class GapFacts:
    """The gaps of one real scene in a dataset.

    Attributes:
        name: The scene's name.
        source: The source file or product.
        bands: Number of bands.
        crops: Number of crops.
        missing_share: Share of the crops' pixels that are missing, 0 to 1.
        file: File of the crops.
    """

    name: str
    source: str
    bands: int
    crops: int
    missing_share: float
    file: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """The content of a dataset.

    Attributes:
        version: The version of landsat-fill that made the dataset.
        command: The command that made the dataset.
        size_px: Side of a patch and of a crop of gaps.
        stride_px: Distance from one patch to the next.
        max_missing: Largest unobserved share of a patch in any band.
        folds: Number of folds.
        scenes: The scenes.
        gaps: The gaps of real scenes.
    """

    version: str
    command: str
    size_px: int
    stride_px: int
    max_missing: float
    folds: int
    scenes: tuple[SceneFacts, ...]
    gaps: tuple[GapFacts, ...]

    def as_json(self) -> str:
        """Return the content of the manifest's file."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1) + "\n"


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of a dataset.

    Raises:
        InputError: If the folder has no manifest that this version can read.
    """
    path = folder / MANIFEST_NAME
    try:
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        form = facts.pop("format")
        if form == FORMAT:
            scenes = tuple(
                SceneFacts(**{**scene, "bands": tuple(BandFacts(**band) for band in scene["bands"])})
                for scene in facts.pop("scenes")
            )
            gaps = tuple(GapFacts(**one) for one in facts.pop("gaps"))
            return Manifest(**facts, scenes=scenes, gaps=gaps)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"expected a dataset with {MANIFEST_NAME}, but {folder} has none that can be read",
            hint="Give the folder that `landsat-fill dataset` wrote.",
        ) from error
    raise InputError(
        f"expected a dataset of the format {FORMAT}, but {folder} has {form}",
        hint="Make it again with this version of landsat-fill.",
    )
