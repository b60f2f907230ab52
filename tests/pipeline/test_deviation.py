from __future__ import annotations

import numpy as np

from landsat_fill.pipeline.compose import SIGNIFICANT_BITS, kept_deviation


def test_deviations_are_rounded_to_half_a_per_cent_and_kept_where_filled() -> None:
    generator = np.random.default_rng(0)
    std = np.exp(generator.uniform(-12, 12, (2, 40, 50))).astype(np.float32)
    done = generator.random(std.shape) < 0.5
    kept = kept_deviation(std, done, ~done)
    assert kept.dtype == np.float32
    np.testing.assert_allclose(kept[done], std[done], rtol=2.0**-SIGNIFICANT_BITS)
    assert abs(np.mean(kept[done] / std[done] - 1)) < 1e-4  # rounded, not cut off
    assert (kept[~done] == 0).all()
    assert len(np.unique(np.frexp(kept[done])[0])) <= 2 ** (SIGNIFICANT_BITS - 1) + 1


def test_observed_pixels_have_0_and_unknown_ones_nan() -> None:
    std = np.array([[[np.nan, 3.0, np.inf, 5.0]]], np.float32)
    done = np.array([[[False, True, False, True]]])
    observed = np.array([[[True, False, False, True]]])  # the last was observed and replaced
    np.testing.assert_array_equal(kept_deviation(std, done, observed), [[[0, 3, np.nan, 5]]])
    assert np.isnan(std[0, 0, 0])  # what was given stays as it was
