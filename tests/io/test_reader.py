"""Windows come back as stored, with what was observed; side files that don't fit are refused."""

from __future__ import annotations

import gzip
import math
import threading
from dataclasses import replace

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from making import write_geotiff
from rasterio.enums import ColorInterp
from rasterio.transform import Affine

from landsat_fill.errors import InputError
from landsat_fill.io import reader
from landsat_fill.io.gdal import open_dataset
from landsat_fill.io.geotiff import open_geotiff, value_range
from landsat_fill.io.reader import Rasters, SceneReader, read_profile
from landsat_fill.io.tiff_structure import tiff_blocks
from landsat_fill.scene import Grid, QualityBand, Scene, SceneBand, Window

TRANSFORM = Affine(30, 0, 5e5, 0, -30, 1e6)
WHOLE = Window(0, 0, 40, 50)


def make(path, pixels, *, crs="EPSG:32637", valid=None, colours=(), **options):
    def describe(dataset):
        if colours:
            dataset.colorinterp = [ColorInterp[colour] for colour in colours]

    options = {"crs": crs, "transform": TRANSFORM, "photometric": "MINISBLACK"} | options
    return str(write_geotiff(path, pixels, valid=valid, describe=describe, **options))


def random_pixels(count=3, dtype="uint8", shape=(40, 50), seed=0):
    return np.random.default_rng(seed).integers(0, 5, (count, *shape)).astype(dtype)


def read(source, window=WHOLE, **options):
    with SceneReader(open_geotiff(source, **options)) as reader:
        return reader.read(window)


@settings(deadline=None)
@given(
    row=st.integers(0, 39), col=st.integers(0, 49), height=st.integers(1, 40), width=st.integers(1, 50)
)  # fmt: skip
def test_any_window_is_that_part_of_the_whole(row, col, height, width, tmp_path_factory):
    window = Window(row, col, min(height, 40 - row), min(width, 50 - col))
    pixels = random_pixels()
    source = make(
        tmp_path_factory.getbasetemp() / "windows.tif", pixels, nodata=0, tiled=True, blockxsize=16, blockysize=16
    )

    values, observed = read(source, window)

    np.testing.assert_array_equal(values, pixels[:, *window.slices])
    np.testing.assert_array_equal(observed, pixels[:, *window.slices] != 0)


@pytest.mark.parametrize(
    ("dtype", "nodata", "stored", "observed"),
    [
        ("uint8", 0, [0, 1, 255], [False, True, True]),
        ("int16", -9999, [-9999, 0, -9998], [False, True, True]),
        ("float32", -3.4028234663852886e38, [-3.4028235e38, -3.4e38, 0], [False, True, True]),
        ("float32", 0.1, [0.1, 0.1000001, 0], [False, True, True]),
        ("float64", -9999, [-9999, np.nan, np.inf], [False, False, False]),
        ("float32", math.nan, [np.nan, -np.inf, 1], [False, False, True]),
        ("float32", None, [np.nan, 0, 1], [False, True, True]),
        ("uint8", None, [0, 1, 255], [True, True, True]),
    ],
)
def test_the_tag_is_compared_as_the_file_stores_it(dtype, nodata, stored, observed, tmp_path):
    source = make(tmp_path / "in.tif", np.array([[stored]], dtype), nodata=nodata)

    assert read(source, Window(0, 0, 1, 3))[1].tolist() == [[observed]]


@pytest.mark.parametrize("nodata", [-1, 256, 0.5, math.nan, math.inf, 1e300])
def test_a_number_that_cannot_occur_is_nowhere(nodata, tmp_path):
    source = make(tmp_path / "in.tif", np.array([[[0, 1, 255]]], "uint8"))

    assert read(source, Window(0, 0, 1, 3), nodata=nodata)[1].all()


def test_a_number_too_large_for_a_float_is_nowhere(tmp_path):
    source = make(tmp_path / "in.tif", np.array([[[0, 1, 255]]], "float32"))

    assert read(source, Window(0, 0, 1, 3), nodata=1e300)[1].all()


