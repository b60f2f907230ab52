"""Products opened as scenes, from folders and archives, and what the MTL file says."""

from __future__ import annotations

import gzip
import tarfile
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from making import packed, write_geotiff
from rasterio.transform import Affine

from landsat_fill.errors import InputError, UsageError
from landsat_fill.io.gdal import gdal_session, open_dataset
from landsat_fill.io.products import document_text, open_band_file, open_products, parse_mtl, slc_was_off
from landsat_fill.scene import ETM_PLUS

if TYPE_CHECKING:
    from pathlib import Path


L1 = "LE07_L1TP_007059_20161209_20170130_01_T1"
L2 = "LE07_L2SP_013031_20010624_20200904_02_T1"
MTL = """\
GROUP = L1_METADATA_FILE
  GROUP = MIN_MAX_PIXEL_VALUE
    QUANTIZE_CAL_MAX_BAND_1 = 250
    QUANTIZE_CAL_MIN_BAND_1 = 3
  END_GROUP = MIN_MAX_PIXEL_VALUE
END_GROUP = L1_METADATA_FILE
END
"""


def write_band(path: Path, dtype: str = "uint8", pixel_m: float = 30.0, nodata: float | None = None) -> None:
    size = round(30 * 20 / pixel_m)
    pixels = np.full((1, size, size), sum(path.name.encode()) % 100 + 1, dtype)
    where = {"crs": "EPSG:32618", "transform": Affine(pixel_m, 0, 561015, 0, -pixel_m, 176355)}
    write_geotiff(path, pixels, nodata=nodata, **where)


def level_1(folder: Path) -> Path:
    """Write a Level 1 product: all bands, gap_mask (one gzipped), BQA, MTL, and what else USGS ships."""
    for band in ("B1", "B2", "B3", "B4", "B5", "B7", "B6_VCID_1", "B6_VCID_2"):
        write_band(folder / f"{L1}_{band}.TIF")
        write_band(folder / "gap_mask" / f"{L1}_GM_{band}.TIF")
    write_band(folder / f"{L1}_B8.TIF", pixel_m=15)
    write_band(folder / f"{L1}_BQA.TIF", "uint16")
    (folder / f"{L1}_MTL.txt").write_text(MTL)
    (folder / "README.GTF").write_text("read me")
    plain = folder / "gap_mask" / f"{L1}_GM_B1.TIF"
    plain.with_name(plain.name + ".gz").write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()
    return folder


def read(dataset: str) -> np.ndarray:
    with open_dataset(dataset) as file, gdal_session():
        return file.read(1)


@pytest.fixture(scope="module")
def product_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return level_1(tmp_path_factory.mktemp("product") / L1)


def test_a_level_1_folder(product_folder: Path):
    scenes = open_products(product_folder)
    reflective, thermal, pan = scenes
    assert reflective.name == thermal.name == pan.name == L1
    assert [band.name for band in reflective.bands] == ["B1", "B2", "B3", "B4", "B5", "B7"]
    assert [band.name for band in thermal.bands] == ["B6_VCID_1", "B6_VCID_2"]
    assert [band.name for band in pan.bands] == ["B8"]
    assert (reflective.grid.height, pan.grid.height) == (20, 40)
    assert [[band.kind for band in scene.quality] for scene in scenes] == [["BQA"], ["BQA"], []]
    assert all(band.nodata == 0 for scene in scenes for band in scene.bands)
    assert [band.valid_range for band in reflective.bands[:2]] == [(3, 250), (1, 255)]
    assert reflective.companions == {
        name: name
        for path in product_folder.rglob("*")
        if "_GM_" in (name := path.relative_to(product_folder).as_posix()) or name.endswith(("_BQA.TIF", "_MTL.txt"))
    }
    assert (reflective.sensor, reflective.acquired, reflective.slc_off) == ("LE07", date(2016, 12, 9), True)
    assert [band.gap_mask is not None for band in (*reflective.bands, *pan.bands)] == [True] * 6 + [False]


