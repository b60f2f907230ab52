from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from swath_outline import MARGIN_PX, SIDE_STRAY_PX, SwathOutline, fit_swath, frame_swath

from landsat_fill.errors import UsageError
from landsat_fill.gaps.simulation import StripeModel, gaps_from, lay_stripes, simulate_gaps
from landsat_fill.scene import Window

PAPER_SHARES = (0.03, 0.06, 0.15, 0.35, 0.55)
SCENE = (2, 700, 900)


def runs_of(column: np.ndarray) -> list[tuple[int, int]]:
    """Return the first row and the length of each run of missing pixels."""
    steps = np.diff(np.concatenate([[0], column.astype(int), [0]]))
    starts, ends = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
    return list(zip(starts.tolist(), (ends - starts).tolist(), strict=True))


@pytest.mark.parametrize("share", PAPER_SHARES)
@pytest.mark.parametrize("shape", [(1, 64, 64), (6, 128, 128), (3, 300, 500)])
def test_the_stripes_hide_the_share_that_was_asked_for(share: float, shape: tuple[int, int, int]) -> None:
    missing = simulate_gaps(shape, StripeModel(missing=share), np.random.default_rng(3))
    assert missing.mean() == pytest.approx(share, abs=0.002)


def test_the_share_is_counted_inside_the_footprint_where_there_is_one() -> None:
    footprint = np.tri(400, 500, 40, dtype=bool)
    stripes = lay_stripes((2, 400, 500), StripeModel(missing=0.15), np.random.default_rng(0), footprint=footprint)
    missing = stripes.missing_in(Window(0, 0, 400, 500))
    assert missing[:, footprint].mean() == pytest.approx(0.15, abs=0.002)
    assert stripes.share(footprint) == pytest.approx(0.15, abs=0.002)


def test_the_share_of_a_large_scene_is_known_without_its_pixels() -> None:
    stripes = lay_stripes((2, 1500, 1600), StripeModel(), np.random.default_rng(1))
    missing = stripes.missing_in(Window(0, 0, 1500, 1600))
    assert stripes.share() == pytest.approx(missing.mean(), abs=0.002)


@settings(max_examples=25, deadline=None)
@given(data=st.data(), tapered=st.booleans())
def test_any_window_holds_the_same_pixels_as_the_whole_scene(data: st.DataObject, tapered: bool) -> None:
    model = StripeModel() if tapered else StripeModel(width_px=9)
    stripes = lay_stripes(SCENE, model, np.random.default_rng(2))
    row = data.draw(st.integers(0, SCENE[1] - 1))
    col = data.draw(st.integers(0, SCENE[2] - 1))
    window = Window(
        row,
        col,
        data.draw(st.integers(1, min(150, SCENE[1] - row))),
        data.draw(st.integers(1, min(150, SCENE[2] - col))),
    )
    whole = stripes.missing_in(Window(0, 0, *SCENE[1:]))
    assert np.array_equal(stripes.missing_in(window), whole[(slice(None), *window.slices)])


def test_gaps_repeat_at_the_period_and_dip_at_the_tilt() -> None:
    model = StripeModel(width_px=8, tilt_deg=9.7, ragged_px=0)
    missing = simulate_gaps((1, 600, 600), model, np.random.default_rng(4))[0]
    tops_left = np.array([top for top, length in runs_of(missing[:, 0]) if length >= 7])
    tops_right = np.array([top for top, length in runs_of(missing[:, 599]) if length >= 7])
    assert set(np.diff(tops_left)) <= {33}
    drop = 599 * np.tan(np.deg2rad(9.7))
    assert ((tops_right[5] - tops_left[5] - drop + 16.5) % 33) - 16.5 == pytest.approx(0, abs=1)


def test_a_rising_tilt_is_the_mirror_of_a_dipping_one() -> None:
    dip = StripeModel(width_px=8, ragged_px=0, band_shift_px=0, phase_px=10)
    rise = StripeModel(width_px=8, ragged_px=0, band_shift_px=0, phase_px=10, tilt_deg=-dip.tilt_deg)
    generator = np.random.default_rng(0)
    dipping = simulate_gaps((1, 200, 300), dip, generator)[0]
    rising = simulate_gaps((1, 200, 300), rise, generator)[0]
    assert np.array_equal(dipping[:, 0], rising[:, 0])
    assert [top for top, _ in runs_of(dipping[:, 30])][1] > [top for top, _ in runs_of(rising[:, 30])][1]


