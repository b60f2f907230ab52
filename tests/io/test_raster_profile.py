"""A raster written from the profile of another says everything the other said."""

from __future__ import annotations

import math
import struct
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from hypothesis import given, settings
from hypothesis import strategies as st
from making import NORTH_UP, UTM, write_geotiff
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, Resampling
from rasterio.rpc import RPC
from rasterio.transform import Affine

from landsat_fill.io import read_profile
from landsat_fill.io.raster_profile import RasterProfile
from landsat_fill.io.writer import new_raster
from landsat_fill.scene import Grid, Window

ROTATED = Affine(24.0, 18.0, 500000.0, 18.0, -24.0, 1200000.0)


def make(path, *, count=3, height=70, width=90, dtype="uint8", georeferenced=True, describe=None, **options):
    """Write an example file with plain rasterio; `describe` is called with the open dataset."""
    pixels = np.random.default_rng(1).integers(1, 100, (count, height, width)).astype(dtype)

    def described(dataset):
        if describe is not None:
            describe(dataset)
        for band, colour in zip(pixels, dataset.colorinterp, strict=True):
            if colour.name == "alpha":
                band[:] = np.where(band > 30, 255, 0)

    return write_geotiff(path, pixels, georeferenced=georeferenced, describe=described, **options)


def opened(path):
    """Open a file with plain rasterio, which warns of missing georeferencing; our own code must not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return rasterio.open(path)


def rewritten(source, target, **options):
    """Write the pixels of `source` to `target` as its profile says, and return the profile of the result."""
    profile = read_profile(source)
    with opened(source) as dataset:
        colours = [c.name for c in dataset.colorinterp]
        pixels = dataset.read([i for i, colour in enumerate(colours, 1) if colour != "alpha"])
        alpha = dataset.read(colours.index("alpha") + 1) if "alpha" in colours else None
        valid = dataset.dataset_mask() > 0
    with new_raster(target, profile, **options) as writer:
        writer.write(pixels, Window(0, 0, *pixels.shape[1:]), valid=valid, alpha=alpha)
    with opened(source) as before, opened(target) as after:
        np.testing.assert_array_equal(before.read(), after.read())
    assert [p.name for p in target.parent.iterdir() if p not in (source, target)] == []
    return read_profile(target)


@pytest.fixture
def paths(tmp_path):
    return tmp_path / "in.tif", tmp_path / "out.tif"


def describing(name, value):
    return lambda dataset: setattr(dataset, name, value)


def tagging(*, band=0, domain=None, **tags):
    return lambda dataset: dataset.update_tags(band, ns=domain, **tags)


def colouring(*names):
    return describing("colorinterp", [ColorInterp[name] for name in names])


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
ENGINEERING_PIXELS = {"georeferenced": False}

ITEMS = {
    "plain": {},
    "no georeferencing": ENGINEERING_PIXELS,
    "crs without transform": {"transform": None},
    "transform without crs": {"crs": None},
    "rotated": {"transform": ROTATED},
    "geographic": {"crs": CRS.from_epsg(4326), "transform": Affine(2.7e-4, 0, 38, 0, -2.7e-4, 9)},
    "crs of its own": {"crs": CRS.from_proj4("+proj=laea +lat_0=9 +lon_0=39 +ellps=GRS80 +units=m")},
    "gcps": {"gcps": CORNERS, "crs": CRS.from_epsg(4326), "transform": None},
    "rpcs": {"rpcs": RPCS} | ENGINEERING_PIXELS,
    "one band": {"count": 1},
    "sixty bands": {"count": 60, "height": 8, "width": 16},
    "one pixel wide": {"width": 1},
    "int8": {"dtype": "int8"},
    "uint16": {"dtype": "uint16"},
    "int16 nodata": {"dtype": "int16", "nodata": -9999},
    "uint32": {"dtype": "uint32"},
    "int32": {"dtype": "int32"},
    "float32 nan": {"dtype": "float32", "nodata": math.nan},
    "float32 lowest": {"dtype": "float32", "nodata": float(np.finfo("float32").min)},
    "float64 nodata": {"dtype": "float64", "nodata": -1.7e308},
    "nodata 0": {"nodata": 0},
    "descriptions": {"describe": describing("descriptions", ("blue", "", "β red"))},
    "scales": {"describe": describing("scales", (2.75e-5, 1.0, 0.00341802))},
    "offsets": {"describe": describing("offsets", (-0.2, 0.0, 149.0))},
    "units": {"describe": describing("units", ("m", "", "K"))},
    "rgb": {"photometric": "RGB"},
    "rgb by name": {"describe": colouring("red", "green", "blue"), "photometric": "MINISBLACK"},
    "rgb and nir": {"count": 4, "photometric": "RGB", "describe": colouring("red", "green", "blue", "nir")},
    "other colours": {"describe": colouring("nir", "swir", "undefined"), "photometric": "MINISBLACK"},
    "bgr": {"describe": colouring("blue", "green", "red"), "photometric": "MINISBLACK"},
    "min is white": {"count": 1, "photometric": "MINISWHITE"},
    "cmyk": {"count": 4, "photometric": "CMYK"},
    "colour table": {
        "count": 1,
        "describe": lambda d: d.write_colormap(1, {i: (i, 255 - i, 3, 255) for i in range(256)}),
    },
    "alpha last": {"count": 4, "photometric": "RGB", "alpha": "YES"},
    "alpha in the middle": {"describe": colouring("gray", "alpha", "undefined"), "photometric": "MINISBLACK"},
    "icc": {"photometric": "RGB", "SOURCE_ICC_PROFILE": "AAAB"},
    "tags": {"describe": tagging(SENSOR="ETM+", note="ü < & >", TIFFTAG_SOFTWARE="elsewhere 1.0")},
    "point": {"describe": tagging(AREA_OR_POINT="Point")},
    "domain tags": {"describe": tagging(domain="MINE", key="value")},
    "xml tags": {"describe": tagging(domain="xml:XMP", **{'<x:xmpmeta xmlns:x': '"adobe:ns:meta/"/>'})},
    "band tags": {"describe": tagging(band=2, WAVELENGTH="0.56")},
    "band domain tags": {"describe": tagging(band=3, domain="MINE", key="value")},
    "statistics": {"describe": tagging(band=1, STATISTICS_MEAN="4.5")},
    "mask": {"describe": lambda d: d.write_mask(np.arange(70 * 90).reshape(70, 90) % 7 > 0)},
    "uncompressed": {"compress": None},
    "lzw with predictor": {"compress": "LZW", "predictor": 2},
    "float predictor": {"compress": "DEFLATE", "predictor": 3, "dtype": "float32"},
    "zstd": {"compress": "ZSTD"},
    "lzma": {"compress": "LZMA"},
    "packbits": {"compress": "PACKBITS"},
    "lerc": {"compress": "LERC_ZSTD", "max_z_error": 0},
    "webp": {"compress": "WEBP", "webp_lossless": True},
    "fax": {"compress": "CCITTFAX4", "nbits": 1, "count": 1},
    "pixels interleaved": {"interleave": "PIXEL"},
    "bands interleaved": {"interleave": "BAND"},
    "tiled": {"tiled": True, "blockxsize": 32, "blockysize": 16},
    "tiled and interleaved": {"tiled": True, "blockxsize": 64, "blockysize": 64, "interleave": "PIXEL"},
    "strips of one row": {"blockysize": 1},
    "strips of 32 rows": {"blockysize": 32, "compress": "DEFLATE"},
    "bigtiff": {"bigtiff": "YES"},
    "five bits": {"nbits": 7},
    "twelve bits": {"nbits": 12, "dtype": "uint16"},
}  # fmt: skip


@pytest.mark.parametrize("item", ITEMS)
def test_comes_back_as_it_was(item, paths):
    source, target = paths
    make(source, **ITEMS[item])

    assert rewritten(source, target) == read_profile(source)


# What the examples above are meant to say, said here apart from RasterProfile: if it lost an item on both
# sides, the two profiles would still be equal.
@pytest.mark.parametrize(
    ("item", "question", "answer"),
    [
        ("rotated", lambda d: d.transform.almost_equals(ROTATED), True),
        ("geographic", lambda d: d.crs.to_epsg(), 4326),
        ("gcps", lambda d: [(p.row, p.col, p.x, p.y, p.z) for p in d.gcps[0]][3], (70, 90, 38.9, 8.3, 5.0)),
        ("gcps", lambda d: d.gcps[1].to_epsg(), 4326),
        ("rpcs", lambda d: d.rpcs.lat_off, 9.5),
        ("float32 nan", lambda d: math.isnan(d.nodata), True),
        ("int16 nodata", lambda d: d.nodata, -9999.0),
        ("descriptions", lambda d: d.descriptions, ("blue", None, "β red")),
        ("scales", lambda d: d.scales, (2.75e-5, 1.0, 0.00341802)),
        ("offsets", lambda d: d.offsets, (-0.2, 0.0, 149.0)),
        ("units", lambda d: d.units[::2], ("m", "K")),
        ("rgb and nir", lambda d: [c.name for c in d.colorinterp], ["red", "green", "blue", "nir"]),
        ("bgr", lambda d: [c.name for c in d.colorinterp], ["blue", "green", "red"]),
        ("colour table", lambda d: d.colormap(1)[7], (7, 248, 3, 255)),
        ("alpha in the middle", lambda d: d.colorinterp[1].name, "alpha"),
        ("icc", lambda d: d.tags(ns="COLOR_PROFILE")["SOURCE_ICC_PROFILE"], "AAAB"),
        ("tags", lambda d: d.tags()["note"], "ü < & >"),
        ("tags", lambda d: d.tags()["TIFFTAG_SOFTWARE"], "elsewhere 1.0"),
        ("point", lambda d: (d.tags()["AREA_OR_POINT"], d.transform), ("Point", NORTH_UP)),
        ("domain tags", lambda d: d.tags(ns="MINE"), {"key": "value"}),
        ("xml tags", lambda d: d.tags(ns="xml:XMP")["xml:XMP"], '<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'),
        ("band tags", lambda d: d.tags(2)["WAVELENGTH"], "0.56"),
        ("band domain tags", lambda d: d.tags(3, ns="MINE"), {"key": "value"}),
        ("mask", lambda d: d.dataset_mask()[0, :8].tolist(), [0, 255, 255, 255, 255, 255, 255, 0]),
        ("mask", lambda d: d.mask_flag_enums[0][0].name, "per_dataset"),
        ("lzw with predictor", lambda d: d.tags(ns="IMAGE_STRUCTURE")["PREDICTOR"], "2"),
        ("float predictor", lambda d: d.tags(ns="IMAGE_STRUCTURE")["PREDICTOR"], "3"),
        ("webp", lambda d: d.tags(ns="IMAGE_STRUCTURE")["COMPRESSION_REVERSIBILITY"], "LOSSLESS"),
        ("pixels interleaved", lambda d: d.interleaving.name, "pixel"),
        ("tiled", lambda d: d.block_shapes[0], (16, 32)),
        ("strips of 32 rows", lambda d: d.block_shapes[0], (32, 90)),
        ("twelve bits", lambda d: d.tags(1, ns="IMAGE_STRUCTURE")["NBITS"], "12"),
        ("min is white", lambda d: d.tags(ns="IMAGE_STRUCTURE")["MINISWHITE"], "YES"),
    ],
)  # fmt: skip
def test_gdal_finds_it_in_the_new_file(item, question, answer, paths):
    source, target = paths
    make(source, **ITEMS[item])
    rewritten(source, target)

    with opened(target) as dataset:
        assert question(dataset) == answer


@settings(max_examples=40, deadline=None)
@given(
    dtype=st.sampled_from(["uint8", "uint16", "int16", "float32"]),
    count=st.integers(1, 7),
    shape=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    interleave=st.sampled_from(["PIXEL", "BAND"]),
    compress=st.sampled_from([None, "LZW", "DEFLATE", "ZSTD", "PACKBITS"]),
    predict=st.booleans(),
    blocks=st.one_of(
        st.none(), st.integers(1, 100), st.tuples(st.sampled_from([16, 32, 128]), st.sampled_from([16, 48, 64]))
    ),
    nodata=st.sampled_from([None, 0, 7]),
    colours=st.sampled_from([(), ("red", "green", "blue"), ("nir",), ("gray", "alpha")]),
    masked=st.booleans(),
)
def test_any_combination_comes_back(
    dtype, count, shape, interleave, compress, predict, blocks, nodata, colours, masked
):
    options = {"interleave": interleave, "compress": compress, "nodata": nodata, "photometric": "MINISBLACK"}
    if predict and compress in ("LZW", "DEFLATE", "ZSTD"):
        options["predictor"] = 3 if dtype == "float32" else 2
    if isinstance(blocks, tuple):
        options |= {"tiled": True, "blockxsize": blocks[0], "blockysize": blocks[1]}
    elif blocks is not None:
        options["blockysize"] = blocks
    if len(colours) > count:
        colours = ()
    masked = masked and "alpha" not in colours and nodata is None

    def describe(dataset):
        if colours:
            dataset.colorinterp = [ColorInterp[name] for name in (*colours, *["undefined"] * (count - len(colours)))]
        if masked:
            dataset.write_mask(np.random.default_rng(3).random(shape) > 0.3)

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.tif", Path(folder) / "out.tif"
        make(source, dtype=dtype, count=count, height=shape[0], width=shape[1], describe=describe, **options)
        assert rewritten(source, target) == read_profile(source)


@pytest.mark.parametrize("resampling", ["nearest", "average", "cubic", "gauss", "mode"])
def test_overviews_are_rebuilt_at_the_same_levels_and_in_the_same_way(resampling, paths):
    source, target = paths
    make(source, height=300, width=500, tiled=True, compress="DEFLATE")
    with rasterio.open(source, "r+") as dataset:
        dataset.build_overviews([2, 4, 8], Resampling[resampling])

    profile = rewritten(source, target)

    assert (profile.overviews, profile.overview_resampling) == ((2, 4, 8), resampling)
    with rasterio.open(source, overview_level=1) as before, rasterio.open(target, overview_level=1) as after:
        np.testing.assert_array_equal(before.read(), after.read())


def test_a_sparse_file_stays_sparse(paths):
    source, target = paths
    with rasterio.open(source, "w", driver="GTiff", width=512, height=512, count=1, dtype="uint8", crs=UTM,
                       transform=NORTH_UP, tiled=True, nodata=0, sparse_ok=True) as dataset:  # fmt: skip
        dataset.write(np.ones((1, 256, 256), "uint8"), window=((0, 256), (256, 512)))

    assert rewritten(source, target) == read_profile(source)
    assert read_profile(target).sparse
    assert target.stat().st_size < 2 * 65536


def test_a_cloud_optimized_file_stays_one(paths):
    source, target = paths
    plain = make(source.with_name("plain.tif"), height=1100, width=1100, compress="LZW", predictor=2)
    rasterio.shutil.copy(plain, source, driver="COG", compress="LZW", predictor="YES", blocksize=256)
    plain.unlink()

    assert rewritten(source, target) == read_profile(source)
    with rasterio.open(target) as dataset:
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"compress": "JPEG", "jpeg_quality": 80}, "JPEG"),
        ({"compress": "JPEG", "photometric": "YCBCR", "interleave": "PIXEL"}, "JPEG"),
        ({"compress": "WEBP"}, "WEBP"),
        ({"compress": "LERC", "max_z_error": 2}, "LERC"),
    ],
)
def test_a_compression_that_loses_detail_gives_way_to_deflate(options, reason, paths):
    source, target = paths
    make(source, **options)

    profile = rewritten(source, target)

    assert profile.compression == "DEFLATE"
    assert any(reason in note and "DEFLATE" in note for note in read_profile(source).notes)


def test_a_mask_beside_the_file_becomes_one_inside(paths):
    source, target = paths
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK="NO"):
        make(source)
        with rasterio.open(source, "r+") as dataset:
            dataset.write_mask(np.arange(70 * 90).reshape(70, 90) % 5 > 0)
    beside = source.with_name("in.tif.msk")
    assert beside.exists()
    profile = read_profile(source)
    with rasterio.open(source) as dataset:
        pixels, valid = dataset.read(), dataset.dataset_mask() > 0
    with new_raster(target, profile) as writer:
        writer.write(pixels, Window(0, 0, 70, 90), valid=valid)

    assert not target.with_name("out.tif.msk").exists()
    with rasterio.open(target) as dataset:
        np.testing.assert_array_equal(dataset.dataset_mask() > 0, valid)


def test_another_format_is_written_as_a_geotiff_with_the_same_metadata(paths):
    source, target = paths
    make(source, dtype="int16", nodata=-1, describe=describing("descriptions", ("a", "b", "c")))
    envi = source.with_name("in.dat")
    rasterio.shutil.copy(source, envi, driver="ENVI")

    profile = read_profile(envi)

    assert any("ENVI" in note for note in profile.notes)
    assert (profile.nodata, profile.crs, profile.transform) == (-1.0, UTM, NORTH_UP)
    assert [band.description for band in profile.bands] == ["a", "b", "c"]
    with new_raster(target, profile) as writer:
        writer.write(np.ones((3, 70, 90), "int16"), Window(0, 0, 70, 90))
    with rasterio.open(target) as dataset:
        assert (dataset.driver, dataset.dtypes[0]) == ("GTiff", "int16")


def test_a_nodata_tag_that_no_pixel_can_have_is_dropped(paths):
    source, _ = paths
    make(source, nodata=255)
    # rasterio won't write such a tag, so it goes in by hand: GDAL_NODATA, ASCII, 4 bytes.
    entry = struct.pack("<HHI", 42113, 2, 4)
    source.write_bytes(source.read_bytes().replace(entry + b"255\0", entry + b"999\0"))
    profile = read_profile(source)

    assert profile.nodata is None


def test_huge_strips_are_cut_into_strips_that_fit_in_memory(paths):
    source, _ = paths
    make(source, count=1, height=3000, width=8000, blockysize=2500, compress="DEFLATE")

    profile = read_profile(source)

    assert profile.block_height * 8000 <= 16 << 20
    assert any("strips" in note for note in profile.notes)


def test_a_subset_keeps_its_bands_and_the_alpha_band(paths):
    source, _ = paths
    make(source, count=5, describe=colouring("red", "green", "blue", "undefined", "alpha"), photometric="RGB")

    subset = read_profile(source).for_bands([3, 4])

    assert [band.colour for band in subset.bands] == ["blue", "undefined", "alpha"]
    assert subset.photometric == "MINISBLACK"
    assert subset.alpha == 3


def test_a_window_keeps_every_pixel_on_its_place_on_the_ground(paths):
    source, _ = paths
    make(source)
    profile = read_profile(source)

    part = profile.for_window(Window(20, 30, 40, 50))

    assert (part.height, part.width) == (40, 50)
    assert (part.transform.c, part.transform.f) == (500000.0 + 30 * 30.0, 1200000.0 - 20 * 30.0)


def test_a_window_moves_control_points_and_coefficients_along(tmp_path):
    points = make(tmp_path / "gcps.tif", **ITEMS["gcps"])
    coefficients = make(tmp_path / "rpcs.tif", **ITEMS["rpcs"])
    window = Window(20, 30, 40, 50)

    moved = read_profile(points).for_window(window).gcps
    rpcs = read_profile(coefficients).for_window(window).rpcs

    assert [(p.row, p.col) for p in moved] == [(-20, -30), (-20, 60), (50, -30), (50, 60)]
    assert (rpcs.line_off, rpcs.samp_off) == (15.0, 15.0)


def test_a_layer_lies_on_the_same_grid_and_speaks_for_itself(paths):
    source, target = paths
    make(source, nodata=0, compress="LZW", predictor=2, tiled=True, blockxsize=32, blockysize=32,
         describe=tagging(SENSOR="ETM+", AREA_OR_POINT="Point"))  # fmt: skip
    colours = {0: (0, 0, 0, 0), 1: (10, 20, 30, 255)}

    layer = read_profile(source).layer(
        "uint8", nodata=0, descriptions=["fill"], colour_table=colours, tags={"0": "outside"}
    )
    with new_raster(target, layer) as writer:
        writer.write(np.ones((1, 70, 90), "uint8"), Window(0, 0, 70, 90))

    with rasterio.open(target) as dataset:
        assert (dataset.crs, dataset.transform, dataset.block_shapes) == (UTM, NORTH_UP, [(32, 32)])
        assert dataset.colormap(1)[1] == (10, 20, 30, 255)
        assert dataset.descriptions == ("fill",)
        assert dataset.tags() == {"0": "outside", "AREA_OR_POINT": "Point"}


def test_a_float_layer_of_an_integer_file_gets_a_predictor_for_floats(paths):
    source, target = paths
    make(source, compress="LZW", predictor=2)

    layer = read_profile(source).layer("float32", nodata=math.nan, descriptions=["a", "b", "c"])
    with new_raster(target, layer) as writer:
        writer.write(np.ones((3, 70, 90), "float32"), Window(0, 0, 70, 90))

    assert read_profile(target) == layer


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64"])
def test_a_plain_layout_makes_a_compressed_tiled_file(dtype, tmp_path):
    target = tmp_path / "new.tif"
    profile = RasterProfile.plain(Grid(70, 90, NORTH_UP, UTM), dtype, count=2, nodata=1, descriptions=["a", "b"])

    with new_raster(target, profile) as writer:
        writer.write(np.ones((2, 70, 90), dtype), Window(0, 0, 70, 90))

    assert read_profile(target) == profile
    assert profile.tiled
    assert profile.compression == "DEFLATE"


def test_statistics_are_dropped_when_pixels_change(paths):
    source, _ = paths
    make(source, describe=tagging(band=1, STATISTICS_MEAN="4.5", WAVELENGTH="0.5"))

    assert read_profile(source).without_statistics().bands[0].tags == {"": {"WAVELENGTH": "0.5"}}