@pytest.mark.parametrize(
    ("ending", "prefix"),
    [(".tar", ""), (".tar.gz", "./"), (".tgz", f"{L1}/"), (".zip", ""), (".tar", f"{L1}/"), (".zip", "./")],
)
def test_an_archive_is_the_folder(product_folder: Path, tmp_path: Path, ending: str, prefix: str):
    archive = packed(product_folder, tmp_path / f"some name{ending}", prefix)
    scenes, expected = open_products(archive), open_products(product_folder)
    assert [scene.source for scene in scenes] == [archive] * len(expected)
    for scene, scene_expected in zip(scenes, expected, strict=True):
        assert scene.companions.keys() == {*scene_expected.companions, "README.GTF"}
        assert scene.grid == scene_expected.grid
        for band, band_expected in zip(scene.bands, scene_expected.bands, strict=True):
            assert band.file_name == band_expected.file_name
            assert np.array_equal(read(band.dataset), read(band_expected.dataset))
            assert (band.gap_mask is None) == (band_expected.gap_mask is None)
            if band.gap_mask and band_expected.gap_mask:
                assert np.array_equal(read(band.gap_mask), read(band_expected.gap_mask))
    assert sorted(path.name for path in tmp_path.iterdir()) == [archive.name]


@pytest.mark.parametrize(
    ("packed_as", "called"), [(".tar", ".tar.gz"), (".tar.gz", ".tar"), (".zip", ".dat"), (".tar", ".dat")]
)
def test_an_archive_that_is_called_otherwise(product_folder: Path, tmp_path: Path, packed_as: str, called: str):
    archive = packed(product_folder, tmp_path / f"a{packed_as}").rename(tmp_path / f"b{called}")
    scenes = open_products(archive)
    band = scenes[0].bands[3]
    assert band.file_name == f"{L1}_B4.TIF"
    assert np.array_equal(read(band.dataset), read(str(product_folder / f"{L1}_B4.TIF")))


def test_gzipped_bands(tmp_path: Path):
    path = tmp_path / f"{L1}_B1.TIF"
    write_band(path)
    (tmp_path / f"{L1}_B2.TIF.gz").write_bytes(gzip.compress(path.read_bytes()))
    (tmp_path / f"{L1}_B1.TIF.gz").write_bytes(gzip.compress(path.read_bytes()))
    scenes = open_products(tmp_path)
    names = [band.file_name for band in scenes[0].bands]
    assert names == [f"{L1}_B1.TIF", f"{L1}_B2.TIF"]
    assert np.array_equal(read(scenes[0].bands[1].dataset), read(str(path)))


def test_collection_2_level_2(tmp_path: Path):
    for ending in ("SR_B1", "SR_B4", "ST_B6"):
        write_band(tmp_path / f"{L2}_{ending}.TIF", "uint16")
    for ending in ("QA_PIXEL", "QA_RADSAT"):
        write_band(tmp_path / f"{L2}_{ending}.TIF", "uint16")
    write_band(tmp_path / f"{L2}_ST_ATRAN.TIF", "int16")
    scenes = open_products(tmp_path)
    assert [[band.name for band in scene.bands] for scene in scenes] == [["B1", "B4"], ["B6"]]
    first = scenes[0]
    assert {(band.nodata, band.valid_range) for band in first.bands} == {(0.0, (1.0, 65535.0))}
    assert [band.kind for band in first.quality] == ["QA_PIXEL", "QA_RADSAT"]
    assert first.slc_off is False


def test_espa(tmp_path: Path):
    scene_id = "LE70130312015175EDC00"
    for ending in ("sr_band1", "sr_band2", "toa_band1", "toa_band6"):
        write_band(tmp_path / f"{scene_id}_{ending}.tif", "int16", nodata=-9999)
    write_band(tmp_path / f"{scene_id}_cfmask.tif")
    (tmp_path / f"{scene_id}_MTL.txt").write_text(MTL)  # of the Level 1 product: its range isn't ESPA's
    scenes = open_products(tmp_path)
    names = [[band.file_name for band in scene.bands] for scene in scenes]
    assert names == [
        [f"{scene_id}_sr_band1.tif", f"{scene_id}_sr_band2.tif"],
        [f"{scene_id}_toa_band1.tif"],
        [f"{scene_id}_toa_band6.tif"],
    ]
    assert scenes[0].bands[0].valid_range == (-2000, 16000)
    assert all(band.nodata == -9999 for scene in scenes for band in scene.bands)
    assert all([band.kind for band in scene.quality] == ["cfmask"] for scene in scenes)


def test_bands_of_another_size_make_a_scene_of_their_own(tmp_path: Path):
    for band, pixel_m in (("B1", 30), ("B2", 60), ("B3", 30)):
        write_band(tmp_path / f"{L1}_{band}.TIF", pixel_m=pixel_m)
    scenes = open_products(tmp_path)
    assert [[band.name for band in scene.bands] for scene in scenes] == [["B1", "B3"], ["B2"]]


