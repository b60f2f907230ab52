"""Inputs of unusual names and places: variables of files, links, what may not be read, lists in quotes."""

from __future__ import annotations

import os
import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine

from landsat_fill.errors import InputError
from landsat_fill.io import find_inputs, inputs, open_input
from landsat_fill.io.archives import list_members
from landsat_fill.io.gdal import open_dataset


def write(path, count=1, dtype="uint8", **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    place = {"crs": "EPSG:32637", "transform": Affine(30, 0, 5e5, 0, -30, 1e6)}
    with rasterio.open(
        path, "w", driver="GTiff", height=20, width=20, count=count, dtype=dtype, **place, **options
    ) as file:
        file.write((np.arange(count * 400).reshape(count, 20, 20) % 90 + 1).astype(dtype))
    return path


def names(*arguments, lists=()):
    found, bad = find_inputs([str(argument) for argument in arguments], lists)
    return [given.name for given in found], [source for source, _ in bad]


def test_the_subdataset_that_the_hint_names_opens(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rasterio.shutil.copy(str(write(tmp_path / "t.tif", 2, "float32")), "x.nc", driver="netCDF")
    with pytest.raises(InputError) as caught:
        open_dataset("x.nc")
    named = caught.value.hint.rpartition(" ")[2]
    (given,), bad = find_inputs([named])
    assert (given.name, bad) == ("x_Band1", [])
    assert len(open_input(given)[0].bands) == 1


@pytest.mark.parametrize(
    ("argument", "name"),
    [
        ('NETCDF:"x.nc":Band2', "x_Band2"),
        ("netcdf:x.nc:Band2", "x_Band2"),
        ('NETCDF:"/data/a b.nc":ndvi', "a b_ndvi"),
        ("netcdf:C:/data/x.nc:ndvi", "x_ndvi"),
        ('HDF4_EOS:EOS_GRID:"MOD09.hdf":Grid:b01', "MOD09_EOS_GRID_Grid_b01"),
        ("GTIFF_DIR:2:pages.tif", "pages_2"),
        ("https://host/a/scene.tif?token=a:b", "scene"),
        ("/vsizip/a.zip/b/scene.tif", "scene"),
    ],
)
def test_a_variable_is_called_after_its_file_and_itself(argument, name):
    assert names(argument) == ([name], [])


def test_variables_have_names_of_their_own_that_every_system_takes():
    variables = ["//a/b", "//a_b", "//a?b", "//a b"]
    found, bad = names(*(f'HDF5:"f.h5":{variable}' for variable in variables))
    assert bad == []
    assert len(set(found)) == len(variables)
    assert not [name for name in found if set(name) & set('<>:"/\\|?* ')]


def test_linked_folders_are_followed_and_loops_are_not(tmp_path):
    write(tmp_path / "store" / "scene.tif")
    (tmp_path / "scenes").mkdir()
    (tmp_path / "scenes" / "2010").symlink_to(tmp_path / "store")
    (tmp_path / "store" / "back").symlink_to(tmp_path / "scenes")
    (tmp_path / "scenes" / "here").symlink_to(tmp_path / "scenes")
    assert names(tmp_path / "scenes") == (["scene"], [])


def test_what_is_no_file_is_reported_and_the_rest_is_found(tmp_path):
    write(tmp_path / "good.tif")
    (tmp_path / "loop.tif").symlink_to("loop.tif")
    (tmp_path / "broken.tif").symlink_to("nowhere.tif")
    os.mkfifo(tmp_path / "pipe.tif")
    found, bad = find_inputs([str(tmp_path), str(tmp_path / ("b" * 300 + ".tif")), str(tmp_path / "pipe.tif")])
    assert [given.name for given in found] == ["good"]
    reasons = {Path(source).name[:8]: error.message for source, error in bad}
    assert "link to itself" in reasons["loop.tif"]
    assert "which does not exist" in reasons["broken.t"]
    assert "a pipe" in reasons["pipe.tif"]
    assert "too long" in reasons["bbbbbbbb"]


def test_a_folder_that_may_not_be_read_is_reported(tmp_path, monkeypatch):
    write(tmp_path / "in" / "a.tif")
    write(tmp_path / "in" / "sub" / "b.tif")
    locked = str(tmp_path / "in" / "sub")
    scandir = os.scandir

    def scan(path):  # whoever runs the tests may be root, who may read everything
        if str(path) == locked:
            raise PermissionError(13, "Permission denied", locked)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scan)
    found, bad = find_inputs([str(tmp_path / "in")])
    assert [given.name for given in found] == ["a"]
    assert [(source, "permission denied" in error.message) for source, error in bad] == [(locked, True)]
    found, bad = find_inputs([locked])
    assert found == []
    assert "permission denied" in bad[0][1].message


def test_a_file_that_may_not_be_read_says_so(tmp_path, monkeypatch):
    path = write(tmp_path / "a.tif")
    monkeypatch.setattr(inputs.os, "access", lambda *_: False)
    _, bad = find_inputs([str(path)])
    assert "permission denied" in bad[0][1].message


def test_quotes_round_a_line_of_a_list_are_taken_off(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a b.tif", "c.tif", '"d.tif"', "e'.tif"):
        write(tmp_path / name)
    lists = tmp_path / "list.txt"
    lists.write_bytes(b'"a b.tif"\r\n\'c.tif\'\r\n"d.tif"\r\ne\'.tif\r\n')
    found, bad = names(lists=[lists])
    assert (len(found), bad) == (4, [])


@pytest.mark.parametrize(
    "name",
    [
        "a_QAI.tif",
        "ga_ls7e_fmask.tif",
        "HLS.L30.v2.0.Fmask.tif",
        "T33UUP_SCL_20m.jp2",
        "x_sr_cloud_qa.tif",
        "x_cfmask.tif",
    ],
)
def test_quality_layers_of_any_product_are_passed_over_in_folders(tmp_path, name):
    write(tmp_path / "scene.tif")
    shutil.copy(tmp_path / "scene.tif", tmp_path / name)
    assert names(tmp_path) == (["scene"], [])


@pytest.mark.parametrize(
    ("product", "bands", "quality", "kind"),
    [
        ("LE07_CU_029005_20100813_20210429_02", ("SR_B1", "SR_B2", "SR_B3"), "QA_PIXEL", "QA_PIXEL"),
        ("LE07_CU_029005_20100813_20190428_C01_V01", ("SRB1", "SRB2", "SRB3"), "PIXELQA", "pixel_qa"),
        ("LE07_L2SP_225078_20110306_02_T1", ("SR_B1", "SR_B2", "SR_B3"), "QA_PIXEL", "QA_PIXEL"),
    ],
)
def test_tiles_and_items_are_products_in_folder_and_tar(tmp_path, product, bands, quality, kind):
    folder = tmp_path / "tile"
    for band in (*bands, "SR_CLOUD_QA" if "_SR_" in f"_{bands[0]}_" else "SRCLOUDQA"):
        write(folder / f"{product}_{band}.TIF", dtype="uint16")
    write(folder / f"{product}_{quality}.TIF", dtype="uint16")
    with tarfile.open(tmp_path / f"{product}_SR.tar", "w") as archive:
        for file in folder.iterdir():
            archive.add(file, file.name)
    for source in (folder, tmp_path / f"{product}_SR.tar"):
        (given,), bad = find_inputs([str(source)])
        (scene,) = open_input(given)
        assert bad == []
        assert [band.name for band in scene.bands] == ["B1", "B2", "B3"]
        assert [one.kind for one in scene.quality] == [kind]
    write(folder / f"{product}_QA.tif")
    shutil.copy(tmp_path / f"{product}_SR.tar", folder / f"{product}_QA.tar")
    assert names(folder) == ([product], [])


VRT = (
    '<VRTDataset rasterXSize="20" rasterYSize="20"><VRTRasterBand dataType="Byte" band="1" {kind}>'
    "{source}</VRTRasterBand></VRTDataset>"
)
PRODUCT = "LE07_L1TP_299299_20050704_20200914_02_T1"


SIMPLE_SOURCE = (
    '<SimpleSource><SourceFilename relativeToVRT="1">a.tif</SourceFilename><SourceBand>1</SourceBand></SimpleSource>'
)


@pytest.mark.parametrize("packed", [False, True])
def test_a_vrt_under_another_name_is_not_opened(tmp_path, packed):
    (tmp_path / "secret").write_bytes(bytes(range(200)) * 4)
    source = f'<SourceFilename relativetoVRT="0">{tmp_path / "secret"}</SourceFilename>'
    text = VRT.format(kind='subClass="VRTRawRasterBand"', source=source)
    path = tmp_path / f"{PRODUCT}_B1.TIF"
    path.write_text(text)
    if packed:
        with tarfile.open(tmp_path / f"{PRODUCT}.tar", "w") as archive:
            archive.add(path, path.name)
            archive.add(path, f"{PRODUCT}_B2.vrt")
        path = tmp_path / f"{PRODUCT}.tar"
    (given,), _ = find_inputs([str(path)])
    with pytest.raises(InputError, match="GDAL can read"):
        open_input(given)


def test_a_vrt_that_is_named_is_opened(tmp_path):
    write(tmp_path / "a.tif")
    (tmp_path / "a.vrt").write_text(VRT.format(kind="", source=SIMPLE_SOURCE))
    assert len(open_input(find_inputs([str(tmp_path / "a.vrt")])[0][0])[0].bands) == 1


def test_a_vrt_in_a_folder_is_not_opened(tmp_path):
    write(tmp_path / "a.tif")
    (tmp_path / "other.VRT").write_text(VRT.format(kind="", source=SIMPLE_SOURCE))
    assert names(tmp_path) == (["a"], [])


def test_a_vrt_among_the_files_of_a_product_is_not_opened_unless_it_is_named(tmp_path):
    write(tmp_path / "a.tif")
    for ending in ("_B1.TIF", "_GM_B2.TIF"):
        write(tmp_path / f"{PRODUCT}{ending}")
    for ending in ("_B2.vrt", "_QA_PIXEL.vrt"):
        (tmp_path / f"{PRODUCT}{ending}").write_text(VRT.format(kind="", source=SIMPLE_SOURCE))
    (product, other), bad = find_inputs([str(tmp_path)])
    assert (product.name, other.name, bad) == (PRODUCT, "a", [])
    (scene,) = open_input(product)
    assert ([band.name for band in scene.bands], scene.quality) == (["B1"], ())
    (named,), _ = find_inputs([str(tmp_path / f"{PRODUCT}_B2.vrt")])
    (scene,) = open_input(named)
    assert [(band.name, band.gap_mask is not None) for band in scene.bands] == [("B2", True)]
    (tmp_path / f"{PRODUCT}_B1.TIF").unlink()
    (scene,) = open_input(named)
    assert [(band.name, band.gap_mask is not None) for band in scene.bands] == [("B2", True)]


@pytest.mark.parametrize(
    ("name", "content", "hint"),
    [
        ("a.tar.bz2", b"BZh9", "Unpack it first"),
        ("a.hdr", b"ENVI\n", "Name the data file"),
        ("a.tif", b"<html>", "a web page"),
    ],
)
def test_hints_on_files_that_gdal_cannot_read(tmp_path, name, content, hint):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        open_dataset(str(tmp_path / name))
    assert hint in caught.value.hint


@pytest.mark.parametrize(("dtype", "hint"), [("complex64", "imaginary"), ("complex128", "phase")])
def test_hints_on_types_that_cannot_be_filled(tmp_path, dtype, hint):
    with pytest.raises(InputError) as caught:
        open_input(find_inputs([str(write(tmp_path / "a.tif", dtype=dtype))])[0][0])
    assert hint in caught.value.hint


def test_the_second_page_of_a_tiff_is_named(tmp_path):
    path = write(tmp_path / "pages.tif")
    assert open_input(find_inputs([str(path)])[0][0])[0].notes == ()
    write(path, APPEND_SUBDATASET="YES")
    (note,) = open_input(find_inputs([str(path)])[0][0])[0].notes
    assert "holds 2 images" in note
    named = note.split("; ")[1].removesuffix(" names the second")
    (given,), _ = find_inputs([named])
    assert given.name == "pages_2"
    assert len(open_input(given)[0].bands) == 1


def test_an_archive_with_a_nameless_file_is_refused(tmp_path):
    path = tmp_path / "LE07_L1TP_029031_20050704_20200914_02_T1.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("@", b"")
    path.write_bytes(path.read_bytes().replace(b"@", b"\0"))
    with pytest.raises(InputError, match="a file in it has no name"):
        list_members(path)
