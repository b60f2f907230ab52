"""Areas that the user gives: masks of missing pixels, the end of the footprint, and the part of a scene to write."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from landsat_fill.errors import InputError, MissingPackageError, UsageError
from landsat_fill.io.archives import is_archive, list_members
from landsat_fill.io.gdal import gdal_errors, gdal_session, is_remote
from landsat_fill.io.reader import opened
from landsat_fill.io.regridding import Regridding
from landsat_fill.io.usgs_names import GZIP_SUFFIX, FileKind, read_name
from landsat_fill.scene import Grid, MaskBand, MaskKind, Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from rasterio.crs import CRS

    from landsat_fill.io.reader import Rasters, StoredReader
    from landsat_fill.scene import Band, Scene


CHECK_CRS = "Check its coordinate reference system."

NAME = "{name}"
"""Stands for the name of a scene in the name of a file."""


@dataclass(frozen=True, slots=True)
class Areas:
    """Areas that the user gives, for any scene.

    Attributes:
        masks: Masks of missing pixels: rasters, folders or archives with gap_mask files, `BAND=RASTER`.
        extent: A file with the polygon at which the footprint ends, or None.
        bbox: West, south, east and north edge of the part to write, or None for the whole scene.
        bbox_crs: The coordinate reference system of `bbox`; None means the scene's.
        window: First column and row, width and height of the part to write, on the scene's first grid; or None.
    """

    masks: tuple[str, ...] = ()
    extent: str | None = None
    bbox: tuple[float, float, float, float] | None = None
    bbox_crs: str | None = None
    window: tuple[int, int, int, int] | None = None

    def facts(self, name: str) -> dict[str, Any]:
        """Return the areas for a scene called `name` as JSON values, each file with its checksum."""
        part = None if self.window is None else f"window {','.join(map(str, self.window))}"
        if self.bbox is not None:
            part = f"bbox {','.join(f'{side:.12g}' for side in self.bbox)}"
            part += f" in {self.bbox_crs}" if self.bbox_crs else ""
        return {
            "masks": [_with_checksum(one.replace(NAME, name)) for one in self.masks],
            "extent": None if self.extent is None else _with_checksum(self.extent.replace(NAME, name)),
            "part": part,
        }

    def of_reference(self, name: str) -> Areas:
        """Return the masks of a reference: those that have `{name}` in their names, where such a file exists."""
        own = (one for one in self.masks if NAME in one and Path(_file_of(one.replace(NAME, name))[1]).exists())
        return Areas(masks=tuple(own))


NO_AREAS = Areas()
"""No areas: whole scenes, without a mask or an extent."""


def as_areas(
    masks: Iterable[str] = (),
    extent: str | Path | None = None,
    bbox: str | Iterable[float] | None = None,
    bbox_crs: str | None = None,
    window: str | Iterable[int] | None = None,
) -> Areas:
    """Return areas from what a user typed, or from sequences of numbers; see `Areas`.

    Raises:
        UsageError: If a value isn't allowed, or a file doesn't exist.
    """
    masks, extent = tuple(masks), None if extent is None else str(extent)
    for one in (*masks, *([] if extent is None else [extent])):
        path = _file_of(one)[1]
        if NAME not in one and not is_remote(path) and not Path(path).exists():
            raise UsageError(
                f"expected a file for --{'mask' if one in masks else 'extent'}, but got nothing at {path}",
                hint="Check the path.",
            )
    box = _numbers("bbox W,S,E,N", bbox)
    pixels = _numbers("window COL,ROW,WIDTH,HEIGHT", window)
    if box is not None and not (box[0] < box[2] and box[1] < box[3]):
        raise UsageError(
            "expected --bbox as west, south, east, north with west < east and south < north, but got "
            + ", ".join(f"{side:.10g}" for side in box),
            hint="Check the order of the numbers.",
        )
    if pixels is not None and not (all(one.is_integer() and one >= 0 for one in pixels) and min(pixels[2:]) >= 1):
        raise UsageError(
            "expected --window as column, row, width, height in whole pixels, but got "
            + ", ".join(f"{one:.10g}" for one in pixels),
            hint="The first column and row are 0; width and height are at least 1.",
        )
    if box is not None and pixels is not None:
        raise UsageError("expected --bbox or --window, but got both", hint="Leave one of them out.")
    if bbox_crs is not None:
        if box is None:
            raise UsageError("expected --bbox-crs together with --bbox, but got it alone", hint="Add --bbox W,S,E,N.")
        _crs(bbox_crs)
    whole = None if pixels is None else (int(pixels[0]), int(pixels[1]), int(pixels[2]), int(pixels[3]))
    return Areas(masks, extent, box, bbox_crs, whole)


def _numbers(name: str, given: str | Iterable[float] | None) -> tuple[float, float, float, float] | None:
    """Return four numbers, or None for None."""
    if given is None:
        return None
    try:
        first, second, third, fourth = map(float, given.split(",") if isinstance(given, str) else given)
    except (TypeError, ValueError):
        first = second = third = fourth = math.nan
    found = first, second, third, fourth
    if not all(map(math.isfinite, found)):
        raise UsageError(f"expected --{name}, four numbers, but got {given!r}", hint="Separate them with commas.")
    return found


def _crs(text: str) -> CRS:
    from rasterio.crs import CRS
    from rasterio.errors import CRSError

    try:
        with gdal_session():
            return CRS.from_user_input(text)
    except CRSError:
        raise UsageError(
            f"expected a coordinate reference system, but got {text!r}", hint="Give a code such as EPSG:4326."
        ) from None


def with_areas(scenes: Sequence[Scene], areas: Areas, name: str, rasters: Rasters | None = None) -> tuple[Scene, ...]:
    """Return the scenes of one input with the areas on their grids.

    Args:
        scenes: The scenes.
        areas: The areas that the user gives.
        name: The name of the input, for `{name}` in names of files.
        rasters: The open rasters, kept for later readers; None closes them.

    Raises:
        InputError: If an area doesn't fit a scene, or its file can't be read.
    """
    masks: list[list[MaskBand]] = [[] for _ in scenes]
    for text in areas.masks:
        label, path = _file_of(text.replace(NAME, name))
        found = [_mask_bands(scene, path, label, rasters) for scene in scenes]
        if not any(found):
            wanted = f"band {label}" if label else "the band of a gap_mask file"
            raise InputError(
                f"expected {wanted} of {path} in {name}, but got only "
                + ", ".join(band.name for scene in scenes for band in scene.bands),
                hint="Check the names of bands and files.",
            )
        for known, more in zip(masks, found, strict=True):
            known += more
    polygons = None if areas.extent is None else _read_polygons(areas.extent.replace(NAME, name))
    corners = _corners(scenes[0], areas)
    return tuple(
        replace(
            scene,
            masks=tuple(own),
            extent=None if polygons is None else _on_grid(polygons, scene),
            part=None if corners is None else _window_of(corners, scene),
        )
        for scene, own in zip(scenes, masks, strict=True)
    )


def _file_of(text: str) -> tuple[str, str]:
    """Return the band and the path in `BAND=FILE`; no band if the text is a path."""
    label, equals, path = text.partition("=")
    is_path = not equals or Path(text).exists() or "/" in label
    return ("", text) if is_path else (label, path)


def _mask_bands(scene: Scene, path: str, label: str, rasters: Rasters | None) -> list[MaskBand]:
    """Return the bands of a mask that apply to a scene."""
    place = Path(path)
    if place.is_dir() or is_archive(place):
        found = _gap_masks_in(place, scene.name)
        return [one for dataset, band in found for one in _gap_mask(scene, dataset, band, rasters)]
    if place.is_file() and path.lower().endswith(GZIP_SUFFIX):
        path = f"/vsigzip/{place.absolute()}"
    known = read_name(place.name)
    is_gap_mask = known is not None and known.kind is FileKind.GAP_MASK
    if known is not None and is_gap_mask and not label:
        return _gap_mask(scene, path, known.band, rasters)
    numbers = tuple(
        number
        for number, band in enumerate(scene.bands)
        if not label or label.lower() in {band.name.lower(), str(band.index), band.band.colour if band.band else ""}
    )
    if not numbers:
        return []
    with opened(path, rasters) as raster, raster.in_gdal("the mask"):
        _require_fit(raster, scene, exactly=False)
        is_of_codes = "missing" in raster.dataset.tags().get("CODE_2", "")
        kind = MaskKind.ZERO if is_gap_mask else MaskKind.CODES if is_of_codes else MaskKind.NONZERO
        planes = [index for index in raster.dataset.indexes if index != raster.alpha]
        if len(planes) == 1:
            return [MaskBand(path, planes[0], numbers, kind)]
        stored = [scene.bands[number].index for number in numbers]
        with opened(scene.bands[0].dataset, rasters) as image:
            is_stack = len({band.dataset for band in scene.bands}) == 1
            whole = is_stack and len(planes) == image.dataset.count - (image.alpha is not None)
        if len(planes) == len(numbers):
            stored = list(range(1, len(planes) + 1))
        elif not whole:
            wanted = f"1 band or one for each of the {len(numbers)} bands of {scene.name}"
            raise InputError(
                f"expected a mask with {wanted}, but got {len(planes)} in {path}",
                hint="Write a mask with one band, which applies to all bands of the scene.",
            )
        return [MaskBand(path, planes[at - 1], (number,), kind) for number, at in zip(numbers, stored, strict=True)]


def _gap_masks_in(place: Path, name: str) -> list[tuple[str, Band | None]]:
    """Return the gap_mask files of a scene in a folder or an archive, each with its band.

    Those of another name count if they are of one scene.
    """
    known = [(member.dataset, read_name(member.name)) for member in list_members(place)]
    found = [(dataset, facts) for dataset, facts in known if facts is not None and facts.kind is FileKind.GAP_MASK]
    if not found:
        raise InputError(
            f"expected gap_mask files in {place}, but got none",
            hint="Give the mask itself: in a folder, only files with USGS names (…_GM_B1.TIF) are found.",
        )
    named = read_name(f"{name}.tif")
    wanted = name.upper() if named is None else named.scene_id
    scenes = {facts.scene_id for _, facts in found}
    if wanted not in scenes and len(scenes) > 1:
        raise InputError(
            f"expected gap_mask files of {name} in {place}, but got those of {len(scenes)} other scenes",
            hint="Put those of the scene into a folder of their own.",
        )
    return [(dataset, facts.band) for dataset, facts in found if wanted not in scenes or facts.scene_id == wanted]


def _gap_mask(scene: Scene, dataset: str, band: Band | None, rasters: Rasters | None) -> list[MaskBand]:
    """Return a gap_mask file of USGS, whose zeros are missing, if it is of one of the scene's bands."""
    names = [one.band.name if one.band else one.name for one in scene.bands]
    numbers = tuple(number for number, name in enumerate(names) if band is not None and name == band.name)
    if not numbers:
        return []
    with opened(dataset, rasters) as raster:
        _require_fit(raster, scene, exactly=True)
    return [MaskBand(dataset, 1, numbers, MaskKind.ZERO)]


