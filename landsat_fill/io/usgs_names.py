"""What a Landsat file name says: which scene, which sensor, which day, which band or quality band.

No file is opened here. Names of four generations are known, in upper or lower case:

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

from landsat_fill.scene import ETM_PLUS, OLI, TM, Band


class FileKind(Enum):
    """What a product's file is for."""

    BAND = "band"
    GAP_MASK = "gap_mask"
    QUALITY = "quality"
    METADATA = "metadata"
    OTHER = "other"


class Quantity(Enum):
    """What the numbers of a band count, which decides what they may be filled together with."""

    DIGITAL_NUMBER = "digital number"
    TOP_OF_ATMOSPHERE = "top of atmosphere"
    SURFACE = "surface"


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What the name of a product's file says.

    Attributes:
        scene_id: The product's identifier in upper case; the same for all files of a product.
        kind: What the file is for.
        sensor: `LE07`, `LT05`, `LC08`, …
        acquired: The day of acquisition, or None where the name holds no real date.
        level: The processing level, `L1TP` or `L2SP` say, or None where the name doesn't tell.
        quantity: What a band's numbers count.
        band: The sensor's band, of a band or a gap_mask.
        quality: The kind of a quality band that is read here, as `QualityBand.kind` has it.
    """

    scene_id: str
    kind: FileKind
    sensor: str
    acquired: date | None
    level: str | None = None
    quantity: Quantity = Quantity.DIGITAL_NUMBER
    band: Band | None = None
    quality: str | None = None


GZIP_SUFFIX = ".gz"
RASTER_SUFFIXES = (".tif", ".tiff", ".img", ".vrt", ".jp2")
"""How the names of rasters end that are looked for in folders; a file that is named may end as it likes."""

_SCENE_IDS = (
    # LE07_L1TP_007059_20161209_20170130_01_T1, or without the second day, as STAC names items
    r"(?P<sensor>L[COTEM]0[1-9])_(?P<level>L[12][A-Z]{2})_\d{6}_(?P<day>\d{8})(?:_\d{8})?_\d{2}_(?:T1|T2|RT|A1|A2)",
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
            r"L[COTEM]0[1-9]_\d{6}_\d{8}",  # how Earth Engine names an image
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
"""Quality bands that are read here, by the end of their names. ESPA's radsat_qa isn't QA_RADSAT: bit 0 is
fill, bit n band n."""

_QUALITY = re.compile(
    r"(?:.*[^A-Z0-9])?(?:(?:B|PIXEL|RADSAT|LINEAGE|SR[A-Z]*|AEROSOL)?QA|QA_?[A-Z0-9_]+|QAI|QC|UDM2?|SCL"
    r"|(?:CF|F|C)MASK\d?|CONTIGUITY|(?:SR_?)?ATMOS_?OPACITY|(?:CLOUD|DATA|SATURATION)_?MASK)(?:_\d+M)?",
    re.ASCII,
)
"""How the names of quality layers end: of USGS and ESPA (`SR_CLOUD_QA`, `LINEAGEQA`, `ST_QA`), FORCE (QAI),
HLS and DEA (fmask), Sentinel-2 (SCL), Planet (UDM2)."""

_NLAPS_SENSORS = {"L4": "LT04", "L5": "LT05", "L7": "LE07"}
_THERMAL_OF_EITHER_GAIN = TM[-1]
"""`B6` of ETM+ without a gain: Level 2 and ESPA make one temperature of the two."""


def read_name(path: str) -> FileFacts | None:
    """Return what a file's name says, or None where it isn't named as a part of a Landsat product.

    Args:
        path: The file's name, with or without folders before it; `.gz` at its end is passed over.
    """
    stem, dot, extension = without_gzip(PurePosixPath(path).name).rpartition(".")
    if not dot:
        return None
    found = next((match for pattern in _SCENE_ID if (match := pattern.match(stem))), None)
    if found is None:
        return None
    parts = found.groupdict()
    sensor, from_nlaps = _sensor(parts["sensor"].upper())
    scene_id = found.group().upper()
    if from_nlaps and sensor == "LE07":
        scene_id = f"L71{scene_id[3:]}"  # one product, though its later bands begin with L72
    level = parts.get("level")
    facts = FileFacts(
        scene_id, FileKind.OTHER, sensor, _date(parts["day"]), level=level.upper() if level else None
    )
    rest = stem[found.end() :].upper()
    if not rest.startswith("_"):
        return facts
    return _with_purpose(facts, rest[1:], f".{extension.lower()}", from_nlaps)


def without_gzip(name: str) -> str:
    """Return a file's name without the `.gz` that it may end in."""
    return name[: -len(GZIP_SUFFIX)] if name.lower().endswith(GZIP_SUFFIX) else name


def is_landsat_name(path: str) -> bool:
    """Return whether a file's name holds a Landsat identifier, so that 0 may be taken for fill.

    Args:
        path: A file's name or path; stacks and crops named after a product count, `LE07_…_stack.tif` say.
    """
    name = PurePosixPath(path).name
    return any(
        not name[match.start() - 1 : match.start()].isalnum() for match in _LANDSAT_NAME.finditer(name)
    )


def is_quality_name(path: str) -> bool:
    """Return whether a raster's name ends as those of quality layers do, of any product."""
    stem = PurePosixPath(without_gzip(path)).stem
    return _QUALITY.fullmatch(re.sub(r"[\s.-]", "_", stem).upper()) is not None


def sensor_bands(sensor: str) -> tuple[Band, ...]:
    """Return the bands of a sensor in the order they are filled; empty for one that isn't known here."""
    if sensor == "LE07":
        return (*ETM_PLUS, _THERMAL_OF_EITHER_GAIN)
    if sensor in ("LT04", "LT05"):
        return TM
    if sensor[2:] in ("08", "09"):
        return OLI
    return ()


def _sensor(letters: str) -> tuple[str, bool]:
    """Return `LE07` for `LE07`, `LE7` and `L7`, and whether the name is an NLAPS one."""
    if letters in _NLAPS_SENSORS:
        return _NLAPS_SENSORS[letters], True
    return f"{letters[:2]}{int(letters[2:]):02d}", False


def _date(digits: str) -> date | None:
    try:
        return datetime.strptime(digits, "%Y%j" if len(digits) == 7 else "%Y%m%d").date()
    except ValueError:
        return None


def _with_purpose(facts: FileFacts, rest: str, extension: str, from_nlaps: bool) -> FileFacts:
    """Return the facts with what the end of the name adds: the kind of file, its band or quality."""
    kind, quantity, band, quality = FileKind.OTHER, facts.quantity, None, None
    if rest == "MTL" and extension == ".txt":
        kind = FileKind.METADATA
    elif extension not in RASTER_SUFFIXES:
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
    """Return the band that a number means: `61` is band 6 at low gain, and `20` band 2 in NLAPS names."""
    bands = {band.name: band for band in sensor_bands(sensor)}
    has_two_gains = sensor == "LE07"
    if has_two_gains and number in ("61", "62"):
        number, gain = "6", number[1]
    elif from_nlaps and len(number) == 2 and number.endswith("0"):
        number = number[0]
    name = f"B{int(number)}"
    return bands.get(f"{name}_VCID_{gain}" if gain else name)
