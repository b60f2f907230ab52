"""Whatever a method answers: observed pixels stay, filled ones are valid numbers and never nodata."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from landsat_fill.io.geotiff import value_range
from landsat_fill.pipeline.compose import SIGNIFICANT_BITS, compose, rounded_std, to_stored
from landsat_fill.scene import Filled, SceneBand

DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")


def limits(dtype):
    info = np.finfo(dtype) if np.dtype(dtype).kind == "f" else np.iinfo(dtype)
    return float(info.min), float(info.max)


def scene_band(dtype, nodata, valid_range):
    return SceneBand("scene.tif", 1, "band", dtype, nodata, valid_range)


@st.composite
def answers(draw):
    """Draw stored numbers, what is missing, a method's answer in any float type, and the band."""
    dtype = draw(st.sampled_from(DTYPES))
    shape = (1, draw(st.integers(1, 6)), draw(st.integers(1, 6)))
    low, high = limits(dtype)
    stored = draw(hnp.arrays(dtype, shape))
    missing = draw(hnp.arrays(bool, shape))
    wide = st.floats(allow_nan=True, allow_infinity=True, width=32)
    near = st.floats(-70000, 70000, width=32)
    mean_type = "float64" if dtype in ("float64", "int32", "uint32") else "float32"
    mean = draw(hnp.arrays(mean_type, shape, elements=st.one_of(wide, near)))
    numbers = st.integers(-300, 300).map(float)
    edge = st.sampled_from([low, high, 0.0, -9999.0, 1e10, -1e300])
    nodata = draw(st.one_of(st.none(), st.just(float("nan")), numbers, edge))
    full = st.just((low, high))
    part = st.tuples(st.integers(0, 50), st.integers(51, 120)).map(lambda r: (float(r[0]), float(r[1])))
    return stored, missing, Filled(mean), scene_band(dtype, nodata, draw(st.one_of(full, part)))


@settings(max_examples=150, deadline=None)
@given(answers())
def test_observed_pixels_stay_and_filled_ones_are_valid(answer):
    stored, missing, filled, band = answer
    before = stored.copy()

    values, done = compose(stored, missing, filled, [band])

    np.testing.assert_array_equal(stored, before)
    assert values.dtype == stored.dtype
    np.testing.assert_array_equal(done, missing & np.isfinite(filled.mean))
    assert values[~done].tobytes() == stored[~done].tobytes()
    new = values[done].astype(np.float64)
    low, high = band.valid_range
    assert np.isfinite(new).all()
    assert (new >= low).all()
    assert (new <= high).all()
    if band.nodata is not None:
        # GDAL compares a pixel with the nodata number as the pixel's type holds it, floats to some digits.
        assert not (new == band.nodata).any()
        if values.dtype.kind == "f":
            assert not np.isclose(new, band.nodata, rtol=float(2 * np.finfo(values.dtype).eps), atol=0).any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_value_is_rounded_to_the_nearest_number_the_type_holds(dtype):
    band = scene_band(dtype, None, limits(dtype))
    given_values = np.array([1.4, 1.5, 2.5, 99.6])
    stored = to_stored(given_values, np.dtype(dtype), band)
    if np.dtype(dtype).kind == "f":
        np.testing.assert_array_equal(stored, given_values.astype(dtype))
    else:
        assert stored.tolist() == [1, 2, 2, 100]


@pytest.mark.parametrize(
    ("dtype", "nodata", "valid_range", "value", "expected"),
    [
        ("uint8", 0, (0, 255), -5.0, 1),
        ("uint8", 255, (0, 255), 300.0, 254),
        ("uint8", 100, (0, 255), 100.2, 101),
        ("int16", -9999, (-32768, 32767), -9999.0, -9998),
        ("int16", -9999, (-2000, 16000), -9999.0, -2000),
        ("uint16", 0, (1, 65535), 0.2, 1),
        ("float32", 0, (-1, 1), 0.0, float(np.nextafter(np.float32(0), np.float32(1)))),
        ("uint8", 7.5, (0, 255), 7.5, 8),
    ],
)
def test_a_value_that_would_be_nodata_becomes_its_neighbour(dtype, nodata, valid_range, value, expected):
    band = scene_band(dtype, nodata, valid_range)
    assert to_stored(np.array([value]), np.dtype(dtype), band).tolist() == [expected]


@pytest.mark.parametrize(
    ("dtype", "nodata", "also", "values", "expected"),
    [
        ("uint8", 0, ((255, 255), (100, 110)), [0, 254.7, 101, 109, 105, 50], [1, 254, 99, 111, 111, 50]),
        ("uint8", None, ((0, 3), (4, 9)), [0, 5, 12], [10, 10, 12]),
        ("int16", -9999, ((-9998, -9990),), [-9999, -9991], [-10000, -9989]),
        ("uint8", 0, ((-9999, -1), (250, 300)), [251.0], [249]),
        ("int64", -9999, ((0, 0),), [0.2, 2.0**60], [1, 2**53 - 1]),
    ],
)
def test_a_filled_pixel_has_none_of_the_missing_numbers(dtype, nodata, also, values, expected):
    band = replace(scene_band(dtype, nodata, value_range(dtype)), also_missing=also)
    assert to_stored(np.array(values), np.dtype(dtype), band).tolist() == expected


def test_each_band_has_its_own_range():
    bands = [scene_band("uint8", 0, (1, 50)), scene_band("uint8", 0, (60, 255))]
    filled = Filled(np.full((2, 1, 1), 55, np.float32))
    values, _ = compose(np.zeros((2, 1, 1), np.uint8), np.ones((2, 1, 1), bool), filled, bands)
    assert values.ravel().tolist() == [50, 60]


def test_deviations_are_rounded_to_half_a_per_cent_and_kept_where_filled() -> None:
    generator = np.random.default_rng(0)
    std = np.exp(generator.uniform(-12, 12, (2, 40, 50))).astype(np.float32)
    done = generator.random(std.shape) < 0.5
    kept = rounded_std(std, done, ~done)
    assert kept.dtype == np.float32
    np.testing.assert_allclose(kept[done], std[done], rtol=2.0**-SIGNIFICANT_BITS)
    assert abs(np.mean(kept[done] / std[done] - 1)) < 1e-4  # rounded, not cut off
    assert (kept[~done] == 0).all()
    assert len(np.unique(np.frexp(kept[done])[0])) <= 2 ** (SIGNIFICANT_BITS - 1) + 1


def test_observed_pixels_have_0_and_unknown_ones_nan() -> None:
    std = np.array([[[np.nan, 3.0, np.inf, 5.0]]], np.float32)
    done = np.array([[[False, True, False, True]]])
    observed = np.array([[[True, False, False, True]]])  # the last was observed and replaced
    np.testing.assert_array_equal(rounded_std(std, done, observed), [[[0, 3, np.nan, 5]]])
    assert np.isnan(std[0, 0, 0])  # what was given stays as it was