def _require_fit(raster: StoredReader, scene: Scene, *, exactly: bool) -> None:
    """Raise InputError unless a mask lies on the scene's grid, or overlaps it on another one."""
    dataset, grid = raster.dataset, scene.grid
    if dataset.shape == (grid.height, grid.width) and (exactly or not (dataset.crs and grid.crs)):
        return
    if exactly or not (dataset.crs and grid.crs):
        why = "" if exactly else ", because one of them has no coordinate reference system"
        raise InputError(
            f"expected a mask with the {grid.width} × {grid.height} pixels of {scene.name}{why}, "
            f"but got {dataset.width} × {dataset.height} in {raster.source}",
            hint="Give a mask with georeferencing, or one of the scene's size.",
        )
    if not Regridding(raster.grid, grid).overlaps():
        lies = ", ".join(f"{side:.10g}" for side in dataset.bounds)
        raise InputError(
            f"expected the mask {raster.source} to overlap {scene.name}, but it lies at {lies} in "
            f"{dataset.crs.to_string()}",
            hint=CHECK_CRS,
        )


def _require_overlap(box: tuple[float, ...], grid: Grid, what: str, name: str, hint: str = CHECK_CRS) -> None:
    """Raise InputError unless bounds in the grid's coordinates overlap the grid."""
    corners = [grid.transform @ (col, row) for col in (0, grid.width) for row in (0, grid.height)]
    x, y = zip(*corners, strict=True)
    if box[0] < max(x) and box[2] > min(x) and box[1] < max(y) and box[3] > min(y):
        return
    ours = f"{min(x):.10g}, {min(y):.10g}, {max(x):.10g}, {max(y):.10g}"
    raise InputError(
        f"expected {what} to overlap {name} (west, south, east, north: {ours}), but got "
        + ", ".join(f"{side:.10g}" for side in box),
        hint=hint,
    )


