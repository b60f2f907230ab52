"""The metadata file of Level 1 and Level 2 products: `…_MTL.txt`.

Source: USGS LSDS-1414, Landsat 7 Collection 2 Level 1 Data Format Control Book, appendix A (groups and keys);
LPGS used the older keys (`ACQUISITION_DATE`, `QCALMIN_BAND1`) before 2012.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from landsat_fill.scene import Band


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
