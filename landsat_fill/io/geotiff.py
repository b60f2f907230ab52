"""Opens one raster as a scene. Few pixels are read, to distinguish codes from images and zeros from fill.

Both are decided once for the whole file, so that its windows, tiles and shards agree.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from landsat_fill.errors import InputError
from landsat_fill.io.gdal import is_local
from landsat_fill.io.profile_files import colour_table, has_dataset_mask
from landsat_fill.io.reader import LARGEST_EXACT, opened
from landsat_fill.io.usgs_names import Quantity, described_quantity, is_quality_name, read_name, stated_quantity
from landsat_fill.scene import ETM_PLUS, OLI, TM, Grid, Scene, SceneBand, Window, missing_numbers, tile_windows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from rasterio.io import DatasetReader

    from landsat_fill.io.reader import Rasters, StoredReader
    from landsat_fill.scene import Band, MissingNumbers, Nodata


DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64")
"""Data types that can be filled. Of 64-bit integers, the numbers must fit float64 exactly."""

LANDSAT_FILL = {"uint8": 0.0, "uint16": 0.0, "int16": -9999.0}
"""Nodata of Landsat files without a statement of it: Level 1 and 2 numbers, and ESPA's int16 reflectance.
Source: Landsat 7 Collection 2 Level 1 Data Format Control Book, USGS LSDS-1414; ESPA product
guides, USGS LSDS-1370."""

SCENE_TAGS = ("LANDSAT_SCENE_ID", "LANDSAT_PRODUCT_ID", "L1_LANDSAT_PRODUCT_ID", "LANDSAT_ID")
LEVEL_TAGS = ("PROCESSING_LEVEL", "LANDSAT:CORRECTION", "PROCESSING:LEVEL", "DATA_TYPE", "PRODUCT_TYPE", "COLLECTION")
"""Tags in which USGS, STAC and others name the level of processing."""
PLATFORM_TAGS = (
    "SPACECRAFT_ID", "SPACECRAFT", "SATELLITE", "SATELLITE_ID", "PLATFORM", "MISSION", "SENSOR", "SENSOR_ID",
)  # fmt: skip
"""Tags in which USGS, ESPA and others name scene, satellite and sensor."""
_PLATFORM = re.compile(r"LANDSAT|\bL[COTEM]?0?[4-9]\b|\bETM\b|\bETM\+")

FILL_TAGS = ("_fillvalue", "fill_value", "fillvalue", "missing_value", "nodata", "nodata_value")
"""Tags that state the fill value, in lower case, in CF, HDF-EOS and hand-made files."""

MOST_NAMES = 8
"""Bands named one by one in a note."""

LANDSAT_NAME = re.compile(
    r"(?:^|[^A-Za-z0-9])(L[CEMOT]0?[4-9])(?:_L[12]|_(?:CU|AK|HI)_|\d{13}|_?\d{6}_)|^(L7)[12]\d{6}_", re.IGNORECASE
)
"""File names by USGS, of any generation: LE07_L1TP_…, LE71710552003151…, L71129046_…"""


def open_geotiff(
    source: str, *, nodata: Nodata = None, landsat: bool | None = None, rasters: Rasters | None = None
) -> Scene:
    """Return the scene of one raster file, with the facts in its header.

    Missing pixels are marked by the first of these that exists: the nodata tag; a dataset mask or an alpha band;
    another tag with a fill value; the numbers `nodata`; NaN, in a float file; Landsat's fill value, in a Landsat file
    whose zeros form stripes and borders. The numbers `nodata` always count beside it. Without any, `nodata` of the
    bands is None, and the user has to give a number.

    Args:
        source: A path, a URL, or another name that GDAL opens.
        nodata: Numbers of missing pixels besides the file's own; see `missing_numbers`.
        landsat: Whether it is a Landsat file; None decides by its name and tags.
        rasters: The open rasters, kept for later readers; None closes them.

    Raises:
        InputError: If the file can't be read, is cut off, or holds numbers that can't be filled.
    """
    given = missing_numbers(nodata)
    with opened(source, rasters) as raster, raster.in_gdal("the header"):
        dataset = raster.dataset
        _refuse_cut_off(raster)
        indexes = _image_bands(raster)
        sensor = _sensor(source)
        if landsat is None:
            landsat = sensor is not None or _tags_say_landsat(dataset)
        grid = raster.grid
        found = tuple(_scene_band(raster, index, given, landsat, sensor) for index in indexes)
        found, notes = _with_meaning(raster, found, grid, is_quality_name(source), given is None)
        return Scene(
            name=_scene_name(source),
            source=Path(source) if is_local(source) else source,
            bands=found,
            grid=grid,
            sensor=sensor,
            notes=(*_note_of_pages(dataset), *notes),
        )


def _with_meaning(
    raster: StoredReader, bands: tuple[SceneBand, ...], grid: Grid, is_quality: bool, is_open: bool
) -> tuple[tuple[SceneBand, ...], list[str]]:
    """Return the bands with the meaning of codes and zeros inferred from their pixels, and notes on it.

    `is_quality` says whether the file is named like a quality layer, and `is_open` whether the user leaves the
    meaning of 0 open.
    """
    indexes = [band.index for band in bands]
    codes = dict.fromkeys(indexes, "is a quality layer by its name") if is_quality else codes_in(raster, indexes)
    assumed = [band.index for band in bands if is_open and _is_assumed(raster.dataset, band)]
    zeros = zeros_in(raster, [index for index in assumed if index not in codes], grid.pixel_size_m)
    observed = [index for index in assumed if index in codes or not zeros[index].are_fill]
    names = {band.index: band.name for band in bands}
    notes = []
    for reason in dict.fromkeys(codes.values()):
        which = _listed([names[index] for index in codes if codes[index] == reason])
        notes.append(f"{which} {reason}: gaps take the nearest number, nothing is interpolated")
    if taken := [names[index] for index in zeros if zeros[index].any and zeros[index].are_fill]:
        notes.append(
            f"0 is taken for missing in {_listed(taken)}: a Landsat file by its name or tags, whose zeros "
            "lie in stripes and borders; --nodata nan if 0 is a value"
        )
    if kept := [names[index] for index in observed if index in codes or zeros[index].any]:
        notes.append(
            f"0 counts as observed in {_listed(kept)}: no metadata says that it is missing, and it doesn't "
            "lie as gaps and borders of an image do; --nodata 0 if it is missing"
        )
    meant = (
        replace(band, holds_codes=band.index in codes, nodata=None if band.index in observed else band.nodata)
        for band in bands
    )
    return tuple(meant), notes


def _listed(names: Sequence[str]) -> str:
    """Return names in one text, of many only the first and the last."""
    return ", ".join(names) if len(names) <= MOST_NAMES else f"{names[0]} … {names[-1]} ({len(names)} bands)"


def _note_of_pages(dataset: DatasetReader) -> list[str]:
    """Return a note if a TIFF holds more images, which GDAL ignores."""
    pages = [name for name in dataset.subdatasets if name.upper().startswith("GTIFF_DIR:")]
    if len(pages) < 2:
        return []
    second = re.sub("^gtiff_dir", "GTIFF_DIR", pages[1])
    return [f"the file holds {len(pages)} images (pages), and this is the first; {second} names the second"]


def _image_bands(raster: StoredReader) -> list[int]:
    """Return the numbers of all bands but alpha, or raise InputError if they can't be filled."""
    source, dataset = raster.source, raster.dataset
    indexes = [index for index in dataset.indexes if index != raster.alpha]
    if not indexes:
        raise InputError(f"expected a raster with image bands, but {source} holds an alpha band only")
    for index in indexes:
        dtype = dataset.dtypes[index - 1]
        if dtype not in DTYPES:
            raise InputError(
                f"expected numbers of {', '.join(DTYPES)}, but band {index} of {source} holds {dtype}",
                hint=conversion_hint(dtype),
            )
    return indexes