def test_a_dataset_mask_says_what_was_observed(tmp_path):
    valid = np.arange(2000).reshape(40, 50) % 3 > 0
    source = make(tmp_path / "in.tif", random_pixels(), valid=valid)

    values, observed = read(source)

    np.testing.assert_array_equal(observed, np.broadcast_to(valid, observed.shape))
    np.testing.assert_array_equal(values, random_pixels())


def test_a_mask_and_a_number_both_count(tmp_path):
    valid = np.arange(2000).reshape(40, 50) % 3 > 0
    source = make(tmp_path / "in.tif", random_pixels(), valid=valid)

    assert (read(source, nodata=2)[1] == (valid & (random_pixels() != 2))).all()


@pytest.mark.parametrize("nodata", [None, 2])
def test_an_alpha_band_says_what_was_observed(nodata, tmp_path):
    pixels = random_pixels(3)
    pixels[1] = np.where(np.arange(2000).reshape(40, 50) % 3 > 0, 255, 0)
    source = make(tmp_path / "in.tif", pixels, colours=("gray", "alpha", "undefined"), nodata=nodata)

    values, observed = read(source)

    np.testing.assert_array_equal(values, pixels[[0, 2]])
    expected = (pixels[1] > 0) & (True if nodata is None else values != nodata)
    np.testing.assert_array_equal(observed, np.broadcast_to(expected, observed.shape))


def product(folder, *, dtypes=("uint8", "uint8"), **changes):
    """Make a scene of one file a band."""
    bands = []
    for number, dtype in enumerate(dtypes, 1):
        source = make(folder / f"b{number}.tif", random_pixels(1, dtype, seed=number))
        bands.append(SceneBand(source, 1, f"B{number}", dtype, 0.0, value_range(dtype)))
    grid = Grid(40, 50, TRANSFORM, rasterio.crs.CRS.from_epsg(32637))
    return replace(Scene("product", folder, tuple(bands), grid), **changes)


def test_bands_in_files_of_their_own_come_in_the_scenes_order(tmp_path):
    scene = product(tmp_path, dtypes=("uint8", "uint8", "uint8"))
    scene = replace(scene, bands=scene.bands[::-1])

    with SceneReader(scene) as reader:
        values, observed = reader.read(Window(3, 4, 5, 6))

    for place, seed in enumerate((3, 2, 1)):
        np.testing.assert_array_equal(values[place], random_pixels(1, seed=seed)[0, 3:8, 4:10])
    np.testing.assert_array_equal(observed, values != 0)


def test_bands_of_different_types_share_one_that_holds_both(tmp_path):
    with SceneReader(product(tmp_path, dtypes=("uint8", "int16"))) as reader:
        values, _ = reader.read(WHOLE)

    assert values.dtype == reader.dtype == np.int16


def with_gap_mask(scene, source):
    return replace(scene, bands=(replace(scene.bands[0], gap_mask=source), *scene.bands[1:]))


@pytest.mark.parametrize("gzipped", [False, True])
def test_gap_masks_are_true_where_nothing_was_observed(gzipped, tmp_path):
    seen = np.random.default_rng(9).integers(0, 2, (1, 40, 50)).astype("uint8")
    source = make(tmp_path / "gm.tif", seen)
    if gzipped:
        (tmp_path / "gm.tif.gz").write_bytes(gzip.compress((tmp_path / "gm.tif").read_bytes()))
        source = f"/vsigzip/{tmp_path}/gm.tif.gz"

    with SceneReader(with_gap_mask(product(tmp_path), source)) as reader:
        missing = reader.read_gap_masks(Window(5, 0, 20, 50))

    np.testing.assert_array_equal(missing[0], seen[0, 5:25] == 0)
    assert not missing[1].any()


def test_a_scene_without_gap_masks_has_none(tmp_path):
    with SceneReader(product(tmp_path)) as reader:
        assert reader.read_gap_masks(WHOLE) is None


def test_a_gap_mask_of_another_size_is_refused(tmp_path):
    source = make(tmp_path / "gm.tif", random_pixels(1, shape=(41, 50)))

    with (
        pytest.raises(InputError, match=r"gap_mask of band B1 .* 40 × 50 .*gm\.tif has 41 × 50"),
        SceneReader(with_gap_mask(product(tmp_path), source)),
    ):
        pass


