"""Parses Landsat file names into scene, sensor, day, and band or quality band, without opening files.

These names are supported, in upper or lower case:

- Collection 1 and 2, Level 1 and 2: `LE07_L1TP_007059_20161209_20170130_01_T1_B6_VCID_1.TIF`, `…_SR_B4.TIF`.
  Source: USGS LSDS-1414 (Collection 2 Level 1) and LSDS-1618 (Collection 2 Level 2), "File naming".
- Tiles of analysis-ready data (ARD): `LE07_CU_029005_20100813_20210429_02_SR_B1.TIF`, in Collection 1
  `LE07_CU_029005_20100813_20190428_C01_V01_SRB1.tif`.
  Source: USGS LSDS-1873 and LSDS-1435, Landsat U.S. Analysis Ready Data, Data Format Control Books.
- Before the collections: `LE70280312001161EDC00_B1.TIF`.
  Source: USGS, "Landsat scene identifiers", LXSPPPRRRYYYYDDDGSIVV.
- NLAPS and early LPGS: `L71129046_04620080329_B10.TIF`, where bands 62, 70 and 80 begin with `L72`.
  Source: the README.GTF that USGS ships with these products: L7fppprrr_rrrYYYYMMDD_AAA.
- ESPA: either scene identifier followed by `_sr_band1.tif`, `_toa_band6.tif`, `_cfmask.tif`, `_pixel_qa.tif`.
  Source: USGS LSDS-1370, Landsat 4-7 Collection 1 Surface Reflectance Product Guide, table 3-1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import Enum
from pathlib import PurePosixPath

from landsat_fill.scene import ETM_PLUS, OLI, TM, Band, BandRole


class FileKind(Enum):
    """What a product's file is for."""

    BAND = "band"
    GAP_MASK = "gap_mask"
    QUALITY = "quality"
    METADATA = "metadata"
    OTHER = "other"


class Quantity(Enum):
    """The quantity that a band's numbers measure. Only bands of the same quantity are filled together."""

    DIGITAL_NUMBER = "digital number"
    TOP_OF_ATMOSPHERE = "top of atmosphere"
    SURFACE = "surface"

    def of(self, band: Band | None) -> str:
        """Return the name of the quantity that a band holds, such as "surface reflectance"."""
        is_thermal = band is not None and band.role is BandRole.THERMAL
        return {
            Quantity.DIGITAL_NUMBER: "digital number",
            Quantity.TOP_OF_ATMOSPHERE: "brightness temperature" if is_thermal else "top-of-atmosphere reflectance",
            Quantity.SURFACE: "surface temperature" if is_thermal else "surface reflectance",
        }[self]


