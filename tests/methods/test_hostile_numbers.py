"""Kriging of spikes and of numbers near the limits of their type."""

from __future__ import annotations

import numpy as np
import pytest
from making import landscape, stripes

from landsat_fill.errors import MethodError
from landsat_fill.methods import Context, create_method
from landsat_fill.scene import Gaps

MISSING = stripes((2, 64, 64))
GAPS = Gaps(MISSING[None], ~MISSING[None])


@pytest.mark.parametrize("name", ["kriging", "cokriging"])
@pytest.mark.parametrize(("dtype", "number"), [("float64", 1e200), ("float64", 1.7e308), ("float32", 3.4e38)])
def test_numbers_that_overflow_are_refused(name, dtype, number):
    image = np.full((1, 2, 64, 64), number, dtype)

    with pytest.raises(MethodError, match="expected numbers of at most"):
        create_method(name).fill(image, GAPS, Context(threads=1))


@pytest.mark.parametrize("number", [1e37, 1e-38])
def test_large_and_tiny_numbers_are_kriged(number):
    image = (landscape((2, 64, 64), "float64") * number)[None]

    filled = create_method("kriging").fill(image, GAPS, Context(threads=1))

    assert np.isfinite(filled.mean).all()
    assert np.isfinite(filled.std).all()


def test_a_fill_beside_a_spike_stays_within_what_is_observed():
    image = landscape((2, 64, 64), "float64")[None] * 1000
    rows, cols = np.nonzero(~MISSING[0] & np.roll(MISSING[0], -1, axis=0))
    image[0, 0, rows[::9], cols[::9]] = 4057

    filled = create_method("kriging").fill(image, GAPS, Context(threads=1))

    for band in range(2):
        observed, found = image[0, band][~MISSING[band]], filled.mean[0, band][MISSING[band]]
        assert observed.min() <= found.min()
        assert found.max() <= observed.max()