EDGE_PX = 1e-3
"""A pixel is left out if the box covers less than this share of its side, because coordinates are rounded."""


def _corners(scene: Scene, areas: Areas) -> list[tuple[float, float]] | None:
    """Return the corners of the part to write in the scene's coordinates, or None for the whole scene."""
    grid = scene.grid
    if areas.window is not None:
        col, row, width, height = areas.window
        if col + width > grid.width or row + height > grid.height:
            raise InputError(
                f"expected --window within the {grid.width} × {grid.height} pixels of {scene.name}, "
                f"but got one that ends at column {col + width} and row {row + height}",
                hint="Give the first column, the first row, width and height.",
            )
        return [grid.transform @ (x, y) for x in (col, col + width) for y in (row, row + height)]
    if areas.bbox is None:
        return None
    if grid.transform.is_identity:
        raise InputError(
            f"expected georeferencing in {scene.name} for --bbox, but got none", hint="Give --window in pixels."
        )
    box = areas.bbox
    if areas.bbox_crs is not None:
        if grid.crs is None:
            raise InputError(
                f"expected a coordinate reference system in {scene.name} for --bbox-crs, but got none",
                hint="Give --bbox in the scene's coordinates, or --window in pixels.",
            )
        box = _bounds_in(grid.crs, _crs(areas.bbox_crs), box)
    hint = "Give --bbox-crs EPSG:4326 if the box is in degrees." if areas.bbox_crs is None else CHECK_CRS
    _require_overlap(box, grid, "--bbox", scene.name, hint)
    return [(x, y) for x in box[::2] for y in box[1::2]]