def test_a_swath_tapers_from_its_edges_to_nothing_at_nadir() -> None:
    model = StripeModel(track_deg=0, ragged_px=0)
    missing = simulate_gaps((1, 660, 2000), model, np.random.default_rng(5))[0]
    width_at = [np.median([length for _, length in runs_of(missing[40:-40, col])[1:-1]]) for col in (1, 500)]
    assert width_at == pytest.approx([14, 7], abs=1)
    assert not missing[:, 900:1100].any()


def test_the_two_trains_are_half_a_period_apart() -> None:
    model = StripeModel(tilt_deg=0, track_deg=0, ragged_px=0)
    missing = simulate_gaps((1, 660, 2000), model, np.random.default_rng(6))[0]
    middles = [
        np.array([top + length / 2 for top, length in runs_of(missing[:, col])[2:-2]]) % 33 for col in (100, 1900)
    ]
    apart = (np.median(middles[1]) - np.median(middles[0])) % 33
    assert apart == pytest.approx(16.5, abs=1)


def test_a_full_swath_loses_about_what_usgs_says() -> None:
    missing = simulate_gaps((1, 1000, 1500), StripeModel(track_deg=9.7), np.random.default_rng(7))
    assert 0.19 < missing.mean() < 0.24


def test_bands_differ_by_no_more_than_their_shift() -> None:
    model = StripeModel(width_px=8, ragged_px=0, band_shift_px=2)
    missing = simulate_gaps((6, 300, 300), model, np.random.default_rng(8))
    tops = np.array([runs_of(band[:, 150])[3][0] for band in missing])
    assert 1 <= np.ptp(tops) <= 5


def test_ragged_edges_stray_by_no_more_than_asked() -> None:
    even = StripeModel(width_px=8, ragged_px=0, band_shift_px=0, phase_px=5)
    ragged = StripeModel(width_px=8, ragged_px=2, band_shift_px=0, phase_px=5)
    shape = (1, 200, 200)
    straight = simulate_gaps(shape, even, np.random.default_rng(9))[0]
    strayed = simulate_gaps(shape, ragged, np.random.default_rng(9))[0]
    assert (straight != strayed).any()
    surely_missing = straight[:-4] & straight[4:]  # two rows inside
    assert strayed[2:-2][surely_missing].all()


def test_one_seed_gives_one_pattern() -> None:
    first, again, other = (simulate_gaps(SCENE, StripeModel(), np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width_px": 4, "missing": 0.2}, "got both"),
        ({"missing": 0.95}, "got 0.95"),
        ({"missing": 0.0}, "got 0"),
        ({"missing": 55}, "got 55"),
        ({"width_px": 33}, "got 33"),
        ({"width_px": -1}, "got -1"),
        ({"period_px": 1}, "got 1"),
        ({"tilt_deg": 90}, "got 90"),
        ({"ragged_px": 20}, "got 20"),
        ({"half_swath_px": 0}, "got 0"),
        ({"width_px": float("nan")}, "got nan"),
    ],
)
def test_a_model_that_cannot_be_meant_is_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        StripeModel(**options)
    assert caught.value.hint


def test_a_share_that_no_width_gives_is_refused() -> None:
    even = StripeModel(missing=0.05, tilt_deg=0, ragged_px=0)
    with pytest.raises(UsageError, match=r"expected stripes that cover 5.0% of the image, but got"):
        simulate_gaps((1, 66, 66), even, np.random.default_rng(0))


OUTLINE_SCENE = (3, 1200, 1100)
WHOLE = Window(0, 0, 1200, 1100)


def framed(seed: int, model: StripeModel | None = None) -> SwathOutline:
    generator = np.random.default_rng(seed)
    model = fit_swath(OUTLINE_SCENE, StripeModel() if model is None else model)
    return frame_swath(lay_stripes(OUTLINE_SCENE, model, generator), generator)


