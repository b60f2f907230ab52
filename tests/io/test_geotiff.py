"""One raster becomes a scene: its bands, its codes, what means "no observation", and errors for what isn't one."""

from __future__ import annotations

import math
import struct
import warnings

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from making import write_geotiff
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.transform import Affine

from landsat_fill.errors import InputError
from landsat_fill.io import find_inputs, open_input
from landsat_fill.io.geotiff import open_geotiff
from landsat_fill.io.reader import SceneReader

USGS_NAME = "LE07_L1TP_167055_20170316_20170411_01_T1_B4.TIF"


def make(path, *, count=2, dtype="uint8", size=(40, 50), describe=None, **options):
    pixels = np.full((count, *size), 5, dtype)
    options = {"photometric": "MINISBLACK"} | options
    return str(write_geotiff(path, pixels, georeferenced=False, describe=describe, **options))


def nodata_of(source, **options):
    return open_geotiff(source, **options).bands[0].nodata


def test_the_scene_says_what_the_file_is(tmp_path):
    transform = Affine(30, 0, 5e5, 0, -30, 1e6)
    source = make(tmp_path / "scene.tif", dtype="int16", nodata=-9999, crs="EPSG:32637", transform=transform)

    scene = open_geotiff(source)

    assert (scene.name, str(scene.source), scene.sensor) == ("scene", source, None)
    assert (scene.grid.height, scene.grid.width) == (40, 50)
    assert (scene.grid.transform, scene.grid.crs) == (transform, CRS.from_epsg(32637))
    assert [(band.index, band.name, band.dtype, band.nodata) for band in scene.bands] == [
        (1, "band 1", "int16", -9999.0),
        (2, "band 2", "int16", -9999.0),
    ]
    assert scene.bands[0].valid_range == (-32768.0, 32767.0)


def test_a_file_without_georeferencing_is_a_scene(tmp_path):
    grid = open_geotiff(make(tmp_path / "in.tif")).grid

    assert grid.crs is None
    assert grid.transform.is_identity


@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64", "int64"]
)
def test_every_real_number_type_is_taken(dtype, tmp_path):
    low, high = open_geotiff(make(tmp_path / "in.tif", dtype=dtype)).bands[0].valid_range

    assert np.isfinite([low, high]).all()
    assert np.array([low, high]).astype(dtype).tolist() == [low, high]


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_numbers_are_refused(dtype, tmp_path):
    with pytest.raises(InputError, match=f"holds {dtype}"):
        open_geotiff(make(tmp_path / "in.tif", dtype=dtype))


# The order in which "no observation" is looked for.
@pytest.mark.parametrize(
    ("tag", "given", "nodata", "also"),
    [
        (255, 7, 255.0, ((7.0, 7.0),)),
        (255, "7,only", 7.0, ()),
        (None, "0,250:255", 0.0, ((250.0, 255.0),)),
        (7, [7, "nan", -9999], 7.0, ((-9999.0, -9999.0),)),
    ],
)
def test_numbers_that_are_given_count_beside_the_tag(tag, given, nodata, also, tmp_path):
    (band, _) = open_geotiff(make(tmp_path / "in.tif", nodata=tag), nodata=given).bands
    assert (band.nodata, band.also_missing) == (nodata, also)


def test_the_tag_goes_before_landsats_fill(tmp_path):
    assert nodata_of(make(tmp_path / USGS_NAME, nodata=3)) == 3.0


def test_a_mask_goes_before_landsats_fill(tmp_path):
    source = make(tmp_path / USGS_NAME, describe=lambda d: d.write_mask(np.ones((40, 50), bool)))

    assert nodata_of(source) is None
    with SceneReader(open_geotiff(source)) as reader:
        assert reader.can_mark_missing


