"""The raster profile: all properties of a raster file that its filled copy keeps.

rasterio's own `profile` keeps size, data type and georeferencing, but drops most other properties.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from affine import Affine
    from rasterio.crs import CRS
    from rasterio.rpc import RPC

    from landsat_fill.scene import Grid, Window


Tags = dict[str, dict[str, str]]
"""Tags by domain; the default domain is the empty string."""

ColourTable = dict[int, tuple[int, int, int, int]]
"""Red, green, blue and opacity, 0 to 255, by pixel value."""

PLAIN_BLOCK_PX = 256
"""Block side of new files: GDAL's default for tiled files."""


@dataclass(frozen=True, slots=True)
class BandProfile:
    """Properties of one band.

    Attributes:
        description: Description, or None.
        scale: Factor from stored to physical numbers.
        offset: Offset added after scaling.
        unit: Unit of the physical numbers, or None.
        colour: Colour interpretation, by rasterio's name: `red`, `gray`, `alpha`, `undefined`.
        colour_table: Colour table, or None.
        tags: Tags by domain.
    """

    description: str | None = None
    scale: float = 1.0
    offset: float = 0.0
    unit: str | None = None
    colour: str = "undefined"
    colour_table: ColourTable | None = None
    tags: Tags = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GroundControlPoint:
    """A pixel position and the map position it belongs to."""

    row: float
    col: float
    x: float
    y: float
    z: float