def _bounds_in(crs: CRS, own: CRS, box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    """Return bounds in another coordinate reference system, NaN where they can't be transformed."""
    from rasterio.warp import transform_bounds

    try:
        with gdal_session():
            west, south, east, north = transform_bounds(own, crs, *box)
    except gdal_errors():
        west = south = east = north = math.nan
    return west, south, east, north


def _window_of(corners: list[tuple[float, float]], scene: Scene) -> Window:
    """Return the pixels of a scene that a box touches."""
    grid = scene.grid
    cols, rows = zip(*(~grid.transform @ corner for corner in corners), strict=True)
    left, top = (max(math.floor(min(places) + EDGE_PX), 0) for places in (cols, rows))
    right = min(math.ceil(max(cols) - EDGE_PX), grid.width)
    bottom = min(math.ceil(max(rows) - EDGE_PX), grid.height)
    if right <= left or bottom <= top:
        raise InputError(
            f"expected a part with at least one pixel of {scene.name}, but got none",
            hint="Give a larger --bbox or --window.",
        )
    return Window(top, left, bottom - top, right - left)


LONGEST_EDGE = 1 / 500
"""Longest edge of a polygon before it is transformed, as a share of its width or height. Straight lines in degrees are
curves in a map projection."""

DEGREES = (180.0, 90.0)


def _read_polygons(path: str) -> tuple[list[Any], CRS]:
    """Return the rings of all polygons in a file, and their coordinate reference system."""
    from rasterio.crs import CRS

    try:
        text = "" if is_remote(path) or Path(path).is_dir() else Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        text = ""
    except OSError as error:
        raise InputError(f"expected to read the polygon in {path}, but got: {error.strerror}") from error
    if not text.lstrip().startswith("{"):
        return _read_vectors(path)
    try:
        content = json.loads(text)
        named = content.get("crs")
        crs = CRS.from_epsg(4326) if named is None else _crs(named["properties"]["name"])
        polygons = list(_polygons_in(content, path))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"expected polygons as GeoJSON in {path}, but got: {error}") from error
    return polygons, crs


def _polygons_in(value: Any, path: str) -> Iterator[Any]:
    """Yield the coordinates of each polygon of a GeoJSON object."""
    kind = value.get("type")
    parts = value.get("features") if kind == "FeatureCollection" else value.get("geometries")
    if kind in ("FeatureCollection", "GeometryCollection"):
        for one in parts:
            yield from _polygons_in(one, path)
    elif kind == "Feature":
        yield from _polygons_in(value["geometry"], path)
    elif kind in ("Polygon", "MultiPolygon"):
        yield from [value["coordinates"]] if kind == "Polygon" else value["coordinates"]
    else:
        raise InputError(
            f"expected polygons in {path}, but got {kind}", hint="Give the polygon that the scene was clipped with."
        )


def _read_vectors(path: str) -> tuple[list[Any], CRS]:
    """Return what `_read_polygons` does from a file that fiona, or pyogrio with shapely, reads."""
    from rasterio.crs import CRS

    try:
        try:
            fiona = import_module("fiona")
        except ImportError:
            pyogrio, shapely = import_module("pyogrio.raw"), import_module("shapely")
            facts, _, wkb, _ = pyogrio.read(path)
            shapes, crs = [one.__geo_interface__ for one in shapely.from_wkb(wkb)], facts["crs"]
        else:
            with fiona.open(path) as layer:
                shapes, crs = [one["geometry"].__geo_interface__ for one in layer], layer.crs_wkt
    except ImportError:
        raise MissingPackageError(
            f"expected a polygon as GeoJSON, but got {path}, which needs another package",
            hint="Convert it with `ogr2ogr extent.geojson FILE`, or run `pip install pyogrio shapely`.",
        ) from None
    except Exception as error:  # each library has errors of its own
        raise InputError(f"expected polygons in {path}, but got an error: {error}") from error
    if not crs:
        raise InputError(
            f"expected a coordinate reference system in {path}, but got none", hint="Convert it to GeoJSON."
        )
    return [rings for shape in shapes for rings in _polygons_in(shape, path)], CRS.from_user_input(crs)


