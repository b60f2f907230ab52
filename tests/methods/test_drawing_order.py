from __future__ import annotations

import numpy as np
import pytest

from landsat_fill.methods.drawing_order import ORDER_PX, drawing_order


@pytest.mark.parametrize("halvings", [1, 3, 5, 7])
def test_any_share_is_drawn_of_each_band_and_lies_on_a_lattice(halvings: int) -> None:
    first = drawing_order((6, 64, 64), (0, 0)) < 0.5**halvings
    np.testing.assert_array_equal(first.mean(axis=(1, 2)), [0.5**halvings] * 6)
    # Of the densest lattice of 2^n pixels a pixel, none lies nearer to another than the root of that.
    nearest_px = 2 ** (halvings / 2)
    for band in first:
        pixels = np.argwhere(band)
        apart = np.hypot(*(pixels[:, None] - pixels[None]).transpose(2, 0, 1))
        assert apart[apart > 0].min() >= nearest_px - 1e-9


@pytest.mark.parametrize("bands", [2, 4, 6])
def test_bands_have_their_turns_apart(bands: int) -> None:
    order = drawing_order((bands, ORDER_PX, ORDER_PX), (0, 0))
    # Half of all are drawn in the last round: of each pixel half of its bands, at most one more.
    last = (order >= 0.5).sum(axis=0)
    assert last.max() <= bands // 2 + 1
    # The few of the first rounds are never in the same place.
    assert (order < 1 / 64).sum(axis=0).max() == 1


def test_the_order_belongs_to_the_place() -> None:
    whole = drawing_order((3, 90, 80), (0, 0))
    np.testing.assert_array_equal(drawing_order((3, 20, 30), (41, 17)), whole[:, 41:61, 17:47])


def test_all_turns_differ_and_lie_below_one() -> None:
    order = drawing_order((1, ORDER_PX, ORDER_PX), (5, 9))
    assert len(np.unique(order)) == ORDER_PX**2
    assert order.min() == 0
    assert order.max() < 1
