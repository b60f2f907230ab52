"""Paints farmland: parishes of rotated, staggered fields, and one of circles under centre pivots."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from texture import fractal, smooth_step

from landsat_fill.gaps.simulation import noise_at

if TYPE_CHECKING:
    from numpy.typing import NDArray

CROPS = np.array(
    [
        (0.060, 0.088, 0.050, 0.410, 0.200, 0.085),  # maize in full leaf
        (0.062, 0.092, 0.058, 0.370, 0.210, 0.095),  # beet
        (0.068, 0.098, 0.078, 0.300, 0.235, 0.130),  # young crop
        (0.066, 0.090, 0.066, 0.300, 0.210, 0.100),  # pasture
        (0.082, 0.122, 0.126, 0.275, 0.300, 0.190),  # ripening grain
        (0.096, 0.138, 0.162, 0.275, 0.340, 0.240),  # stubble
        (0.108, 0.140, 0.172, 0.255, 0.340, 0.270),  # pale bare soil
        (0.080, 0.096, 0.114, 0.175, 0.255, 0.205),  # dark bare soil
        (0.080, 0.104, 0.142, 0.220, 0.320, 0.260),  # red bare soil
    ],
    np.float32,
)
"""Reflectance of crops and soils in bands 1, 2, 3, 4, 5, 7: plausible, not measured."""

BEFORE = np.array([2, 2, 7, 3, 3, 4, 5, 2, 5])
"""What grew 16 days before in a field that has changed since: grain was harvested, young crops have grown."""

CHANGED = 0.3
"""Share of the fields that have changed in 16 days."""

HEDGE = np.array((0.056, 0.068, 0.048, 0.240, 0.145, 0.070), np.float32)
TRACK = np.array((0.104, 0.130, 0.152, 0.225, 0.285, 0.225), np.float32)
DRY_GRASS = np.array((0.084, 0.108, 0.118, 0.220, 0.280, 0.190), np.float32)

PARISH_PX = 85.0
PIVOT_PX = 26.7
"""A quarter section of the American survey, 800 m, which a centre pivot waters."""


def paint_fields(
    x: NDArray[np.float32], y: NDArray[np.float32], generator: np.random.Generator, *, is_earlier: bool = False
) -> NDArray[np.float32]:
    """Return the reflectance of farmland, `(band, row, col)`.

    Args:
        x: Columns in pixels of 30 m, `(row, col)`.
        y: Rows.
        generator: Draws the parishes and what grows in them.
        is_earlier: Whether to paint the fields as they were 16 days before.
    """
    from scipy.spatial import cKDTree

    side_px = float(x.max())
    seed = int(generator.integers(2**31))
    parishes = max(round((side_px / PARISH_PX) ** 2), 2)
    centres = generator.uniform(0, side_px, (parishes, 2))
    warp = 5 * fractal(len(x), generator, roughness=3.0), 5 * fractal(len(x), generator, roughness=3.0)
    places = np.stack([x + warp[0], y + warp[1]], -1).reshape(-1, 2)
    distance, nearest = cKDTree(centres).query(places, k=2)
    parish = nearest[:, 0].reshape(x.shape)
    boundary_px = np.diff(distance, axis=1).reshape(x.shape) / 2

    turn = generator.uniform(-0.7, 0.7, parishes).astype(np.float32)[parish]
    long_px = generator.uniform(9, 19, parishes).astype(np.float32)[parish]
    short_px = generator.uniform(4, 9, parishes).astype(np.float32)[parish]
    u = (x * np.cos(turn) + y * np.sin(turn)) / long_px
    v = (y * np.cos(turn) - x * np.sin(turn)) / short_px
    row = np.floor(u).astype(np.int64)
    v = v + 3 * noise_at(seed, 1, row, parish).astype(np.float32)  # neighbouring rows of fields are staggered
    column = np.floor(v).astype(np.int64)
    merged = noise_at(seed, 2, row * 1000 + column // 2, parish) > 0.2
    field = np.where(merged, column // 2 * 2, column)
    key = row * 100_003 + field
    land = _crop(seed, key, parish, is_earlier=is_earlier)
    along = np.minimum(u - row, row + 1 - u) * long_px
    across_low, across_high = (v - column) * short_px, (column + 1 - v) * short_px
    # Between the two halves of a merged field there is no border.
    across = np.minimum(
        np.where(merged & (column % 2 == 1), np.inf, across_low),
        np.where(merged & (column % 2 == 0), np.inf, across_high),
    )
    hedge = (1 - smooth_step(np.minimum(along, across), 0.25, 0.6)) * 0.55
    land = land + (HEDGE[:, None, None] - land) * hedge

    pivots = _pivots(x, y, seed, is_earlier=is_earlier)
    dry = parish == int(np.argmin(np.hypot(*(centres - side_px * np.array([0.62, 0.84])).T)))
    land = np.where(dry, pivots, land)
    track = (1 - smooth_step(boundary_px, 0.3, 0.7)) * 0.7
    land = land + (TRACK[:, None, None] - land) * track
    mottle = 0.045 * fractal(len(x), generator, roughness=2.2) + 0.02 * fractal(len(x), generator, roughness=0.8)
    return (land * (1 + mottle)).astype(np.float32)


def _crop(seed: int, key: NDArray[np.int64], parish: NDArray[np.int64], *, is_earlier: bool) -> NDArray[np.float32]:
    """Return what grows in each field, `(band, row, col)`."""
    choice = (noise_at(seed, 3, key, parish) + 1) / 2
    lean = 0.35 * noise_at(seed, 4, parish, np.zeros_like(parish))  # a parish has its favourite crop
    kind = np.clip((choice + lean) * len(CROPS), 0, len(CROPS) - 1).astype(np.int64)
    vigour = 1 + 0.10 * noise_at(seed, 5, key, parish).astype(np.float32)
    if is_earlier:
        changed = noise_at(seed, 8, key, parish) > 1 - 2 * CHANGED
        kind = np.where(changed, BEFORE[kind], kind)
        vigour = vigour * (1 + 0.05 * noise_at(seed, 9, key, parish).astype(np.float32))
    return np.moveaxis(CROPS[kind], -1, 0) * vigour


def _pivots(x: NDArray[np.float32], y: NDArray[np.float32], seed: int, *, is_earlier: bool) -> NDArray[np.float32]:
    """Return circles under centre pivots in dry grass, `(band, row, col)`."""
    row, column = np.floor(y / PIVOT_PX).astype(np.int64), np.floor(x / PIVOT_PX).astype(np.int64)
    right, down = x - (column + 0.5) * PIVOT_PX, y - (row + 0.5) * PIVOT_PX
    half = (right * noise_at(seed, 6, row, column) + down > 0).astype(np.int64)
    halved = noise_at(seed, 7, row, column) > 0.3
    crop = _crop(seed + 1, (row * 1009 + column) * 2 + half * halved, np.zeros_like(row), is_earlier=is_earlier)
    watered = 1 - smooth_step(np.hypot(right, down), 0.47 * PIVOT_PX, 0.5 * PIVOT_PX)
    dry = np.broadcast_to(DRY_GRASS[:, None, None], crop.shape)
    return (dry + (crop - dry) * watered).astype(np.float32)