@pytest.mark.parametrize(
    ("dtype", "tag", "given", "nodata", "valid_range"),
    [
        ("uint8", None, "255,only", 255, (0, 254)),
        ("uint8", None, None, 0, (1, 255)),
        ("uint8", 255, None, 0, (1, 254)),  # 0 is Landsat's fill all the same, and 255 would read as nodata
        ("uint8", None, 255, 0, (1, 254)),  # the fill counts, too
        ("uint16", 65535, None, 0, (1, 65534)),
        ("int16", None, None, -9999, (-32768, 32767)),
        ("float64", -1.7e308, None, -1.7e308, None),
        ("float32", None, None, 0, None),
    ],
)
def test_fill_and_valid_range(tmp_path: Path, dtype, tag, given, nodata, valid_range):
    write_band(tmp_path / f"{L1}_B4.TIF", dtype, nodata=tag)
    scenes = open_products(tmp_path, nodata=given)
    band = scenes[0].bands[0]
    assert band.nodata == nodata
    assert valid_range is None or band.valid_range == valid_range


def test_two_products_in_one_place(tmp_path: Path):
    write_band(tmp_path / f"{L2}_SR_B1.TIF", "uint16")
    write_band(tmp_path / f"{L1}_B1.TIF")
    assert [scene.name for scene in open_products(tmp_path)] == [L1, L2]
    assert [scene.name for scene in open_products(tmp_path, only=L2)] == [L2]
    archive = packed(tmp_path, tmp_path / "both.tar")
    assert [scene.name for scene in open_products(archive)] == [L1, L2]


@pytest.mark.parametrize("wanted", [["B4", "b3"], ["nir", "3"], [f"{L1}_b3"[len(L1) + 1 :], "4"]])
def test_chosen_bands(product_folder: Path, wanted: list[str]):
    scenes = open_products(product_folder, bands=wanted)
    assert [band.name for scene in scenes for band in scene.bands] == ["B3", "B4"]


def test_a_band_that_is_not_there(product_folder: Path):
    with pytest.raises(UsageError, match="'B9'") as caught:
        open_products(product_folder, bands=["B1", "B9"])
    assert "B8" in (caught.value.hint or "")


def test_one_band_file_knows_its_product(product_folder: Path):
    scene = open_band_file(product_folder / f"{L1}_B1.TIF")
    assert scene is not None
    assert [band.name for band in scene.bands] == ["B1"]
    assert scene.bands[0].gap_mask is not None
    assert scene.slc_off is True
    assert [band.kind for band in scene.quality] == ["BQA"]
    assert open_band_file(product_folder / "README.GTF") is None


def test_a_folder_without_bands(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(InputError, match="no file with such a name") as caught:
        open_products(tmp_path)
    assert "_B1.TIF" in (caught.value.hint or "")


@pytest.mark.parametrize("ending", [".tar", ".tar.gz", ".zip"])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.6, 0.75])
def test_an_archive_cut_short(product_folder: Path, tmp_path: Path, ending: str, share: float):
    archive = packed(product_folder, tmp_path / f"a{ending}")
    archive.write_bytes(archive.read_bytes()[: int(archive.stat().st_size * share)])
    with pytest.raises(InputError, match="complete") as caught:
        open_products(archive)
    assert "Download it again" in (caught.value.hint or "")


@pytest.mark.parametrize("extra_bytes", [0, 1, 511, 513])
def test_a_tar_cut_short_between_two_files(product_folder: Path, tmp_path: Path, extra_bytes: int):
    archive = packed(product_folder, tmp_path / "a.tar")
    with tarfile.open(archive) as whole:
        end = whole.getmembers()[5].offset
    archive.write_bytes(archive.read_bytes()[: end + extra_bytes])
    with pytest.raises(InputError, match="complete"):
        open_products(archive)


