"""What file names say."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landsat_fill.io.usgs_names import FileKind, Quantity, is_landsat_name, read_name, sensor_bands, stated_quantity
from landsat_fill.scene import BandRole

COLLECTION = "LE07_L1TP_007059_20161209_20170130_01_T1"
SCENE = "LE70280312001161EDC00"


@pytest.mark.parametrize(
    ("name", "sensor", "day", "band"),
    [
        (f"{COLLECTION}_B1.TIF", "LE07", date(2016, 12, 9), "B1"),
        (f"{COLLECTION}_B6_VCID_2.TIF", "LE07", date(2016, 12, 9), "B6_VCID_2"),
        (f"{COLLECTION}_b61.tif", "LE07", date(2016, 12, 9), "B6_VCID_1"),
        (f"{COLLECTION.lower()}_sr_band4.tif", "LE07", date(2016, 12, 9), "B4"),
        (f"{COLLECTION}_B3.TIF.gz", "LE07", date(2016, 12, 9), "B3"),
        (f"{COLLECTION}_sr_band7.img", "LE07", date(2016, 12, 9), "B7"),
        ("LE07_L2SP_013031_20150624_20200904_02_T1_SR_B7.TIF", "LE07", date(2015, 6, 24), "B7"),
        ("LE07_L2SP_013031_20150624_20200904_02_T1_ST_B6.TIF", "LE07", date(2015, 6, 24), "B6"),
        ("LT05_L1TP_167055_20000309_20161214_01_T1_B6.TIF", "LT05", date(2000, 3, 9), "B6"),
        ("LC08_L1TP_167055_20170308_20170317_01_T1_B11.TIF", "LC08", date(2017, 3, 8), "B11"),
        ("LC09_L2SP_204023_20220927_20221006_02_T2_SR_B2.TIF", "LC09", date(2022, 9, 27), "B2"),
        ("LE07_L2SP_225078_20110306_02_T1_SR_B1.TIF", "LE07", date(2011, 3, 6), "B1"),
        ("LE07_CU_029005_20100813_20210429_02_SR_B1.TIF", "LE07", date(2010, 8, 13), "B1"),
        ("LT05_AK_010004_19950813_02_SR_B7.TIF", "LT05", date(1995, 8, 13), "B7"),
        ("LE07_CU_029005_20100813_20190428_C01_V01_SRB1.tif", "LE07", date(2010, 8, 13), "B1"),
        ("LE07_CU_029005_20100813_20190428_C01_V01_TAB5.tif", "LE07", date(2010, 8, 13), "B5"),
        ("LE07_CU_029005_20100813_20190428_C01_V01_BTB6.tif", "LE07", date(2010, 8, 13), "B6"),
        ("LC08_HI_003001_20160813_20210429_02_TOA_B5.TIF", "LC08", date(2016, 8, 13), "B5"),
        (f"{SCENE}_B4.tif", "LE07", date(2001, 6, 10), "B4"),
        (f"{SCENE.lower()}_b8.tif", "LE07", date(2001, 6, 10), "B8"),
        (f"{SCENE}_toa_band6.tif", "LE07", date(2001, 6, 10), "B6"),
        ("LT51310352009209IKR00_B6.TIF", "LT05", date(2009, 7, 28), "B6"),
        ("LC81670552017067LGN00_B10.TIF", "LC08", date(2017, 3, 8), "B10"),
        ("L71129046_04620080329_B20.TIF", "LE07", date(2008, 3, 29), "B2"),
        ("L71129046_04620080329_B61.TIF", "LE07", date(2008, 3, 29), "B6_VCID_1"),
        ("L72129046_04620080329_B62.TIF", "LE07", date(2008, 3, 29), "B6_VCID_2"),
        ("L72129046_04620080329_B80.TIF", "LE07", date(2008, 3, 29), "B8"),
        ("L5131035_03520090728_B60.TIF", "LT05", date(2009, 7, 28), "B6"),
        ("l71129046_04620080329_b70.tif", "LE07", date(2008, 3, 29), "B7"),
    ],
)
def test_band_names_of_every_generation(name, sensor, day, band):
    facts = read_name(f"some/folder/{name}")
    assert facts is not None
    assert facts.band is not None
    assert (facts.kind, facts.sensor, facts.acquired, facts.band.name) == (FileKind.BAND, sensor, day, band)


@pytest.mark.parametrize(
    ("ending", "kind", "quality"),
    [
        ("QA_PIXEL.TIF", FileKind.QUALITY, "QA_PIXEL"),
        ("BQA.TIF", FileKind.QUALITY, "BQA"),
        ("bqa.tif", FileKind.QUALITY, "BQA"),
        ("pixel_qa.tif", FileKind.QUALITY, "pixel_qa"),
        ("cfmask.tif", FileKind.QUALITY, "cfmask"),
        ("fmask.tif", FileKind.QUALITY, "fmask"),
        ("QA_RADSAT.TIF", FileKind.QUALITY, "QA_RADSAT"),
        ("radsat_qa.tif", FileKind.QUALITY, "radsat_qa"),  # other bits than QA_RADSAT
        ("MTL.txt", FileKind.METADATA, None),
        ("GM_B1.TIF.gz", FileKind.GAP_MASK, None),
        ("GM_B6_VCID_1.TIF", FileKind.GAP_MASK, None),
        ("cfmask_conf.tif", FileKind.OTHER, None),
        ("toa_band6_qa.tif", FileKind.QUALITY, None),
        ("SR_CLOUD_QA.TIF", FileKind.QUALITY, None),
        ("SR_ATMOS_OPACITY.TIF", FileKind.QUALITY, None),
        ("PIXELQA.tif", FileKind.QUALITY, "pixel_qa"),
        ("LINEAGEQA.tif", FileKind.QUALITY, None),
        ("ST_ATRAN.TIF", FileKind.OTHER, None),
        ("ANG.txt", FileKind.OTHER, None),
        ("MTL.xml", FileKind.OTHER, None),
        ("B1.TIF.aux.xml", FileKind.OTHER, None),
        ("B1_filled.tif", FileKind.OTHER, None),
        ("B10.TIF", FileKind.OTHER, None),  # ETM+ has no band 10
        ("B6_VCID_3.TIF", FileKind.OTHER, None),
        ("stack.tif", FileKind.OTHER, None),
    ],
)
def test_other_files_of_a_product(ending, kind, quality):
    facts = read_name(f"{COLLECTION}_{ending}")
    assert facts is not None
    assert (facts.kind, facts.quality) == (kind, quality)


def test_quantities_are_distinguished():
    endings = {"B4": Quantity.DIGITAL_NUMBER, "SR_B4": Quantity.SURFACE, "toa_band4": Quantity.TOP_OF_ATMOSPHERE}
    for ending, quantity in endings.items():
        facts = read_name(f"{COLLECTION}_{ending}.tif")
        assert facts is not None
        assert facts.quantity is quantity


def test_both_prefixes_of_an_nlaps_product_are_one_product():
    first, last = read_name("L71129046_04620080329_B10.TIF"), read_name("L72129046_04620080329_B80.TIF")
    assert first is not None
    assert last is not None
    assert first.scene_id == last.scene_id == "L71129046_04620080329"


@pytest.mark.parametrize("name", ["scene.tif", "B1.tif", "etm_20010610_B1.tif", "LE07", "", "LE07_B1.TIF"])
def test_names_that_say_nothing(name):
    assert read_name(name) is None


def test_a_day_that_does_not_exist_is_no_date():
    facts = read_name("LE07_L1TP_007059_20161399_20170130_01_T1_B1.TIF")
    assert facts is not None
    assert facts.acquired is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (f"{COLLECTION}_stack.tif", True),
        (f"/data/clip_{COLLECTION}.tif", True),
        ("LE70130312015175EDC00.tif", True),
        ("LE70130312015175-SC20151019173810.tar.gz", True),
        ("LE070130312015062401T1-SC20190402143359.tar.gz", True),
        ("LE07_013031_20150624.tif", True),
        ("L71129046_04620080329.tif", True),
        ("etm_talca_chile_20130215.tif", False),
        ("L7_mosaic.tif", False),
        ("ALE70130312015175EDC00.tif", False),
    ],
)
def test_names_that_are_recognisably_landsat(name, expected):
    assert is_landsat_name(name) is expected


def test_reflective_bands_come_first_and_in_order():
    for sensor in ("LE07", "LT04", "LT05", "LC08", "LC09"):
        roles = [band.role for band in sensor_bands(sensor)]
        assert roles == sorted(roles, key=list(BandRole).index) or BandRole.PANCHROMATIC in roles
        reflective = [band for band in sensor_bands(sensor) if band.role is BandRole.REFLECTIVE]
        visible = [band.colour for band in reflective if band.colour in ("blue", "green", "red", "nir")]
        assert visible == ["blue", "green", "red", "nir"]
    assert sensor_bands("LM01") == ()


@given(st.text() | st.from_regex(r"L[ETCM]0?[0-9](_L1TP)?[_0-9]{7,30}.{0,12}\.(tif|TIF|txt)(\.gz)?"))
def test_any_name_is_read(name):
    facts = read_name(name)
    assert facts is None or (is_landsat_name(name) and (facts.kind is FileKind.BAND) <= (facts.band is not None))


@pytest.mark.parametrize(
    ("text", "quantity"),
    [
        ("L2SP", "surface reflectance"),
        ("LE07_L1TP_007059_20161209_20170130_01_T1", "digital number"),
        ("landsat-c2l2-sr", "surface reflectance"),
        ("L1T", "digital number"),
        ("Level-2", "surface reflectance"),
        ("L7", None),
        ("LE70280312001161EDC00", None),
        ("LEVEL", None),
        (None, None),
    ],
)
def test_the_level_of_processing_says_what_the_numbers_are(text, quantity):
    found = stated_quantity(text)
    assert (found and found.of(None)) == quantity