LEVEL_OF = {
    quantity.of(band): quantity
    for quantity in Quantity
    for band in (None, *(band for band in ETM_PLUS if band.role is BandRole.THERMAL))
}
"""The level of processing of each quantity in words."""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What the name of a product's file says.

    Attributes:
        scene_id: The product's identifier in upper case, equal for all its files.
        kind: What the file is for.
        sensor: `LE07`, `LT05`, `LC08`, …
        acquired: The day of acquisition, or None if the name holds no valid date.
        quantity: The quantity that a band's numbers measure.
        band: The sensor's band, for a band or a gap_mask.
        quality: The kind of a supported quality band, as in `QualityBand.kind`.
    """

    scene_id: str
    kind: FileKind
    sensor: str
    acquired: date | None
    quantity: Quantity = Quantity.DIGITAL_NUMBER
    band: Band | None = None
    quality: str | None = None


GZIP_SUFFIX = ".gz"
RASTER_SUFFIXES = (".tif", ".tiff", ".img", ".jp2")
"""Endings of the rasters found in folders; a file given by itself may have any ending."""
VRT_SUFFIX = ".vrt"
"""Ending of a file that refers to other files, so that one in a download could make GDAL read any file. Only
a .vrt that the user names is opened."""

_SCENE_IDS = (
    # LE07_L1TP_007059_20161209_20170130_01_T1; STAC items lack the second day
    r"(?P<sensor>L[COTEM]0[1-9])_L[12][A-Z]{2}_\d{6}_(?P<day>\d{8})(?:_\d{8})?_\d{2}_(?:T1|T2|RT|A1|A2)",
    # LE07_CU_029005_20100813_20210429_02, LE07_CU_029005_20100813_20190428_C01_V01
    r"(?P<sensor>L[COTEM]0[1-9])_(?:CU|AK|HI)_\d{6}_(?P<day>\d{8})(?:_\d{8})?_(?:\d{2}|C\d{2}_V\d{2})",
    # LE70280312001161EDC00
    r"(?P<sensor>L[COTEM][1-9])\d{6}(?P<day>\d{7})[A-Z]{3}\d{2}",
    # L71129046_04620080329, L5131035_03520090728
    r"(?P<sensor>L[457])[12]?\d{6}_\d{3}(?P<day>\d{8})",
)
_SCENE_ID = tuple(re.compile(pattern + r"(?![0-9])", re.IGNORECASE | re.ASCII) for pattern in _SCENE_IDS)

_LANDSAT_NAME = re.compile(
    "|".join(
        (
            *(re.sub(r"\?P<\w+>", "?:", pattern) for pattern in _SCENE_IDS),
            r"L[COTEM][1-9]\d{6}\d{7}(?=-SC\d)",  # an ESPA order before the collections
            r"L[COTEM]0[1-9]\d{6}\d{8}\d{2}(?:T1|T2|RT)",  # an ESPA order of Collection 1
            r"L[COTEM]0[1-9]_\d{6}_\d{8}",  # an image in Earth Engine
        )
    ),
    re.IGNORECASE | re.ASCII,
)

_BAND = re.compile(r"(?:(SR|ST|TOA|TA|BT|GM)_?)?(?:B|BAND)_?(\d{1,2})(?:_?VCID_?([12]))?", re.ASCII)
_QUANTITIES = {
    "SR": Quantity.SURFACE,
    "ST": Quantity.SURFACE,
    "TOA": Quantity.TOP_OF_ATMOSPHERE,
    "TA": Quantity.TOP_OF_ATMOSPHERE,
    "BT": Quantity.TOP_OF_ATMOSPHERE,
}
_QUALITY_KINDS = {
    "QA_PIXEL": "QA_PIXEL",
    "BQA": "BQA",
    "PIXEL_QA": "pixel_qa",
    "PIXELQA": "pixel_qa",
    "CFMASK": "cfmask",
    "FMASK": "fmask",
    "QA_RADSAT": "QA_RADSAT",
    "RADSAT_QA": "radsat_qa",
    "RADSATQA": "radsat_qa",
}
"""Supported quality bands, by the end of their names. ESPA's radsat_qa differs from QA_RADSAT: bit 0 is fill,
bit n is band n."""

_QUALITY = re.compile(
    r"(?:.*[^A-Z0-9])?(?:(?:B|PIXEL|RADSAT|LINEAGE|SR[A-Z]*|AEROSOL)?QA|QA_?[A-Z0-9_]+|QAI|QC|UDM2?|SCL"
    r"|(?:CF|F|C)MASK\d?|CONTIGUITY|(?:SR_?)?ATMOS_?OPACITY|(?:CLOUD|DATA|SATURATION)_?MASK)(?:_\d+M)?",
    re.ASCII,
)
"""Endings of quality layers: USGS and ESPA (`SR_CLOUD_QA`, `LINEAGEQA`, `ST_QA`), FORCE (QAI), HLS and DEA
(fmask), Sentinel-2 (SCL), Planet (UDM2)."""

_NLAPS_SENSORS = {"L4": "LT04", "L5": "LT05", "L7": "LE07"}
_THERMAL_OF_EITHER_GAIN = TM[-1]
"""`B6` of ETM+ without a gain: Level 2 and ESPA combine both gains into one temperature."""


def read_name(path: str) -> FileFacts | None:
    """Return what a file's name says, or None if it is no name of a Landsat product's file.

    Args:
        path: The file's name, with or without folders; a final `.gz` is ignored.
    """
    stem, dot, extension = without_gzip(PurePosixPath(path).name).rpartition(".")
    if not dot:
        return None
    found = next((match for pattern in _SCENE_ID if (match := pattern.match(stem))), None)
    if found is None:
        return None
    letters, scene_id = found["sensor"].upper(), found.group().upper()
    from_nlaps = letters in _NLAPS_SENSORS
    sensor = _NLAPS_SENSORS.get(letters, f"{letters[:2]}0{letters[-1]}")  # `LE07` for `LE7` and `L7`
    if from_nlaps and sensor == "LE07":
        scene_id = f"L71{scene_id[3:]}"  # the later bands of the same product begin with L72
    facts = FileFacts(scene_id, FileKind.OTHER, sensor, _date(found["day"]))
    rest = stem[found.end() :].upper()
    if not rest.startswith("_"):
        return facts
    return _with_purpose(facts, rest[1:], f".{extension.lower()}", from_nlaps)


def without_gzip(name: str) -> str:
    """Return a file's name without a final `.gz`."""
    return name[: -len(GZIP_SUFFIX)] if name.lower().endswith(GZIP_SUFFIX) else name


