"""Opens a USGS or ESPA product, a folder or an archive, as scenes, and reads its metadata file `…_MTL.txt`.

Bands of the same kind (reflective, thermal, panchromatic), quantity, data type and grid form one scene. Only
headers and the MTL text are read here.

Source of the MTL: USGS LSDS-1414, Landsat 7 Collection 2 Level 1 Data Format Control Book, appendix A (groups
and keys); LPGS used the older keys (`ACQUISITION_DATE`, `QCALMIN_BAND1`) before 2012.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from landsat_fill.errors import InputError, UsageError, did_you_mean
from landsat_fill.io.archives import Member, list_members
from landsat_fill.io.atomic import MARK_NAME
from landsat_fill.io.geotiff import DTYPES, conversion_hint, refuse_inexact_tag, value_range
from landsat_fill.io.output_names import is_output_name
from landsat_fill.io.reader import opened
from landsat_fill.io.usgs_names import (
    FileFacts,
    FileKind,
    Quantity,
    read_name,
    sensor_bands,
    stated_quantity,
    without_gzip,
)
from landsat_fill.scene import Band, BandRole, Grid, QualityBand, Scene, SceneBand, missing_numbers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from landsat_fill.io.reader import Rasters
    from landsat_fill.scene import MissingNumbers, Nodata


SLC_FAILURE = date(2003, 5, 31)
"""The day the scan line corrector failed. Source: USGS, "Landsat 7", mission timeline."""

_SPACECRAFT = re.compile(r"LANDSAT_?([1-9])", re.IGNORECASE)
_SENSOR_LETTERS = {"ETM": "LE", "TM": "LT", "OLI_TIRS": "LC", "OLI": "LO", "TIRS": "LT", "MSS": "LM"}
_ASSIGNMENT = re.compile(r'^\s*([A-Za-z]\w*)\s*=\s*(?:"([^"]*)"?|(.*?))\s*$')


@dataclass(frozen=True, slots=True)
class Mtl:
    """A product's metadata.

    Attributes:
        groups: Keys and values, without quotation marks, by the name of the innermost group, in the order of
            the file. In a Level 2 file, its own groups come before those of the Level 1 source.
    """

    groups: Mapping[str, Mapping[str, str]]

    def get(self, *keys: str) -> str | None:
        """Return the value of the first of `keys` that is present, or None."""
        for key in keys:
            for group in self.groups.values():
                if key in group:
                    return group[key]
        return None

    def number(self, *keys: str) -> float | None:
        """Return the value of the first of `keys` that is present as a number, or None."""
        try:
            return float(self.get(*keys) or "")
        except ValueError:
            return None

    @property
    def sensor(self) -> str | None:
        """The sensor as in product names, such as `LE07`, or None."""
        spacecraft = _SPACECRAFT.search(self.get("SPACECRAFT_ID") or "")
        letters = _SENSOR_LETTERS.get((self.get("SENSOR_ID") or "").rstrip("+").upper())
        return f"{letters}0{spacecraft.group(1)}" if spacecraft and letters else None

    @property
    def level(self) -> str | None:
        """The level of processing (`L1TP`, `L2SP`), or None."""
        return self.get("PROCESSING_LEVEL", "DATA_TYPE", "PRODUCT_TYPE")

    @property
    def acquired(self) -> date | None:
        """The day of acquisition, or None."""
        try:
            return date.fromisoformat(self.get("DATE_ACQUIRED", "ACQUISITION_DATE") or "")
        except ValueError:
            return None

    @property
    def slc_off(self) -> bool | None:
        """Whether the scan line corrector was off, or None where the file doesn't say."""
        return {"OFF": True, "ON": False}.get((self.get("SENSOR_MODE_SLC") or "").upper())

    def quantize_range(self, band: Band) -> tuple[float, float] | None:
        """Return the smallest and largest stored number of a band, or None."""
        number = band.name.removeprefix("B")
        names = (f"BAND_{number}", f"BAND_ST_{band.name}")
        name_before_2012 = f"BAND{number.replace('_VCID_', '')}"
        low, high = (
            self.number(*(f"QUANTIZE_CAL_{end}_{name}" for name in names), f"QCAL{end}_{name_before_2012}")
            for end in ("MIN", "MAX")
        )
        return None if low is None or high is None else (low, high)

    def reflectance(self, band: Band) -> tuple[float, float] | None:
        """Return the factor and the offset that turn a band's numbers into reflectance, or None."""
        names = (f"BAND_{band.name.removeprefix('B')}", f"BAND_ST_{band.name}")
        factor, offset = (self.number(*(f"REFLECTANCE_{end}_{name}" for name in names)) for end in ("MULT", "ADD"))
        return None if factor is None or offset is None else (factor, offset)


