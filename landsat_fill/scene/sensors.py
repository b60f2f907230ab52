"""The bands of the Landsat sensors whose scenes are filled here.

Source: Landsat 7 Data Users Handbook, USGS LSDS-1927, table 2-1 (wavelengths, pixel sizes);
Landsat 7 Collection 2 Level 1 Data Format Control Book, USGS LSDS-1414 (QA_RADSAT bits).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class BandRole(Enum):
    """What a band measures, which decides the bands it is filled together with."""

    REFLECTIVE = "reflective"
    THERMAL = "thermal"
    PANCHROMATIC = "panchromatic"


@dataclass(frozen=True, slots=True)
class Band:
    """One band of a sensor.

    Attributes:
        name: The band's name in a product, without level: `B1`, `B6_VCID_1`.
        colour: The field's common name for it: `blue`, `nir`, `swir1`.
        role: What it measures.
        wavelength_um: Lower and upper edge of the band in micrometres.
        pixel_m: Pixel size of the delivered band in metres.
        saturation_bit: Its bit in QA_RADSAT, or None.
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
"""The nine bands of Landsat 7's Enhanced Thematic Mapper Plus."""

TM: tuple[Band, ...] = (
    *ETM_PLUS[:6],
    Band("B6", "thermal", BandRole.THERMAL, (10.4, 12.5), 30.0, 5),
)
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
"""Ground distance between two gaps of one side: 16 lines there, 16 back, and the retrace: 33 rows of 30 m."""
