"""What a dataset's folder holds: its manifest, read and written.

    manifest.json                   what follows, and where it came from
    scenes/000_NAME.npy             patches (patch, band, row, col), in the scene's own data type
    scenes/000_NAME.observed.npy    which pixels are observations, as bits; only where not all are
    gaps/000_NAME.npy               missing pixels of a real SLC-off scene, (crop, band, row, byte), as bits

Plain `.npy` files are mapped to memory: opening one reads its header, a patch lies in one piece, nothing is
decompressed, and all workers share the operating system's cache of it. A patch comes in a fiftieth of the
time that a window of a compressed GeoTIFF takes (tests/benchmarks/bench_patches.py).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from landsat_fill.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path


FORMAT = "landsat-fill-dataset/1"
"""The version of the folder's form; another one isn't read."""

MANIFEST_NAME = "manifest.json"


@dataclass(frozen=True, slots=True)
class BandFacts:
    """One band of a scene in a dataset; numbers as stored, of the observed pixels of its patches.

    Attributes:
        name: Its name.
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
        name: Its name.
        source: The file or product it was cut from.
        sensor: `LE07`, `LT05`, …, or None.
        acquired: The day, `2001-06-10`, or None.
        dtype: Data type of its numbers.
        pixel_m: Pixel size in metres, or None.
        lon: Longitude of its centre, or None.
        lat: Latitude of its centre, or None.
        fold: The fold it belongs to, from 0.
        patches: How many patches there are.
        values: Their file.
        observed: The file of their observed pixels, or None where all are.
        bands: Its bands.
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
        source: The file or product they were taken from.
        bands: How many bands.
        crops: How many crops.
        missing_share: Share of the crops' pixels that is missing, 0 to 1.
        file: Their file.
    """

    name: str
    source: str
    bands: int
    crops: int
    missing_share: float
    file: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a dataset holds.

    Attributes:
        version: The version of landsat-fill that made it.
        command: The command that did, or what stands for it.
        size_px: Side of a patch and of a crop of gaps.
        stride_px: From one patch to the next.
        max_missing: Share of a patch that may be unobserved in a band.
        folds: How many folds.
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
        InputError: If the folder holds none that this version can read.
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
        f"expected a dataset of the form {FORMAT}, but {folder} has {form}",
        hint="Make it again with this version of landsat-fill.",
    )