def parse_mtl(text: str) -> Mtl:
    """Return the metadata of an MTL file, ignoring lines other than `KEY = VALUE` and text after `END`."""
    groups: dict[str, dict[str, str]] = {}
    open_groups: list[str] = []
    for line in document_text(text).splitlines():
        match = _ASSIGNMENT.match(line)
        if match is None:
            continue
        key = match.group(1).upper()
        value = match.group(2) if match.group(2) is not None else match.group(3)
        if key == "GROUP":
            open_groups.append(value)
        elif key == "END_GROUP":
            del open_groups[-1:]
        else:
            groups.setdefault(open_groups[-1] if open_groups else "", {}).setdefault(key, value)
    return Mtl(groups)


def document_text(text: str) -> str:
    """Return the text up to and including its `END`, because LPGS once padded files with zeros."""
    end = re.search(r"^END[ \t]*\r?$", text, re.MULTILINE)
    kept = text if end is None else text[: end.end()] + "\n"
    return kept.replace("\0", "")


def slc_was_off(mtl: Mtl | None, sensor: str | None, acquired: date | None) -> bool | None:
    """Return whether the scan line corrector was off, or None if unknown; False for sensors other than ETM+."""
    if mtl is not None and mtl.slc_off is not None:
        return mtl.slc_off
    if sensor is None:
        return None
    if sensor != "LE07":
        return False
    return None if acquired is None else acquired > SLC_FAILURE


LEVEL_FILL = 0.0
"""Fill of Level 1 and Collection 2 Level 2, with or without a tag. Source: USGS LSDS-1414 and LSDS-1618."""
ESPA_FILL = -9999.0
ESPA_REFLECTANCE_RANGE = (-2000.0, 16000.0)
"""Fill and valid range of ESPA's int16 reflectance. Source: USGS LSDS-1370, Product Guide, table 3-2."""


@dataclass(frozen=True, slots=True)
class _File:
    """A file of a product, with the facts in its name."""

    member: Member
    facts: FileFacts

    @property
    def name(self) -> str:
        """Its name without folders."""
        return PurePosixPath(self.member.name).name


@dataclass(frozen=True, slots=True)
class _Raster:
    """A raster of a product, with the facts in its header."""

    file: _File
    grid: Grid
    dtype: str
    nodata_tag: float | None
    count: int


