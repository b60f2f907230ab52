"""One acquisition: its bands on one grid, and what is known about it. No pixel is read here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

    from landsat_fill.scene.bands import Band
    from landsat_fill.scene.grid import Grid


@dataclass(frozen=True, slots=True)
class SceneBand:
    """One band of a scene: where it is stored, and how its numbers are to be read.

    Attributes:
        dataset: What GDAL opens: a path, a URL or a `/vsi…` path.
        index: The band's number in that dataset, from 1.
        name: Its name for people: `B4`, or the band description, or `band 2`.
        dtype: numpy name of its data type.
        nodata: The stored number that means "no observation" (NaN for NaN), or None where a mask or an
            alpha band alone says it.
        valid_range: Smallest and largest number a filled pixel may have, in stored numbers.
        band: The sensor's band, where it is known.
        gap_mask: The USGS gap_mask file of this band (0 is missing), or None.
        file_name: The name of the band's own file in its product, however `dataset` spells the way there.
    """

    dataset: str
    index: int
    name: str
    dtype: str
    nodata: float | None
    valid_range: tuple[float, float]
    band: Band | None = None
    gap_mask: str | None = None
    file_name: str | None = None


@dataclass(frozen=True, slots=True)
class QualityBand:
    """A quality band on the scene's grid: `kind` is QA_PIXEL, BQA, pixel_qa, cfmask or QA_RADSAT."""

    kind: str
    dataset: str


@dataclass(frozen=True, slots=True)
class Scene:
    """The bands of one acquisition that share a grid.

    Attributes:
        name: What the scene is called in reports and file names.
        source: What the user named: a file, a folder or an archive.
        bands: The bands that are filled together, in the order they are stored.
        grid: Their common grid.
        quality: Quality bands on the same grid.
        sensor: `LE07`, `LT05`, `LC08`, …, or None.
        acquired: The day of acquisition, or None.
        slc_off: Whether the scan line corrector was off; None where neither metadata nor date tells.
        documents: Text files that belong to the scene (MTL), by name, with their content.
    """

    name: str
    source: Path | str
    bands: tuple[SceneBand, ...]
    grid: Grid
    quality: tuple[QualityBand, ...] = ()
    sensor: str | None = None
    acquired: date | None = None
    slc_off: bool | None = None
    documents: dict[str, str] = field(default_factory=dict)