@pytest.mark.parametrize(
    ("name", "dtype", "fill"),
    [
        (USGS_NAME, "uint8", 0.0),
        (USGS_NAME, "uint16", 0.0),
        (USGS_NAME, "int16", -9999.0),
        ("LE07_L2SP_167055_20170316_20200830_02_T1_SR_B4.TIF", "uint16", 0.0),
        ("LE71670552017075ASN00_B4.TIF", "uint8", 0.0),
        ("L71129046_04620080329_B40.TIF", "uint8", 0.0),
        ("le70130312015175edc00_sr_band4.tif", "int16", -9999.0),
        ("gap_filled_LE07_L1TP_167055_20170316.tif", "uint8", 0.0),
    ],
)
def test_a_landsat_file_that_says_nothing_has_landsats_fill(name, dtype, fill, tmp_path):
    assert nodata_of(make(tmp_path / name, dtype=dtype)) == fill
    assert nodata_of(make(tmp_path / name, dtype=dtype), landsat=False) is None


def test_a_file_whose_tags_name_landsat_has_landsats_fill(tmp_path):
    def describe(dataset):
        dataset.update_tags(SPACECRAFT_ID="LANDSAT_7")

    assert nodata_of(make(tmp_path / "in.tif", describe=describe)) == 0.0


def test_the_caller_may_know_that_it_is_landsat(tmp_path):
    assert nodata_of(make(tmp_path / "in.tif"), landsat=True) == 0.0


def test_floats_have_nan(tmp_path):
    assert math.isnan(nodata_of(make(tmp_path / "in.tif", dtype="float32")))


@pytest.mark.parametrize("name", ["scene.tif", "level3.tif", "LE_landscape.tif", "ALE70_1.tif"])
def test_without_any_mark_nothing_is_missing(name, tmp_path):
    scene = open_geotiff(make(tmp_path / name))

    assert scene.bands[0].nodata is None
    with SceneReader(scene) as reader:
        assert not reader.can_mark_missing


def test_the_alpha_band_is_no_band_of_the_scene(tmp_path):
    def describe(dataset):
        dataset.colorinterp = [ColorInterp.gray, ColorInterp.alpha, ColorInterp.undefined]

    source = make(tmp_path / "in.tif", count=3, describe=describe)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(source, "r+") as dataset:
            dataset.write(np.full(dataset.shape, 255, "uint8"), 2)

    scene = open_geotiff(source)

    assert [(band.index, band.nodata) for band in scene.bands] == [(1, None), (3, None)]


def test_sixty_bands_are_sixty_bands(tmp_path):
    assert len(open_geotiff(make(tmp_path / "in.tif", count=60, size=(4, 4))).bands) == 60


def test_descriptions_and_colours_give_the_sensors_bands(tmp_path):
    def describe(dataset):
        dataset.descriptions = ("Blue", "nir", "SR_B4", "something")

    bands = open_geotiff(make(tmp_path / "in.tif", count=4, describe=describe)).bands
    assert [band.name for band in bands] == ["Blue", "nir", "SR_B4", "something"]
    assert [band.band and band.band.colour for band in bands] == ["blue", "nir", None, None]

    bands = open_geotiff(make(tmp_path / "LE07_L2SP_1.tif", count=4, describe=describe)).bands
    assert [band.band and band.band.colour for band in bands] == ["blue", "nir", "nir", None]
    bands = open_geotiff(make(tmp_path / "LC08_L2SP_1.tif", count=4, describe=describe)).bands
    assert [band.band and band.band.name for band in bands] == ["B2", "B5", "B4", None]


def test_red_green_and_blue_are_known_by_their_colour(tmp_path):
    scene = open_geotiff(make(tmp_path / "in.tif", count=3, photometric="RGB"))

    assert [band.band.colour for band in scene.bands] == ["red", "green", "blue"]


@pytest.mark.parametrize(("driver", "name"), [("ENVI", "other"), ("VRT", "other.vrt"), ("PNG", "other")])
def test_other_formats_are_read_too(driver, name, tmp_path):
    source = make(tmp_path / "in.tif", count=3, photometric="RGB")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rasterio.shutil.copy(source, tmp_path / name, driver=driver)

    scene = open_geotiff(str(tmp_path / name))

    assert scene.name == "other"
    assert len(scene.bands) == 3