def open_products(
    source: str | Path,
    *,
    bands: Sequence[str] | None = None,
    nodata: Nodata = None,
    only: str | None = None,
    rasters: Rasters | None = None,
) -> list[Scene]:
    """Return the scenes of the products in a folder or an archive, in the order of the products' names.

    Args:
        source: A folder (with its gap_mask sub-folders), `.tar`, `.tar.gz`, `.tgz` or `.zip`.
        bands: The bands to open: `B4`, `4`, `nir`, or a file's own ending such as `SR_B4`; None means all.
        nodata: Numbers of missing pixels besides the product's own; see `missing_numbers`.
        only: The identifier of one product among several, or None for all.
        rasters: The open rasters, kept for later readers; None closes them.

    Raises:
        InputError: If the source can't be read, holds no Landsat band, or a band's header is broken.
        UsageError: If a product lacks one of the bands.
    """
    place = Path(source)
    members = list_members(place)
    products = _with_bands(_files_by_name(members))
    if only is not None:
        products = {name: files for name, files in products.items() if name == only.upper()}
    if not products:
        raise InputError(
            f"expected Landsat bands in {place}, but got no file with such a name",
            hint="Keep the band names of USGS and ESPA (…_B1.TIF, …_SR_B1.TIF, …_sr_band1.tif), or give the "
            "GeoTIFFs themselves, which are filled one by one.",
        )
    given = missing_numbers(nodata)
    # A folder may also hold other files, so only names with the product's identifier belong to it.
    others = None if place.is_dir() else members
    return [
        scene
        for files in products.values()
        for scene in _open_product(place, files, bands, given, rasters, _companions(files, others))
    ]


def open_band_file(path: Path, *, nodata: Nodata = None, rasters: Rasters | None = None) -> Scene | None:
    """Return the scene of one band of a product, with the gap_mask, quality bands and MTL file beside it.

    Returns None if the file isn't named as a product's band, or holds several bands.

    Args:
        path: The band's file.
        nodata: Numbers of missing pixels besides the product's own; see `missing_numbers`.
        rasters: As of `open_products`.

    Raises:
        InputError: If the file, or one beside it, can't be read.
    """
    facts = read_name(path.name)
    if facts is None or facts.kind is not FileKind.BAND:
        return None
    files = _files_by_name(list_members(path.parent)).get(facts.scene_id, {})
    # A .vrt isn't listed, but is opened if the user names it.
    own = files.get(without_gzip(path.name)) or _File(Member(path.name, str(path.absolute()), path.name), facts)
    if _header(own, rasters).count != 1:
        return None
    beside = [file for file in files.values() if file.facts.kind is not FileKind.BAND]
    return _open_product(path.parent, [own, *beside], None, missing_numbers(nodata), rasters)[0]


def product_names(place: Path) -> list[str]:
    """Return the identifiers, in upper case, of the products with bands in a folder or an archive.

    Raises:
        InputError: If it can't be listed.
    """
    return list(_with_bands(_files_by_name(list_members(place))))


def _with_bands(groups: Mapping[str, Mapping[str, _File]]) -> dict[str, list[_File]]:
    """Return the files of each product with bands, by the product's identifier."""
    products = {name: list(files.values()) for name, files in sorted(groups.items())}
    return {name: files for name, files in products.items() if _of_kind(files, FileKind.BAND)}


def _files_by_name(members: Iterable[Member]) -> dict[str, dict[str, _File]]:
    """Return the files of each product by name. Of a band and its gzipped copy, only the first is kept."""
    groups: dict[str, dict[str, _File]] = {}
    for member in members:
        facts = read_name(member.name)
        if facts is not None:
            file = _File(member, facts)
            groups.setdefault(facts.scene_id, {}).setdefault(file.name, file)
    return groups


def _companions(files: Sequence[_File], others: Sequence[Member] | None) -> dict[str, str]:
    """Return the other files of a product by their paths beside its bands, as in `Scene.companions`.

    Side files of a band (statistics, overviews) are left out, because they describe the unfilled band.

    Args:
        files: The product's files.
        others: All files of its archive, or None to take only those of the product.
    """
    bands = _of_kind(files, FileKind.BAND)
    home = PurePosixPath(bands[0].member.name).parent
    of_bands = tuple(f"{file.name.lower()}." for file in bands)
    found: dict[str, str] = {}
    for member in [file.member for file in files] if others is None else others:
        facts = read_name(member.name)
        path = PurePosixPath(member.stored.replace("\\", "/"))
        is_band = facts is not None and facts.kind is FileKind.BAND
        if is_band or path.name.startswith(".") or is_output_name(path.name) or path.name.lower().startswith(of_bands):
            continue
        place = path.relative_to(home) if path.is_relative_to(home) else PurePosixPath(path.name)
        if ".." in place.parts or place.is_absolute():
            place = PurePosixPath(path.name)
        found.setdefault(str(place), member.stored)
    return found


