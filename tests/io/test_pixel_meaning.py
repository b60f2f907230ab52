"""Pixels distinguish codes from images, and zeros that are fill from observed ones."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from affine import Affine

from landsat_fill.io import find_inputs, open_input

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
