"""Finding and opening what a user names."""

from __future__ import annotations

import gzip
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from making import write_geotiff

from landsat_fill.errors import InputError, UsageError
from landsat_fill.io.inputs import Input, InputKind, find_inputs, open_input

L1 = "LE07_L1TP_007059_20161209_20170130_01_T1"
OTHER = "LE07_L1TP_007059_20020101_20170130_01_T1"


def write_raster(path: Path, count: int = 1, dtype: str = "uint8", nodata: float | None = None) -> Path:
    return write_geotiff(path, np.ones((count, 8, 9), dtype), nodata=nodata)


def names(inputs: list[Input]) -> list[str]:
    return [given.name for given in inputs]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Write a folder of everything: products, archives, stacks, our own outputs, hidden files."""
    for band in ("B1", "B4", "BQA"):
        write_raster(tmp_path / "b" / "product" / f"{L1}_{band}.TIF")
    write_raster(tmp_path / "b" / "product" / "gap_mask" / f"{L1}_GM_B1.TIF")
    write_raster(tmp_path / "b" / "product" / "ndvi.tif")
    (tmp_path / "b" / "product" / f"{L1}_MTL.txt").write_text("END\n")
    write_raster(tmp_path / "stack.tif", 3)
    write_raster(tmp_path / "stack_filled.tif", 3)
    write_raster(tmp_path / "stack_fill.tif")
    write_raster(tmp_path / "stack_std.tif", 3)
    write_raster(tmp_path / ".stack_filled.tif.x1.partial.tif")
    write_raster(tmp_path / ".hidden" / "scene.tif")
    write_raster(tmp_path / "a" / "Scene.TIFF")
    (tmp_path / "a" / "notes.txt").write_text("no raster")
    with tarfile.open(tmp_path / f"{OTHER}.tar", "w") as archive:
        archive.add(write_raster(tmp_path / ".src" / f"{OTHER}_B1.TIF"), f"{OTHER}_B1.TIF")
    with tarfile.open(tmp_path / "code.tar", "w") as archive:
        archive.add(tmp_path / "a" / "notes.txt", "notes.txt")
    return tmp_path


def test_a_folder_and_its_sub_folders(tree: Path):
    found, bad = find_inputs([str(tree)])
    assert bad == []
    assert [(given.name, given.kind) for given in found] == [
        (OTHER, InputKind.PRODUCT),
        ("stack", InputKind.RASTER),
        ("Scene", InputKind.RASTER),
        (L1, InputKind.PRODUCT),
        ("ndvi", InputKind.RASTER),
    ]
    assert {given.root for given in found} == {tree}
    assert all(Path(given.source).is_relative_to(tree) for given in found)
    assert find_inputs([str(tree)]) == (found, [])


def test_everything_found_opens(tree: Path):
    found, _ = find_inputs([str(tree)])
    scenes = {given.name: open_input(given) for given in found}
    assert {name: [len(scene.bands) for scene in opened] for name, opened in scenes.items()} == {
        OTHER: [1], "stack": [3], "Scene": [1], L1: [2], "ndvi": [1],
    }  # fmt: skip
    assert scenes["stack"][0].name == "stack"
    assert scenes[L1][0].slc_off is True


def test_a_product_folder_by_itself_and_through_its_mtl_is_one_input(tree: Path):
    folder = tree / "b" / "product"
    found, bad = find_inputs([str(folder / f"{L1}_MTL.txt"), str(folder), f"{folder}/"])
    assert bad == []
    assert [(given.name, given.kind) for given in found] == [(L1, InputKind.PRODUCT), ("ndvi", InputKind.RASTER)]


def test_an_archive_that_lies_unpacked_beside_itself_counts_once(tmp_path: Path):
    band = write_raster(tmp_path / L1 / f"{L1}_B1.TIF")
    for ending in (".tar", ".tar.gz"):
        with tarfile.open(tmp_path / f"{L1}{ending}", "w") as archive:
            archive.add(band, band.name)
    found, bad = find_inputs([str(tmp_path)])
    assert [(given.source, given.name) for given in found] == [(str(tmp_path / L1), L1)]
    assert bad == []
    assert names(find_inputs([str(tmp_path / f"{L1}.tar")])[0]) == [L1]


def test_several_products_in_one_folder_are_one_input_each(tmp_path: Path):
    for product in (L1, OTHER):
        write_raster(tmp_path / f"{product}_B1.TIF")
    found, _ = find_inputs([str(tmp_path)])
    assert names(found) == [OTHER, L1]
    assert [[scene.name for scene in open_input(given)] for given in found] == [[OTHER], [L1]]


def test_duplicates_are_dropped(tree: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tree)
    (tree / "link.tif").symlink_to(tree / "stack.tif")
    found, bad = find_inputs(["stack.tif", "./stack.tif", str(tree / "stack.tif"), "link.tif"])
    assert (names(found), bad) == (["stack"], [])


def test_globs_that_no_shell_expanded(tree: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tree)
    assert names(find_inputs(["*.tif"])[0]) == ["stack"]
    assert names(find_inputs([str(tree / "**" / "*.tif*")])[0]) == ["ndvi", "stack"]
    found, bad = find_inputs(["nothing*.tif", "stack.tif"])
    assert names(found) == ["stack"]
    assert bad[0][0] == "nothing*.tif"


def test_a_name_with_brackets_is_a_file_first(tmp_path: Path):
    path = write_raster(tmp_path / "scene[1].tif")
    found, bad = find_inputs([str(path)])
    assert (names(found), bad) == (["scene[1]"], [])


def test_lists(tree: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tree / "a")
    lists = tree / "b" / "list.txt"
    lists.write_text("\ufeff# a comment\n\n  Scene.TIFF  \r\n../stack.tif\nmissing.tif\n", encoding="utf-8")
    found, bad = find_inputs(["../stack.tif"], [lists, tree / "missing.txt"])
    assert names(found) == ["stack", "Scene"]
    assert [argument for argument, _ in bad] == ["missing.tif", str(tree / "missing.txt")]


def test_one_bad_argument_leaves_the_rest(tree: Path):
    (tree / "empty").mkdir()
    found, bad = find_inputs([str(tree / "missing.tif"), str(tree / "empty"), str(tree / "stack.tif")])
    assert names(found) == ["stack"]
    assert [Path(argument).name for argument, _ in bad] == ["missing.tif", "empty"]
    assert all(isinstance(error, InputError) and error.hint for _, error in bad)


def test_a_named_file_is_taken_whatever_its_name(tree: Path):
    odd = write_raster(tree / "raster.dat")
    found, bad = find_inputs([str(odd), str(tree / "stack_filled.tif")])
    assert (names(found), bad) == (["raster", "stack_filled"], [])
    assert len(open_input(found[0])[0].bands) == 1


def test_a_quality_band_is_not_filled(tree: Path):
    folder = tree / "b" / "product"
    found, bad = find_inputs([str(folder / f"{L1}_BQA.TIF"), str(folder / f"{L1}_B1.TIF")])
    assert names(found) == [f"{L1}_B1"]
    assert "quality" in bad[0][1].message


@pytest.mark.parametrize(
    ("argument", "name"),
    [
        ("/vsicurl/https://host.invalid/data/scene.tif", "scene"),
        ("https://host.invalid/data/scene.tif?token=a/b.c", "scene"),
        ("s3://bucket/scene.TIF", "scene"),
        ("/vsitar//data/product.tar/LE07_B1.TIF", "LE07_B1"),
    ],
)
def test_what_only_gdal_can_find_is_passed_on(argument: str, name: str):
    found, bad = find_inputs([argument, argument])
    assert bad == []
    assert found == [Input(argument, name, InputKind.RASTER)]


def test_an_archive_elsewhere_is_refused():
    found, bad = find_inputs(["https://host.invalid/product.tar.gz"])
    assert found == []
    assert "Download" in (bad[0][1].hint or "")


def test_a_broken_archive_is_found_and_fails_when_opened(tmp_path: Path):
    (tmp_path / f"{L1}.tar").write_bytes(b"no tar")
    (tmp_path / "other.zip").write_bytes(b"no zip")
    found, bad = find_inputs([str(tmp_path)])
    assert (names(found), bad) == ([L1, "other"], [])
    for given in found:
        with pytest.raises(InputError):
            open_input(given)


def test_a_band_file_alone_is_read_as_its_product_says(tmp_path: Path):
    path = write_raster(tmp_path / f"{L1}_B1.TIF", nodata=255)
    (scene,) = open_input(find_inputs([str(path)])[0][0])
    assert (scene.name, str(scene.source)) == (f"{L1}_B1", str(path))
    assert (scene.bands[0].nodata, scene.sensor, scene.slc_off) == (0, "LE07", True)


def test_a_stack_named_after_a_product_is_landsat(tmp_path: Path):
    path = write_raster(tmp_path / f"{L1}_stack.tif", 3)
    (scene,) = open_input(find_inputs([str(path)])[0][0])
    assert [band.nodata for band in scene.bands] == [0, 0, 0]
    assert (scene.sensor, scene.slc_off) == ("LE07", True)


def test_a_gzipped_raster(tmp_path: Path):
    path = write_raster(tmp_path / "scene.tif", 2)
    packed = tmp_path / "scene2.tif.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    (scene,) = open_input(find_inputs([str(packed)])[0][0])
    assert (scene.name, len(scene.bands)) == ("scene2", 2)


def test_chosen_bands_of_a_raster(tree: Path):
    (given,), _ = find_inputs([str(tree / "stack.tif")])
    (whole,) = open_input(given)
    (scene,) = open_input(given, bands=["3", whole.bands[0].name.lower()])
    assert [band.index for band in scene.bands] == [1, 3]
    with pytest.raises(UsageError, match="'nir'") as caught:
        open_input(given, bands=["nir"])
    assert whole.bands[1].name in (caught.value.hint or "")


@pytest.mark.skipif(os.name != "posix", reason="permissions are those of POSIX")
def test_a_name_that_is_no_path_is_reported():
    found, bad = find_inputs(["x" * 5000, "nul\0byte"])
    assert found == []
    assert len(bad) == 2