def conversion_hint(dtype: str) -> str:
    """Return the hint on how to convert numbers of a type that can't be filled, without a loss if possible."""
    if "complex" in dtype:
        return (
            "Fill its real and imaginary parts, or magnitude and phase, as two files: gdal_translate "
            "-ot Float32 would drop the imaginary part."
        )
    return "Convert it first, for example with gdal_translate -ot Float32."


def _scene_band(
    raster: StoredReader, index: int, given: MissingNumbers | None, landsat: bool, sensor: str | None
) -> SceneBand:
    dataset = raster.dataset
    dtype = str(np.dtype(dataset.dtypes[index - 1]))
    band = _sensor_band(raster, index, sensor)
    nodata = _nodata(raster, index, dtype, given, landsat)
    return SceneBand(
        dataset=raster.source,
        index=index,
        name=dataset.descriptions[index - 1] or (band.name if band else f"band {index}"),
        dtype=dtype,
        nodata=nodata,
        valid_range=value_range(dtype),
        band=band,
        quantity=_quantity(raster, index, dtype, band),
        also_missing=() if given is None else given.besides(nodata),
    )


def _quantity(raster: StoredReader, index: int, dtype: str, band: Band | None) -> str | None:
    """Return what a band's numbers are by its description, the file's tags or the product in the file's name.

    Float numbers of a Level 1 product were converted, and nothing says into what.
    """
    described = described_quantity(raster.dataset.descriptions[index - 1] or "")
    if described is not None:
        return described.of(band)
    tags = {key.upper(): value for key, value in raster.dataset.tags().items()}
    facts = read_name(raster.source)
    texts = [*(tags.get(name) for name in (*LEVEL_TAGS, *SCENE_TAGS)), facts.scene_id if facts else None]
    stated = next((found for text in texts if (found := stated_quantity(text)) is not None), None)
    if stated is None or (stated is Quantity.DIGITAL_NUMBER and not dtype.startswith("uint")):
        return None
    return stated.of(band)


