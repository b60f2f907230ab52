"""Stripes at any angle: scenes in polar grids, rotated and transposed ones."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

from landsat_fill.gaps.run_lengths import find_runs
from landsat_fill.gaps.stripes import estimate_stripes
from landsat_fill.gaps.turned import BitImage, turned_footprint
from landsat_fill.io import SceneReader, find_inputs, open_input
from landsat_fill.pipeline.outcome import describe
from landsat_fill.pipeline.survey import survey_scene
from landsat_fill.scene import Window

PERIOD_PX, REACH_PX = 33, 22
SIDE_PX = 500


def swath(angle_deg, *, mirrored=False, side_px=SIDE_PX, half_px=200):
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


def inside_of(path):
    scene = opened(path)
    with SceneReader(scene) as reader:
        found = survey_scene(reader, scene, threads=1, on_progress=lambda _share: None)
    return found.footprint


@pytest.mark.parametrize(
    ("angle_deg", "mirrored"),
    [(-90, False), (-60, True), (-33, False), (8, True), (45, False), (45, True), (60, False), (75, True), (83, False)],
)
def test_gaps_are_found_and_nothing_outside_whatever_the_angle(tmp_path, angle_deg, mirrored):
    gaps, inside = swath(angle_deg, mirrored=mirrored)
    data = np.where(inside & ~gaps, 90, 0).astype(np.uint8)[None]
    found = inside_of(written(tmp_path / "scene.tif", data)).inside(Window(0, 0, SIDE_PX, SIDE_PX))[0]
    assert found[gaps].mean() > 0.96
    near = cv2.dilate(inside.view(np.uint8), np.ones((3, 3), np.uint8)).view(bool)
    assert not (found & ~near).any()
    assert found[inside & ~gaps].all()


def test_counts_of_a_turned_footprint_add_up(tmp_path):
    first, inside = swath(60)
    gaps = np.stack([first, np.roll(first, 3, axis=1) & inside, first])
    data = np.where(inside & ~gaps, 90, 0).astype(np.uint8)
    footprint = inside_of(written(tmp_path / "scene.tif", data))
    found = footprint.inside(Window(0, 0, SIDE_PX, SIDE_PX))
    for band in range(3):
        assert footprint.observed_px[band] == (data[band] != 0).sum()
        assert footprint.outside_px[band] == (~found[band]).sum()
        assert found[band][data[band] != 0].all()
    np.testing.assert_array_equal(found[0], found[2])


@pytest.mark.parametrize("angle_deg", [0, 27, 45, 60, 75, 90, -80, -60, -33])
def test_a_crop_without_border_is_inside_as_a_whole(angle_deg):
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
    gaps, inside = swath(60)
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
