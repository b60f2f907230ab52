"""Plain values: grids, windows, tiles, gaps, filled pixels, scenes and bands. No pixels are read here."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

from landsat_fill.errors import UsageError

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

    import numpy as np
    from affine import Affine
    from numpy.typing import NDArray
    from rasterio.crs import CRS


class BandRole(Enum):
    """The quantity a band measures. Only bands with the same role are filled together."""

    REFLECTIVE = "reflective"
    THERMAL = "thermal"
    PANCHROMATIC = "panchromatic"


@dataclass(frozen=True, slots=True)
class Band:
    """One band of a sensor.

    Attributes:
        name: Name in a product, without level: `B1`, `B6_VCID_1`.
        colour: Common name: `blue`, `nir`, `swir1`.
        role: The quantity it measures.
        wavelength_um: Lower and upper edge of the band in micrometres.
        pixel_m: Pixel size of the delivered band in metres.
        saturation_bit: Bit in QA_RADSAT, or None.
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
"""The nine bands of the Enhanced Thematic Mapper Plus of Landsat 7."""

TM: tuple[Band, ...] = (*ETM_PLUS[:6], Band("B6", "thermal", BandRole.THERMAL, (10.4, 12.5), 30.0, 5))
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
"""Ground distance between gaps on one side of the swath: 33 rows of 30 m (two scans of 16 lines, retrace)."""


@dataclass(frozen=True, slots=True)
class Grid:
    """A raster grid: size in pixels, and georeferencing if any.

    Attributes:
        height: Rows.
        width: Columns.
        transform: Transform from pixel corner to map coordinates.
        crs: The coordinate reference system, or None.
    """

    height: int
    width: int
    transform: Affine
    crs: CRS | None

    @property
    def pixel_size_m(self) -> float | None:
        """Height of a pixel in metres, or None if it is 0, not finite, or the coordinates aren't projected."""
        if self.crs is None or not self.crs.is_projected:
            return None
        unit_m: float = self.crs.linear_units_factor[1]
        size_m = float((self.transform.b * self.transform.b + self.transform.e * self.transform.e) ** 0.5 * unit_m)
        return size_m if 0 < size_m < math.inf else None

    def cropped(self, window: Window) -> Grid:
        """Return the grid of a window."""
        moved = self.transform @ self.transform.translation(window.col, window.row)
        return Grid(window.height, window.width, moved, self.crs)


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of pixels: first row and column, height and width."""

    row: int
    col: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Slices of rows and columns, to index a `(…, row, col)` array."""
        return slice(self.row, self.row + self.height), slice(self.col, self.col + self.width)

    @property
    def area_px(self) -> int:
        """Number of pixels."""
        return self.height * self.width

    def expanded(self, halo_px: int, height: int, width: int) -> Window:
        """Return the window with a margin of `halo_px` on all sides, clipped to a `height` × `width` grid."""
        top, left = max(self.row - halo_px, 0), max(self.col - halo_px, 0)
        bottom = min(self.row + self.height + halo_px, height)
        right = min(self.col + self.width + halo_px, width)
        return Window(top, left, bottom - top, right - left)

    def shared(self, other: Window) -> Window:
        """Return the window of the pixels that another window holds, too, of no height or width if there are none."""
        row, col = max(self.row, other.row), max(self.col, other.col)
        height = min(self.row + self.height, other.row + other.height) - row
        width = min(self.col + self.width, other.col + other.width) - col
        return Window(row, col, max(height, 0), max(width, 0))

    def within(self, outer: Window) -> Window:
        """Return the same window in coordinates relative to the corner of `outer`."""
        return Window(self.row - outer.row, self.col - outer.col, self.height, self.width)