def refuse_inexact_tag(source: str, dtype: str, tag: float | None, given: MissingNumbers | None) -> None:
    """Raise InputError for a nodata tag of 64-bit integers that doesn't fit float64, as which rasterio writes it."""
    if tag is not None and "int64" in dtype and abs(tag) > LARGEST_EXACT and not (given is not None and given.alone):
        raise InputError(
            f"expected a nodata tag up to 2^53 in a file of {dtype}, but {source} has {tag:.0f}",
            hint="Give these pixels another number with gdalwarp -dstnodata, for example -9999.",
        )


def value_range(dtype: str) -> tuple[float, float]:
    """Return the smallest and largest finite number of a data type; for 64-bit integers, those exact in float64."""
    limits = np.finfo(dtype) if dtype.startswith("float") else np.iinfo(dtype)
    low, high = float(limits.min), float(limits.max)
    return (max(low, -LARGEST_EXACT), min(high, float(LARGEST_EXACT))) if "int64" in dtype else (low, high)


def _nodata(raster: StoredReader, index: int, dtype: str, given: MissingNumbers | None, landsat: bool) -> float | None:
    """Return the number of missing pixels: the file's own, or the first that the user gives."""
    tag = raster.dataset.nodatavals[index - 1]
    refuse_inexact_tag(raster.source, dtype, tag, given)
    if given is not None and given.alone:
        return given.first
    if tag is not None:
        return float(tag)
    has_mask = has_dataset_mask(raster.dataset) or raster.alpha is not None
    stated = None if has_mask else _stated_fill(raster.dataset, index)
    if stated is not None:
        return stated
    if given is not None:
        return given.first
    if has_mask:
        return None
    if dtype.startswith("float"):
        return math.nan
    return LANDSAT_FILL.get(dtype) if landsat else None


def _stated_fill(dataset: DatasetReader, index: int) -> float | None:
    """Return the fill value that tags of the band or the file state, or None."""
    for tags in (dataset.tags(index), dataset.tags()):
        for key, value in tags.items():
            if key.lower() in FILL_TAGS:
                try:
                    return float(value)
                except ValueError:
                    continue
    return None


def _is_assumed(dataset: DatasetReader, band: SceneBand) -> bool:
    """Return whether 0 counts as fill only because the file is Landsat's."""
    stated = dataset.nodatavals[band.index - 1] is not None or _stated_fill(dataset, band.index) is not None
    return band.nodata == 0 and not stated


def _scene_name(source: str) -> str:
    """Return the file's name without its suffix, or the last part of a URL or GDAL name."""
    last = re.split(r"[/\\:]", source.split("?", maxsplit=1)[0].rstrip("/\\"))[-1].strip('"')
    return re.sub(r"\.(tiff?|vrt|img|jp2|dat|bil|bsq|nc|hdf)(\.gz)?$", "", last, flags=re.IGNORECASE) or last


