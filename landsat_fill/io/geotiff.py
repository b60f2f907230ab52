"""Opens one raster as a scene. Few pixels are read, to distinguish codes from images and zeros from fill."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.errors import InputError
from landsat_fill.io.gdal import is_local
from landsat_fill.io.pixel_meaning import codes_in, zeros_in
from landsat_fill.io.profile_files import has_dataset_mask
from landsat_fill.io.reader import LARGEST_EXACT, opened
from landsat_fill.io.usgs_names import Quantity, described_quantity, is_quality_name, read_name, stated_quantity
from landsat_fill.scene import ETM_PLUS, OLI, TM, Grid, Scene, SceneBand, missing_numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

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