@dataclass(frozen=True, slots=True)
class Gaps:
    """The missing and the usable pixels: boolean arrays `(band, row, col)`, or `(tile, band, row, col)` for a batch.

    Attributes:
        missing: Pixels inside the footprint without an observation, to be filled.
        usable: Valid pixels: observed pixels that a fill may rely on, never missing ones. All other pixels
            are outside the footprint, or observed but excluded, such as clouds.
    """

    missing: NDArray[np.bool_]
    usable: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Filled:
    """A filled image, in the units of the input image.

    Attributes:
        mean: Float array of the image's shape, meaningful at missing pixels only. NaN means that the method
            found no valid pixels to fill from.
        std: Standard deviation of the same shape, never negative, or None if the method has none.
        realizations: Plausible fills along a leading axis, or None.
        sources: Of the image's shape: the number of the reference, from 1, that weighs most at a missing pixel, or 0
            where the image itself weighs at least half; None without references.
    """

    mean: NDArray[np.floating]
    std: NDArray[np.floating] | None = None
    realizations: NDArray[np.floating] | None = None
    sources: NDArray[np.uint8] | None = None

    def cropped(self, window: Window) -> Filled:
        """Return a window of the image."""
        rows, cols = window.slices
        return Filled(
            self.mean[..., rows, cols],
            None if self.std is None else self.std[..., rows, cols],
            None if self.realizations is None else self.realizations[..., rows, cols],
            None if self.sources is None else self.sources[..., rows, cols],
        )


@dataclass(frozen=True, slots=True)
class Reference:
    """Another acquisition of the place, on the pixel grid of the image that it helps to fill. It is never filled.

    Attributes:
        values: `(tile, band, row, col)`, in the reference's own numbers, undefined where not usable; float32 for a
            method.
        usable: Of the same shape: the pixels that a fill may rely on (observed, clear, and not filled by this tool).
        matches: For each band of the image, the index of the reference band that sees the same part of the
            spectrum, or None. The reference may have further bands.
        date: Day of acquisition, or None if unknown.
        name: Name for messages and tags.
    """

    values: NDArray[Any]
    usable: NDArray[np.bool_]
    matches: tuple[int | None, ...]
    date: date | None = None
    name: str = ""

    def of_tiles(self, tiles: slice) -> Reference:
        """Return the reference of some tiles."""
        return replace(self, values=self.values[tiles], usable=self.usable[tiles])


ONLY = "only"
"""The word among missing numbers by which those of the file itself don't count."""


@dataclass(frozen=True, slots=True)
class MissingNumbers:
    """The stored numbers that mean "no observation" because the user says so.

    Attributes:
        spans: Ranges of numbers: the smallest and the largest of each. A single number is both; NaN is one, too.
        alone: Whether the number that the file itself declares doesn't count.
    """

    spans: tuple[tuple[float, float], ...]
    alone: bool = False

    @property
    def first(self) -> float | None:
        """The first single number, or None if all are ranges."""
        return next((low for low, high in self.spans if not low < high), None)

    def besides(self, number: float | None) -> tuple[tuple[float, float], ...]:
        """Return the ranges, leaving out NaN and the single `number`."""
        return tuple(span for span in self.spans if span[0] <= span[1] and span != (number, number))

    def __str__(self) -> str:
        """Return them as they are typed."""
        texts = [f"{low:.15g}:{high:.15g}" if low < high else str(low) for low, high in self.spans]
        return ", ".join([*texts, *([ONLY] if self.alone else [])])


Nodata = MissingNumbers | float | str | Iterable[float | str] | None
"""What a user may give as missing numbers: 0, "0,255", "250:255", ["0", "nan"]."""


def missing_numbers(given: Nodata, name: str = "nodata") -> MissingNumbers | None:
    """Return the missing numbers that a user gives: numbers, or texts such as `0,255`, `250:255`, `nan`, `0,only`.

    None, and no number at all, give None. `name` is that of the setting.

    Raises:
        UsageError: If one isn't a number or a range.
    """
    if given is None or isinstance(given, MissingNumbers):
        return given
    items = [given] if isinstance(given, str | float | int) else list(given)
    words = [word.strip() for item in items for word in str(item).split(",") if word.strip()]
    spans = tuple(_span(word, name) for word in words if word != ONLY)
    if not spans and words:
        raise UsageError(f"expected numbers beside {ONLY!r} in {name}, but got none", hint="For example 0,only.")
    return MissingNumbers(spans, ONLY in words) if spans else None


