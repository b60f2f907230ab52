from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from landsat_fill.errors import InputError
from landsat_fill.gaps.quality import read_flags, read_saturation, untrusted
from landsat_fill.scene import ETM_PLUS, OLI

if TYPE_CHECKING:
    from pathlib import Path

REFLECTIVE = ETM_PLUS[:6]

# Values of whole pixels as USGS lists them, and what they stand for.
LISTED = {
    "QA_PIXEL": {1: "fill", 5440: "", 5442: "dilated", 5504: "water", 5896: "cloud", 7440: "shadow", 13600: "snow"},
    "BQA": {1: "fill", 672: "", 752: "cloud", 928: "shadow", 1696: "snow", 704: ""},
    "pixel_qa": {1: "fill", 66: "", 68: "water", 72: "shadow", 80: "snow", 224: "cloud", 160: "cloud"},
    "cfmask": {255: "fill", 0: "", 1: "water", 2: "shadow", 3: "snow", 4: "cloud"},
    "fmask": {255: "fill", 0: "", 1: "water", 2: "shadow", 3: "snow", 4: "cloud"},
}
FLAGS = ("fill", "cloud", "dilated", "shadow", "snow", "water")


@pytest.mark.parametrize("kind", LISTED)
def test_listed_values_are_read_as_usgs_reads_them(kind: str) -> None:
    listed = LISTED[kind]
    dtype = np.uint8 if kind.endswith("mask") else np.uint16
    flags = read_flags(kind, np.array([list(listed)], dtype))
    for flag in FLAGS:
        read = getattr(flags, flag)[0]
        assert read.dtype == bool
        assert read.tolist() == [stands_for == flag for stands_for in listed.values()], flag


@pytest.mark.parametrize("kind", ["QA_PIXEL", "BQA", "pixel_qa"])
def test_a_fill_pixel_states_nothing(kind: str) -> None:
    flags = read_flags(kind, np.array([[0xFFFF]], np.uint16))
    assert flags.fill.all()
    assert not any(getattr(flags, flag).any() for flag in FLAGS[1:])


def test_signed_quality_bands_are_read_too() -> None:
    assert read_flags("QA_PIXEL", np.array([[5896, 1]], np.int16)).cloud.tolist() == [[True, False]]


def test_saturation_is_told_band_by_band() -> None:
    bits = {"B1": 0, "B2": 1, "B3": 2, "B4": 3, "B5": 4, "B7": 6, "B6_VCID_1": 5, "B6_VCID_2": 8}
    values = np.array([[1 << bits[band.name] for band in ETM_PLUS[:8]]], np.uint16)
    assert np.array_equal(read_saturation("QA_RADSAT", values, ETM_PLUS[:8])[:, 0], np.eye(8, dtype=bool))


def test_the_older_saturation_band_starts_one_bit_later() -> None:
    values = np.array([[1, 2, 1 << 7]], np.uint8)
    saturated = read_saturation("radsat_qa", values, ETM_PLUS[:8])[:, 0]
    assert saturated[0].tolist() == [False, True, False]  # blue: bit 1
    assert saturated[5].tolist() == [False, False, True]  # the band named 7: bit 7
    assert not saturated[7].any()  # high gain thermal: a bit that eight don't have


def test_a_dropped_pixel_is_untrusted_in_every_band() -> None:
    assert read_saturation("QA_RADSAT", np.array([[1 << 9]], np.uint16), REFLECTIVE).all()
    assert read_saturation("BQA", np.array([[2]], np.uint16), REFLECTIVE).all()


def test_collection_1_does_not_say_which_band_is_saturated() -> None:
    saturated = read_saturation("BQA", np.array([[672 + (1 << 2), 672, 1 + (3 << 2)]], np.uint16), REFLECTIVE)
    assert saturated[:, 0].tolist() == [[True, False, False]] * 6


def test_bands_that_are_not_known_are_never_saturated() -> None:
    values = np.full((1, 1), 0b111_1111, np.uint16)
    assert read_saturation("QA_RADSAT", values, (None, OLI[-1], REFLECTIVE[0])).ravel().tolist() == [False, False, True]


def test_only_what_is_asked_for_is_untrusted() -> None:
    quality = {
        "QA_PIXEL": np.array([[5440, 5896, 7440, 13600, 5442, 1]], np.uint16),
        "QA_RADSAT": np.array([[4, 0, 0, 0, 0, 0]], np.uint16),
    }
    asked = {"clouds": 1, "shadows": 2, "snow": 3, "dilated": 4}
    for option, pixel in asked.items():
        distrusted = untrusted(quality, REFLECTIVE, **{option: True})
        assert distrusted.shape == (6, 1, 6)
        assert [np.flatnonzero(band).tolist() for band in distrusted] == [[pixel]] * 6
    red_alone = untrusted(quality, REFLECTIVE, saturated=True)
    assert np.argwhere(red_alone).tolist() == [[2, 0, 0]]
    assert not untrusted(quality, REFLECTIVE).any()


def test_two_quality_bands_are_joined() -> None:
    quality = {"BQA": np.array([[752, 672, 676]], np.uint16), "pixel_qa": np.array([[66, 224, 66]], np.uint16)}
    assert untrusted(quality, REFLECTIVE, clouds=True)[0].tolist() == [[True, True, False]]
    # Beside a band that says which band is saturated, BQA's count is left aside.
    quality["radsat_qa"] = np.array([[0, 0, 2]], np.uint8)
    saturated = untrusted(quality, REFLECTIVE, saturated=True)
    assert np.argwhere(saturated).tolist() == [[0, 0, 2]]


@pytest.mark.parametrize(
    ("quality", "option", "message"),
    [
        ({}, "clouds", r"flags of clouds, shadows and snow \(QA_PIXEL, .*but got none"),
        ({"QA_RADSAT": 1}, "shadows", "but got QA_RADSAT"),
        ({"cfmask": 4}, "dilated", r"pixels beside clouds \(QA_PIXEL\), but got cfmask"),
        ({"QA_PIXEL": 1}, "saturated", r"flags of saturation \(QA_RADSAT, .*but got QA_PIXEL"),
    ],
)
def test_asking_what_no_band_tells_is_an_error(quality: dict[str, int], option: str, message: str) -> None:
    arrays = {kind: np.full((2, 2), value, np.uint16) for kind, value in quality.items()}
    with pytest.raises(InputError, match=message) as caught:
        untrusted(arrays, REFLECTIVE, **{option: True})
    assert caught.value.hint


def test_an_unknown_kind_is_an_error() -> None:
    values = np.zeros((2, 2), np.uint8)
    with pytest.raises(InputError, match="but got SR_CLOUD_QA"):
        read_flags("SR_CLOUD_QA", values)
    with pytest.raises(InputError, match="but got cfmask"):
        read_saturation("cfmask", values, REFLECTIVE)


@pytest.mark.real_data
def test_a_real_saturation_band_agrees_with_the_pixels(real_data: Path) -> None:
    import rasterio

    name = "LE07_L1TP_007059_20161209_20170130_01_T1"
    product = real_data / "products" / name
    with rasterio.open(product / f"{name}_radsat_qa.tif") as dataset:
        saturated = read_saturation("radsat_qa", dataset.read(1), REFLECTIVE)
    for band, flags in zip(REFLECTIVE, saturated, strict=True):
        with rasterio.open(product / f"{name}_{band.name.lower()}.tif") as dataset:
            assert np.array_equal(dataset.read(1) == 255, flags)
