"""Plain values: grids, windows, tiles, gaps, filled pixels, scenes and their bands. No pixel is read here."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

    import numpy as np
    from affine import Affine
    from numpy.typing import NDArray
    from rasterio.crs import CRS


class BandRole(Enum):
    """What a band measures, which decides the bands it is filled together with."""

    REFLECTIVE = "reflective"
    THERMAL = "thermal"
    PANCHROMATIC = "panchromatic"


@dataclass(frozen=True, slots=True)
class Band:
    """One band of a sensor.

    Attributes:
        name: The band's name in a product, without level: `B1`, `B6_VCID_1`.
        colour: The field's common name for it: `blue`, `nir`, `swir1`.
        role: What it measures.
        wavelength_um: Lower and upper edge of the band in micrometres.
        pixel_m: Pixel size of the delivered band in metres.
        saturation_bit: Its bit in QA_RADSAT, or None.
    """

    name: str
    colour: str
    role: BandRole
    wavelength_um: tuple[float, float]
    pixel_m: float
    saturation_bit: int | None = None


ETM_PLUS: tuple[Band, ...] = (
    Band("B1", "blue", BandRole.REFLECTIVE, (0.45, 0.52), 30.0, 0),
    Band("B2", "green", BandRole.REFLECTIVE, (0.52, 0.60), 30.0, 1),
    Band("B3", "red", BandRole.REFLECTIVE, (0.63, 0.69), 30.0, 2),
    Band("B4", "nir", BandRole.REFLECTIVE, (0.77, 0.90), 30.0, 3),
    Band("B5", "swir1", BandRole.REFLECTIVE, (1.55, 1.75), 30.0, 4),
    Band("B7", "swir2", BandRole.REFLECTIVE, (2.09, 2.35), 30.0, 6),
    Band("B6_VCID_1", "thermal_low", BandRole.THERMAL, (10.4, 12.5), 30.0, 5),
    Band("B6_VCID_2", "thermal_high", BandRole.THERMAL, (10.4, 12.5), 30.0, 8),
    Band("B8", "pan", BandRole.PANCHROMATIC, (0.52, 0.90), 15.0),
)
"""The nine bands of Landsat 7's Enhanced Thematic Mapper Plus."""

TM: tuple[Band, ...] = (
    *ETM_PLUS[:6],
    Band("B6", "thermal", BandRole.THERMAL, (10.4, 12.5), 30.0, 5),
)
"""The seven bands of the Thematic Mapper of Landsat 4 and 5, which share ETM+'s reflective bands."""

OLI: tuple[Band, ...] = (
    Band("B1", "coastal", BandRole.REFLECTIVE, (0.43, 0.45), 30.0, 0),
    Band("B2", "blue", BandRole.REFLECTIVE, (0.45, 0.51), 30.0, 1),
    Band("B3", "green", BandRole.REFLECTIVE, (0.53, 0.59), 30.0, 2),
    Band("B4", "red", BandRole.REFLECTIVE, (0.64, 0.67), 30.0, 3),
    Band("B5", "nir", BandRole.REFLECTIVE, (0.85, 0.88), 30.0, 4),
    Band("B6", "swir1", BandRole.REFLECTIVE, (1.57, 1.65), 30.0, 5),
    Band("B7", "swir2", BandRole.REFLECTIVE, (2.11, 2.29), 30.0, 6),
    Band("B9", "cirrus", BandRole.REFLECTIVE, (1.36, 1.38), 30.0, 8),
    Band("B10", "thermal1", BandRole.THERMAL, (10.60, 11.19), 30.0),
    Band("B11", "thermal2", BandRole.THERMAL, (11.50, 12.51), 30.0),
    Band("B8", "pan", BandRole.PANCHROMATIC, (0.50, 0.68), 15.0),
)
"""The eleven bands of the OLI and TIRS sensors of Landsat 8 and 9."""

SCAN_PERIOD_M = 990.0
"""Ground distance between two gaps of one side: 16 lines there, 16 back, and the retrace: 33 rows of 30 m."""


@dataclass(frozen=True, slots=True)
class Grid:
    """A raster grid: its size in pixels, and its georeferencing if it has any.

    Attributes:
        height: Rows.
        width: Columns.
        transform: Pixel corner to map coordinates.
        crs: The coordinate reference system, or None.
    """

    height: int
    width: int
    transform: Affine
    crs: CRS | None

    @property
    def pixel_size_m(self) -> float | None:
        """The height of a pixel in metres, or None where the grid isn't a map projection in a length unit."""
        if self.crs is None or not self.crs.is_projected:
            return None
        unit_m: float = self.crs.linear_units_factor[1]
        return float((self.transform.b**2 + self.transform.e**2) ** 0.5 * unit_m)


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of pixels: its first row and column, its height and width, all in pixels."""

    row: int
    col: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """The rows and columns of the window, to index a `(…, row, col)` array."""
        return slice(self.row, self.row + self.height), slice(self.col, self.col + self.width)

    def expanded(self, halo_px: int, height: int, width: int) -> Window:
        """Return the window with a margin of `halo_px` on all sides, cut to a `height` × `width` grid."""
        top, left = max(self.row - halo_px, 0), max(self.col - halo_px, 0)
        bottom = min(self.row + self.height + halo_px, height)
        right = min(self.col + self.width + halo_px, width)
        return Window(top, left, bottom - top, right - left)

    def within(self, outer: Window) -> Window:
        """Return the same pixels in the coordinates of `outer`, whose corner becomes (0, 0)."""
        return Window(self.row - outer.row, self.col - outer.col, self.height, self.width)


@dataclass(frozen=True, slots=True)
class Gaps:
    """Two boolean cubes of one shape, `(band, row, col)`, or `(tile, band, row, col)` for a batch.

    Attributes:
        missing: Pixels inside the footprint without an observation, to be filled.
        usable: Observed pixels that may serve as evidence. Never true where `missing` is. A pixel that is
            neither lies outside the footprint, or is observed but not trusted (a cloud, say).
    """

    missing: NDArray[np.bool_]
    usable: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Filled:
    """A filled image, in the units of the image that was given.

    Attributes:
        mean: Float array of the image's shape. Only its values at missing pixels count; NaN there means
            that the method had no evidence and leaves the pixel unfilled.
        std: Standard deviation of the same shape, never negative, or None where the method has none.
        realizations: Plausible fills along a leading axis, or None where none were asked for.
    """

    mean: NDArray[np.floating]
    std: NDArray[np.floating] | None = None
    realizations: NDArray[np.floating] | None = None


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
        holds_codes: Whether its numbers are classes or flags, between which there is nothing.
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
    holds_codes: bool = False


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
        notes: What a user should know of how it was opened, a sentence each.
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
    notes: tuple[str, ...] = ()


def tile_windows(area: Window, tile_px: int) -> list[Window]:
    """Return the windows of at most `tile_px` × `tile_px` that cover `area`, row by row, none twice."""
    end_row, end_col = area.row + area.height, area.col + area.width
    return [
        Window(row, col, min(tile_px, end_row - row), min(tile_px, end_col - col))
        for row in range(area.row, end_row, tile_px)
        for col in range(area.col, end_col, tile_px)
    ]


def strip_windows(height: int, width: int, strip_px: int) -> list[Window]:
    """Return the strips of at most `strip_px` rows, as wide as the grid, from top to bottom."""
    return [Window(row, 0, min(strip_px, height - row), width) for row in range(0, height, strip_px)]
