from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from landsat_fill.errors import InputError
from landsat_fill.gaps.quality import flagged_pixels
from landsat_fill.scene import ETM_PLUS, OLI

if TYPE_CHECKING:
    from pathlib import Path

REFLECTIVE = ETM_PLUS[:6]

# Values of whole pixels as USGS lists them, and their meaning. The last one of the first three has all bits set.
LISTED = {
    "QA_PIXEL": {
        1: "fill",
        5440: "",
        5442: "dilated-cloud",
        5504: "water",
        5896: "cloud",
        7440: "shadow",
        13600: "snow",
        0xFFFF: "fill",
    },
    "BQA": {1: "fill", 672: "", 752: "cloud", 928: "shadow", 1696: "snow", 704: "", 800: "", 0xFFFF: "fill"},
    "pixel_qa": {1: "fill", 66: "", 68: "water", 72: "shadow", 80: "snow", 224: "cloud", 160: "cloud", 0xFFFF: "fill"},
    "cfmask": {255: "fill", 0: "", 1: "water", 2: "shadow", 3: "snow", 4: "cloud"},
    "fmask": {255: "fill", 0: "", 1: "water", 2: "shadow", 3: "snow", 4: "cloud"},
}


@pytest.mark.parametrize("kind", LISTED)
@pytest.mark.parametrize("flag", ["cloud", "shadow", "dilated-cloud", "snow", "water"])
def test_listed_values_are_read_as_usgs_reads_them(kind: str, flag: str) -> None:
    if flag not in LISTED[kind].values():
        with pytest.raises(InputError, match=f"but got {kind}"):
            flagged_pixels(flag, {kind: np.zeros((1, 1), np.uint8)}, REFLECTIVE)
        return
    dtype = np.uint8 if kind.endswith("mask") else np.uint16
    found = flagged_pixels(flag, {kind: np.array([list(LISTED[kind])], dtype)}, REFLECTIVE)
    assert (found.dtype, found.shape) == (bool, (6, 1, len(LISTED[kind])))
    assert found[:, 0].tolist() == [[meaning == flag for meaning in LISTED[kind].values()]] * 6


def test_signed_quality_bands_are_read_too() -> None:
    found = flagged_pixels("cloud", {"QA_PIXEL": np.array([[5896, 1]], np.int16)}, REFLECTIVE)
    assert found[0].tolist() == [[True, False]]


def test_saturation_is_read_band_by_band() -> None:
    bits = {"B1": 0, "B2": 1, "B3": 2, "B4": 3, "B5": 4, "B7": 6, "B6_VCID_1": 5, "B6_VCID_2": 8}
    values = np.array([[1 << bits[band.name] for band in ETM_PLUS[:8]]], np.uint16)
    assert np.array_equal(flagged_pixels("saturated", {"QA_RADSAT": values}, ETM_PLUS[:8])[:, 0], np.eye(8, dtype=bool))


def test_the_older_saturation_band_starts_one_bit_later() -> None:
    values = np.array([[1, 2, 1 << 7]], np.uint8)
    saturated = flagged_pixels("saturated", {"radsat_qa": values}, ETM_PLUS[:8])[:, 0]
    assert saturated[0].tolist() == [False, True, False]  # blue: bit 1
    assert saturated[5].tolist() == [False, False, True]  # the band named 7: bit 7
    assert not saturated[7].any()  # high gain thermal: a bit that eight don't have


def test_a_dropped_pixel_is_flagged_in_every_band() -> None:
    assert flagged_pixels("saturated", {"QA_RADSAT": np.array([[1 << 9]], np.uint16)}, REFLECTIVE).all()
    assert flagged_pixels("saturated", {"BQA": np.array([[2]], np.uint16)}, REFLECTIVE).all()


def test_collection_1_does_not_say_which_band_is_saturated() -> None:
    values = np.array([[672 + (1 << 2), 672, 1 + (3 << 2), 672 + (1 << 3)]], np.uint16)
    assert flagged_pixels("saturated", {"BQA": values}, REFLECTIVE)[:, 0].tolist() == [[True, False, False, True]] * 6


def test_bands_that_are_not_known_are_never_saturated() -> None:
    values = np.full((1, 1), 0b111_1111, np.uint16)
    saturated = flagged_pixels("saturated", {"QA_RADSAT": values}, (None, OLI[-1], REFLECTIVE[0]))
    assert saturated.ravel().tolist() == [False, False, True]


def test_two_quality_bands_are_joined() -> None:
    quality = {"BQA": np.array([[752, 672, 676]], np.uint16), "pixel_qa": np.array([[66, 224, 66]], np.uint16)}
    assert flagged_pixels("cloud", quality, REFLECTIVE)[0].tolist() == [[True, True, False]]
    # Beside a band that says which band is saturated, BQA's count is left aside.
    quality["radsat_qa"] = np.array([[0, 0, 2]], np.uint8)
    assert np.argwhere(flagged_pixels("saturated", quality, REFLECTIVE)).tolist() == [[0, 0, 2]]


@pytest.mark.parametrize(
    ("quality", "flag", "message"),
    [
        ({}, "cloud", r"flags of clouds \(QA_PIXEL, BQA, pixel_qa, cfmask, fmask\), but got none"),
        ({"QA_RADSAT": 1}, "shadow", "but got QA_RADSAT"),
        ({"SR_CLOUD_QA": 1}, "cloud", "but got SR_CLOUD_QA"),
        ({"QA_PIXEL": 1}, "saturated", r"flags of saturation \(QA_RADSAT, radsat_qa, BQA\), but got QA_PIXEL"),
    ],
)
def test_a_flag_that_no_quality_band_has_is_an_error(quality: dict[str, int], flag: str, message: str) -> None:
    arrays = {kind: np.full((2, 2), value, np.uint16) for kind, value in quality.items()}
    with pytest.raises(InputError, match=message) as caught:
        flagged_pixels(flag, arrays, REFLECTIVE)
    assert caught.value.hint


@pytest.mark.real_data
def test_a_real_saturation_band_agrees_with_the_pixels(real_data: Path) -> None:
    import rasterio

    name = "LE07_L1TP_007059_20161209_20170130_01_T1"
    product = real_data / "products" / name
    with rasterio.open(product / f"{name}_radsat_qa.tif") as dataset:
        saturated = flagged_pixels("saturated", {"radsat_qa": dataset.read(1)}, REFLECTIVE)
    for band, flags in zip(REFLECTIVE, saturated, strict=True):
        with rasterio.open(product / f"{name}_{band.name.lower()}.tif") as dataset:
            assert np.array_equal(dataset.read(1) == 255, flags)