@pytest.mark.parametrize("content", [b"", b"only text", b"\x1f\x8b\x08 not gzip", b"PK\x03\x04 not zip"])
def test_no_archive_at_all(tmp_path: Path, content: bytes):
    (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(InputError):
        open_products(tmp_path / "a.tar")


def test_nothing_there(tmp_path: Path):
    with pytest.raises(InputError, match="nothing there"):
        open_products(tmp_path / "missing.tar")


def test_a_band_that_is_no_raster_is_named(tmp_path: Path):
    write_band(tmp_path / f"{L1}_B1.TIF")
    (tmp_path / f"{L1}_B2.TIF").write_text("<html>not found</html>")
    with pytest.raises(InputError, match=r"_B2\.TIF"):
        open_products(tmp_path)


@pytest.mark.parametrize(("count", "dtype", "said"), [(2, "uint8", "one band"), (1, "complex64", "complex64")])
def test_a_band_file_that_is_not_one_band_of_numbers(tmp_path: Path, count: int, dtype: str, said: str):
    write_geotiff(tmp_path / f"{L1}_B1.TIF", np.zeros((count, 4, 5), dtype))
    with pytest.raises(InputError, match=said):
        open_products(tmp_path)


def test_a_product_without_georeferencing_opens_without_a_warning(tmp_path: Path):
    write_geotiff(tmp_path / f"{L1}_B1.TIF", np.ones((1, 4, 5), np.uint8), georeferenced=False)
    scenes = open_products(tmp_path)
    assert scenes[0].grid.crs is None
    assert (scenes[0].grid.height, scenes[0].grid.width) == (4, 5)


OLI_L2 = "LC08_L2SP_204023_20200927_20201006_02_T1"
REAL = {
    # name: (bands of each scene, sensor, day, SLC off, has gap_mask files)
    "LE07_L1TP_092084_20110809_20161206_01_T1_RR.tar": ([6, 2, 1], "LE07", date(2011, 8, 9), True, True),
    "LE07_L1GT_091080_20080114_20161231_01_T2.tar.gz": ([6, 2, 1], "LE07", date(2008, 1, 14), True, True),
    "LE07_L1TP_104078_20130429_20161124_01_T1.tar": ([6, 2, 1], "LE07", date(2013, 4, 29), True, False),
    f"{OLI_L2}-cropped.tar.gz": ([7, 1], "LC08", date(2020, 9, 27), False, False),
    "L71129046_04620080329": ([6, 2, 1], "LE07", date(2008, 3, 29), True, False),
    "LC08_L1TP_167055_20170308_20170317_01_T1": ([8, 2, 1], "LC08", date(2017, 3, 8), False, False),
    "LE07_L1TP_007059_20161209_20170130_01_T1": ([6, 2, 1], "LE07", date(2016, 12, 9), True, False),
    "LE07_L1TP_167055_20170316_20170411_01_T1": ([6, 2, 1], "LE07", date(2017, 3, 16), True, False),
    "LE70130312015175-SC20151019173810": ([6, 1], "LE07", date(2015, 6, 24), True, False),
    "LE70280312001161EDC00": ([6, 1], "LE07", date(2001, 6, 10), False, False),
    "LE70280312001225EDC00": ([6, 1], "LE07", date(2001, 8, 13), False, False),
    "LE70280312001273EDC01": ([6, 1], "LE07", date(2001, 9, 30), False, False),
    "LT05_L1TP_167055_20000309_20161214_01_T1": ([6, 1], "LT05", date(2000, 3, 9), False, False),
}


@pytest.mark.real_data
@pytest.mark.parametrize("name", REAL)
def test_real_products(real_data: Path, name: str):
    scenes = open_products(real_data / "products" / name)
    counts, sensor, day, slc_off, has_gap_mask = REAL[name]
    first = scenes[0]
    assert [len(scene.bands) for scene in scenes] == counts
    assert (first.sensor, first.acquired, first.slc_off) == (sensor, day, slc_off)
    for scene in scenes:
        for band in scene.bands:
            assert read(band.dataset).shape == (scene.grid.height, scene.grid.width)
            assert (band.gap_mask is not None) == has_gap_mask
            if band.gap_mask is not None:
                assert set(np.unique(read(band.gap_mask))) <= {0, 1, 255}


@pytest.mark.real_data
def test_every_real_product_is_in_the_table(real_data: Path):
    there = {path.name for path in (real_data / "products").iterdir() if path.suffix != ".properties"}
    assert there == set(REAL)


@pytest.mark.parametrize(
    ("dtype", "nodata", "given", "valid"),
    [
        ("float32", float(np.finfo("f4").min), None, (float(np.finfo("f4").min), float(np.finfo("f4").max))),
        ("int32", None, "-3e9:0", (1, 2**31 - 1)),
        ("uint16", 65535, "65000:70000, 0", (1, 64999)),
        ("uint8", None, "0:255", (255, 255)),
    ],
)
def test_filled_pixels_lie_outside_wide_ranges_of_missing_numbers(tmp_path: Path, dtype, nodata, given, valid):
    write_band(tmp_path / f"{L1}_B1.TIF", dtype, nodata=nodata)
    (scene,) = open_products(tmp_path, nodata=given)
    assert scene.bands[0].valid_range == valid


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