def _sensor(source: str) -> str | None:
    """Return the sensor in the file's name (`LE07`), or None."""
    found = LANDSAT_NAME.search(Path(source).name)
    code = (found[1] or "LE7").upper() if found else ""
    return f"{code[:2]}0{code[-1]}" if code else None


def _tags_say_landsat(dataset: DatasetReader) -> bool:
    """Return whether a tag names the satellite, the sensor or a Landsat scene; free text doesn't count."""
    tags = {key.upper(): value.upper() for key, value in dataset.tags().items()}
    if any(tags.get(key) for key in SCENE_TAGS):
        return True
    return any(_PLATFORM.search(tags.get(key, "")) for key in PLATFORM_TAGS)


def _sensor_band(raster: StoredReader, index: int, sensor: str | None) -> Band | None:
    """Return the sensor's band that the description or the colour names, or None.

    Names like `B4` differ between sensors, so they count only if the sensor is known. Colours don't differ,
    so ETM+ stands for an unknown sensor.
    """
    table = {"LC": OLI, "LO": OLI, "LT": TM, "LM": ()}.get((sensor or "LE")[:2], ETM_PLUS)
    described = (raster.dataset.descriptions[index - 1] or "").strip()
    for band in table:
        if described.lower() == band.colour:
            return band
        if sensor and re.fullmatch(rf"(SR_|ST_)?{band.name}", described, re.IGNORECASE):
            return band
    colour = raster.colours[index - 1]
    return next((band for band in table if not described and band.colour == colour), None)


def _refuse_cut_off(raster: StoredReader) -> None:
    """Raise InputError if blocks of a local TIFF lie beyond the end of the file."""
    if raster.blocks is None:
        return
    end, there = raster.blocks.end, Path(raster.dataset.name).stat().st_size
    if end > there:
        raise InputError(
            f"expected {raster.source} to hold at least {end:,} bytes, but it was cut off after {there:,}",
            hint="Download or copy it again.",
        )


SAMPLE_PX = 256
"""Side of the windows searched for codes."""
WINDOWS_ACROSS = 3
"""Number of windows in each direction that are read first."""

FEW_CODES = 8
"""A band with at most this many different numbers holds codes."""
MOST_CODES = 256
"""A band with more different numbers is an image."""
BANDS_AT_ONCE = 64
"""Bands read in one call: for each call, rasterio looks at all bands of the file."""
LEAST_PX_A_CODE = 50
"""Pixels needed for each different number, so that a small crop of an image isn't taken for codes."""
LEAST_EQUAL = 0.5
"""Smallest share of equal neighbours in codes: classes form patches, whereas images are rough."""
SPARSE = 0.1
"""Smallest share of the numbers between minimum and maximum that an image uses. Packed bits use fewer."""
LEAST_STEP_RATIO = 0.6
"""Smallest ratio, in codes, of the median step between unequal neighbours to that between random pixels. In
an image, which is smooth, the ratio is smaller. Half of it suffices where the numbers are sparse."""


def codes_in(raster: StoredReader, indexes: Sequence[int]) -> dict[int, str]:
    """Return the bands that hold classes or flags, each with the reason: `has a colour table`."""
    dataset = raster.dataset
    found: dict[int, str] = {}
    for index in indexes:
        if colour_table(dataset, index, raster.colours[index - 1]) is not None:
            found[index] = "has a colour table"
        if dataset.tags(index).get("LAYER_TYPE", "").lower() == "thematic":
            found.setdefault(index, "is called thematic")
    left = [index for index in indexes if index not in found]
    windows = _spread(dataset.height, dataset.width, SAMPLE_PX)
    for first in range(0, len(left), BANDS_AT_ONCE):
        some = left[first : first + BANDS_AT_ONCE]
        read = [values for window in windows if (values := _read(raster, some, window))]
        for place, index in enumerate(some):
            distinct = _distinct_codes([values[place] for values in read], dataset.nodatavals[index - 1])
            if distinct:
                found[index] = f"holds classes or flags ({distinct} different numbers)"
    return found