def test_a_file_inside_an_archive_is_read_in_place(tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "scenes.zip", "w") as archive:
        archive.write(make(tmp_path / "in.tif"), "inner.tif")

    scene = open_geotiff(f"/vsizip/{tmp_path}/scenes.zip/inner.tif")

    assert (scene.name, len(scene.bands)) == ("inner", 2)
    assert isinstance(scene.source, str)


def cut(path, size):
    path.write_bytes(path.read_bytes()[:size])
    return str(path)


@pytest.mark.parametrize("options", [{}, {"compress": "DEFLATE"}, {"tiled": True}, {"bigtiff": "YES"}])
def test_a_file_that_was_cut_off_is_refused_before_it_is_read(options, tmp_path):
    path = tmp_path / "in.tif"
    make(path, size=(400, 400), **options)
    size = path.stat().st_size

    with pytest.raises(InputError, match=f"cut off after {size - 100:,}"):
        open_geotiff(cut(path, size - 100))


def broken_files(folder):
    (folder / "text.tif").write_text("<html>Not found</html>")
    (folder / "empty.tif").touch()
    (folder / "header.tif").write_bytes(b"II*\0\x08\0")
    (folder / "looping.tif").write_bytes(b"II*\0" + struct.pack("<IHI", 8, 0, 8))
    (folder / "folder.tif").mkdir()
    return {
        "text.tif": "not recognized",
        "empty.tif": "empty",
        "header.tif": "header.tif: Cannot read TIFF header",
        "looping.tif": "expected a raster",
        "folder.tif": "folder",
        "nothing.tif": "there is no",
    }


@pytest.mark.parametrize("name", ["text", "empty", "header", "looping", "folder", "nothing"])
def test_what_is_no_raster_is_an_input_error_with_a_hint_and_no_noise(name, tmp_path, capfd):
    reason = broken_files(tmp_path)[f"{name}.tif"]
    with pytest.raises(InputError, match=reason) as caught:
        open_geotiff(str(tmp_path / f"{name}.tif"))

    assert f"{name}.tif" in caught.value.message
    assert caught.value.hint or name == "empty"
    assert capfd.readouterr() == ("", "")


def test_a_container_names_its_subdatasets(tmp_path):
    from scipy.io import netcdf_file

    path = tmp_path / "container.nc"
    with netcdf_file(path, "w") as container:
        container.createDimension("y", 4)
        container.createDimension("x", 5)
        for name in ("one", "two"):
            container.createVariable(name, "i2", ("y", "x"))[:] = 1

    with pytest.raises(InputError, match="has none of its own") as caught:
        open_geotiff(str(path))
    assert "2 subdatasets" in caught.value.hint
    inner = caught.value.hint.rpartition(" ")[2]
    assert len(open_geotiff(inner).bands) == 1


SIDE = 600
ROWS, COLS = np.mgrid[:SIDE, :SIDE]
GENERATOR = np.random.default_rng(4)
ROUGH = (
    np.sin(COLS / 31) + np.cos(ROWS / 23) + 0.5 * np.sin((COLS + ROWS) / 11) + GENERATOR.normal(0, 0.1, (SIDE, SIDE))
)
LAND = (110 + 35 * ROUGH).clip(1, 255).astype("uint8")
PATCHES = (np.sin(COLS / 19) + np.cos(ROWS / 27 + np.sin(COLS / 40))) > 0.4
NAME = "LE07_029031_20100813_stack.tif"


