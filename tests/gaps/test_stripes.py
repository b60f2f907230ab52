"""The geometry of stripes, estimated from what is missing."""

from __future__ import annotations

import numpy as np
import pytest

from landsat_fill.gaps.stripes import WINDOW_PX, estimate_stripes, scan_profile, stripe_windows


def stripes(height, width, *, period_px=33.0, tilt_deg=9.7, width_px=10.0, phase_px=5.0):
    rows, cols = np.mgrid[:height, :width]
    return np.mod(rows - cols * np.tan(np.radians(tilt_deg)) + phase_px, period_px) < width_px


@pytest.mark.parametrize(
    ("period_px", "tilt_deg", "width_px"),
    [
        (16, -15, 2), (16, 10.7, 8), (25, 0, 2), (25, 15, 8), (33, -9.7, 18), (33, 3.3, 2),
        (39.6, 15, 2), (39.6, -15, 18), (66, 10.7, 8), (66, 0, 18), (70, -9.7, 2), (70, 15, 18),
    ],
)  # fmt: skip
def test_ideal_stripes(period_px, tilt_deg, width_px):
    found = estimate_stripes([stripes(512, 512, period_px=period_px, tilt_deg=tilt_deg, width_px=width_px)])
    assert found is not None
    assert found.period_px == pytest.approx(period_px, abs=0.2)
    assert found.tilt_deg == pytest.approx(tilt_deg, abs=0.2)
    assert found.median_width_px == pytest.approx(width_px, abs=1)
    assert found.missing_share == pytest.approx(width_px / period_px, abs=0.05)


def test_stripes_with_clouds_and_specks():
    generator = np.random.default_rng(1)
    missing = stripes(512, 512)
    missing |= generator.random(missing.shape) < 0.01
    missing[150:290, 200:330] = True
    found = estimate_stripes([missing])
    assert found is not None
    assert found.period_px == pytest.approx(33, abs=0.2)
    assert found.tilt_deg == pytest.approx(9.7, abs=0.2)
    assert found.largest_width_px == pytest.approx(10, abs=1)


def test_windows_are_weighed_up():
    narrow, wide = stripes(512, 512, width_px=4), stripes(512, 512, width_px=12)
    nothing, all_missing = np.zeros((512, 512), bool), np.ones((512, 512), bool)
    found = estimate_stripes([nothing, narrow, wide, all_missing])
    assert found is not None
    assert found.largest_width_px == pytest.approx(12, abs=1)
    assert found.median_width_px == pytest.approx(8, abs=1)


def test_a_small_crop_is_enough():
    found = estimate_stripes([stripes(101, 101)])
    assert found is not None
    assert found.period_px == pytest.approx(33, abs=0.5)
    assert found.tilt_deg == pytest.approx(9.7, abs=0.5)


def blobs(seed, share):
    import cv2

    noise = np.random.default_rng(seed).normal(size=(512, 512)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 12)
    return smooth > np.quantile(smooth, 1 - share)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6])
def test_clouds_are_no_stripes(share):
    assert all(estimate_stripes([blobs(seed, share)]) is None for seed in range(2))


@pytest.mark.parametrize("shape", [(0, 0), (1, 1), (1, 500), (500, 1), (10, 10)])
def test_tiny_windows_show_nothing(shape):
    assert estimate_stripes([np.zeros(shape, bool), np.ones(shape, bool)]) is None


def test_one_line_is_no_stripe():
    missing = np.zeros((512, 512), bool)
    missing[200:210] = True
    assert estimate_stripes([missing]) is None


def test_no_window_shows_nothing():
    assert estimate_stripes([]) is None


@pytest.mark.parametrize(("height", "width"), [(8000, 7000), (300, 2000), (512, 512), (20, 1)])
def test_windows_lie_within_the_scene(height, width):
    windows = stripe_windows(height, width)
    assert windows
    for window in windows:
        assert 0 <= window.row <= window.row + window.height <= height
        assert 0 <= window.col <= window.col + window.width <= width
        assert window.height <= WINDOW_PX


def test_a_profile_follows_the_scan():
    rows, cols = np.mgrid[:200, :150]
    tilt_deg = 9.7
    line = np.rint(rows - np.rint(cols * np.tan(np.radians(tilt_deg))))
    profile, counts = scan_profile(line.astype(float), tilt_deg)
    seen = np.isfinite(profile)
    np.testing.assert_allclose(np.diff(profile[seen]), 1)
    assert counts.sum() == line.size


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "nodata", "period_px", "tilt_deg"),
    [
        ("etm_brokenhill_australia_20100116_b345_25m.tif", -999, 40.5, 14.7),
        ("etm_brokenhill_australia_20100201_b345_25m.tif", -999, 40.5, 14.7),
        ("etm_brokenhill_australia_20100508_b345_25m.tif", -999, 40.5, 14.7),
        ("etm_colombia_007059_20161209.tif", 0, 32.8, 8.2),
        ("etm_ethiopia_167055_20170316.tif", 0, 32.8, 7.9),
        ("etm_newengland_usa_20150624_cloudy.tif", -9999, 32.9, 9.6),
    ],
)
def test_real_stripes(real_data, name, nodata, period_px, tilt_deg):
    import rasterio

    with rasterio.open(real_data / "slc_off" / name) as file:
        missing = file.read(1) == nodata
    found = estimate_stripes(missing[window.slices] for window in stripe_windows(*missing.shape))
    assert found is not None
    assert found.period_px == pytest.approx(period_px, abs=0.2)
    assert found.tilt_deg == pytest.approx(tilt_deg, abs=0.2)
