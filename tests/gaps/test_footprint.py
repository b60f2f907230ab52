"""The footprint: every gap inside, nothing invented outside, whatever the scene's shape and its stripes' angle."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.transform import Affine
from swath_outline import fit_swath, frame_swath

from landsat_fill.gaps.footprint import BitImage, FootprintSurvey, reach_for_period, turned_footprint
from landsat_fill.gaps.run_lengths import find_runs
from landsat_fill.gaps.simulation import StripeModel, lay_stripes
from landsat_fill.gaps.stripes import estimate_stripes
from landsat_fill.io import SceneReader, find_inputs, open_input
from landsat_fill.pipeline.outcome import describe
from landsat_fill.pipeline.survey import survey_scene
from landsat_fill.scene import Window

PERIOD_PX = 33
REACH_PX = reach_for_period(PERIOD_PX)


def survey(observed, reach_px=REACH_PX, strip_px=128, threads=1):
    bands, height, width = observed.shape
    found = FootprintSurvey(bands, height, width, reach_px, threads)
    for row in range(0, height, strip_px):
        end = min(row + strip_px, height)
        top, bottom = min(found.halo_px, row), min(found.halo_px, height - end)
        found.add(row, observed[:, row - top : end + bottom], top, bottom)
    return found.finish()


def inside_of(footprint):
    return footprint.inside(Window(0, 0, footprint.height, footprint.width))


def stripes(height, width, *, width_px=10.0, tilt_deg=9.7, period_px=PERIOD_PX, phase_px=5.0):
    rows, cols = np.mgrid[:height, :width]
    along = rows - cols * np.tan(np.radians(tilt_deg)) + phase_px
    return np.mod(along, period_px) < width_px


def swath(bands, height, width, *, tilt_deg=9.7, period_px=PERIOD_PX, widest_px=14.0, phase_px=0.0):
    """Return observed and inside cubes of a leaning footprint with two trains of tapering gaps.

    Its upper edge lies `phase_px` rows below the middle between two gaps, one of either train.
    """
    tilt = np.radians(tilt_deg)
    rows, cols = np.mgrid[:height, :width].astype(np.float32)
    half_swath = width * 0.42
    half_length = np.floor(height * 0.4 / period_px) * period_px
    observed = np.empty((bands, height, width), bool)
    inside = np.empty_like(observed)
    for band in range(bands):
        right = (cols - width / 2 - 2 * band) * np.cos(tilt) + (rows - height / 2) * np.sin(tilt)
        down = (rows - height / 2) - (cols - width / 2) * np.tan(tilt)
        inside[band] = (np.abs(right) <= half_swath) & (np.abs(down) <= half_length)
        gap = widest_px * np.abs(right) / half_swath
        gap[gap <= 2] = 0
        centre = np.where(right < 0, period_px / 4, 3 * period_px / 4)
        off = np.mod(down - centre + phase_px + period_px / 2, period_px) - period_px / 2
        observed[band] = inside[band] & ~(np.abs(off) < gap / 2)
    return observed, inside


def grown(pixels):
    """Return the pixels and those that touch them by a side or a corner."""
    from scipy.ndimage import binary_dilation

    return binary_dilation(pixels, np.ones((1, 3, 3), bool))


SMALLER = 5
"""How many times shorter gaps are than in a full scene, while their mouths are as wide."""


@pytest.mark.parametrize(
    ("tilt_deg", "phase_px"),
    [(9.7, 0), (9.7, 11), (9.7, 22), (-9.7, 5.5), (-9.7, 16.5), (-9.7, 27.5), (14.0, 0), (14.0, 16.5)],
)
def test_a_leaning_swath_is_found_to_the_pixel_wherever_its_edges_cut_the_gaps(tilt_deg, phase_px):
    observed, inside = swath(1, 1400, 1300, tilt_deg=tilt_deg, phase_px=phase_px)
    found = inside_of(survey(observed, strip_px=300))
    missing = inside & ~observed
    assert not (found & ~grown(inside)).any()
    assert (found & missing).sum() >= (1 - SMALLER * 0.001) * missing.sum()


@pytest.mark.parametrize(("tilt_deg", "seed"), [(9.7, 0), (-9.7, 1), (9.7, 2)])
def test_a_scene_with_ragged_sides_is_found_to_the_pixel(tilt_deg, seed):
    generator = np.random.default_rng(seed)
    shape = (2, 1400, 1300)
    model = StripeModel(tilt_deg=tilt_deg, track_deg=float(np.copysign(12.7, tilt_deg)))
    stripes = lay_stripes(shape, fit_swath(shape, model), generator)
    whole = Window(0, 0, *shape[1:])
    inside = frame_swath(stripes, generator).inside(whole)
    observed = inside & ~stripes.missing_in(whole)
    found = inside_of(survey(observed, strip_px=300))
    missing = inside & ~observed
    assert not (found & ~grown(inside)).any()
    assert (found & missing).sum() >= (1 - SMALLER * 0.001) * missing.sum()


def test_nothing_is_added_above_an_edge_that_no_gap_repeats():
    observed = np.zeros((1, 400, 600), bool)
    observed[0, 60:340, 50:550] = True
    observed[0, 60:70, 50:250] = False  # a step as tall as a gap, in a scene without gaps
    np.testing.assert_array_equal(inside_of(survey(observed)), observed)


def test_counts_add_up():
    observed, _ = swath(2, 700, 600)
    footprint = survey(observed)
    found = inside_of(footprint)
    for band in range(2):
        assert footprint.observed_px[band] == observed[band].sum()
        assert footprint.outside_px[band] == (~found[band]).sum()
        assert footprint.missing_px[band] == (found[band] & ~observed[band]).sum()


@pytest.mark.parametrize(("strip_px", "height"), [(1, 150), (7, 400), (64, 400), (1000, 400)])
def test_the_strips_make_no_difference(strip_px, height):
    observed, _ = swath(1, height, 300)
    np.testing.assert_array_equal(inside_of(survey(observed, strip_px=strip_px)), inside_of(survey(observed)))


def test_threads_make_no_difference():
    observed, _ = swath(3, 400, 300)
    observed[1] = observed[0]
    np.testing.assert_array_equal(inside_of(survey(observed, threads=3)), inside_of(survey(observed)))


@pytest.mark.parametrize("window", [Window(0, 0, 50, 60), Window(133, 41, 80, 7), Window(390, 290, 10, 10)])
def test_a_window_is_cut_out_of_the_whole(window):
    footprint = survey(swath(2, 400, 300)[0])
    rows, cols = window.slices
    np.testing.assert_array_equal(footprint.inside(window), inside_of(footprint)[:, rows, cols])


@pytest.mark.parametrize("tilt_deg", [9.7, -9.7, 0.0, 15.0])
@pytest.mark.parametrize("width_px", [2, 8, 14, 18])
def test_a_crop_without_border_is_inside_as_a_whole(width_px, tilt_deg):
    for phase_px in range(0, PERIOD_PX, 11):
        gaps = stripes(200, 230, width_px=width_px, tilt_deg=tilt_deg, phase_px=phase_px)
        assert inside_of(survey(~gaps[None])).all()


def test_pan_gaps_are_twice_as_tall():
    gaps = stripes(600, 500, width_px=28, period_px=66)
    assert inside_of(survey(~gaps[None], reach_for_period(66))).all()


def test_no_gaps_and_no_border():
    footprint = survey(np.ones((2, 90, 80), bool))
    assert footprint.missing_px == footprint.outside_px == (0, 0)


def test_without_an_observation_nothing_is_inside():
    observed = np.zeros((2, 90, 80), bool)
    observed[1] = True
    found = inside_of(survey(observed))
    assert not found[0].any()
    assert found[1].all()


def test_a_few_observed_pixels_carry_no_footprint_beyond_them():
    observed = np.zeros((1, 300, 300), bool)
    observed[0, [50, 120, 250], [40, 200, 90]] = True
    assert survey(observed).missing_px == (0,)


@pytest.mark.parametrize("shape", [(1, 500, 1), (1, 1, 500), (1, 1, 1), (1, 3, 400)])
def test_thin_images(shape):
    observed = np.ones(shape, bool)
    observed[:, 100:110] = False
    if shape[2] > 1:
        observed[:, :, ::7] = False
    footprint = survey(observed)
    assert footprint.outside_px == (0,)


def test_a_column_whose_ends_are_border():
    observed = np.zeros((1, 500, 1), bool)
    observed[0, 100:400] = True
    observed[0, 200:212] = False
    footprint = survey(observed)
    assert footprint.missing_px == (12,)
    assert footprint.outside_px == (200,)


def test_an_enclosed_lake_is_inside():
    observed = ~stripes(300, 400)[None]
    observed[0, 100:200, 150:260] = False
    assert inside_of(survey(observed)).all()


def test_a_large_hole_at_the_images_edge_is_left_alone():
    observed = np.ones((1, 300, 400), bool)
    observed[0, :80, 100:220] = False
    found = inside_of(survey(observed))
    np.testing.assert_array_equal(found, observed)


def test_the_teeth_of_a_ragged_edge_are_not_joined():
    # As on real scenes: of each scan, the first rows begin some pixels before the rest.
    rows, cols = np.mgrid[:400, :300]
    scan, row_in_scan = np.divmod(rows, PERIOD_PX)
    begin = 90 - 6 * scan - np.where(row_in_scan < 2, 9, 0)
    observed = ((cols >= begin) & (row_in_scan < 20))[None]
    found = inside_of(survey(observed))[0]
    between_teeth = (cols < begin - 2) & (row_in_scan >= 3) & (row_in_scan < 19)
    assert not (found & between_teeth).any()
    gaps = (row_in_scan >= 20) & (rows < 11 * PERIOD_PX) & (cols > 100)
    assert found[gaps].all()


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 60), st.integers(1, 50), st.floats(0, 1), st.integers(1, 25), st.integers(0, 2**32 - 1))
def test_any_pattern(height, width, share, reach_px, seed):
    observed = np.random.default_rng(seed).random((2, height, width)) < share
    footprint = survey(observed, reach_px, strip_px=13)
    found = inside_of(footprint)
    assert found[observed].all()
    for band in range(2):
        assert footprint.outside_px[band] == (~found[band]).sum()
        # What is outside is reached from the image's edge.
        outside = ~found[band]
        if outside.any() and observed[band].any():
            edge = np.zeros_like(outside)
            edge[[0, -1]] = edge[:, [0, -1]] = True
            assert (outside & edge).any()


def real_observed(real_data, name, nodata):
    import rasterio

    with rasterio.open(real_data / "slc_off" / name) as file:
        return file.read() != nodata


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "nodata"), [("etm_ethiopia_167055_20170316.tif", 0), ("etm_newengland_usa_20150624_cloudy.tif", -9999)]
)
def test_real_crops_are_inside_as_a_whole(real_data, name, nodata):
    assert inside_of(survey(real_observed(real_data, name, nodata))).all()


@pytest.mark.real_data
def test_the_ragged_edge_of_a_real_scene(real_data):
    observed = real_observed(real_data, "etm_colombia_007059_20161209.tif", 0)
    found = inside_of(survey(observed))[0]
    assert found.any(axis=1).all()
    first = found.argmax(axis=1)
    inner = np.arange(found.shape[1]) >= first[:, None] + 20  # the teeth are some ten pixels long
    assert found[inner].all()
    # The edge runs straight from (0, 150) to (585, 28), but for the teeth.
    straight = np.interp(np.arange(found.shape[0]), [0, 585], [150, 28])
    assert (first >= straight - 14).all()
    assert (first <= straight + 12).all()


SIDE_PX = 500


def turned_swath(angle_deg, *, mirrored=False, side_px=SIDE_PX, half_px=200):
    """Return gaps that widen towards the sides, and the footprint, of a scene turned by an angle."""
    rows, cols = np.mgrid[:side_px, :side_px] - (side_px - 1) / 2
    if mirrored:
        cols = -cols
    angle = np.radians(angle_deg)
    down, right = rows * np.cos(angle) + cols * np.sin(angle), cols * np.cos(angle) - rows * np.sin(angle)
    width = 15 * np.clip(np.abs(right) / half_px - 0.1, 0, 1)
    inside = (np.abs(down) < half_px) & (np.abs(right) < half_px)
    return (np.mod(down, PERIOD_PX) < width) & inside, inside


def parallel(angle_deg, width_px=14, shape=(300, 260)):
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    angle = np.radians(angle_deg)
    return np.mod(rows * np.cos(angle) - cols * np.sin(angle) + 5, PERIOD_PX) < width_px


def written(path, data, **profile):
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=len(data),
        height=data.shape[1],
        width=data.shape[2],
        dtype=data.dtype,
        nodata=0,
        crs="EPSG:3031",
        transform=Affine(30, 0, 0, 0, -30, 0),
        **profile,
    ) as file:
        file.write(data)
    return path


def opened(path):
    (found,), _ = find_inputs([str(path)])
    (scene,) = open_input(found)
    return scene


def inside_of_turned(path):
    scene = opened(path)
    with SceneReader(scene) as reader:
        found = survey_scene(reader, scene, threads=1, on_progress=lambda _share: None)
    return found.footprint


@pytest.mark.parametrize(
    ("angle_deg", "mirrored"),
    [(-90, False), (-60, True), (-33, False), (8, True), (45, False), (45, True), (60, False), (75, True), (83, False)],
)
def test_gaps_are_found_and_nothing_outside_whatever_the_angle(tmp_path, angle_deg, mirrored):
    gaps, inside = turned_swath(angle_deg, mirrored=mirrored)
    data = np.where(inside & ~gaps, 90, 0).astype(np.uint8)[None]
    found = inside_of_turned(written(tmp_path / "scene.tif", data)).inside(Window(0, 0, SIDE_PX, SIDE_PX))[0]
    assert found[gaps].mean() > 0.96
    near = cv2.dilate(inside.view(np.uint8), np.ones((3, 3), np.uint8)).view(bool)
    assert not (found & ~near).any()
    assert found[inside & ~gaps].all()


def test_counts_of_a_turned_footprint_add_up(tmp_path):
    first, inside = turned_swath(60)
    gaps = np.stack([first, np.roll(first, 3, axis=1) & inside, first])
    data = np.where(inside & ~gaps, 90, 0).astype(np.uint8)
    footprint = inside_of_turned(written(tmp_path / "scene.tif", data))
    found = footprint.inside(Window(0, 0, SIDE_PX, SIDE_PX))
    for band in range(3):
        assert footprint.observed_px[band] == (data[band] != 0).sum()
        assert footprint.outside_px[band] == (~found[band]).sum()
        assert found[band][data[band] != 0].all()
    np.testing.assert_array_equal(found[0], found[2])


@pytest.mark.parametrize("angle_deg", [0, 27, 45, 60, 75, 90, -80, -60, -33])
def test_a_crop_with_stripes_at_any_angle_is_inside_as_a_whole(angle_deg):
    observed = BitImage(300, 260)
    observed.write(0, ~parallel(angle_deg))
    footprint = turned_footprint([observed], [1], angle_deg, REACH_PX)
    assert footprint.inside(Window(0, 0, 300, 260)).all()


@pytest.mark.parametrize(
    ("angle_deg", "width_px"),
    [(-75, 4), (-45, 14), (0, 4), (25, 14), (44, 4), (46, 14), (60, 4), (89.5, 14), (89.5, 4)],
)
def test_the_direction_is_estimated_at_any_angle(angle_deg, width_px):
    found = estimate_stripes([parallel(angle_deg, width_px, (512, 512))])
    assert found is not None
    off_deg = (found.tilt_deg - angle_deg + 90) % 180 - 90
    assert abs(off_deg) < 0.5
    assert found.period_across_px == pytest.approx(PERIOD_PX, abs=0.3)
    assert -90 < found.tilt_deg <= 90


def test_a_transposed_scene_has_the_transposed_geometry():
    missing = parallel(9.7, 10, (512, 512))
    upright, lying = estimate_stripes([missing.T]), estimate_stripes([missing])
    assert upright is not None
    assert lying is not None
    assert upright.tilt_deg == pytest.approx(90 - lying.tilt_deg)
    assert upright.transposed().tilt_deg == pytest.approx(lying.tilt_deg)
    assert upright.period_px == lying.period_px


def test_windows_that_are_mostly_outside_show_their_stripes():
    gaps, inside = turned_swath(60)
    found = estimate_stripes([gaps | ~inside], widest_px=REACH_PX)
    assert found is not None
    assert found.tilt_deg == pytest.approx(-60, abs=1)


@pytest.mark.parametrize(("height", "width"), [(7, 1), (5, 8), (40, 77)])
def test_bits_hold_an_image(height, width):
    pixels = np.random.default_rng(0).random((height, width)) < 0.5
    image = BitImage(height, width)
    image.write(0, pixels[:3])
    image.write(3, pixels[3:])
    np.testing.assert_array_equal(image.read(Window(0, 0, height, width)), pixels)
    window = Window(1, width // 3, height - 2, width - width // 3)
    np.testing.assert_array_equal(image.read(window), pixels[window.slices])
    assert find_runs(image.read(window), 0).pixel_count() == pixels[window.slices].sum()


@pytest.mark.parametrize(("day", "said"), [("2010-05-08", True), ("2001-05-08", False)])
def test_a_scene_without_stripes_says_so_where_the_corrector_was_off(tmp_path, day, said):
    name = f"LE07_L1TP_001001_{day.replace('-', '')}_20200101_02_T1_B3.TIF"
    notes = describe(opened(written(tmp_path / name, np.full((1, 90, 90), 80, np.uint8)))).notes
    assert any("no stripes found although" in note for note in notes) == said