def _distinct_codes(seen: Sequence[NDArray[np.generic]], nodata: float | None) -> int:
    """Return the number of different codes in windows of a band, or 0 for an image."""
    if not seen:
        return 0
    values = [np.asarray(window, np.float64) for window in seen]
    valid = [np.isfinite(window) & (window != (math.nan if nodata is None else nodata)) for window in values]
    pixels = np.concatenate([window[known] for window, known in zip(values, valid, strict=True)])
    if not pixels.size or (pixels != np.rint(pixels)).any():
        return 0
    numbers = np.unique(pixels)
    if not 2 <= len(numbers) <= min(MOST_CODES, pixels.size / LEAST_PX_A_CODE):
        return 0
    if len(numbers) <= FEW_CODES:
        return len(numbers)
    # Saturated, clipped and unset pixels are equal in images, too.
    inner = [
        known & (window != 0) & (window > numbers[0]) & (window < numbers[-1])
        for window, known in zip(values, valid, strict=True)
    ]
    differences = [
        np.abs(np.diff(window, axis=1))[one[:, 1:] | one[:, :-1]] for window, one in zip(values, inner, strict=True)
    ]
    steps = np.concatenate(differences)
    if not steps.size or np.mean(steps == 0) < LEAST_EQUAL:
        return 0
    spacing = float(np.median(np.diff(numbers)))  # reflectance made from 8-bit numbers uses few of 16 bits, evenly
    density = len(numbers) / ((numbers[-1] - numbers[0]) / spacing + 1)
    pixels = pixels[pixels != 0]
    random_steps = np.abs(pixels - np.random.default_rng(0).permutation(pixels))
    random_step = np.median(random_steps[random_steps > 0]) if (random_steps > 0).any() else 0.0
    step = np.median(steps[steps > 0]) if (steps > 0).any() else math.inf
    ratio = step / random_step if random_step else math.inf
    is_codes = ratio >= (LEAST_STEP_RATIO if density >= SPARSE else LEAST_STEP_RATIO / 2)
    return len(numbers) if is_codes else 0


TILE_PX = 512
"""Side of the windows searched for stripes of zeros."""
DECISIVE_PX = 1000
"""Zeros among observed pixels that suffice to decide. With fewer, the whole file is read."""
LEAST_IN_STRIPES = 0.9
"""Share of the zeros among observed pixels that must lie in stripes."""
LARGEST_GAP_M = 500.0
"""Wider than any SLC-off gap, which spans 14 pixels of 30 m at the swath's edge."""
LARGEST_GAP_PX = 17
"""The same in pixels of 30 m, for an unknown pixel size."""
TIP_PX = 5
"""Thinner structures are ignored: the tips at the ends of scans."""
RAGGED_PX = 12
"""Largest offset between the ends of scans, where gaps open into the border. Measured on real scenes."""
LEAST_STRIPE_PX = 20
"""Smallest length of a run of zeros that shows the direction of the stripes."""
ELONGATED, STILL_ELONGATED = 4.0, 2.0
"""Smallest ratio of length to width of a run that shows the direction, and of one that follows it."""


class Zeros(NamedTuple):
    """Whether a band has zeros, and whether they form stripes and borders, as fill does."""

    any: bool
    are_fill: bool


def zeros_in(raster: StoredReader, indexes: Sequence[int], pixel_m: float | None) -> dict[int, Zeros]:
    """Return whether the zeros of each band are fill.

    Zeros outside the convex hull of a window's other pixels are a border. All other zeros must form stripes:
    long, narrow and in one direction. The whole file is read only if a few windows don't decide.

    Args:
        raster: An open raster.
        indexes: Numbers of the bands, from 1.
        pixel_m: Pixel size in metres, or None.
    """
    widest_px = LARGEST_GAP_PX if not pixel_m else max(LARGEST_GAP_M / pixel_m, 2.0)
    dataset = raster.dataset
    first = set(_spread(dataset.height, dataset.width, TILE_PX))
    tiles = tile_windows(Window(0, 0, dataset.height, dataset.width), TILE_PX)
    border, among, striped = (dict.fromkeys(indexes, 0) for _ in range(3))
    left = list(indexes)
    for number, window in enumerate([*first, *(tile for tile in tiles if tile not in first)]):
        if number >= len(first):
            left = [index for index in left if among[index] < DECISIVE_PX]
        if not left:
            break
        for index, values in zip(left, _read(raster, left, window), strict=False):
            outside_px, inside_px, striped_px = _count_zeros(values == 0, widest_px)
            border[index] += outside_px
            among[index] += inside_px
            striped[index] += striped_px
    return {
        index: Zeros(any=border[index] + among[index] > 0, are_fill=striped[index] >= LEAST_IN_STRIPES * among[index])
        for index in indexes
    }