def _span(word: str, name: str) -> tuple[float, float]:
    """Return the smallest and largest number of a text like `5` or `0:5`."""
    first, colon, last = word.partition(":")
    try:
        low, high = float(first), float(last if colon else first)
    except ValueError:
        low, high = 1.0, 0.0
    if low > high or (colon and not low <= high):
        raise UsageError(
            f"expected numbers, nan or ranges such as 250:255 for {name}, but got {word!r}",
            hint="Separate several with commas: 0,255.",
        )
    return low, high


@dataclass(frozen=True, slots=True)
class SceneBand:
    """One band of a scene: where it is stored, and what its numbers mean.

    Attributes:
        dataset: The name that GDAL opens: a path, a URL or a `/vsi…` path.
        index: The band's number in that dataset, from 1.
        name: Its name in messages: `B4`, the band description, or `band 2`.
        dtype: numpy name of its data type.
        nodata: The stored number of missing pixels (may be NaN), or None if only a mask or an alpha band
            marks them.
        valid_range: Smallest and largest stored number of a filled pixel.
        band: The sensor's band, or None if unknown.
        gap_mask: The USGS gap_mask file of this band (0 is missing), or None.
        file_name: The name of the band's file in its product, without the path in `dataset`.
        holds_codes: Whether its numbers are classes or flags, which can't be interpolated.
        quantity: What its numbers are, such as `surface reflectance`, or None if nothing says so.
        also_missing: Further stored numbers of missing pixels: smallest and largest number of each range.
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
    quantity: str | None = None
    also_missing: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class QualityBand:
    """A quality band on the scene's grid: `kind` is QA_PIXEL, BQA, pixel_qa, cfmask or QA_RADSAT."""

    kind: str
    dataset: str


class MaskKind(Enum):
    """The numbers that mean "missing" in a mask.

    All but 0; 0, in gap_mask files of USGS; or 2 and above, in the gap layers and fill layers of this package.
    """

    NONZERO = "nonzero"
    ZERO = "zero"
    CODES = "codes"


@dataclass(frozen=True, slots=True)
class MaskBand:
    """A band by which the user says which pixels are missing, on any grid.

    Attributes:
        dataset: The name that GDAL opens.
        index: The band's number in that dataset, from 1.
        bands: Numbers of the scene's bands that it concerns, from 0.
        kind: The numbers that mean "missing".
    """

    dataset: str
    index: int
    bands: tuple[int, ...]
    kind: MaskKind


@dataclass(frozen=True, slots=True)
class Scene:
    """The bands of one acquisition that share a grid.

    Attributes:
        name: Its name in reports and file names.
        source: The file, folder or archive that the user gave.
        bands: The bands that are filled together, in the order they are stored.
        grid: Their common grid.
        quality: Quality bands on the same grid.
        sensor: `LE07`, `LT05`, `LC08`, …, or None.
        acquired: The day of acquisition, or None.
        slc_off: Whether the scan line corrector was off, or None if unknown.
        companions: The other files of its product (metadata, quality bands, angles): the path in `source`, by the
            path in an output folder.
        notes: Remarks for the user on how it was opened, a sentence each.
        masks: What the user says is missing.
        extent: Polygons that the footprint lies in, as GeoJSON geometries in the scene's coordinates, or None.
        part: The part of the grid to write, or None for the whole.
    """

    name: str
    source: Path | str
    bands: tuple[SceneBand, ...]
    grid: Grid
    quality: tuple[QualityBand, ...] = ()
    sensor: str | None = None
    acquired: date | None = None
    slc_off: bool | None = None
    companions: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    masks: tuple[MaskBand, ...] = ()
    extent: tuple[Any, ...] | None = None
    part: Window | None = None


def tile_windows(area: Window, tile_px: int) -> list[Window]:
    """Return windows of at most `tile_px` × `tile_px` that cover `area` once, row by row."""
    end_row, end_col = area.row + area.height, area.col + area.width
    return [
        Window(row, col, min(tile_px, end_row - row), min(tile_px, end_col - col))
        for row in range(area.row, end_row, tile_px)
        for col in range(area.col, end_col, tile_px)
    ]


def strip_windows(height: int, width: int, strip_px: int) -> list[Window]:
    """Return strips of at most `strip_px` rows and the width of the grid, from top to bottom."""
    return [Window(row, 0, min(strip_px, height - row), width) for row in range(0, height, strip_px)]
