"""An array in memory is filled like a file."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from landsat_fill.errors import UsageError
from landsat_fill.methods import create_method
from landsat_fill.pipeline.arrays import fill_array
from landsat_fill.scene import Gaps

NEAREST = create_method("nearest")


@settings(max_examples=60, deadline=None)
@given(
    dtype=st.sampled_from(["uint8", "uint16", "int16", "float32", "float64"]),
    shape=hnp.array_shapes(min_dims=3, max_dims=3, max_side=12),
    seed=st.integers(0, 99),
)
def test_observed_pixels_stay_and_missing_ones_become_usable_values(dtype, shape, seed):
    generator = np.random.default_rng(seed)
    image = generator.integers(1, 100, shape).astype(dtype)
    missing = generator.random(shape) < 0.4
    usable = ~missing & (generator.random(shape) < 0.9)
    before = image.copy()

    filled = fill_array(image, Gaps(missing, usable), NEAREST)

    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(filled.mean[~missing], image[~missing])
    for band in range(shape[0]):
        new = filled.mean[band][missing[band]]
        if usable[band].any():
            assert set(new) <= set(image[band][usable[band]].astype(filled.mean.dtype))
        else:
            assert np.isnan(new).all()


def test_nothing_missing_is_nothing_changed():
    image = np.arange(24, dtype=np.float64).reshape(1, 4, 6)
    gaps = Gaps(np.zeros(image.shape, bool), np.ones(image.shape, bool))
    np.testing.assert_array_equal(fill_array(image, gaps, NEAREST).mean, image)


@pytest.mark.parametrize(("image_shape", "gaps_shape"), [((4, 6), (4, 6)), ((1, 4, 6), (4, 6)), ((1, 4, 6), (2, 4, 6))])
def test_shapes_have_to_agree(image_shape, gaps_shape):
    gaps = Gaps(np.zeros(gaps_shape, bool), np.ones(gaps_shape, bool))
    with pytest.raises(UsageError, match="one shape") as raised:
        fill_array(np.zeros(image_shape), gaps, NEAREST)
    assert "image[None]" in (raised.value.hint or "")


def test_a_pixel_cannot_be_missing_and_usable():
    both = np.ones((1, 4, 6), bool)
    with pytest.raises(UsageError, match="both missing and usable"):
        fill_array(np.zeros((1, 4, 6)), Gaps(both, both), NEAREST)
