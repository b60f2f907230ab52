"""The methods that copy or average observed neighbours: nearest, diffusion, GDAL's and OpenCV's."""

from __future__ import annotations

import warnings

import cv2
import numpy as np
import pytest
from rasterio.fill import fillnodata
from scipy.ndimage import distance_transform_edt

from landsat_fill.methods import Context, create_method
from landsat_fill.scene import Gaps

ROWS, COLS = np.mgrid[:90, :80]
MISSING = (ROWS + COLS // 6) % 33 < 12
IMAGE = np.clip(100 + 50 * np.sin(ROWS / 10) + COLS / 2 + np.random.default_rng(1).normal(0, 6, ROWS.shape), 1, 255)
IMAGE = np.rint(IMAGE).astype(np.float32)


def filled(name: str, image: np.ndarray = IMAGE, missing: np.ndarray = MISSING, **options: object) -> np.ndarray:
    gaps = Gaps(missing[None, None], ~missing[None, None])
    return create_method(name, options).fill(image[None, None], gaps, Context()).mean[0, 0]


@pytest.mark.parametrize("distance_px", [50, 100])
def test_inverse_distance_is_gdals_fillnodata(distance_px: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = fillnodata(IMAGE, mask=~MISSING, max_search_distance=distance_px, smoothing_iterations=3)
    found = filled("inverse-distance", max_distance_px=distance_px)
    np.testing.assert_allclose(found[MISSING], expected[MISSING], atol=1e-3)


def test_inverse_distance_fills_what_it_does_not_reach_with_plausible_values() -> None:
    missing = np.zeros((90, 80), bool)
    missing[10:80, 10:70] = True
    found = filled("inverse-distance", missing=missing, max_distance_px=10)
    assert IMAGE[~missing].min() <= found[missing].min()
    assert found[missing].max() <= IMAGE[~missing].max()
    near = np.zeros_like(missing)
    near[12, 20:60] = True
    reaching = filled("inverse-distance", missing=missing, max_distance_px=10, smoothing=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = fillnodata(IMAGE, mask=~missing, max_search_distance=10)
    np.testing.assert_allclose(reaching[near], expected[near], atol=1e-3)


def test_nearest_takes_a_value_at_the_smallest_distance() -> None:
    distance = distance_transform_edt(MISSING)
    found = filled("nearest")
    usable_rows, usable_cols = np.nonzero(~MISSING)
    for row, col in np.argwhere(MISSING)[::97]:
        away = np.hypot(usable_rows - row, usable_cols - col)
        candidates = IMAGE[~MISSING][away <= 1.03 * distance[row, col]]
        assert np.abs(candidates - found[row, col]).min() < 1e-3


def test_diffusion_wears_the_start_down_to_a_smooth_surface() -> None:
    little, much = filled("diffusion", rounds=1), filled("diffusion", rounds=2000)
    membrane = filled("harmonic")
    assert np.abs(much - membrane)[MISSING].max() < 8
    assert np.abs(little - membrane)[MISSING].std() > 2 * np.abs(much - membrane)[MISSING].std()


def test_diffusion_keeps_the_mean_of_the_kernel() -> None:
    missing = np.zeros_like(MISSING)
    missing[40, 40] = True
    kernel = np.array([[0.073235, 0.176765, 0.073235], [0.176765, 0, 0.176765], [0.073235, 0.176765, 0.073235]])
    expected = (kernel * IMAGE[39:42, 39:42]).sum()
    assert filled("diffusion", missing=missing)[40, 40] == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(("name", "algorithm"), [("navier-stokes", cv2.INPAINT_NS), ("telea", cv2.INPAINT_TELEA)])
def test_marching_methods_agree_with_opencv_on_eight_bits(name: str, algorithm: int) -> None:
    expected = cv2.inpaint(IMAGE.astype(np.uint8), MISSING.astype(np.uint8), 3, algorithm)
    difference = filled(name)[MISSING] - expected[MISSING]
    assert np.abs(difference).mean() < 2
    assert abs(difference.mean()) < 1


@pytest.mark.parametrize("name", ["navier-stokes", "telea"])
def test_marching_methods_see_the_same_picture_in_reflectances(name: str) -> None:
    reflectance = (IMAGE * 1e-3 - 0.02).astype(np.float32)
    found = (filled(name, reflectance)[MISSING] + 0.02) / 1e-3
    np.testing.assert_allclose(found, filled(name)[MISSING], atol=0.1)
