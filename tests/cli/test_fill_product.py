"""A USGS product, in a folder or an archive, comes back as a folder of bands with the product's names."""

from __future__ import annotations

import json
import shutil
import tarfile

import numpy as np
import pytest
import rasterio
from making import packed, stripes, write_geotiff, write_scene

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
        f"{PRODUCT}_QA_PIXEL.TIF",
        f"{PRODUCT}_QA_RADSAT.TIF",
        "gap_mask",
        f"{PRODUCT}_fill.tif",
        f"{PRODUCT}_thermal_fill.tif",
        f"{PRODUCT}_panchromatic_fill.tif",
        f"{PRODUCT}_std.tif",
        f"{PRODUCT}_thermal_std.tif",
        f"{PRODUCT}_panchromatic_std.tif",
    }
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


@pytest.fixture
def small_product(tmp_path):
    """Return the folder of a product of one band, with what USGS ships beside it."""
    folder = tmp_path / "in" / PRODUCT
    write_scene(folder / f"{PRODUCT}_B1.TIF", count=1)
    write_scene(folder / f"{PRODUCT}_QA_PIXEL.TIF", count=1, dtype="uint16", gaps=False)
    write_geotiff(folder / "gap_mask" / f"{PRODUCT}_GM_B1.TIF", 1 - stripes((1, 80, 100)).astype(np.uint8))
    (folder / f"{PRODUCT}_MTL.txt").write_bytes(b"GROUP = A\r\nEND_GROUP = A\r\nEND\r\n\0\xff")
    for ending in ("_ANG.txt", "_GCP.txt", "_SR_stac.json", "_SAA.TIF", ".xml", "_B1.TIF.aux.xml", "_B1_std.tif"):
        (folder / f"{PRODUCT}{ending}").write_bytes(ending.encode())
    return folder


def other_files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith((".done", f"{PRODUCT}_B1", f"{PRODUCT}_fill"))
    }


@pytest.mark.parametrize("ending", ["", ".tar", ".tar.gz", ".tar.bz2", ".tar.xz", ".zip"])
def test_the_other_files_of_a_product_come_along_byte_for_byte(small_product, run, tmp_path, ending):
    source = packed(small_product, tmp_path / f"{PRODUCT}{ending}", "./") if ending else small_product
    out = tmp_path / "out" / f"{PRODUCT}_filled"
    assert run(source, "-o", out.parent, "-m", "nearest").code == 0
    assert other_files(out) == other_files(small_product)
    assert {path.name for path in out.iterdir()} >= {f"{PRODUCT}_B1.TIF", f"{PRODUCT}_fill.tif", f"{PRODUCT}_MTL.txt"}
    assert not (out / f"{PRODUCT}_B1.TIF.aux.xml").exists()  # it describes the band before it was filled

    assert "1 already done" in run(source, "-o", out.parent, "-m", "nearest").out
    described = json.loads(run("info", out, "--json").out)
    assert described["bands"][0]["missing_percent"] == 0  # the gap mask describes the band before it was filled
    (out / f"{PRODUCT}_ANG.txt").unlink()
    assert "1 filled" in run(source, "-o", out.parent, "-m", "nearest").out
    assert other_files(out) == other_files(small_product)


def test_only_the_bands_when_asked(small_product, run, tmp_path):
    arguments = ("fill", small_product, "-o", tmp_path, "-m", "nearest")
    out = tmp_path / f"{PRODUCT}_filled"
    assert run(*arguments).code == 0
    assert "1 already done" in run(*arguments, "--bands-only").out  # there is more than that
    assert run(*arguments, "--bands-only", "--overwrite").code == 0
    assert {path.name for path in out.iterdir()} == {".done", f"{PRODUCT}_B1.TIF", f"{PRODUCT}_fill.tif"}
    ended = run(*arguments)
    assert (ended.code, "other files: left out, but copied is requested" in ended.out) == (1, True)


def test_outputs_of_earlier_versions_are_done_without_the_other_files(small_product, run, tmp_path):
    arguments = ("fill", small_product, "-o", tmp_path, "-m", "nearest")
    mark = tmp_path / f"{PRODUCT}_filled" / ".done"
    assert run(*arguments, "--bands-only").code == 0
    content = json.loads(mark.read_text())
    del content["facts"]["request"]["the product's other files"]
    mark.write_text(json.dumps(content))
    for layers in ((), ("--preview",), ()):  # also after a layer was added
        ended = run(*arguments, *layers)
        assert (ended.code, "--overwrite adds them" in ended.out) == (0, True)


def test_other_files_that_cannot_be_read_leave_no_folder(small_product, run, tmp_path):
    (small_product / f"{PRODUCT}_GCP.txt").unlink()
    (small_product / f"{PRODUCT}_GCP.txt").symlink_to("/proc/self/mem")  # may be opened, but not read
    ended = run(small_product, "-o", tmp_path / "out", "-m", "nearest")
    assert (ended.code, f"expected to read {PRODUCT}_GCP.txt" in ended.out) == (1, True), ended.out
    assert not (tmp_path / "out" / f"{PRODUCT}_filled").exists()
    assert run(small_product, "-o", tmp_path / "out", "-m", "nearest", "--bands-only").code == 0


