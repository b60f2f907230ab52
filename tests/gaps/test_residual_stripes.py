"""Stripes that resampling, or a missing nodata tag, has hidden among the observed pixels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from landsat_fill.gaps.residual_stripes import contaminated_border_px, find_faint_stripes

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


@pytest.mark.parametrize("interpolation", [cv2.INTER_LINEAR, cv2.INTER_CUBIC])
@pytest.mark.parametrize("widest_px", [3, 5, 9, 14])
def test_resampled_stripes_are_found(widest_px, interpolation):
    gaps = stripes(widest_px)
    image = np.stack(
        [resampled(np.where(gaps, 0, band).astype(np.uint8), interpolation) for band in landscape()]
    )
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
    assert contaminated_border_px(image, image != 0) in (1, 2)


def test_the_border_of_clean_gaps_is_not():
    image = np.where(stripes(10), 0, landscape(1)[0])
    assert contaminated_border_px(image, image != 0) == 0


@pytest.mark.parametrize("shape", [(1, 1), (3, 50), (50, 3)])
def test_tiny_windows(shape):
    image = np.full(shape, 50, np.uint8)
    assert contaminated_border_px(image, image != 0) == 0
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
        assert not any(
            contaminated_border_px(band, seen, nodata) for band, seen in zip(image, observed, strict=True)
        ), path.name