def gaps(tilt_deg=8.0, period=33, widest=12):
    """Return stripes that taper towards the middle of the image, as SLC-off gaps do."""
    tilt = np.deg2rad(tilt_deg)
    along = (COLS - SIDE / 2) * np.cos(tilt) + (ROWS - SIDE / 2) * np.sin(tilt)
    across = (ROWS - SIDE / 2) * np.cos(tilt) - (COLS - SIDE / 2) * np.sin(tilt)
    return across % period < widest * np.abs(along) / (SIDE / 2)


def border():
    """Return what lies beyond a turned scene whose scans end a few pixels off each other."""
    ends = 60 + ROWS * 0.2 + 9 * ((ROWS // 16) % 2)
    return (ends > COLS) | (ROWS > 520 + 0.1 * COLS)


def opened(folder, *bands, name=NAME, tags=None, **options):
    path = folder / name
    stack = np.stack(bands)
    place = {"crs": "EPSG:32614", "transform": Affine(30, 0, 6e5, 0, -30, 4.5e6)}
    with rasterio.open(path, "w", driver="GTiff", height=stack.shape[1], width=stack.shape[2],
                       count=len(bands), dtype=stack.dtype, **place, **options) as file:  # fmt: skip
        file.write(stack)
        file.update_tags(**(tags or {}))
    return open_input(find_inputs([str(path)])[0][0])[0]


def zeros(where, land=LAND):
    return np.where(where, 0, land).astype(land.dtype)


@pytest.mark.parametrize("tilt_deg", [-55, -10, 0, 8, 30, 75, 90])
def test_zeros_in_stripes_are_fill(tmp_path, tilt_deg):
    scene = opened(tmp_path, zeros(gaps(tilt_deg)))
    assert scene.bands[0].nodata == 0
    assert "0 is taken for missing" in scene.notes[0]


@pytest.mark.parametrize("where", [border(), border() | gaps(), gaps() | (gaps() & PATCHES)])
def test_zeros_in_borders_and_both_are_fill(tmp_path, where):
    assert opened(tmp_path, zeros(where), zeros(where, LAND // 2)).bands[1].nodata == 0


@pytest.mark.parametrize(
    "where",
    [
        PATCHES,
        PATCHES & (COLS > 300),
        GENERATOR.random((SIDE, SIDE)) < 0.02,
        np.abs(ROWS - 300 - 80 * np.sin(COLS / 50)) < 8,  # a river
        gaps() | PATCHES,
        (COLS > 500) & (ROWS - 60 * np.sin(COLS / 9) > 380),
    ],
    ids=["lakes", "half", "scattered", "river", "lakes and gaps", "bay"],
)
def test_zeros_elsewhere_are_observed(tmp_path, where):
    scene = opened(tmp_path, zeros(where))
    assert scene.bands[0].nodata is None
    assert "0 counts as observed" in scene.notes[0]


def test_zeros_far_from_the_first_windows_are_seen(tmp_path):
    large = np.tile(LAND, (5, 5))
    large[40:60, 600:700] = 0
    assert opened(tmp_path, large).bands[0].nodata is None


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"SPACECRAFT_ID": "LANDSAT_7"}, 0),
        ({"SATELLITE": "Landsat 7"}, 0),
        ({"PLATFORM": "LE07"}, 0),
        ({"LANDSAT_SCENE_ID": "LE70290312010225EDC00"}, 0),
        ({"TIFFTAG_IMAGEDESCRIPTION": "Water mask derived from Landsat imagery"}, None),
        ({"LANDSAT_FILL_METHOD": "harmonic", "LANDSAT_FILL_SOURCE": "LE07_029031_20100813.tif"}, None),
        ({"SENSOR": "Sentinel-2"}, None),
    ],
)
def test_a_tag_must_name_the_satellite(tmp_path, tags, expected):
    assert opened(tmp_path, zeros(gaps()), name="plain.tif", tags=tags).bands[0].nodata == expected


def test_a_tag_that_names_the_fill_is_certain(tmp_path):
    assert opened(tmp_path, zeros(PATCHES), name="plain.tif", tags={"_FillValue": "0"}).bands[0].nodata == 0