def test_a_gap_mask_of_another_crs_is_refused(tmp_path):
    source = make(tmp_path / "gm.tif", random_pixels(1), crs="EPSG:32638")

    with (
        pytest.raises(InputError, match=r"EPSG:32637, but .*gm\.tif has EPSG:32638") as caught,
        SceneReader(with_gap_mask(product(tmp_path), source)),
    ):
        pass
    assert caught.value.hint


def test_quality_bands_come_by_kind(tmp_path):
    quality = random_pixels(1, "uint16", seed=7)
    source = make(tmp_path / "qa.tif", quality)
    scene = product(tmp_path, quality=(QualityBand("QA_PIXEL", source),))

    with SceneReader(scene) as reader:
        found = reader.read_quality(Window(0, 10, 40, 5))

    assert list(found) == ["QA_PIXEL"]
    np.testing.assert_array_equal(found["QA_PIXEL"], quality[0, :, 10:15])


def damage_last_block(path):
    content = bytearray(path.read_bytes())
    offset, length = map(int, tiff_blocks(path).extents[0][-1])
    content[offset : offset + length] = b"\xff" * length
    path.write_bytes(content)


def test_a_damaged_file_names_the_rows(tmp_path, capfd):
    pixels = random_pixels(1, shape=(400, 400))
    path = tmp_path / "in.tif"
    source = make(path, pixels, compress="DEFLATE", tiled=True, blockxsize=128, blockysize=128)
    damage_last_block(path)

    with SceneReader(open_geotiff(source)) as reader:
        with pytest.raises(InputError, match=r"rows 380 to 399 of .*in\.tif") as caught:
            reader.read(Window(380, 0, 20, 400))
        assert caught.value.hint
        reader.read(Window(0, 0, 20, 400))  # the rest can be read still
    assert capfd.readouterr() == ("", "")


def test_a_damaged_file_says_so_from_a_background_thread_too(tmp_path, capfd):
    path = tmp_path / "in.tif"
    source = make(path, random_pixels(1, shape=(400, 400)), compress="DEFLATE")
    damage_last_block(path)
    caught = []

    def work(reader):
        try:
            reader.read(Window(0, 0, 400, 400))
        except InputError as error:
            caught.append(error)

    with SceneReader(open_geotiff(source)) as reader:
        thread = threading.Thread(target=work, args=(reader,))
        thread.start()
        thread.join()

    assert len(caught) == 1
    assert capfd.readouterr() == ("", "")


def test_a_scene_opened_here_can_be_read_in_another_thread(tmp_path):
    source = make(tmp_path / "in.tif", random_pixels(), compress="LZW")
    results = []

    with SceneReader(open_geotiff(source)) as reader:
        thread = threading.Thread(target=lambda: results.append(reader.read(WHOLE)[0]))
        thread.start()
        thread.join()

    np.testing.assert_array_equal(results[0], random_pixels())


@pytest.fixture
def opened(monkeypatch):
    """A list that gathers the datasets that are opened."""
    found = []
    monkeypatch.setattr(reader, "open_dataset", lambda source: found.append(open_dataset(source)) or found[-1])
    return found


def test_a_failed_opening_leaves_no_file_open(tmp_path, opened):
    scene = product(tmp_path)
    broken = with_gap_mask(scene, str(tmp_path / "nothing.tif"))

    with pytest.raises(InputError, match="there is no"), SceneReader(broken):
        pass
    assert opened
    assert all(dataset.closed for dataset in opened)


def test_rasters_are_opened_once_and_stay_open_for_the_next_reader(tmp_path, opened):
    source = str(make(tmp_path / "in.tif", random_pixels()))

    with Rasters() as rasters:
        scene = open_geotiff(source, rasters=rasters)
        for _ in range(2):
            with SceneReader(scene, rasters) as one:
                np.testing.assert_array_equal(one.read(WHOLE)[0], random_pixels())
        assert rasters[source].profile == read_profile(source)
        assert len(opened) == 2  # the second is that of read_profile
        assert not opened[0].closed
    assert opened[0].closed
