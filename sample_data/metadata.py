"""Writes the MTL file of the sample product: the fields of Collection 2 that a reader looks for.

Source: Landsat 7 ETM+ Collection 2 Level 1 Data Format Control Book, USGS LSDS-1414, appendix B.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from geotiff import NORTH_M, PIXEL_M, WEST_M
from sensor import HIGHEST, LOWEST, RADIANCE, REFLECTANCE, THERMAL_K1, THERMAL_K2

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PRODUCT_ID = "LE07_L1TP_299299_20050704_20200914_02_T1"
"""Path and row 299 don't exist (there are 233 and 248): nobody takes the product for a real one."""

SCENE_ID = "LE72992992005185XXX00"
BANDS = ("1", "2", "3", "4", "5", "6_VCID_1", "6_VCID_2", "7", "8")


def metadata_text(stored: dict[str, NDArray[np.uint8]]) -> str:
    """Return the text of the MTL file of a product with these bands."""
    lines, samples = stored["1"].shape
    contents: dict[str, object] = {
        "ORIGIN": '"Invented by landsat-fill, not measured"',
        "LANDSAT_PRODUCT_ID": f'"{PRODUCT_ID}"',
        "PROCESSING_LEVEL": '"L1TP"',
        "COLLECTION_NUMBER": "02",
        "COLLECTION_CATEGORY": '"T1"',
        "OUTPUT_FORMAT": '"GEOTIFF"',
    }
    contents |= {f"FILE_NAME_BAND_{band}": f'"{PRODUCT_ID}_B{band}.TIF"' for band in BANDS}
    contents["FILE_NAME_QUALITY_L1_PIXEL"] = f'"{PRODUCT_ID}_QA_PIXEL.TIF"'
    contents["FILE_NAME_QUALITY_L1_RADIOMETRIC_SATURATION"] = f'"{PRODUCT_ID}_QA_RADSAT.TIF"'
    contents["FILE_NAME_METADATA_ODL"] = f'"{PRODUCT_ID}_MTL.txt"'
    saturated = {f"SATURATION_BAND_{band}": '"Y"' if (stored[band] == HIGHEST).any() else '"N"' for band in BANDS}
    attributes = {
        "SPACECRAFT_ID": '"LANDSAT_7"',
        "SENSOR_ID": '"ETM"',
        "SENSOR_MODE": '"SAM"',
        "SENSOR_MODE_SLC": '"OFF"',
        "WRS_TYPE": 2,
        "WRS_PATH": 299,
        "WRS_ROW": 299,
        "DATE_ACQUIRED": "2005-07-04",
        "SCENE_CENTER_TIME": '"11:31:07.0000000Z"',
        "CLOUD_COVER": "2.00",
        "SUN_AZIMUTH": "137.00000000",
        "SUN_ELEVATION": "52.00000000",
        **saturated,
    }
    projection = {
        "MAP_PROJECTION": '"UTM"',
        "DATUM": '"WGS84"',
        "ELLIPSOID": '"WGS84"',
        "UTM_ZONE": 26,
        "GRID_CELL_SIZE_PANCHROMATIC": "15.00",
        "GRID_CELL_SIZE_REFLECTIVE": "30.00",
        "GRID_CELL_SIZE_THERMAL": "30.00",
        "PANCHROMATIC_LINES": stored["8"].shape[0],
        "PANCHROMATIC_SAMPLES": stored["8"].shape[1],
        "REFLECTIVE_LINES": lines,
        "REFLECTIVE_SAMPLES": samples,
        "THERMAL_LINES": lines,
        "THERMAL_SAMPLES": samples,
        "ORIENTATION": '"NORTH_UP"',
        # Centres of the corner pixels, as USGS writes them.
        "CORNER_UL_PROJECTION_X_PRODUCT": f"{WEST_M + PIXEL_M / 2:.3f}",
        "CORNER_UL_PROJECTION_Y_PRODUCT": f"{NORTH_M - PIXEL_M / 2:.3f}",
    }
    record = {
        "LANDSAT_SCENE_ID": f'"{SCENE_ID}"',
        "PROCESSING_SOFTWARE_VERSION": '"landsat-fill sample_data/make.py"',
        "DATE_PRODUCT_GENERATED": "2020-09-14T00:00:00Z",
    }
    quantised = {
        f"QUANTIZE_CAL_{end}_BAND_{band}": number
        for band in BANDS
        for end, number in (("MAX", HIGHEST), ("MIN", LOWEST))
    }
    rescaling = {
        f"{kind}_{part.upper()}_BAND_{band}": f"{getattr(rescaling, part):.4E}"
        for kind, table in (("RADIANCE", RADIANCE), ("REFLECTANCE", REFLECTANCE))
        for part in ("mult", "add")
        for band, rescaling in table.items()
    }
    thermal = {
        f"K{number}_CONSTANT_BAND_{band}": constant
        for band in RADIANCE
        for number, constant in ((1, THERMAL_K1), (2, THERMAL_K2))
    }
    groups = {
        "PRODUCT_CONTENTS": contents,
        "IMAGE_ATTRIBUTES": attributes,
        "PROJECTION_ATTRIBUTES": projection,
        "LEVEL1_PROCESSING_RECORD": record,
        "LEVEL1_MIN_MAX_PIXEL_VALUE": quantised,
        "LEVEL1_RADIOMETRIC_RESCALING": rescaling,
        "LEVEL1_THERMAL_CONSTANTS": thermal,
        "LEVEL1_PROJECTION_PARAMETERS": {"RESAMPLING_OPTION": '"CUBIC_CONVOLUTION"', "SCAN_GAP_INTERPOLATION": "2.0"},
    }
    text = ["GROUP = LANDSAT_METADATA_FILE"]
    for group, fields in groups.items():
        text.append(f"  GROUP = {group}")
        text += [f"    {key} = {value}" for key, value in fields.items()]
        text.append(f"  END_GROUP = {group}")
    return "\n".join([*text, "END_GROUP = LANDSAT_METADATA_FILE", "END", ""])
