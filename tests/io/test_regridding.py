"""Reading a source on another grid: the truth is a smooth field over the ground."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio.warp
from rasterio.crs import CRS
from rasterio.transform import Affine

from landsat_fill.errors import InputError
from landsat_fill.io.regridding import Regridding
from landsat_fill.scene import Grid, Window

NORTH, SOUTH, NEXT_ZONE = CRS.from_epsg(32637), CRS.from_epsg(32737), CRS.from_epsg(32638)
EAST_M, NORTH_M = 500_000.0, 1_200_000.0


def grid(height=90, width=110, *, east=EAST_M, north=NORTH_M, pixel=30.0, crs=NORTH) -> Grid:
    return Grid(height, width, Affine(pixel, 0, east, 0, -pixel, north), crs)


def field(on: Grid) -> np.ndarray:
    """Hills of 1.5 km at the pixel centres of a grid, whatever its coordinates, `(band, row, col)`."""
    rows, cols = np.mgrid[: on.height, : on.width] + 0.5
    x = on.transform.a * cols + on.transform.c
    y = on.transform.e * rows + on.transform.f
    if on.crs is not None and on.crs != NORTH:
        x, y = (np.reshape(one, rows.shape) for one in rasterio.warp.transform(on.crs, NORTH, x.ravel(), y.ravel()))
    hills = np.sin(x / 240) + np.cos(y / 260)
    return np.stack([100 + 40 * hills, 60 - 20 * hills]).astype(np.float32)


def reader(values: np.ndarray, usable: np.ndarray | None = None):
    there = np.ones(values.shape, bool) if usable is None else usable

    def read(window: Window):
        return values[:, *window.slices].copy(), there[:, *window.slices].copy()

    return read


def whole(on: Grid) -> Window:
    return Window(0, 0, on.height, on.width)


def test_coinciding_pixels_are_exact_and_keep_their_type():
    source, target = grid(), grid(50, 60, east=EAST_M + 300, north=NORTH_M - 600)
    values = np.arange(2 * 90 * 110, dtype=np.uint16).reshape(2, 90, 110)
    regridding = Regridding(source, target)
    assert regridding.offset_px == (20, 10)
    found, usable = regridding.read(reader(values), 2, whole(target))
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, values[:, 20:70, 10:70])
    assert usable.all()


def test_what_lies_beyond_the_source_is_not_usable():
    source, target = grid(), grid(90, 110, east=EAST_M - 300, north=NORTH_M + 150)
    found, usable = Regridding(source, target).read(reader(field(source)), 2, whole(target))
    assert not usable[:, :5].any()
    assert not usable[:, :, :10].any()
    assert usable[:, 5:, 10:].all()
    np.testing.assert_array_equal(found[:, 5:, 10:], field(source)[:, :85, :100])


@pytest.mark.parametrize(
    "source",
    [
        grid(east=EAST_M + 12, north=NORTH_M + 7),
        grid(100, 130, east=EAST_M - 100, north=NORTH_M + 100, pixel=28.5),
        grid(400, 400, east=EAST_M - 200, north=NORTH_M + 200, pixel=10.0),
        grid(210, 260, east=EAST_M - 150, north=NORTH_M + 150, pixel=15.0),
        grid(60, 70, east=EAST_M - 200, north=NORTH_M + 200, pixel=60.0),
        grid(110, 130, east=EAST_M - 200, north=NORTH_M + 10_000_200, crs=SOUTH),
    ],
    ids=["part of a pixel", "28.5 m", "10 m", "15 m", "60 m", "southern northings"],
)
def test_another_grid_gives_the_ground_at_the_pixel(source):
    target = grid()
    found, usable = Regridding(source, target).read(reader(field(source)), 2, whole(target))
    assert found.dtype == np.float32
    assert usable[:, 5:-5, 5:-5].all()
    error = np.abs(found - field(target))[:, 5:-5, 5:-5]
    assert error.max() < (1.0 if source.transform.a > 30 else 0.5)


def test_another_utm_zone_gives_the_ground_at_the_pixel():
    target = grid(east=760_000.0)
    (x,), (y,) = rasterio.warp.transform(NORTH, NEXT_ZONE, [760_000.0], [NORTH_M])
    source = grid(200, 220, east=30 * round(x / 30) - 1500, north=30 * round(y / 30) + 1500, crs=NEXT_ZONE)
    found, usable = Regridding(source, target).read(reader(field(source)), 2, whole(target))
    assert usable.all()
    assert np.abs(found - field(target)).max() < 0.01 * 80


def test_a_shift_moves_the_content_back():
    source, target = grid(), grid()
    moved = np.roll(field(source), (2, -1), axis=(1, 2))  # two rows below, one column to the left
    found, usable = Regridding(source, target, (2.0, -1.0)).read(reader(moved), 2, whole(target))
    inner = np.s_[:, 5:-5, 5:-5]
    assert usable[inner].all()
    np.testing.assert_allclose(found[inner], field(source)[inner], atol=1e-3)


def test_the_result_does_not_depend_on_the_window():
    source, target = grid(100, 130, east=EAST_M - 100, north=NORTH_M + 100, pixel=28.5), grid()
    unusable = np.random.default_rng(1).random((2, 100, 130)) > 0.05
    regridding, read = Regridding(source, target), reader(field(source), unusable)
    values, usable = regridding.read(read, 2, whole(target))
    for window in (Window(0, 0, 40, 110), Window(33, 21, 17, 45), Window(89, 109, 1, 1)):
        part, seen = regridding.read(read, 2, window)
        np.testing.assert_array_equal(seen, usable[:, *window.slices])
        np.testing.assert_array_equal(part, values[:, *window.slices])


def test_unusable_pixels_never_mix_in():
    source, target = grid(east=EAST_M + 12, north=NORTH_M + 7), grid()
    usable = np.ones((2, 90, 110), bool)
    usable[:, 40:50, 30:60] = False
    values = field(source)
    values[~usable] = 1e6
    found, seen = Regridding(source, target).read(reader(values, usable), 2, whole(target))
    assert not seen[:, 42:48, 33:57].any()
    assert seen[:, 5:35, 5:-5].all()
    assert np.abs(found - field(target))[seen].max() < 5


def test_grids_apart_do_not_overlap():
    assert Regridding(grid(), grid(east=EAST_M + 1500)).overlaps()
    assert not Regridding(grid(), grid(east=EAST_M + 200_000)).overlaps()
    apart = Regridding(grid(), grid(east=EAST_M + 200_000, north=NORTH_M + 10))
    values, usable = apart.read(reader(field(grid())), 2, Window(0, 0, 20, 30))
    assert values.shape == (2, 20, 30)
    assert not usable.any()


def test_a_grid_without_coordinates_is_refused_beside_one_with_them():
    with pytest.raises(InputError, match="coordinate reference system"):
        Regridding(grid(), grid(crs=None)).overlaps()