def _count_zeros(zero: NDArray[np.bool_], widest_px: float) -> tuple[int, int, int]:
    """Return how many zeros lie outside a window's other pixels, among them, and among them in stripes."""
    import cv2

    total_px = int(np.count_nonzero(zero))
    if not 0 < total_px < zero.size:
        return total_px, 0, 0
    seen = cv2.morphologyEx((~zero).view(np.uint8), cv2.MORPH_OPEN, np.ones((TIP_PX, TIP_PX), np.uint8)) > 0
    seen = seen if seen.any() else ~zero
    rows = np.flatnonzero(seen.any(axis=1))
    firsts = seen[rows].argmax(axis=1)
    lasts = zero.shape[1] - 1 - seen[rows, ::-1].argmax(axis=1)
    ends = np.concatenate([np.stack([firsts, rows], 1), np.stack([lasts, rows], 1)]).astype(np.int32)
    hull = np.zeros(zero.shape, np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(ends), 1)
    core = cv2.erode(hull, np.ones((2 * RAGGED_PX + 1,) * 2, np.uint8))  # the edges of the window are kept
    inside = zero & (core > 0)
    inside_px = int(np.count_nonzero(inside))
    return total_px - inside_px, inside_px, _striped_px(inside, widest_px) if inside_px else 0


def _striped_px(zero: NDArray[np.bool_], widest_px: float) -> int:
    """Return how many zeros lie in long, narrow runs in one direction."""
    import cv2

    count, labels = cv2.connectedComponents(zero.view(np.uint8), connectivity=8)
    rows, cols = np.nonzero(zero)
    label = labels[rows, cols]
    size = np.bincount(label, minlength=count).astype(float)
    size[0] = 1.0  # the background
    row, col = (np.bincount(label, at, count) / size for at in (rows, cols))
    row_off, col_off = rows - row[label], cols - col[label]
    rr, cc, rc = (
        np.bincount(label, product, count) / size
        for product in (row_off * row_off, col_off * col_off, row_off * col_off)
    )
    # The variance of a rectangle along a side is a twelfth of the side squared.
    half, mean = np.hypot((cc - rr) / 2, rc), (cc + rr) / 2
    length = np.sqrt(12 * (mean + half)) + 1
    width = np.sqrt(12 * np.maximum(mean - half, 0)) + 1
    leads = (length >= ELONGATED * width) & (width <= widest_px) & (length >= LEAST_STRIPE_PX)
    leads[0] = False
    if not leads.any():
        return 0
    angle = np.arctan2(2 * rc, cc - rr) / 2
    common = np.angle(np.sum((size * np.exp(2j * angle))[leads])) / 2
    along, across = np.cos(common), np.sin(common)
    spread_along = np.sqrt(12 * np.maximum(cc * along**2 + rr * across**2 + 2 * rc * along * across, 0)) + 1
    spread_across = np.sqrt(12 * np.maximum(cc * across**2 + rr * along**2 - 2 * rc * along * across, 0)) + 1
    follows = (spread_across <= widest_px) & (spread_along >= STILL_ELONGATED * spread_across)
    follows[0] = False
    return int(size[follows].sum())


def _spread(height: int, width: int, side_px: int) -> list[Window]:
    """Return a few windows, spread evenly over the file."""
    tiles = tile_windows(Window(0, 0, height, width), side_px)
    across = -(-width // side_px)
    rows, cols = (
        np.unique(np.linspace(0, count - 1, min(count, WINDOWS_ACROSS)).round().astype(int)).tolist()
        for count in (len(tiles) // across, across)
    )
    return [tiles[row * across + col] for row in rows for col in cols]


def _read(raster: StoredReader, indexes: list[int], window: Window) -> list[NDArray[np.generic]]:
    """Return bands of a window, each in its own type, or nothing if the file is damaged."""
    try:
        with raster.reading(window) as where:
            if len({raster.dataset.dtypes[index - 1] for index in indexes}) == 1:
                return list(raster.dataset.read(indexes, window=where))
            return [raster.dataset.read(index, window=where) for index in indexes]
    except InputError:
        return []
