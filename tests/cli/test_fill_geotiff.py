"""A GeoTIFF of any kind comes back with its gaps filled and everything else as it was."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from making import landscape, write_geotiff
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, Resampling
from rasterio.rpc import RPC
from rasterio.transform import Affine

FULL_SCENE_NAME = "LE71700542005185ASN00_stack.tif"
RPCS = RPC(
    err_bias=1.0, err_rand=0.5, height_off=100.0, height_scale=500.0, lat_off=9.5, lat_scale=0.1,
    line_off=35.0, line_scale=35.0, long_off=39.0, long_scale=0.1, samp_off=45.0, samp_scale=45.0,
    line_den_coeff=[1.0] + [0.0] * 19, line_num_coeff=[0.0, 0.0, 1.0] + [0.0] * 17,
    samp_den_coeff=[1.0] + [0.0] * 19, samp_num_coeff=[0.0, 1.0] + [0.0] * 18,
)  # fmt: skip
CORNERS = [
    GroundControlPoint(row, col, 38.0 + col / 100, 9.0 - row / 100, 5.0)
    for row, col in ((0, 0), (0, 90), (70, 0), (70, 90))
]


def check_filled(made, after, opened, *, valid_range=None):
    """Check that observed pixels are bit-identical and missing ones plausible."""
    count = len(made.clean)
    with opened(after) as dataset:
        filled = dataset.read(list(range(1, count + 1)))
        assert filled.dtype == made.clean.dtype
        nodata = dataset.nodata
    with opened(made.path) as dataset:
        before = dataset.read(list(range(1, count + 1)))
    np.testing.assert_array_equal(filled[made.observed], before[made.observed])
    new = filled[made.missing]
    assert np.isfinite(new).all()
    assert nodata is None or not (new == nodata).any()
    low, high = valid_range or (made.clean.min(), made.clean.max())
    margin = 0.5 * (float(high) - float(low))
    assert new.min() >= low - margin
    assert new.max() <= high + margin
    # Telling a fill from an invention: the painted scene is smooth, so a fill comes close to what was lost.
    error = np.abs(new.astype(float) - made.clean[made.missing]).mean()
    assert error < 0.1 * (float(made.clean.max()) - float(made.clean.min()))


WAYS_TO_TELL = [
    (dtype, told_by)
    for dtypes, ways in (
        (("uint8", "uint16", "int16"), ("tag", "mask", "alpha", "name")),
        (("float32", "float64"), ("tag", "mask", "alpha", "nan")),
    )
    for dtype in dtypes
    for told_by in ways
]


@pytest.mark.parametrize(("dtype", "told_by"), WAYS_TO_TELL)
def test_a_gap_is_told_by_tag_mask_alpha_nan_or_name(make, run, opened, dtype, told_by):
    nodata = -9999 if dtype == "int16" and told_by in ("tag", "name") else None
    name = FULL_SCENE_NAME if told_by == "name" else "scene.tif"
    made = make(name, dtype=dtype, told_by=told_by, nodata=nodata)
    after = made.path.with_name(f"{made.path.stem}_filled.tif")

    ended = run(made.path)

    assert ended.code == 0, ended.said
    assert f"{100 * made.missing.mean():.1f} % missing" in ended.out
    check_filled(made, after, opened)
    with opened(made.path) as before, opened(after) as dataset:
        assert dataset.nodatavals == before.nodatavals or np.isnan(dataset.nodatavals).all()
        assert dataset.mask_flag_enums == before.mask_flag_enums
        assert dataset.colorinterp == before.colorinterp
        if told_by in ("mask", "alpha"):
            assert dataset.dataset_mask().all()


SHAPES = {
    "one band": {"count": 1},
    "sixty bands": {"count": 60, "height": 40, "width": 48},
    "no georeference": {"georeferenced": False},
    "pixel interleaved": {"interleave": "pixel"},
    "band interleaved": {"interleave": "band"},
    "strips of a row": {"blockysize": 1},
    "tiled": {"tiled": True, "blockxsize": 32, "blockysize": 48},
    "one block": {"tiled": True, "blockxsize": 128, "blockysize": 128},
    "geographic": {"crs": CRS.from_epsg(4326), "transform": Affine(2.7e-4, 0, 38, 0, -2.7e-4, 9)},
    "rotated": {"transform": Affine(24.0, 18.0, 500000.0, 18.0, -24.0, 1200000.0)},
    "south of the equator": {"transform": Affine(30.0, 0.0, 500000.0, 0.0, -30.0, -1200000.0)},
    "lzw with a predictor": {"compress": "lzw", "predictor": 2},
    "deflate": {"compress": "deflate", "zlevel": 9},
    "float predictor": {"compress": "deflate", "predictor": 3, "dtype": "float32", "told_by": "nan"},
    "big": {"BIGTIFF": "YES"},
    "narrow": {"width": 20},
    "nodata 255": {"nodata": 255},
    "nodata in the middle": {"nodata": 100, "dtype": "int16"},
}


def structure(dataset):
    return {
        "interleave": dataset.tags(ns="IMAGE_STRUCTURE").get("INTERLEAVE"),
        "compression": dataset.tags(ns="IMAGE_STRUCTURE").get("COMPRESSION"),
        "predictor": dataset.tags(ns="IMAGE_STRUCTURE").get("PREDICTOR"),
        "blocks": dataset.block_shapes,
        "crs": dataset.crs,
        "transform": dataset.transform,
        "dtypes": dataset.dtypes,
    }


@pytest.mark.parametrize("options", SHAPES.values(), ids=SHAPES)
def test_a_scene_of_any_shape_is_filled_and_stored_as_it_was(make, run, opened, options):
    made = make(**options)
    if options.get("nodata") == 100:  # a number that observations have, too, in their range but not their pixels
        assert not (made.clean[made.observed] == 100).any()

    ended = run(made.path)

    assert ended.code == 0, ended.said
    after = made.path.with_name("scene_filled.tif")
    check_filled(made, after, opened)
    with opened(made.path) as before, opened(after) as dataset:
        assert structure(dataset) == structure(before)
    assert b"BIGTIFF" not in after.read_bytes()[:8]
    assert after.read_bytes()[2:3] == made.path.read_bytes()[2:3]  # 42, or 43 for BigTIFF


def describing(**attributes):
    def describe(dataset):
        for name, value in attributes.items():
            setattr(dataset, name, value)

    return describe


def tagged(dataset):
    dataset.update_tags(SENSOR="ETM+", note="ü < & >")
    dataset.update_tags(2, BAND="green")
    dataset.update_tags(ns="MINE", key="value")


METADATA = {
    "descriptions": ({"describe": describing(descriptions=("blue", "", "β red"))}, lambda d: d.descriptions),
    "scales": ({"describe": describing(scales=(2.75e-5, 1.0, 0.00341802))}, lambda d: d.scales),
    "offsets": ({"describe": describing(offsets=(-0.2, 0.0, 149.0))}, lambda d: d.offsets),
    "units": ({"describe": describing(units=("m", "", "K"))}, lambda d: d.units),
    "colours": (
        {"describe": describing(colorinterp=[ColorInterp.blue, ColorInterp.green, ColorInterp.red])},
        lambda d: d.colorinterp,
    ),
    "rgb": ({"photometric": "RGB"}, lambda d: d.colorinterp),
    "colour map": (
        {"count": 1, "describe": lambda d: d.write_colormap(1, {i: (i, 9, 3, 255) for i in range(256)})},
        lambda d: d.colormap(1),
    ),
    "tags": (
        {"describe": tagged},
        lambda d: (d.tags()["SENSOR"], d.tags()["note"], d.tags(2)["BAND"], d.tags(ns="MINE")),
    ),
    "gcps": (
        {"gcps": CORNERS, "crs": CRS.from_epsg(4326), "transform": None},
        lambda d: ([p.asdict() | {"id": None} for p in d.gcps[0]], d.gcps[1]),
    ),
    "rpcs": ({"rpcs": RPCS, "georeferenced": False}, lambda d: d.rpcs.to_dict()),
    "pixel is point": (
        {"describe": lambda d: d.update_tags(AREA_OR_POINT="Point")},
        lambda d: d.tags()["AREA_OR_POINT"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("options", "look"), METADATA.values(), ids=METADATA)
def test_metadata_is_kept(make, run, opened, options, look):
    made = make(**options)
    assert run(made.path).code == 0
    with opened(made.path) as before, opened(made.path.with_name("scene_filled.tif")) as after:
        assert look(after) == look(before)


def test_overviews_are_built_again_from_the_filled_pixels(make, run, opened):
    made = make(height=256, width=256, tiled=True, blockxsize=64, blockysize=64)
    with rasterio.open(made.path, "r+") as dataset:
        dataset.build_overviews([2, 4], Resampling.nearest)

    assert run(made.path).code == 0

    with opened(made.path.with_name("scene_filled.tif")) as dataset:
        assert [dataset.overviews(band) for band in dataset.indexes] == [[2, 4]] * 3
    with rasterio.open(made.path.with_name("scene_filled.tif"), overview_level=0) as overview:
        assert (overview.read() != 0).all()


def test_statistics_of_the_gappy_scene_are_not_passed_off_as_the_filled_ones(make, run, opened):
    made = make(describe=lambda d: d.update_tags(1, STATISTICS_MEAN="1", STATISTICS_MAXIMUM="2"))
    assert run(made.path).code == 0
    with opened(made.path.with_name("scene_filled.tif")) as dataset:
        assert not [tag for tag in dataset.tags(1) if tag.startswith("STATISTICS")]


def test_a_fill_layer_a_band(make, run, opened):
    made = make(height=150)
    assert run(made.path, "--fill-layer", "bands").code == 0
    with opened(made.path.with_name("scene_fill.tif")) as dataset:
        np.testing.assert_array_equal(dataset.read() == 4, made.missing)


def test_no_fill_layer(make, run):
    made = make()
    assert run(made.path, "--fill-layer", "none").code == 0
    assert not made.path.with_name("scene_fill.tif").exists()


def test_creation_options_replace_those_of_the_input(make, run, opened):
    made = make(compress="lzw")
    assert run(made.path, "--co", "COMPRESS=ZSTD", "--co", "TILED=NO").code == 0
    with opened(made.path.with_name("scene_filled.tif")) as dataset:
        assert dataset.profile["compress"] == "zstd"
        assert dataset.block_shapes[0][1] == dataset.width


def test_a_cloud_optimized_geotiff(make, run, opened):
    made = make(height=700, width=600, count=1)
    assert run(made.path, "--cog").code == 0
    with opened(made.path.with_name("scene_filled.tif")) as dataset:
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert dataset.overviews(1)
    check_filled(made, made.path.with_name("scene_filled.tif"), opened)


def test_the_number_of_missing_pixels_may_be_given(make, run, opened):
    made = make(told_by="name")
    ended = run(made.path, "--nodata", "0")
    assert ended.code == 0
    check_filled(made, made.path.with_name("scene_filled.tif"), opened)


def test_several_numbers_of_missing_pixels_count_beside_the_tag(make, run, opened):
    made = make(nodata=7)
    with rasterio.open(made.path, "r+") as dataset:
        stored = dataset.read()
        stored[:, :, ::3][made.missing[:, :, ::3]] = 0
        stored[:, :, 1::3][made.missing[:, :, 1::3]] = 251
        dataset.write(stored)
    assert run(made.path, "-m", "nearest", "--nodata", "0", "--nodata", "250:255").code == 0
    after = made.path.with_name("scene_filled.tif")
    check_filled(made, after, opened)
    with opened(after) as dataset:
        assert dataset.nodata == 7
        assert "0.0, 250:255" in dataset.tags()["LANDSAT_FILL_OPTIONS"]
    ended = run(made.path, "-m", "nearest", "--nodata", "0")
    assert ended.code == 1
    assert "nodata: 0.0, 250:255, but 0.0 is requested" in ended.said


@pytest.mark.parametrize("dtype", ["int64", "uint64"])
def test_64_bit_integers_that_fit_float64_exactly_are_filled(make, run, opened, dtype):
    made = make(dtype=dtype, told_by="name")
    large = np.where(made.missing, 0, (landscape(made.clean.shape, "uint16").astype(dtype)) * 10**9).astype(dtype)
    write_geotiff(made.path, large, nodata=0)
    assert run(made.path, "-m", "nearest", "-q").code == 0
    after = opened(made.path.with_name("scene_filled.tif")).read()
    np.testing.assert_array_equal(after[made.observed], large[made.observed])
    assert set(after[made.missing]) <= set(large[made.observed])
    large[0, 40, 50] = 2**60 + 1
    write_geotiff(made.path, large, nodata=0)
    ended = run(made.path, "-m", "nearest", "--overwrite")
    assert ended.code == 1
    assert f"but got {2**60 + 1}" in ended.said


def test_a_file_that_cannot_say_what_is_missing_is_copied_and_the_user_told(make, run, opened):
    made = make(told_by="name")
    ended = run(made.path)
    assert ended.code == 0
    assert "no gaps" in ended.out
    assert "--nodata" in ended.out


def test_some_bands_only(make, run, opened):
    made = make(count=5, describe=describing(descriptions=("blue", "green", "red", "nir", "swir1")))
    assert run(made.path, "--bands", "nir,2").code == 0
    with opened(made.path.with_name("scene_filled.tif")) as dataset:
        assert dataset.descriptions == ("green", "nir")
        assert (dataset.read() != 0).all()
