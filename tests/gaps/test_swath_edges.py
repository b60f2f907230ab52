"""The lines along a scene's rim, and the sets of runs they correct."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landsat_fill.gaps.run_lengths import find_runs, runs_of_pixels
from landsat_fill.gaps.swath_edges import Line, find_side, fit_line
from landsat_fill.scene import Window

PLACES = np.arange(1000)


@pytest.mark.parametrize("slope", [0.17, -0.22, 0.0])
def test_a_line_is_found_though_half_of_the_outline_lies_inward(slope):
    distances = np.ceil(300 + slope * PLACES).astype(np.intp)
    distances[550:] += np.linspace(3, 14, 450).astype(np.intp)
    line = fit_line(distances, np.ones(1000, bool), 1.5)
    assert line is not None
    np.testing.assert_allclose(line.at(PLACES), 300.5 + slope * PLACES, atol=0.5)


def test_thin_teeth_move_no_line():
    distances = 300 - PLACES // 5
    distances[::33] -= 11
    distances[1::33] -= 11
    line = fit_line(distances, np.ones(1000, bool), 3.0)
    assert line is not None
    np.testing.assert_allclose(line.at(PLACES), 300 - PLACES / 5, atol=1.0)


@pytest.mark.parametrize("known", [0, 1])
def test_a_place_or_none_makes_no_line(known):
    assert fit_line(np.zeros(20, np.intp), np.arange(20) < known, 1.0) is None


def test_lines_cross_where_both_say():
    across, down = Line(0.17, 40.0), Line(-0.22, 300.0)
    column = down.crossing(across)
    assert down.at(across.at(column)) == pytest.approx(column)


def scan_ends():
    """Return where rows end: upright scans of 20 rows, a few pixels off each other, and gaps of 13."""
    rows = np.arange(660)
    scan, row = np.divmod(rows, 33)
    ends = 200 - 7 * scan + np.array([0, 2, -2])[scan % 3]
    return np.where(row < 20, ends, ends + 6 * (row - 19)).astype(np.intp), scan, row


def test_between_scans_the_side_runs_straight_from_end_to_end():
    ends, scan, row = scan_ends()
    side = find_side(ends, 500)
    assert side is not None
    first = side.first_columns(22)
    known = (scan > 0) & (scan < 19)
    shown = row < 20
    np.testing.assert_array_equal(first[known & shown], ends[known & shown])
    way = np.interp(np.arange(660), np.flatnonzero(shown), ends[shown])
    np.testing.assert_allclose(first[known], way[known], atol=1.01)


def test_the_side_is_the_same_upside_down():
    ends, _, _ = scan_ends()
    side = find_side(ends, 500)
    assert side is not None
    turned = side.upside_down()
    np.testing.assert_allclose(turned.line.at(np.arange(660)), side.line.at(np.arange(660)[::-1]))
    np.testing.assert_array_equal(turned.first_columns(22), side.first_columns(22)[::-1])


def test_rows_that_end_anywhere_make_no_side():
    ends = np.random.default_rng(0).integers(0, 400, 600)
    assert find_side(ends, 500) is None


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.floats(0, 1), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_runs_without_and_including_others(height, width, share, other_share, seed):
    generator = np.random.default_rng(seed)
    one = generator.random((height, width)) < share
    other = generator.random((height, width)) < other_share
    whole = Window(0, 0, height, width)
    runs, others = find_runs(one, 0), find_runs(other, 0)
    without, including = runs.without(others, width), runs.including(others, width)
    np.testing.assert_array_equal(without.paint(whole), one & ~other)
    np.testing.assert_array_equal(including.paint(whole), one | other)
    assert len(including) == len(find_runs(one | other, 0))


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_runs_of_pixels_in_any_order(height, width, share, seed):
    generator = np.random.default_rng(seed)
    pixels = generator.random((height, width)) < share
    rows, columns = np.nonzero(pixels)
    order = generator.permutation(rows.size)
    runs = runs_of_pixels(rows[order], columns[order], width)
    expected = find_runs(pixels, 0)
    for found, wanted in ((runs.row, expected.row), (runs.start, expected.start), (runs.stop, expected.stop)):
        np.testing.assert_array_equal(found, wanted)