@dataclass(frozen=True, slots=True)
class RasterProfile:
    """How a GeoTIFF stores its bands. Two files with equal profiles differ in their pixels alone.

    Attributes:
        height: Rows.
        width: Columns.
        dtype: numpy name of the data type of all bands.
        bands: Properties of each band, alpha included.
        nodata: The nodata tag (NaN for NaN), or None.
        crs: Coordinate reference system, or None.
        transform: Transform from pixel corner to map coordinates, or None.
        gcps: Ground control points.
        gcp_crs: Their coordinate reference system, or None.
        rpcs: Rational polynomial coefficients, or None.
        tags: Tags of the dataset by domain.
        masked: Whether the file has a dataset mask.
        misnamed_alpha: Whether the band with colour alpha is in fact an image band.
        photometric: GDAL's PHOTOMETRIC: MINISBLACK, MINISWHITE, RGB, PALETTE, CMYK.
        colour_profile: ICC profile and related values, by the names of GDAL's creation options.
        compression: GDAL's COMPRESS, or None.
        compression_options: Creation options of that compression.
        predictor: TIFF predictor: 1 none, 2 horizontal differences, 3 floating point.
        interleave: `PIXEL` or `BAND`.
        tiled: Whether blocks are tiles rather than strips.
        block_height: Rows of a block.
        block_width: Columns of a block.
        big: Whether it is a BigTIFF.
        sparse: Whether blocks without data are left out of the file.
        bits: Bits per pixel if fewer than the data type's, or None.
        overviews: Reduction factors of the overviews.
        overview_resampling: Resampling of the overviews, by rasterio's name: `nearest`, `average`.
        cloud_optimized: Whether the file is a cloud optimized GeoTIFF.
        notes: Properties of the original file that a copy can't keep, in words.
    """

    height: int
    width: int
    dtype: str
    bands: tuple[BandProfile, ...]
    nodata: float | None = None
    crs: CRS | None = None
    transform: Affine | None = None
    gcps: tuple[GroundControlPoint, ...] = ()
    gcp_crs: CRS | None = None
    rpcs: RPC | None = None
    tags: Tags = field(default_factory=dict)
    masked: bool = False
    misnamed_alpha: bool = False
    photometric: str = "MINISBLACK"
    colour_profile: dict[str, str] = field(default_factory=dict)
    compression: str | None = "DEFLATE"
    compression_options: dict[str, str] = field(default_factory=dict)
    predictor: int = 1
    interleave: str = "BAND"
    tiled: bool = True
    block_height: int = PLAIN_BLOCK_PX
    block_width: int = PLAIN_BLOCK_PX
    big: bool = False
    sparse: bool = False
    bits: int | None = None
    overviews: tuple[int, ...] = ()
    overview_resampling: str = "nearest"
    cloud_optimized: bool = False
    notes: tuple[str, ...] = field(default=(), compare=False)

    @classmethod
    def plain(
        cls, grid: Grid, dtype: str, *, count: int = 1, nodata: float | None = None, descriptions: Sequence[str] = ()
    ) -> RasterProfile:
        """Return the profile of a new file: tiled, DEFLATE, with a predictor.

        Args:
            grid: Its grid.
            dtype: numpy name of its data type.
            count: Number of bands.
            nodata: Its nodata tag.
            descriptions: One description for each band, or nothing.
        """
        names: Sequence[str | None] = descriptions or (None,) * count
        transform = None if grid.transform.is_identity else grid.transform
        return cls(
            height=grid.height,
            width=grid.width,
            dtype=dtype,
            bands=_default_bands(names),
            nodata=nodata,
            crs=grid.crs,
            transform=transform,
            # GDAL reports this tag for every file with a transform or a CRS.
            tags={"": {"AREA_OR_POINT": "Area"}} if transform or grid.crs else {},
            predictor=best_predictor(dtype),
        )

    @property
    def count(self) -> int:
        """Number of bands, alpha included."""
        return len(self.bands)

    @property
    def alpha(self) -> int | None:
        """Number of the alpha band, counted from 1, or None."""
        if self.misnamed_alpha:
            return None
        return next((i for i, band in enumerate(self.bands, 1) if band.colour == "alpha"), None)

    def for_bands(self, indexes: Sequence[int]) -> RasterProfile:
        """Return the profile with the bands of these numbers (from 1), and any alpha band."""
        kept = [*indexes, self.alpha] if self.alpha is not None and self.alpha not in indexes else indexes
        bands = tuple(self.bands[index - 1] for index in kept if index is not None)
        return replace(self, bands=bands, photometric=photometric_of(bands, self.photometric))._storable()

    def for_window(self, window: Window) -> RasterProfile:
        """Return the profile of a file with the pixels of `window`, without overviews."""
        transform = None if self.transform is None else _moved(self.transform, window)
        rpcs = self.rpcs
        if rpcs is not None:
            from attrs import evolve

            rpcs = evolve(rpcs, line_off=rpcs.line_off - window.row, samp_off=rpcs.samp_off - window.col)
        return replace(
            self,
            height=window.height,
            width=window.width,
            transform=transform,
            gcps=tuple(replace(p, row=p.row - window.row, col=p.col - window.col) for p in self.gcps),
            rpcs=rpcs,
            overviews=(),
            cloud_optimized=False,
            block_width=self.block_width if self.tiled else window.width,
            block_height=self.block_height if self.tiled else min(self.block_height, window.height),
        )

    def for_part(self, window: Window) -> RasterProfile:
        """Return the profile of a file with the pixels of `window`, with overviews, cloud optimized if this one is."""
        longest_px = max(window.height, window.width)
        return replace(
            self.for_window(window),
            overviews=tuple(factor for factor in self.overviews if factor < longest_px),
            cloud_optimized=self.cloud_optimized,
        )

    def layer(
        self,
        dtype: str,
        *,
        nodata: float | None = None,
        descriptions: Sequence[str | None] = (None,),
        colour_table: ColourTable | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> RasterProfile:
        """Return the profile of another file with the same grid and blocks, but other bands.

        Args:
            dtype: numpy name of its data type.
            nodata: Its nodata tag.
            descriptions: A description or None for each of its bands.
            colour_table: The colour table of a one-band uint8 or uint16 layer.
            tags: Its dataset tags, which replace all tags of this profile except AREA_OR_POINT.
        """
        kept = {key: value for key, value in self.tags.get("", {}).items() if key == "AREA_OR_POINT"}
        bands = _default_bands(descriptions)
        if colour_table is not None:
            bands = (replace(bands[0], colour="palette", colour_table=colour_table),)
        return replace(
            self,
            dtype=dtype,
            bands=bands,
            nodata=nodata,
            tags={"": {**kept, **(tags or {})}} if kept or tags else {},
            masked=False,
            photometric="MINISBLACK" if colour_table is None else "PALETTE",
            colour_profile={},
            predictor=best_predictor(dtype) if self.predictor > 1 else 1,
            bits=None,
            # Codes must not be averaged.
            overview_resampling="nearest" if colour_table is not None else self.overview_resampling,
            notes=(),
        )._storable()

    def without_statistics(self) -> RasterProfile:
        """Return the profile without STATISTICS_… tags, which filling makes invalid."""

        def kept(tags: Tags) -> Tags:
            rest = {domain: {k: v for k, v in tags[domain].items() if k[:11] != "STATISTICS_"} for domain in tags}
            return {domain: items for domain, items in rest.items() if items}

        return replace(self, bands=tuple(replace(band, tags=kept(band.tags)) for band in self.bands))

    def _storable(self) -> RasterProfile:
        """Return the profile with DEFLATE if its compression can't store these bands."""
        lossless_webp = self.compression == "WEBP" and self.dtype == "uint8" and self.count in (3, 4)
        fax = (self.compression or "").startswith("CCITT") and self.bits != 1
        if (self.compression == "WEBP" and not lossless_webp) or fax:
            return replace(self, compression="DEFLATE", compression_options={}, predictor=best_predictor(self.dtype))
        return self


def best_predictor(dtype: str) -> int:
    """Return the TIFF predictor for images of this data type: 3 for floats, 2 for integers."""
    return 3 if dtype.startswith("float") else 2


def photometric_of(bands: Sequence[BandProfile], fallback: str = "MINISBLACK") -> str:
    """Return GDAL's PHOTOMETRIC for these colours; a `fallback` of MINISWHITE is kept for gray bands."""
    colours = tuple(band.colour for band in bands)
    if any(band.colour_table is not None for band in bands[:1]):
        return "PALETTE"
    if colours[:3] == ("red", "green", "blue"):
        return "RGB"
    if colours[:4] == ("cyan", "magenta", "yellow", "black"):
        return "CMYK"
    return "MINISWHITE" if fallback == "MINISWHITE" else "MINISBLACK"


def _moved(transform: Affine, window: Window) -> Affine:
    """Return the transform with its origin at the corner of `window`."""
    from affine import Affine

    # affine 2 and 3 use different operators to multiply two transforms.
    x = transform.c + transform.a * window.col + transform.b * window.row
    y = transform.f + transform.d * window.col + transform.e * window.row
    return Affine(transform.a, transform.b, x, transform.d, transform.e, y)


def _default_bands(descriptions: Sequence[str | None]) -> tuple[BandProfile, ...]:
    """Return bands with these descriptions, and the colours of a TIFF that defines none."""
    return tuple(
        BandProfile(description=text, colour="undefined" if i else "gray") for i, text in enumerate(descriptions)
    )
