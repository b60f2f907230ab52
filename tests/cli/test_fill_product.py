"""A USGS product, in a folder or an archive, comes back as a folder of bands with the product's names."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import rasterio
from making import packed

PRODUCT = "LE07_L1TP_299299_20050704_20200914_02_T1"
BANDS = ("B1", "B2", "B3", "B4", "B5", "B6_VCID_1", "B6_VCID_2", "B7", "B8")


@pytest.fixture
def product(samples):
    return samples / PRODUCT


def pixels(path, band=1):
    with rasterio.open(path) as dataset:
        return dataset.read(band)


def test_a_product_folder_becomes_a_folder_of_bands_with_its_metadata(product, run, tmp_path):
    ended = run(product, "-o", tmp_path)

    assert ended.code == 0, ended.said
    filled = tmp_path / f"{PRODUCT}_filled"
    names = {path.name for path in filled.iterdir()}
    assert names == {
        ".done",
        *(f"{PRODUCT}_{band}.TIF" for band in BANDS),
        f"{PRODUCT}_MTL.txt",
        f"{PRODUCT}_fill.tif",
        f"{PRODUCT}_thermal_fill.tif",
        f"{PRODUCT}_panchromatic_fill.tif",
        f"{PRODUCT}_std.tif",
        f"{PRODUCT}_thermal_std.tif",
        f"{PRODUCT}_panchromatic_std.tif",
    }
    assert (filled / f"{PRODUCT}_MTL.txt").read_bytes() == (product / f"{PRODUCT}_MTL.txt").read_bytes()
    for band in BANDS:
        name = f"{PRODUCT}_{band}.TIF"
        before, after = pixels(product / name), pixels(filled / name)
        assert after.dtype == before.dtype
        np.testing.assert_array_equal(after[before != 0], before[before != 0])
        assert np.count_nonzero(after) > 1.2 * np.count_nonzero(before)
        with rasterio.open(product / name) as source, rasterio.open(filled / name) as target:
            assert (target.crs, target.transform, target.nodata) == (
                source.crs, source.transform, source.nodata,
            )  # fmt: skip
            assert target.tags()["LANDSAT_FILL_SOURCE"] == PRODUCT


def test_a_filled_value_is_in_the_range_that_the_metadata_gives(product, run, tmp_path):
    copy = shutil.copytree(product, tmp_path / PRODUCT)
    document = copy / f"{PRODUCT}_MTL.txt"
    text = document.read_text()
    assert "QUANTIZE_CAL_MAX_BAND_1 = 255" in text
    document.write_text(text.replace("QUANTIZE_CAL_MAX_BAND_1 = 255", "QUANTIZE_CAL_MAX_BAND_1 = 60"))
    assert run(copy, "--bands", "B1").code == 0
    name = f"{PRODUCT}_B1.TIF"
    before, after = pixels(copy / name), pixels(tmp_path / f"{PRODUCT}_filled" / name)
    assert after[(before == 0) & (after != 0)].max() == 60
    np.testing.assert_array_equal(after[before != 0], before[before != 0])


@pytest.mark.parametrize("ending", [".tar", ".tar.gz", ".zip"])
def test_an_archive_gives_what_the_folder_gives(product, run, tmp_path, ending):
    archive = packed(product, tmp_path / f"{PRODUCT}{ending}")

    ended = run(archive)

    assert ended.code == 0, ended.said
    assert run(product, "-o", tmp_path / "of_folder").code == 0
    there, here = tmp_path / "of_folder" / f"{PRODUCT}_filled", tmp_path / f"{PRODUCT}_filled"
    assert {p.name for p in here.iterdir()} == {p.name for p in there.iterdir()}
    for path in there.glob("*.[tT][iI][fF]"):
        np.testing.assert_array_equal(pixels(here / path.name), pixels(path))
    assert {path.name for path in tmp_path.iterdir()} == {
        archive.name, "of_folder", f"{PRODUCT}_filled", "report.jsonl",
    }  # fmt: skip


def test_one_file_a_grid(product, run, tmp_path):
    assert run(product, "-o", tmp_path, "--stack").code == 0

    described = {}
    for path in tmp_path.glob("*_filled*.tif"):
        with rasterio.open(path) as dataset:
            described[path.stem.removeprefix(PRODUCT)] = dataset.descriptions
    assert described == {
        "_filled": ("B1", "B2", "B3", "B4", "B5", "B7"),
        "_filled_thermal": ("B6_VCID_1", "B6_VCID_2"),
        "_filled_panchromatic": (None,),  # a band alone is described as its file describes it
    }
    before = pixels(product / f"{PRODUCT}_B4.TIF")
    after = pixels(tmp_path / f"{PRODUCT}_filled.tif", 4)
    np.testing.assert_array_equal(after[before != 0], before[before != 0])


def test_a_stack_may_be_named(product, run, tmp_path):
    assert run(product, "-o", tmp_path / "all.tif", "--stack", "--bands", "B3,B4").code == 0
    with rasterio.open(tmp_path / "all.tif") as dataset:
        assert dataset.descriptions == ("B3", "B4")


def test_a_file_name_for_a_folder_of_bands_is_refused(product, run, tmp_path):
    ended = run(product, "-o", tmp_path / "all.tif")
    assert ended.code == 2
    assert "--stack" in ended.err
    assert list(tmp_path.iterdir()) == []


def test_a_product_that_is_done_is_skipped_and_overwritten_when_asked(product, run, tmp_path):
    def call(*options):
        return run(product, "-o", tmp_path, "--bands", "B3", *options)

    assert call().code == 0
    file = tmp_path / f"{PRODUCT}_filled" / f"{PRODUCT}_B3.TIF"
    first = file.stat().st_mtime_ns
    assert "1 skipped" in call().out
    assert file.stat().st_mtime_ns == first
    assert call("--overwrite").code == 0
    assert file.stat().st_mtime_ns > first


def test_a_product_with_a_bad_band_leaves_no_folder(product, run, tmp_path):
    copy = shutil.copytree(product, tmp_path / PRODUCT)
    band = copy / f"{PRODUCT}_B8.TIF"  # the last to be read
    band.write_bytes(band.read_bytes()[:2000])
    ended = run(copy)
    assert ended.code == 1
    assert f"{PRODUCT}_B8.TIF" in ended.out
    assert {path.name for path in tmp_path.iterdir()} == {PRODUCT, "report.jsonl"}


def test_one_band_of_a_product_is_a_scene_too(product, run, tmp_path):
    ended = run(product / f"{PRODUCT}_B4.TIF", "-o", tmp_path)
    assert ended.code == 0, ended.said
    before = pixels(product / f"{PRODUCT}_B4.TIF")
    after = pixels(tmp_path / f"{PRODUCT}_B4_filled.tif")
    np.testing.assert_array_equal(after[before != 0], before[before != 0])
    assert np.count_nonzero(after) > 1.2 * np.count_nonzero(before)


def test_a_quality_band_is_not_filled(product, run, tmp_path):
    ended = run(product / f"{PRODUCT}_QA_PIXEL.TIF", "-o", tmp_path)
    assert ended.code == 1
    assert "Name the product's folder" in ended.out
