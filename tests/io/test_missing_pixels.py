"""What GDAL's mask says is missing is missing: soft alpha, rounded nodata, numbers common to all bands."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.enums import ColorInterp
from rasterio.warp import Resampling, reproject

from landsat_fill.io.geotiff import open_geotiff
from landsat_fill.io.reader import SceneReader
from landsat_fill.scene import Window, missing_numbers

HEIGHT, WIDTH = 220, 260
PLACE = Affine(30, 0, 5e5, 0, -30, 1.2e6)
ROWS, COLS = np.mgrid[:HEIGHT, :WIDTH]
STRIPES = (ROWS + 0.15 * COLS) % 33 < 9
GROUND = np.stack([110 + 60 * np.sin(COLS / 23 + band) + 30 * np.cos(ROWS / 17) for band in range(3)])


def write(path, bands, *, colours=(), **options):
    profile = {"driver": "GTiff", "crs": "EPSG:32637", "transform": PLACE, "dtype": bands.dtype}
    with rasterio.open(path, "w", height=HEIGHT, width=WIDTH, count=len(bands), **profile | options) as file:
        if colours:
            file.colorinterp = [ColorInterp[colour] for colour in colours]
        file.write(bands)
    return str(path)


def observed(source):
    with SceneReader(open_geotiff(source)) as reader:
        assert reader.can_mark_missing
        return reader.read(Window(0, 0, HEIGHT, WIDTH))[1]


def gdal_mask(source, count):
    with rasterio.open(source) as file:
        return file.read_masks(list(range(1, count + 1))) > 0


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("resampling", ["bilinear", "cubic", "average"])
def test_an_alpha_band_with_soft_edges(tmp_path, dtype, resampling):
    most = np.iinfo(dtype).max
    bands = np.concatenate([GROUND, np.where(STRIPES, 0, most)[None]]).astype(dtype)
    bands[:3, STRIPES] = 0
    warped = np.zeros_like(bands)
    turned = PLACE @ Affine.translation(20, -12) @ Affine.rotation(7) if hasattr(Affine, "__matmul__") else None
    reproject(
        bands,
        warped,
        src_transform=PLACE,
        src_crs="EPSG:32637",
        dst_transform=turned,
        dst_crs="EPSG:32637",
        resampling=Resampling[resampling],
    )
    assert ((warped[3] > 0) & (warped[3] < most)).mean() > 0.03
    source = write(tmp_path / "a.tif", warped, colours=("red", "green", "blue", "alpha"), photometric="RGB")
    np.testing.assert_array_equal(observed(source), gdal_mask(source, 3))
    assert not observed(source).all()


@pytest.mark.parametrize("saturated_share", [0.0, 0.7])
def test_a_measured_band_that_gdal_calls_alpha_stays_a_band(tmp_path, saturated_share):
    infrared = GROUND[:1].copy()
    infrared[infrared > np.quantile(infrared, 1 - saturated_share)] = 255  # snow, say
    source = write(tmp_path / "a.tif", np.concatenate([GROUND, infrared]).astype("uint8"), nodata=0)
    assert len(open_geotiff(source).bands) == 4


@pytest.mark.parametrize(
    ("stored", "tag"),
    [
        (float(np.finfo("float32").min), -3.402823e38),
        (float(np.finfo("float32").min), -3.4028235e38),
        (-9999.9, -9999.9),
        (1.23456789e-5, 1.234568e-5),
        (-32768.0, -32768.0),
    ],
)
def test_a_nodata_tag_rounded_to_seven_digits(tmp_path, stored, tag):
    bands = GROUND[:1].astype("float32") + 7
    bands[:, STRIPES] = stored
    source = write(tmp_path / "a.tif", bands, nodata=tag)
    np.testing.assert_array_equal(observed(source), gdal_mask(source, 1))
    np.testing.assert_array_equal(observed(source)[0], ~STRIPES)


def test_numbers_near_nodata_that_gdal_takes_for_values_are_values(tmp_path):
    bands = np.full((1, HEIGHT, WIDTH), 1000.0, "float32")
    bands[0, :, 5] = np.float32(1000) + np.arange(HEIGHT, dtype="float32") * np.spacing(np.float32(1000))
    source = write(tmp_path / "a.tif", bands, nodata=1000.0)
    np.testing.assert_array_equal(observed(source), gdal_mask(source, 1))


def test_numbers_that_mean_missing_in_all_bands_together(tmp_path):
    bands = GROUND.astype("uint8")
    bands[:, STRIPES] = np.array([1, 2, 3], "uint8")[:, None]
    bands[0, ~STRIPES & (COLS == 40)] = 1
    source = write(tmp_path / "a.tif", bands)
    with rasterio.open(source, "r+") as file:
        file.update_tags(NODATA_VALUES="1 2 3")
    np.testing.assert_array_equal(observed(source)[0], ~STRIPES)


def test_ranges_of_missing_numbers_keep_their_digits():
    assert str(missing_numbers("1234567:1234568,0,only")) == "1234567:1234568, 0.0, only"