@pytest.mark.parametrize("tilt_deg", [9.7, 0.0, -9.7])
def test_the_swath_fills_the_image_without_touching_its_edge(tilt_deg: float) -> None:
    model = StripeModel(tilt_deg=tilt_deg, track_deg=np.copysign(12.7, tilt_deg))
    outline = framed(0, model)
    inside = outline.inside(WHOLE)
    border = np.ones(OUTLINE_SCENE[1:], bool)
    border[5:-5, 5:-5] = False
    assert not inside[:, border].any()
    rows, columns = np.nonzero(inside[0])
    assert rows.min() < 2 * MARGIN_PX
    assert columns.min() < 2 * MARGIN_PX
    assert rows.max() > OUTLINE_SCENE[1] - 2 * MARGIN_PX
    assert columns.max() > OUTLINE_SCENE[2] - 2 * MARGIN_PX
    assert 0.5 < inside.mean() < 0.9


@settings(max_examples=20, deadline=None)
@given(row=st.integers(0, 1100), col=st.integers(0, 1000))
def test_any_window_holds_the_same_pixels_as_the_whole_scene_of_an_outline(row: int, col: int) -> None:
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


def even_stripes(height: int, width: int) -> np.ndarray:
    """Return stripes of 9 rows every 33, that drop a row every 6 columns."""
    row, col = np.mgrid[:height, :width]
    return (row - col // 6) % 33 < 9


def test_gaps_are_cut_out_of_a_larger_pattern_as_they_are() -> None:
    pattern = np.random.default_rng(0).random((2, 40, 50)) < 0.4
    gaps = gaps_from(pattern, (2, 30, 35), np.random.default_rng(1))
    places = [
        np.array_equal(gaps, pattern[:, row : row + 30, col : col + 35]) for row in range(11) for col in range(16)
    ]
    assert sum(places) == 1


@pytest.mark.parametrize("size", [(300, 60), (70, 500), (400, 400)])
def test_a_small_pattern_is_repeated_without_a_seam(size: tuple[int, int]) -> None:
    gaps = gaps_from(even_stripes(100, 120), (1, *size), np.random.default_rng(2))[0]
    everywhere = even_stripes(size[0] + 33, size[1] + 6)
    shifted = [
        np.array_equal(gaps, everywhere[row : row + size[0], col : col + size[1]])
        for row in range(33)
        for col in range(6)
    ]
    assert any(shifted)


def test_a_small_ragged_pattern_keeps_its_share_and_its_tilt() -> None:
    pattern = simulate_gaps((1, 101, 101), StripeModel(width_px=9), np.random.default_rng(3))
    gaps = gaps_from(pattern, (1, 400, 400), np.random.default_rng(4))[0]
    assert gaps.mean() == pytest.approx(pattern.mean(), abs=0.03)
    slope = np.tan(np.deg2rad(9.7))
    straightened = np.stack([np.roll(gaps[:, col], -round(slope * col)) for col in range(400)], axis=1)
    assert straightened[:300].mean(axis=1).std() > 0.8 * gaps.std()


def test_every_band_gets_a_pattern() -> None:
    one = even_stripes(80, 80)
    gaps = gaps_from(one, (3, 50, 50), np.random.default_rng(5))
    assert gaps.shape == (3, 50, 50)
    assert np.array_equal(gaps[0], gaps[2])
    two = np.stack([one, np.roll(one, 5, axis=0)])
    gaps = gaps_from(two, (3, 50, 50), np.random.default_rng(5))
    assert np.array_equal(gaps[0], gaps[2])
    assert not np.array_equal(gaps[0], gaps[1])


def test_a_place_with_gaps_is_chosen() -> None:
    pattern = np.zeros((200, 1000), bool)
    pattern[:, :300] = even_stripes(200, 300)
    shares = [gaps_from(pattern, (1, 64, 64), np.random.default_rng(seed)).mean() for seed in range(20)]
    assert min(shares) > 0.03


@pytest.mark.parametrize(("fill", "share"), [(False, "0%"), (True, "100%")])
def test_a_pattern_without_gaps_is_refused(fill: bool, share: str) -> None:
    with pytest.raises(UsageError, match=f"but got {share} missing") as caught:
        gaps_from(np.full((1, 50, 50), fill), (1, 20, 20), np.random.default_rng(0))
    assert "SLC-off" in str(caught.value.hint)
