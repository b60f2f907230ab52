"""Which holes are filled: the narrow ones, all, or the stripes alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landsat_fill.errors import UsageError
from landsat_fill.gaps.holes import Holes, select, selection_halo_px
from landsat_fill.gaps.stripes import StripeGeometry, estimate_stripes, stripe_windows

PERIOD_PX = 33
GEOMETRY = StripeGeometry(33.0, 9.7, 10.0, 12.0, 0.3)


def stripes(height, width, width_px=10.0, tilt_deg=9.7):
    rows, cols = np.mgrid[:height, :width]
    return np.mod(rows - cols * np.tan(np.radians(tilt_deg)) + 5, PERIOD_PX) < width_px


def disc(height, width, row, col, diameter_px):
    rows, cols = np.mgrid[:height, :width]
    return (rows - row) ** 2 + (cols - col) ** 2 <= (diameter_px / 2) ** 2


@pytest.mark.parametrize("width_px", [2, 10, 18])
@pytest.mark.parametrize("tilt_deg", [9.7, -14.0, 0.0])
def test_narrow_takes_every_stripe(width_px, tilt_deg):
    missing = stripes(300, 400, width_px, tilt_deg)[None]
    np.testing.assert_array_equal(select(missing, Holes.NARROW, PERIOD_PX), missing)


def test_narrow_fills_a_stripe_up_to_the_lake():
    lake = disc(400, 500, 200, 250, 120)
    gaps = stripes(400, 500)
    selected = select((gaps | lake)[None], Holes.NARROW, PERIOD_PX)[0]
    well_inside = disc(400, 500, 200, 250, 112)
    assert not (selected & well_inside).any()
    clear_of_the_lake = gaps & ~disc(400, 500, 200, 250, 128)
    # Where a stripe grazes the lake, they are one wide hole for some pixels more.
    assert selected[clear_of_the_lake].mean() > 0.995


@pytest.mark.parametrize("width_px", [5, 12, 20, 33, 40])
def test_the_limit_is_the_width_to_a_pixel(width_px):
    missing = np.zeros((1, 200, 200), bool)
    missing[0, 40:160, 60 : 60 + width_px] = True
    assert select(missing, Holes.NARROW, width_px + 1).sum() == missing.sum()
    assert select(missing, Holes.NARROW, max(width_px - 2, 1)).sum() < 0.1 * missing.sum()


def test_a_hole_cut_off_by_the_edge_is_as_narrow_as_what_is_left():
    missing = np.zeros((1, 200, 200), bool)
    missing[0, :20] = True
    assert select(missing, Holes.NARROW, PERIOD_PX).all(axis=(0, 2))[:20].all()


def test_every_takes_all():
    missing = (stripes(300, 300) | disc(300, 300, 150, 150, 140))[None]
    selected = select(missing, Holes.EVERY, PERIOD_PX)
    np.testing.assert_array_equal(selected, missing)
    assert selected is not missing


@pytest.mark.parametrize("width_px", [1.5, 3, 10])
def test_stripes_are_distinguished_from_other_holes(width_px):
    gaps = stripes(400, 500, width_px)
    clouds = disc(400, 500, 100, 120, 24) | disc(400, 500, 300, 350, 9)
    specks = np.random.default_rng(0).random((400, 500)) < 0.002
    selected = select((gaps | clouds | specks)[None], Holes.STRIPES, PERIOD_PX, GEOMETRY)[0]
    assert (selected & ~gaps).sum() < 0.02 * gaps.sum()
    away = gaps & ~disc(400, 500, 100, 120, 60) & ~disc(400, 500, 300, 350, 40)
    assert (selected & away).sum() > 0.98 * away.sum()


def tapering(height, width, widest_px):
    """Return stripes that are as wide as given at the left edge, and become narrower as real ones do."""
    rows, cols = np.mgrid[:height, :width]
    width_px = widest_px - cols * 14 / 3083
    return np.mod(rows - cols * np.tan(np.radians(14.7)) + 5, PERIOD_PX) < width_px


@pytest.mark.parametrize("steep", [False, True])
def test_stripes_are_as_wide_as_at_their_place_in_the_swath(steep):
    gaps = tapering(600, 2700, 14.0)
    missing = gaps.copy()
    rows, cols = np.mgrid[:600, :2700]
    too_wide = (cols >= 2400) & (np.mod(rows - cols * np.tan(np.radians(14.7)) + 5, 300) < 11)
    missing |= too_wide
    corners = stripe_windows(600, 2700)
    windows = [missing[window.slices] for window in corners]
    places = [(window.row, window.col) for window in corners]
    if steep:
        missing, gaps, too_wide = missing.T, gaps.T, too_wide.T
        windows, places = [window.T for window in windows], [place[::-1] for place in places]
    geometry = estimate_stripes(windows, places)
    selected = select(missing[None], Holes.STRIPES, PERIOD_PX, geometry)[0]
    edge = (slice(None), slice(0, 300)) if not steep else (slice(0, 300), slice(None))
    assert selected[edge][gaps[edge]].mean() > 0.99
    assert selected[too_wide].mean() < 0.1
    assert geometry.reaching(np.zeros(1)).largest_width_px == pytest.approx(14, abs=1)
    # A part of the scene is decided as the whole is.
    part = missing[100:400, 200:500]
    halo = selection_halo_px(PERIOD_PX, geometry)
    there = select(part[None], Holes.STRIPES, PERIOD_PX, geometry, corner=(100, 200))[0]
    inner = (slice(halo, 300 - halo), slice(halo, 300 - halo))
    np.testing.assert_array_equal(there[inner], selected[100:400, 200:500][inner])


def test_pixels_to_fill_anew_make_holes_with_missing_ones():
    gaps = stripes(300, 400)
    cloud, wisp = disc(300, 400, 150, 150, 90), disc(300, 400, 60, 320, 12)
    anew = (cloud | wisp) & ~gaps
    narrow = select(gaps[None], Holes.NARROW, PERIOD_PX, refilled=anew[None])[0]
    assert not narrow[disc(300, 400, 150, 150, 80)].any()
    assert narrow[wisp].all()
    only = select(gaps[None], Holes.STRIPES, PERIOD_PX, GEOMETRY, refilled=anew[None])[0]
    assert only[wisp & ~gaps].all()
    every = select(gaps[None], Holes.EVERY, PERIOD_PX, refilled=anew[None])[0]
    np.testing.assert_array_equal(every, gaps | cloud | wisp)


def test_without_stripes_there_are_none_to_fill():
    missing = stripes(100, 100)[None]
    assert not select(missing, Holes.STRIPES, PERIOD_PX, None).any()


def test_bands_are_decided_apart():
    missing = np.stack([stripes(300, 300), disc(300, 300, 150, 150, 100), stripes(300, 300)])
    selected = select(missing, Holes.NARROW, PERIOD_PX)
    np.testing.assert_array_equal(selected[[0, 2]], missing[[0, 2]])
    assert not selected[1, 150, 150]


@pytest.mark.parametrize("holes", list(Holes))
def test_the_halo_decides(holes):
    missing = (stripes(500, 500) | disc(500, 500, 240, 260, 90))[None]
    whole = select(missing, holes, PERIOD_PX, GEOMETRY)
    halo = selection_halo_px(PERIOD_PX, GEOMETRY)
    top, left, side = 180, 200, 70
    around = missing[:, top - halo : top + side + halo, left - halo : left + side + halo]
    part = select(around, holes, PERIOD_PX, GEOMETRY)[:, halo:-halo, halo:-halo]
    np.testing.assert_array_equal(part, whole[:, top : top + side, left : left + side])


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.floats(0, 1),
    st.integers(1, 40),
    st.sampled_from(list(Holes)),
    st.integers(0, 2**32 - 1),
)
def test_only_missing_pixels_are_selected(height, width, share, largest_px, holes, seed):
    missing = np.random.default_rng(seed).random((2, height, width)) < share
    before = missing.copy()
    selected = select(missing, holes, largest_px, GEOMETRY)
    assert not (selected & ~missing).any()
    np.testing.assert_array_equal(missing, before)


def test_a_limit_of_nothing_is_refused():
    with pytest.raises(UsageError, match="largest gap"):
        select(np.ones((1, 5, 5), bool), Holes.NARROW, 0)
