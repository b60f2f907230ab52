"""Codes are never interpolated, and the default leaves the panchromatic band to a method that suits it."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from affine import Affine

SIDE = 150
ROWS, COLS = np.mgrid[:SIDE, :SIDE]
STRIPES = (ROWS + 0.15 * COLS) % 33 < 9
CLASSES = np.where(np.sin(COLS / 9) + np.cos(ROWS / 11) > 0, 10, 3)
LAND = (120 + 50 * np.sin(COLS / 17) + 30 * np.cos(ROWS / 13)).astype("uint8")
PRODUCT = "LE07_L1TP_299299_20050704_20200914_02_T1"


def write(path, bands, nodata=0, **options):
    stack = np.stack(bands)
    stack[:, STRIPES] = nodata
    place = {"crs": "EPSG:32637", "transform": Affine(30, 0, 5e5, 0, -30, 1e6), "nodata": nodata}
    with rasterio.open(
        path, "w", driver="GTiff", height=SIDE, width=SIDE, count=len(stack), dtype=stack.dtype, **place, **options
    ) as file:
        file.write(stack)
    return path


@pytest.mark.parametrize("method", ["tension-spline", "kriging", "band-unet", "direct-sampling"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_no_code_appears_that_the_input_does_not_hold(run, opened, tmp_path, tiny_models, method, dtype):
    path = write(tmp_path / "classes.tif", [CLASSES.astype(dtype)])
    ended = run(path, "-m", method)
    assert ended.code == 0, ended.said
    assert "nothing is interpolated" in ended.said
    new = opened(tmp_path / "classes_filled.tif").read(1)
    assert set(np.unique(new)) == {3, 10}
    np.testing.assert_array_equal(new[~STRIPES], CLASSES[~STRIPES])


def test_codes_beside_images_in_one_file(run, opened, tmp_path, tiny_models):
    path = write(tmp_path / "stack.tif", [LAND, CLASSES.astype("uint8"), LAND // 2 + 9])
    ended = run(path, "-m", "band-unet", "--uncertainty")
    assert ended.code == 0, ended.said
    new = opened(tmp_path / "stack_filled.tif").read()
    assert set(np.unique(new[1])) == {3, 10}
    assert len(np.unique(new[0][STRIPES])) > 20
    std = opened(tmp_path / "stack_std.tif").read()
    assert np.isfinite(std[[0, 2]]).all()
    np.testing.assert_array_equal(np.isnan(std[1]), STRIPES)
    alone = write(tmp_path / "alone.tif", [LAND, LAND // 2 + 9])
    assert run(alone, "-m", "band-unet").code == 0
    np.testing.assert_array_equal(opened(tmp_path / "alone_filled.tif").read(), new[[0, 2]])


def test_the_default_fills_the_panchromatic_band_with_a_spline(run, opened, tmp_path, tiny_models):
    (tmp_path / "p").mkdir()
    for band in ("B1", "B2", "B8"):
        write(tmp_path / "p" / f"{PRODUCT}_{band}.TIF", [LAND])
    ended = run(tmp_path / "p", "-o", tmp_path / "auto")
    assert ended.code == 0, ended.said
    assert "B8 is filled by tension-spline" in ended.said
    named = run(tmp_path / "p", "-o", tmp_path / "named", "-m", "band-unet")
    assert "tension-spline" not in named.said
    assert run(tmp_path / "p", "-o", tmp_path / "spline", "-m", "tension-spline").code == 0

    def band(folder, name):
        (path,) = (tmp_path / folder).rglob(f"{PRODUCT}_{name}.TIF")
        return opened(path).read(1)

    np.testing.assert_array_equal(band("auto", "B8"), band("spline", "B8"))
    np.testing.assert_array_equal(band("auto", "B1"), band("named", "B1"))
    assert (band("auto", "B8") != band("named", "B8")).any()

    for name, method in (("B1", "band-unet"), ("B8", "tension-spline")):
        (path,) = (tmp_path / "auto").rglob(f"{PRODUCT}_{name}.TIF")
        tags = opened(path).tags()
        assert tags["LANDSAT_FILL_METHOD"] == method
        assert ("LANDSAT_FILL_WEIGHTS" in tags) == (method == "band-unet")