@pytest.mark.parametrize("ending", [".tar", ".tar.gz", ".tar.bz2", ".tar.xz", ".zip"])
def test_each_image_of_an_archive_is_a_scene(run, tmp_path, ending):
    for name in ("a.tif", "more/b.tif", "more/b_fill.tif", ".hidden.tif", "qa_pixel.tif"):
        write_scene(tmp_path / "images" / name)
    archive = packed(tmp_path / "images", tmp_path / f"shots{ending}")

    assert run(archive, "-m", "nearest", "--fill-layer", "none").code == 0
    assert run(tmp_path / "images", "-m", "nearest", "--fill-layer", "none", "-o", tmp_path / "apart").code == 0
    here = tmp_path / "shots"
    assert {p.relative_to(here).as_posix() for p in here.rglob("*.*")} == {
        ".a_filled.tif.done", "a_filled.tif", "more/.b_filled.tif.done", "more/b_filled.tif", "report.jsonl",
    }  # fmt: skip
    for name in ("a_filled.tif", "more/b_filled.tif"):
        np.testing.assert_array_equal(pixels(here / name), pixels(tmp_path / "apart" / name))
    rows = [json.loads(line) for line in (here / "report.jsonl").read_text().splitlines()]
    assert {row["source"] for row in rows} == {f"{archive}/a.tif", f"{archive}/more/b.tif"}
    assert "2 already done" in run(archive, "-m", "nearest", "--fill-layer", "none").out


def test_an_archive_with_archives_and_one_with_paths_outside_are_reported(run, tmp_path):
    inside = write_scene(tmp_path / "in" / "a.tif").path
    with tarfile.open(tmp_path / "in" / "order.tar", "w") as tar:
        tar.add(inside, f"{PRODUCT}.tar")
    with tarfile.open(tmp_path / "in" / "outside.tar", "w") as tar:
        tar.add(inside, "../../b.tif")
        tar.add(inside, "c.tif")
    ended = run(tmp_path / "in", "-m", "nearest", "-o", tmp_path / "out" / "deep")
    assert ended.code == 1
    assert f"but got an archive in it: {PRODUCT}.tar" in ended.out
    assert "outside.tar, but got ../../b.tif" in ended.out
    assert "2 filled · 2 failed" in ended.out
    assert not list(tmp_path.glob("**/b*.tif"))


def test_an_archive_gives_what_the_folder_gives(product, run, tmp_path):
    assert run(product, "-m", "nearest", "-o", tmp_path / "of_folder").code == 0
    there = tmp_path / "of_folder" / f"{PRODUCT}_filled"
    for ending in (".tar", ".tar.gz", ".zip"):
        folder = tmp_path / ending[1:]
        folder.mkdir()
        archive = packed(product, folder / f"{PRODUCT}{ending}")

        ended = run(archive, "-m", "nearest")

        assert ended.code == 0, ended.said
        here = folder / f"{PRODUCT}_filled"
        assert {p.name for p in here.iterdir()} == {p.name for p in there.iterdir()}
        for path in there.glob("*.[tT][iI][fF]"):
            np.testing.assert_array_equal(pixels(here / path.name), pixels(path))
        assert {path.name for path in folder.iterdir()} == {archive.name, here.name, "report.jsonl"}


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
    assert "Give the product's folder" in ended.out


@pytest.mark.parametrize(
    ("name", "options", "quantity"),
    [
        (f"{PRODUCT}_B1.TIF", {}, ["digital number"]),
        (f"{PRODUCT.replace('L1TP', 'L2SP')}_SR_B1.TIF", {"dtype": "uint16"}, ["surface reflectance"]),
        (f"{PRODUCT.replace('L1TP', 'L2SP')}_ST_B6.TIF", {"dtype": "uint16"}, ["surface temperature"]),
        ("LE70280312001161EDC00_toa_band1.tif", {"dtype": "int16", "nodata": -9999}, ["top-of-atmosphere reflectance"]),
        ("LE70280312001161EDC00_toa_band6.tif", {"dtype": "int16", "nodata": -9999}, ["brightness temperature"]),
        ("anything.tif", {}, []),
        (f"{PRODUCT}_stack.tif", {"told_by": "nan", "dtype": "float32"}, []),
        ("described.tif", {"describe": lambda file: setattr(file, "descriptions", ["SR_B4"])}, ["surface reflectance"]),
        ("tagged.tif", {"describe": lambda file: file.update_tags(PROCESSING_LEVEL="L1TP")}, ["digital number"]),
        ("item.tif", {}, ["surface reflectance"]),
    ],
)
def test_what_the_numbers_are_is_reported_and_tagged(run, tmp_path, name, options, quantity):
    write_scene(tmp_path / "in" / name, count=1, **options)
    item = {"stac_version": "1.0.0", "properties": {"landsat:correction": "L2SP"}}
    (tmp_path / "in" / "item.json").write_text(json.dumps(item))
    assert run(tmp_path / "in", "-o", tmp_path / "out", "-m", "nearest").code == 0
    (row,) = map(json.loads, (tmp_path / "out" / "report.jsonl").read_text().splitlines())
    assert row["quantity"] == quantity
    with rasterio.open(row["files"][0]) as dataset:
        assert dataset.tags().get("LANDSAT_FILL_QUANTITY") == (quantity[0] if quantity else None)


def test_levels_that_meet_in_a_stack_are_pointed_out(run, tmp_path):
    folder = tmp_path / "LE70280312001161EDC00"
    for ending in ("B1", "sr_band1"):
        write_scene(folder / f"{folder.name}_{ending}.tif", count=1)
    said = "different levels of processing: digital number, surface reflectance"
    assert said in run(folder, "-o", tmp_path / "stack", "-m", "nearest", "--stack").out
    assert said not in run(folder, "-o", tmp_path / "bands", "-m", "nearest").out