def _of_kind(files: Iterable[_File], kind: FileKind) -> list[_File]:
    return [file for file in files if file.facts.kind is kind]


def _open_product(
    place: Path,
    files: list[_File],
    wanted: Sequence[str] | None,
    nodata: MissingNumbers | None,
    rasters: Rasters | None,
    companions: Mapping[str, str] | None = None,
) -> list[Scene]:
    """Return the scenes of one product from its files."""
    texts = [file.member.text for file in _of_kind(files, FileKind.METADATA) if file.member.text is not None]
    mtl = parse_mtl(texts[0]) if texts else None
    band_files = sorted(_of_kind(files, FileKind.BAND), key=_order)
    facts = band_files[0].facts
    if wanted is not None:
        band_files = _chosen(band_files, wanted, facts.scene_id)
    gap_masks = {file.facts.band: file.member.dataset for file in _of_kind(files, FileKind.GAP_MASK)}
    if (place / MARK_NAME).exists():  # gap masks beside filled bands describe the unfilled bands
        gap_masks = {}
    # In a .tar.gz, bands come before the quality bands, and going back means reading it again.
    groups: list[list[_Raster]] = []
    for file in band_files:
        raster = _header(file, rasters)
        if raster.count > 1:
            raise InputError(
                f"expected one band in {file.member.name}, but got {raster.count}",
                hint="Give that file itself to fill all its bands.",
            )
        like = next((group for group in groups if _kind(group[0]) == _kind(raster)), None)
        if like is None:
            groups.append([raster])
        else:
            like.append(raster)
    quality = [_header(file, rasters) for file in _of_kind(files, FileKind.QUALITY) if file.facts.quality is not None]
    acquired = facts.acquired or (mtl.acquired if mtl is not None else None)
    return [
        Scene(
            name=facts.scene_id,
            source=place,
            bands=tuple(_scene_band(raster, mtl, nodata, gap_masks) for raster in group),
            grid=group[0].grid,
            quality=tuple(
                QualityBand(raster.file.facts.quality or "", raster.file.member.dataset)
                for raster in quality
                if raster.grid == group[0].grid
            ),
            sensor=facts.sensor,
            acquired=acquired,
            slc_off=slc_was_off(mtl, facts.sensor, acquired),
            companions=dict(companions or {}),
        )
        for group in groups
    ]


def _order(file: _File) -> tuple[str, int, str]:
    """Return the sort key of a band: reflective, thermal and pan, each in the sensor's order."""
    band = file.facts.band
    bands = sensor_bands(file.facts.sensor)
    return file.facts.quantity.value, bands.index(band) if band in bands else len(bands), file.name


def _kind(raster: _Raster) -> tuple[object, ...]:
    """Return what the bands of one scene have in common."""
    band = raster.file.facts.band
    return None if band is None else band.role, raster.file.facts.quantity, raster.dtype, raster.grid


def _scene_band(
    raster: _Raster, mtl: Mtl | None, nodata: MissingNumbers | None, gap_masks: dict[Band | None, str]
) -> SceneBand:
    facts = raster.file.facts
    refuse_inexact_tag(raster.file.name, raster.dtype, raster.nodata_tag, nodata)
    fill, valid_range = _stored_numbers(facts, raster.dtype, raster.nodata_tag, mtl, nodata)
    return SceneBand(
        dataset=raster.file.member.dataset,
        index=1,
        name=_band_name(facts),
        dtype=raster.dtype,
        nodata=fill,
        valid_range=valid_range,
        band=facts.band,
        gap_mask=gap_masks.get(facts.band),
        quantity=_quantity(facts, mtl).of(facts.band),
        file_name=raster.file.name,
        also_missing=() if nodata is None else nodata.besides(fill),
    )


