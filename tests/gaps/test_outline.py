from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from swath_outline import MARGIN_PX, SIDE_STRAY_PX, SwathOutline, fit_swath, frame_swath

from landsat_fill.errors import UsageError
from landsat_fill.gaps.simulation import StripeModel, lay_stripes
from landsat_fill.scene import Window

SCENE = (3, 1200, 1100)
WHOLE = Window(0, 0, 1200, 1100)


def framed(seed: int, model: StripeModel | None = None) -> SwathOutline:
    generator = np.random.default_rng(seed)
    model = fit_swath(SCENE, StripeModel() if model is None else model)
    return frame_swath(lay_stripes(SCENE, model, generator), generator)


@pytest.mark.parametrize("tilt_deg", [9.7, 0.0, -9.7])
def test_the_swath_fills_the_image_without_touching_its_edge(tilt_deg: float) -> None:
    model = StripeModel(tilt_deg=tilt_deg, track_deg=np.copysign(12.7, tilt_deg))
    outline = framed(0, model)
    inside = outline.inside(WHOLE)
    border = np.ones(SCENE[1:], bool)
    border[5:-5, 5:-5] = False
    assert not inside[:, border].any()
    rows, columns = np.nonzero(inside[0])
    assert rows.min() < 2 * MARGIN_PX
    assert columns.min() < 2 * MARGIN_PX
    assert rows.max() > SCENE[1] - 2 * MARGIN_PX
    assert columns.max() > SCENE[2] - 2 * MARGIN_PX
    assert 0.5 < inside.mean() < 0.9


@settings(max_examples=20, deadline=None)
@given(row=st.integers(0, 1100), col=st.integers(0, 1000))
def test_any_window_holds_the_same_pixels_as_the_whole_scene(row: int, col: int) -> None:
    outline = framed(1)
    window = Window(row, col, 100, 100)
    assert np.array_equal(outline.inside(window), outline.inside(WHOLE)[(slice(None), *window.slices)])


def test_each_row_is_one_stretch() -> None:
    outline = framed(2)
    edges = np.diff(outline.inside(WHOLE).astype(int), axis=2)
    assert (np.abs(edges).sum(axis=2) <= 2).all()


def test_the_sides_are_ragged_and_the_bands_end_apart() -> None:
    outline = framed(3)
    rows = np.arange(500, 700)
    left = np.array([outline.sides(band, rows)[0] for band in range(3)])
    off_line = left[0] - np.polyval(np.polyfit(rows, left[0], 1), rows)
    assert 1 < np.abs(off_line).max() < SIDE_STRAY_PX + 6
    assert np.ptp(left.mean(axis=1)) > 0.5


def test_a_long_scene_holds_the_share_of_missing_pixels_that_usgs_states() -> None:
    outline = framed(4)
    missing = outline.stripes.missing_in(WHOLE)
    inside = outline.inside(WHOLE)
    assert 0.19 < (missing & inside).sum() / inside.sum() < 0.24


def test_an_image_too_small_for_a_swath_is_refused() -> None:
    with pytest.raises(UsageError, match=r"but got 100 × 100 pixels"):
        fit_swath((1, 100, 100), StripeModel())
