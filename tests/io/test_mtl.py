"""What the MTL file says."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landsat_fill.io.mtl import document_text, parse_mtl, slc_was_off
from landsat_fill.scene import ETM_PLUS

COLLECTION_2 = """\
GROUP = LANDSAT_METADATA_FILE
  GROUP = IMAGE_ATTRIBUTES
    SPACECRAFT_ID = "LANDSAT_7"
    SENSOR_ID = "ETM"
    DATE_ACQUIRED = 2012-03-24
    SCENE_CENTER_TIME = "01:10:20.3361043Z"
    SENSOR_MODE_SLC = "OFF"
  END_GROUP = IMAGE_ATTRIBUTES
  GROUP = LEVEL2_SURFACE_REFLECTANCE_PARAMETERS
    QUANTIZE_CAL_MAX_BAND_1 = 65535
    QUANTIZE_CAL_MIN_BAND_1 = 1
    REFLECTANCE_MULT_BAND_1 = 2.75e-05
    REFLECTANCE_ADD_BAND_1 = -0.2
  END_GROUP = LEVEL2_SURFACE_REFLECTANCE_PARAMETERS
  GROUP = LEVEL1_MIN_MAX_PIXEL_VALUE
    QUANTIZE_CAL_MAX_BAND_1 = 255
    QUANTIZE_CAL_MIN_BAND_1 = 1
    QUANTIZE_CAL_MAX_BAND_6_VCID_1 = 254
    QUANTIZE_CAL_MIN_BAND_6_VCID_1 = 2
  END_GROUP = LEVEL1_MIN_MAX_PIXEL_VALUE
  GROUP = LEVEL1_PROJECTION_PARAMETERS
    SCAN_GAP_INTERPOLATION = 2.0
  END_GROUP = LEVEL1_PROJECTION_PARAMETERS
END_GROUP = LANDSAT_METADATA_FILE
END
"""
BEFORE_2012 = """\
GROUP = L1_METADATA_FILE
  GROUP = PRODUCT_METADATA
    SPACECRAFT_ID = "Landsat7"
    SENSOR_ID = "ETM+"
    ACQUISITION_DATE = 2008-03-29
  END_GROUP = PRODUCT_METADATA
  GROUP = MIN_MAX_PIXEL_VALUE
    QCALMAX_BAND61 = 255.0
    QCALMIN_BAND61 = 1.0
  END_GROUP = MIN_MAX_PIXEL_VALUE
END_GROUP = L1_METADATA_FILE
END
"""
BLUE, THERMAL = ETM_PLUS[0], next(band for band in ETM_PLUS if band.name == "B6_VCID_1")


def test_collection_2():
    mtl = parse_mtl(COLLECTION_2)
    assert (mtl.acquired, mtl.slc_off) == (date(2012, 3, 24), True)
    assert mtl.quantize_range(THERMAL) == (2, 254)
    assert mtl.get("SCENE_CENTER_TIME") == "01:10:20.3361043Z"


def test_level_2_goes_before_the_level_1_it_was_made_from():
    assert parse_mtl(COLLECTION_2).quantize_range(BLUE) == (1, 65535)


def test_older_spellings():
    mtl = parse_mtl(BEFORE_2012)
    assert (mtl.acquired, mtl.slc_off) == (date(2008, 3, 29), None)
    assert mtl.quantize_range(THERMAL) == (1, 255)
    assert mtl.quantize_range(BLUE) is None


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_padding_after_the_end_is_left_out(newline):
    text = COLLECTION_2.replace("\n", newline)
    padded = text + "\0" * 5000 + "\ufffd\x02\nDATE_ACQUIRED = 1999-01-01\n"
    assert document_text(padded).splitlines() == COLLECTION_2.splitlines()
    assert parse_mtl(padded) == parse_mtl(COLLECTION_2)


def test_a_file_cut_short_says_what_it_still_has():
    mtl = parse_mtl(COLLECTION_2[: COLLECTION_2.index("    SENSOR_MODE_SLC") + 25])
    assert mtl.acquired == date(2012, 3, 24)
    assert mtl.slc_off is None
    assert mtl.quantize_range(BLUE) is None


@settings(max_examples=40, deadline=None)
@given(st.text())
def test_any_text_is_parsed(text):
    mtl = parse_mtl(text)
    assert mtl.number("SCAN_GAP_INTERPOLATION") is None or "SCAN_GAP_INTERPOLATION" in text.upper()


@pytest.mark.parametrize(
    ("text", "sensor", "day", "expected"),
    [
        (COLLECTION_2, "LE07", date(2001, 1, 1), True),  # the file goes before the date
        (COLLECTION_2.replace('"OFF"', '"ON"'), "LE07", date(2012, 1, 1), False),
        (BEFORE_2012, "LE07", date(2008, 3, 29), True),
        (None, "LE07", date(2003, 5, 31), False),
        (None, "LE07", date(2003, 6, 1), True),
        (None, "LE07", None, None),
        (None, "LC08", date(2017, 1, 1), False),
        (None, None, date(2017, 1, 1), None),
    ],
)
def test_was_the_scan_line_corrector_off(text, sensor, day, expected):
    assert slc_was_off(None if text is None else parse_mtl(text), sensor, day) is expected