def _on_grid(polygons: tuple[list[Any], CRS], scene: Scene) -> tuple[Any, ...]:
    """Return polygons as GeoJSON geometries on the grid of a scene; raise InputError if they don't overlap it."""
    import numpy as np
    import rasterio.warp

    found, crs = polygons
    if scene.grid.crs is None:
        raise InputError(
            f"expected a coordinate reference system in {scene.name} for --extent, but got none",
            hint="Assign one with gdal_edit, or give --mask.",
        )
    try:
        rings = [[_closed(np.asarray(ring, dtype=np.float64)[:, :2]) for ring in polygon] for polygon in found]
        places = np.concatenate([ring for polygon in rings for ring in polygon])
    except (ValueError, IndexError) as error:
        raise InputError(f"expected polygons in --extent, but got other coordinates: {error}") from error
    if crs.is_geographic and (np.abs(places) > DEGREES).any():
        raise InputError(
            "expected degrees of longitude and latitude in --extent, but got "
            + ", ".join(f"{one:.10g}" for one in places[0]),
            hint="GeoJSON holds degrees (WGS 84) unless its member 'crs' says otherwise.",
        )
    step = float(np.ptp(places, axis=0).max()) * LONGEST_EDGE
    shapes = []
    with gdal_session():
        for polygon in rings:
            moved = []
            for ring in polygon:
                x, y = ring.T
                if crs != scene.grid.crs:
                    x, y = rasterio.warp.transform(crs, scene.grid.crs, *_with_short_edges(ring, step).T)
                moved.append(list(zip(x, y, strict=True)))
            shapes.append({"type": "Polygon", "coordinates": moved})
    ground = np.array([place for shape in shapes for ring in shape["coordinates"] for place in ring])
    (west, south), (east, north) = ground.min(axis=0), ground.max(axis=0)
    _require_overlap((west, south, east, north), scene.grid, "--extent", scene.name)
    return tuple(shapes)


def _closed(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a ring that ends where it begins, or raise ValueError if it has fewer than three corners."""
    import numpy as np

    closed = ring if (ring[0] == ring[-1]).all() else np.concatenate([ring, ring[:1]])
    if len(closed) < 4 or not np.isfinite(closed).all():
        raise ValueError("a ring needs three corners, all of them finite")
    return closed


def _with_short_edges(ring: NDArray[np.float64], step: float) -> NDArray[np.float64]:
    """Return a closed ring with further points on edges longer than `step`."""
    import numpy as np

    counts = np.ceil(np.abs(np.diff(ring, axis=0)).max(axis=1) / step).clip(1).astype(int) if step > 0 else 1
    ends = np.concatenate([[0], np.cumsum(np.broadcast_to(counts, len(ring) - 1))])
    at = np.arange(ends[-1] + 1)
    return np.stack([np.interp(at, ends, ring[:, axis]) for axis in (0, 1)], axis=1)


def beyond_extent(scene: Scene, window: Window) -> NDArray[np.bool_] | None:
    """Return the pixels of a window, `(row, col)`, whose centres lie outside the extent; None without an extent."""
    if scene.extent is None:
        return None
    from rasterio.features import geometry_mask

    grid = scene.grid.cropped(window)
    with gdal_session():
        beyond: NDArray[np.bool_] = geometry_mask(scene.extent, (window.height, window.width), grid.transform)
    return beyond


def _with_checksum(text: str) -> str:
    """Return the name of a file, or `BAND=NAME`, with the checksum of its content."""
    label, path = _file_of(text)
    place = Path(path)
    name = f"{label}={place.name}" if label else place.name
    try:
        files = sorted(one for one in place.iterdir() if one.is_file()) if place.is_dir() else [place]
        sums = [_checksum(one, one.stat().st_mtime_ns, one.stat().st_size) for one in files]
    except OSError:  # a URL, or a missing file, which is reported when it is opened
        return name
    total = sums[0] if len(sums) == 1 else hashlib.sha256("".join(sums).encode()).hexdigest()
    return f"{name} (sha256 {total[:12]})"


@cache
def _checksum(path: Path, _mtime_ns: int, _size: int) -> str:
    """Return the sha256 of a file; time and size show whether it has changed since an earlier call."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
