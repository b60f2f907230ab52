"""Opens one raster as a scene, without reading a pixel."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.errors import InputError, UsageError
from landsat_fill.io.gdal import gdal_session, is_local, open_dataset
from landsat_fill.io.profile_files import has_dataset_mask, opacity_band
from landsat_fill.io.tiff_structure import tiff_blocks
from landsat_fill.scene import ETM_PLUS, OLI, TM, Grid, Scene, SceneBand

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rasterio.io import DatasetReader

    from landsat_fill.scene import Band


DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")
"""Data types that can be filled."""

LANDSAT_FILL = {"uint8": 0.0, "uint16": 0.0, "int16": -9999.0}
"""What means "no observation" in a Landsat file that doesn't say it: Level 1 and 2 numbers, and ESPA's int16
reflectance. Source: Landsat 7 Collection 2 Level 1 Data Format Control Book, USGS LSDS-1414; ESPA product
guides, USGS LSDS-1370."""

LANDSAT_NAME = re.compile(
    r"(?:^|[^A-Za-z0-9])(L[CEMOT]0?[4-9])(?:_L[12]|_(?:CU|AK|HI)_|\d{13}|_?\d{6}_)|^(L7)[12]\d{6}_",
    re.IGNORECASE,
)
"""A file name that USGS gave, of any generation: LE07_L1TP_…, LE71710552003151…, L71129046_…"""


def open_geotiff(
    source: str,
    *,
    nodata: float | None = None,
    bands: Sequence[int] | None = None,
    landsat: bool | None = None,
) -> Scene:
    """Return the scene of one raster file: opened, not read.

    What means "no observation" is, in this order: `nodata`; the nodata tag; a dataset mask or an alpha band;
    NaN, in a float file; Landsat's fill, in a file recognisably Landsat's. Where none of these is there, the
    bands' `nodata` is None, and SceneReader.tells_missing is false: the user has to name a number.

    Args:
        source: A path, a URL, or anything else that GDAL opens.
        nodata: The number that means "no observation", in place of the file's own.
        bands: The bands' numbers, from 1, or None for all. An alpha band never counts as one.
        landsat: Whether the file is Landsat's, or None to tell by its name and tags.

    Raises:
        InputError: If it can't be read, is cut off, or holds numbers that can't be filled.
        UsageError: If it has no band of a number in `bands`.
    """
    with open_dataset(source) as dataset, gdal_session():
        _refuse_cut_off(dataset, source)
        chosen = _chosen_bands(dataset, source, bands)
        sensor = _sensor(source)
        if landsat is None:
            landsat = sensor is not None or _tags_say_landsat(dataset)
        return Scene(
            name=_scene_name(source),
            source=Path(source) if is_local(source) else source,
            bands=tuple(_scene_band(dataset, source, index, nodata, landsat, sensor) for index in chosen),
            grid=Grid(dataset.height, dataset.width, dataset.transform, dataset.crs or None),
            sensor=sensor,
        )


def _chosen_bands(dataset: DatasetReader, source: str, bands: Sequence[int] | None) -> list[int]:
    alpha = opacity_band(dataset)
    fillable = [i for i in dataset.indexes if i != alpha]
    if not fillable:
        raise InputError(f"expected a raster with image bands, but {source} holds an alpha band only")
    unknown = [index for index in bands or () if index not in fillable]
    if unknown:
        raise UsageError(
            f"expected band numbers out of {_span(fillable)} for {source}, "
            f"but got {', '.join(map(str, unknown))}"
        )
    chosen = list(bands) if bands else fillable
    for index in chosen:
        dtype = dataset.dtypes[index - 1]
        if dtype not in DTYPES:
            raise InputError(
                f"expected numbers of {', '.join(DTYPES)}, but band {index} of {source} holds {dtype}",
                hint="Convert it first, for example with gdal_translate -ot Float32.",
            )
    return chosen


def _span(numbers: Sequence[int]) -> str:
    return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"


def _scene_band(
    dataset: DatasetReader, source: str, index: int, nodata: float | None, landsat: bool, sensor: str | None
) -> SceneBand:
    dtype = str(np.dtype(dataset.dtypes[index - 1]))
    band = _sensor_band(dataset, index, sensor)
    return SceneBand(
        dataset=source,
        index=index,
        name=dataset.descriptions[index - 1] or (band.name if band else f"band {index}"),
        dtype=dtype,
        nodata=_nodata(dataset, index, dtype, nodata, landsat),
        valid_range=value_range(dtype),
        band=band,
    )


def value_range(dtype: str) -> tuple[float, float]:
    """Return the smallest and largest finite number of a data type."""
    limits = np.finfo(dtype) if dtype.startswith("float") else np.iinfo(dtype)
    return float(limits.min), float(limits.max)


def _nodata(
    dataset: DatasetReader, index: int, dtype: str, given: float | None, landsat: bool
) -> float | None:
    tag = dataset.nodatavals[index - 1]
    if given is not None:
        return float(given)
    if tag is not None:
        return float(tag)
    if has_dataset_mask(dataset) or opacity_band(dataset) is not None:
        return None
    if dtype.startswith("float"):
        return math.nan
    return LANDSAT_FILL.get(dtype) if landsat else None


def _scene_name(source: str) -> str:
    """Return the file's name without its suffix, or the last part of a URL or GDAL name."""
    last = re.split(r"[/\\:]", source.split("?", maxsplit=1)[0].rstrip("/\\"))[-1].strip('"')
    return re.sub(r"\.(tiff?|vrt|img|jp2|dat|bil|bsq|nc|hdf)(\.gz)?$", "", last, flags=re.IGNORECASE) or last


def _sensor(source: str) -> str | None:
    """Return the sensor that the file's name tells (`LE07`), or None."""
    found = LANDSAT_NAME.search(Path(source).name)
    if found is None:
        return None
    code = (found[1] or "LE7").upper()
    return f"{code[:2]}0{code[-1]}"


def _tags_say_landsat(dataset: DatasetReader) -> bool:
    return any("LANDSAT" in f"{key} {value}".upper() for key, value in dataset.tags().items())


def _sensor_band(dataset: DatasetReader, index: int, sensor: str | None) -> Band | None:
    """Return the sensor's band that description or colour names, or None.

    Names like `B4` mean different bands on different sensors and count only where the sensor is known;
    a colour means the same on all, so ETM+'s stands in where it isn't.
    """
    table = {"LC": OLI, "LO": OLI, "LT": TM, "LM": ()}.get((sensor or "LE")[:2], ETM_PLUS)
    described = (dataset.descriptions[index - 1] or "").strip()
    for band in table:
        if described.lower() == band.colour:
            return band
        if sensor and re.fullmatch(rf"(SR_|ST_)?{band.name}", described, re.IGNORECASE):
            return band
    colour = dataset.colorinterp[index - 1].name
    return next((band for band in table if not described and band.colour == colour), None)


def _refuse_cut_off(dataset: DatasetReader, source: str) -> None:
    """Raise InputError where blocks of a local TIFF lie beyond the end of the file."""
    blocks = tiff_blocks(Path(source)) if dataset.driver in ("GTiff", "COG") else None
    if blocks is None:
        return
    there = Path(source).stat().st_size
    if blocks.end > there:
        raise InputError(
            f"expected {source} to hold at least {blocks.end:,} bytes, but it was cut off after {there:,}",
            hint="Download or copy it again.",
        )