def is_landsat_name(path: str) -> bool:
    """Return whether a file's name contains a Landsat identifier, as in `LE07_…_stack.tif`.

    In such a file, 0 may be the fill value.
    """
    name = PurePosixPath(path).name
    return any(not name[match.start() - 1 : match.start()].isalnum() for match in _LANDSAT_NAME.finditer(name))


def is_quality_name(path: str) -> bool:
    """Return whether a raster's name ends like that of a quality layer of any product."""
    stem = PurePosixPath(without_gzip(path)).stem
    return _QUALITY.fullmatch(re.sub(r"[\s.-]", "_", stem).upper()) is not None


_LEVEL = re.compile(r"(?:^|[^A-Z0-9]|C\d)L(?:EVEL[-_ ]?)?([12])[A-Z]{0,2}(?:[^A-Z0-9]|$)", re.ASCII)
"""A processing level in metadata: `L1TP`, `L2SP`, `LE07_L2SP_…`, `landsat-c2l2-sr`, `Level-2`."""


def stated_quantity(text: str | None) -> Quantity | None:
    """Return the quantity of a processing level in a product's identifier or a value of its metadata, or None."""
    level = _LEVEL.search((text or "").upper())
    return {"1": Quantity.DIGITAL_NUMBER, "2": Quantity.SURFACE}[level[1]] if level else None


def described_quantity(text: str) -> Quantity | None:
    """Return the quantity that a band's name begins with, as in `SR_B4` and `toa_band3`, or None."""
    match = _BAND.fullmatch(text.strip().upper())
    return _QUANTITIES.get(match[1]) if match else None


def sensor_bands(sensor: str) -> tuple[Band, ...]:
    """Return the bands of a sensor in the order they are filled; empty for an unknown sensor."""
    if sensor == "LE07":
        return (*ETM_PLUS, _THERMAL_OF_EITHER_GAIN)
    if sensor in ("LT04", "LT05"):
        return TM
    if sensor[2:] in ("08", "09"):
        return OLI
    return ()


def _date(digits: str) -> date | None:
    try:
        return datetime.strptime(digits, "%Y%j" if len(digits) == 7 else "%Y%m%d").date()
    except ValueError:
        return None


def _with_purpose(facts: FileFacts, rest: str, extension: str, from_nlaps: bool) -> FileFacts:
    """Return the facts with the kind of file and the band or quality layer, from the end of the name."""
    kind, quantity, band, quality = FileKind.OTHER, facts.quantity, None, None
    if rest == "MTL" and extension == ".txt":
        kind = FileKind.METADATA
    elif extension not in (*RASTER_SUFFIXES, VRT_SUFFIX):
        pass
    elif rest in _QUALITY_KINDS:
        kind, quality = FileKind.QUALITY, _QUALITY_KINDS[rest]
    elif is_quality_name(f"{rest}{extension}"):
        kind = FileKind.QUALITY
    elif match := _BAND.fullmatch(rest):
        prefix, number, gain = match.groups()
        band = _band(facts.sensor, number, gain, from_nlaps)
        if band is not None:
            kind = FileKind.GAP_MASK if prefix == "GM" else FileKind.BAND
            quantity = _QUANTITIES.get(prefix, Quantity.DIGITAL_NUMBER)
    return replace(facts, kind=kind, quantity=quantity, band=band, quality=quality)


def _band(sensor: str, number: str, gain: str | None, from_nlaps: bool) -> Band | None:
    """Return the band of a number: `61` is band 6 at low gain, and `20` is band 2 in NLAPS names."""
    bands = {band.name: band for band in sensor_bands(sensor)}
    has_two_gains = sensor == "LE07"
    if has_two_gains and number in ("61", "62"):
        number, gain = "6", number[1]
    elif from_nlaps and len(number) == 2 and number.endswith("0"):
        number = number[0]
    name = f"B{int(number)}"
    return bands.get(f"{name}_VCID_{gain}" if gain else name)