def _quantity(facts: FileFacts, mtl: Mtl | None) -> Quantity:
    """Return the quantity stated by the band's name, the product's identifier or the MTL file."""
    if facts.quantity is not Quantity.DIGITAL_NUMBER:
        return facts.quantity
    return stated_quantity(facts.scene_id) or stated_quantity(mtl.level if mtl else None) or facts.quantity


def _stored_numbers(
    facts: FileFacts, dtype: str, tag: float | None, mtl: Mtl | None, given: MissingNumbers | None
) -> tuple[float | None, tuple[float, float]]:
    """Return a band's fill value, and the smallest and largest number of a filled pixel.

    With `only`, the fill value is the first number that the user gives. The file's nodata tag never replaces Landsat's
    fill value 0, because other software writes tags such as 255 or 65535 into files whose gaps are 0.
    """
    low, high = value_range(dtype)
    is_counted = facts.quantity is Quantity.DIGITAL_NUMBER
    if dtype.startswith("float"):
        fill = LEVEL_FILL if tag is None else tag
    elif dtype == "int16":
        fill = ESPA_FILL if tag is None else tag
        if not is_counted and facts.band is not None and facts.band.role is not BandRole.THERMAL:
            low, high = ESPA_REFLECTANCE_RANGE
    else:
        fill = LEVEL_FILL
        quantized = mtl.quantize_range(facts.band) if mtl is not None and facts.band is not None else None
        if is_counted and quantized is not None:
            low, high = max(low, quantized[0]), min(high, quantized[1])
    missing = given.first if given is not None and given.alone else fill
    # A filled pixel must not equal a number for missing pixels.
    numbers = [(number, number) for number in (missing, tag) if number is not None]
    taken = [span for span in (*numbers, *(() if given is None else given.spans)) if span[0] <= span[1]]  # not NaN
    for first, last in sorted(taken):
        if first <= low <= last:
            low = min(math.floor(last) + 1.0, high) if last < high else high
    for first, last in sorted(taken, key=lambda span: -span[1]):
        if first <= high <= last:
            high = max(math.ceil(first) - 1.0, low) if first > low else low
    return missing, (low, high)


def _band_name(facts: FileFacts) -> str:
    return "" if facts.band is None else facts.band.name


def _header(file: _File, rasters: Rasters | None) -> _Raster:
    """Return a raster with its header, or raise InputError if its data type can't be filled."""
    with opened(file.member.dataset, rasters) as stored:
        raster = stored.dataset
        header = _Raster(file, stored.grid, raster.dtypes[0], raster.nodata, raster.count)
    if header.dtype not in DTYPES:
        raise InputError(
            f"expected numbers of {', '.join(DTYPES)}, but {file.member.name} holds {header.dtype}",
            hint=conversion_hint(header.dtype),
        )
    return header


def _chosen(files: list[_File], wanted: Sequence[str], product: str) -> list[_File]:
    """Return the files of the bands in `wanted`, in the product's order, or raise UsageError."""
    names = {file.name: _names_of(file) for file in files}
    chosen: set[str] = set()
    for name in wanted:
        matching = {file_name for file_name, called in names.items() if name.lower() in called}
        if not matching:
            present = ", ".join(dict.fromkeys(_band_name(file.facts) for file in files))
            near = did_you_mean(name, sorted(set().union(*names.values())), cutoff=0.6)
            raise UsageError(f"expected bands of {product}, but got {name!r}", hint=f"{near} It has {present}.".strip())
        chosen |= matching
    return [file for file in files if file.name in chosen]


def _names_of(file: _File) -> set[str]:
    """Return the names of a band in lower case: `b4`, `4`, `nir`, `sr_b4`."""
    band = file.facts.band
    if band is None:
        return set()
    name = band.name.lower()
    ending = file.name.lower().rpartition(".")[0][len(file.facts.scene_id) + 1 :]
    return {name, name.removeprefix("b"), band.colour, ending}