def test_bands_are_judged_one_by_one_and_codes_never(tmp_path):
    classes = np.where(PATCHES, 3, 1)
    scene = opened(tmp_path, zeros(gaps()), zeros(gaps(), classes.astype("uint8")), zeros(PATCHES))
    assert [band.nodata for band in scene.bands] == [0, None, None]
    assert [band.holds_codes for band in scene.bands] == [False, True, False]


def test_a_usgs_band_has_its_fill_whatever_its_zeros(tmp_path):
    scene = opened(tmp_path, zeros(PATCHES), name="LE07_L1TP_029031_20100813_20200911_02_T1_B3.TIF")
    assert (scene.bands[0].nodata, scene.notes) == (0, ())


def test_what_the_user_says_goes_before(tmp_path):
    path = tmp_path / NAME
    opened(tmp_path, zeros(PATCHES))
    given = find_inputs([str(path)])[0][0]
    assert open_input(given, nodata=0)[0].bands[0].nodata == 0
    assert np.isnan(open_input(given, nodata=np.nan)[0].bands[0].nodata)


BITS = np.where(PATCHES, 5440, np.where(ROUGH > 1, 22280, 5504))
MANY = np.kron(GENERATOR.integers(1, 60, (60, 60)), np.ones((10, 10), int))


@pytest.mark.parametrize(
    "codes",
    [
        PATCHES.astype("uint8"),
        np.where(PATCHES, 10, 3).astype("float32"),
        MANY.astype("uint8"),
        (MANY * 97 % 251 * 64 + 1).astype("uint16"),
        BITS.astype("uint16"),
        np.where(GENERATOR.random((SIDE, SIDE)) < 0.1, 21826, BITS).astype("int32"),
    ],
    ids=["mask", "float classes", "many classes", "packed bits", "QA_PIXEL", "speckled"],
)
def test_classes_and_flags_are_codes(tmp_path, codes):
    scene = opened(tmp_path, codes, name="plain.tif")
    assert scene.bands[0].holds_codes
    assert "nothing is interpolated" in scene.notes[0]


@pytest.mark.parametrize(
    "image",
    [
        LAND,
        LAND.clip(100, 140),
        LAND.astype("uint16") * 257,
        np.kron(LAND[:200, :200], np.ones((3, 3), "uint8")),
        np.where(PATCHES, 255, LAND).astype("uint8"),
        (20 + 3 * ROUGH + GENERATOR.normal(0, 2, ROUGH.shape)).astype("uint8"),
        (300 + 40 * np.sin(COLS / 200)).astype("int16"),
        LAND / np.float32(255),
        np.full((SIDE, SIDE), 7, "uint8"),
        LAND[:12, :15],
        # Reflectance of a lake, made from 8-bit numbers: it uses few of 16 bits, in two rows that lie 1 apart.
        np.rint(np.rint(30 + 3 * np.sin(COLS / 31) + 2 * np.cos(ROWS / 23)) * 65.4 + (ROWS // 150 % 2) * 0.6).astype(
            "int16"
        ),
    ],
    ids=["land", "clipped", "stretched", "enlarged", "clouds", "dark", "heights", "float", "flat", "crop", "lake"],
)
def test_images_are_no_codes(tmp_path, image):
    assert not opened(tmp_path, image, name="plain.tif").bands[0].holds_codes


def test_a_colour_table_and_a_quality_name_mean_codes(tmp_path):
    assert opened(tmp_path, LAND, name="site_fmask.tif").bands[0].holds_codes
    path = tmp_path / "palette.tif"
    opened(tmp_path, LAND, name=path.name, photometric="palette")
    with rasterio.open(path, "r+") as file:
        file.write_colormap(1, {number: (number, 0, 0, 255) for number in range(256)})
    (scene,) = open_input(find_inputs([str(path)])[0][0])
    assert scene.bands[0].holds_codes
    assert "has a colour table" in scene.notes[0]
