"""Stripes that resampling, or a missing nodata tag, has hidden among the observed pixels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from rasterio.transform import Affine
from rasterio.warp import Resampling, reproject

from landsat_fill.gaps.residual_stripes import find_faint_stripes, mixed_border_px, mixed_pixels

SIDE_PX = 400


def stripes(widest_px):
    rows, cols = np.mgrid[:SIDE_PX, :SIDE_PX]
    width = widest_px * (0.4 + 0.6 * cols / SIDE_PX)
    return np.mod(rows - cols * np.tan(np.radians(9.7)), 33) < width


def landscape(bands=3, seed=0):
    """Return fields, with a road and a dark river, as an 8-bit image."""
    generator = np.random.default_rng(seed)
    image = np.empty((bands, SIDE_PX, SIDE_PX), np.float32)
    for band in range(bands):
        fields = generator.uniform(40, 110, (20, 20)).astype(np.float32)
        image[band] = cv2.resize(fields, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_NEAREST)
        image[band] += generator.normal(0, 2, image[band].shape)
    rows, cols = np.mgrid[:SIDE_PX, :SIDE_PX]
    image[:, np.abs(rows - 150 - 40 * np.sin(cols / 60)) < 4] = 12
    image[:, np.abs(cols - 220 - rows * 0.3) < 2] = 160
    return np.clip(np.rint(image), 1, 255).astype(np.uint8)


def resampled(image, interpolation):
    """Return the image turned by a degree and moved by half a pixel."""
    turn = cv2.getRotationMatrix2D((SIDE_PX / 2, SIDE_PX / 2), 1.0, 1.0)
    turn[:, 2] += 0.5
    return cv2.warpAffine(image, turn, (SIDE_PX, SIDE_PX), flags=interpolation, borderMode=cv2.BORDER_REFLECT)


LINEAR, CUBIC = cv2.INTER_LINEAR, cv2.INTER_CUBIC


@pytest.mark.parametrize(
    ("widest_px", "interpolation"), [(3, LINEAR), (3, CUBIC), (5, LINEAR), (9, CUBIC), (14, LINEAR), (14, CUBIC)]
)
def test_resampled_stripes_are_found(widest_px, interpolation):
    gaps = stripes(widest_px)
    image = np.stack([resampled(np.where(gaps, 0, band).astype(np.uint8), interpolation) for band in landscape()])
    share = resampled(gaps.astype(np.float32), cv2.INTER_LINEAR)
    found = find_faint_stripes(image, np.ones(image.shape, bool))
    assert found is not None
    for band in found:
        assert (band & (share > 0.5)).sum() > 0.9 * (share > 0.5).sum()
        assert (band & (share > 0)).sum() > 0.85 * band.sum()


def test_untagged_zeros_in_one_band_are_found_there_alone():
    image = landscape()
    image[1][stripes(3)] = 0
    found = find_faint_stripes(image, np.ones(image.shape, bool))
    assert found is not None
    assert (found[1] & (image[1] == 0)).sum() > 0.9 * (image[1] == 0).sum()
    assert found[[0, 2]].sum() < 0.02 * found[1].sum()


@pytest.mark.parametrize("seed", range(5))
def test_a_clean_scene_has_none(seed):
    image = landscape(seed=seed)
    assert find_faint_stripes(image, np.ones(image.shape, bool)) is None


def test_exact_gaps_are_no_faint_stripes():
    image = landscape()
    observed = np.broadcast_to(~stripes(10), image.shape)
    assert find_faint_stripes(np.where(observed, image, 0), observed) is None


def test_nothing_observed():
    image = landscape()
    assert find_faint_stripes(image, np.zeros(image.shape, bool)) is None


def test_another_fill_value():
    image = landscape().astype(np.int16)
    image[:, stripes(4)] = -9999
    image = np.stack([resampled(band, cv2.INTER_LINEAR) for band in image])
    found = find_faint_stripes(image, np.ones(image.shape, bool), -9999)
    assert found is not None
    assert (found & (image < -3000)).sum() > 0.9 * (image < -3000).sum()


@pytest.mark.parametrize("interpolation", [cv2.INTER_LINEAR, cv2.INTER_CUBIC])
def test_the_border_of_resampled_gaps_is_contaminated(interpolation):
    image = resampled(np.where(stripes(10), 0, landscape(1)[0]).astype(np.uint8), interpolation)
    assert mixed_border_px([(image[None], image[None] != 0)], 22) in (1, 2, 3)


def test_the_border_of_clean_gaps_is_not():
    image = np.where(stripes(10), 0, landscape(1)[0])
    assert mixed_border_px([(image[None], image[None] != 0)], 22) == 0


def warped(image, kind, pixel_m, shift_m, nodata=None):
    """Return bands of 30 m pixels resampled to pixels of another size."""
    side_px = SIDE_PX * 30 // pixel_m
    out = np.zeros((len(image), side_px, side_px), image.dtype)
    reproject(
        image,
        out,
        src_transform=Affine(30, 0, 0, 0, -30, 0),
        dst_transform=Affine(pixel_m, 0, shift_m, 0, -pixel_m, -shift_m),
        src_crs="EPSG:32614",
        dst_crs="EPSG:32614",
        src_nodata=nodata,
        dst_nodata=nodata,
        resampling=Resampling[kind],
    )
    return out


RESAMPLINGS = [
    ("bilinear", 30, 10, 2),
    ("cubic", 30, 10, 3),
    ("lanczos", 30, 10, 4),
    ("bilinear", 25, 0, 3),
    ("average", 60, 0, 2),
    ("cubic", 15, 0, 5),
]
"""How it is done, pixels in metres, a shift in metres, and the most rows that it may take for mixed."""


@pytest.mark.parametrize(("kind", "pixel_m", "shift_m", "most_px"), RESAMPLINGS)
@pytest.mark.parametrize("upright", [False, True])
def test_the_mixed_border_is_as_wide_as_the_resampling_reaches(kind, pixel_m, shift_m, most_px, upright):
    image = np.where(stripes(11), 0, landscape())
    image = warped(image, kind, pixel_m, shift_m)
    if upright:
        image = image.transpose(0, 2, 1)
    border_px = mixed_border_px([(image, image != 0)], 22 * 30 // pixel_m, steep=upright)
    assert 1 <= border_px <= most_px


@pytest.mark.parametrize(("kind", "pixel_m", "shift_m", "most_px"), RESAMPLINGS)
def test_a_resampling_that_knows_nodata_leaves_no_mixed_border(kind, pixel_m, shift_m, most_px):
    image = warped(np.where(stripes(11), 0, landscape()), kind, pixel_m, shift_m, nodata=0)
    assert mixed_border_px([(image, image != 0)], 22 * 30 // pixel_m) == 0


def test_a_fill_value_far_below_the_land_swings_on_within_the_gap():
    image = np.where(stripes(11), -9999, landscape().astype(np.int16) * 40)
    image = warped(image, "cubic", 30, 10)
    border_px = mixed_border_px([(image, image != -9999)], 22)
    assert border_px == 4
    left = image[(image != -9999) & ~mixed_pixels(image != -9999, border_px)]
    assert (left < 0).mean() < 1e-4


def test_mixed_pixels_are_observed_and_beside_gaps():
    observed = np.ones((1, 9, 9), bool)
    observed[0, 4, 4] = False
    mixed = mixed_pixels(observed, 2)
    assert mixed.sum() == 24
    assert not mixed[0, 4, 4]


@pytest.mark.parametrize("shape", [(1, 1), (3, 50), (50, 3)])
def test_tiny_windows(shape):
    image = np.full(shape, 50, np.uint8)
    assert mixed_border_px([(image[None], image[None] != 0)], 22) == 0
    assert find_faint_stripes(image[None], np.ones((1, *shape), bool)) is None


@pytest.mark.real_data
def test_talca_has_stripes_in_the_short_wave_infrared(real_data):
    import rasterio

    with rasterio.open(real_data / "slc_off" / "etm_talca_chile_20130215_resampled_stripes.tif") as file:
        image = file.read()
    found = find_faint_stripes(image, np.ones(image.shape, bool))
    assert found is not None
    for band in (4, 5):
        assert (found[band] & (image[band] == 0)).sum() > 0.9 * (image[band] == 0).sum()
    assert not found[:3].any()


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.real_data
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("folder", ["train", "slc_off"])
def test_other_real_scenes_have_none(real_data, folder):
    import rasterio

    for path in sorted((real_data / folder).glob("*.tif")):
        if "talca" in path.name:
            continue
        with rasterio.open(path) as file:
            image = file.read(window=((0, 512), (0, 512)))
            observed = file.read_masks(window=((0, 512), (0, 512))) > 0
        observed &= np.isfinite(image)
        assert find_faint_stripes(image, observed) is None, path.name
        nodata = file.nodata or 0
        assert mixed_border_px([(image, observed & (image != nodata))], 22) == 0, path.name
