"""Paints an invented landscape as Landsat 7 would see it: relief, rivers, fields, a town, a lake, clouds.

Nothing here was measured anywhere. Spectra are plausible top-of-atmosphere reflectances in the order of ETM+
bands 1, 2, 3, 4, 5 and 7. Lengths are in pixels of 30 m, whatever the resolution that is painted at.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import cv2
import numpy as np
from fields import paint_fields
from texture import fractal, smooth_step

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Image = NDArray[np.float32]

SUN_AZIMUTH_DEG, SUN_ELEVATION_DEG = 137.0, 52.0

SPECTRA = {
    "water": (0.068, 0.052, 0.034, 0.020, 0.010, 0.007),
    "silt": (0.086, 0.094, 0.078, 0.046, 0.016, 0.010),
    "broadleaf": (0.054, 0.062, 0.039, 0.270, 0.130, 0.052),
    "conifer": (0.050, 0.051, 0.035, 0.190, 0.085, 0.036),
    "pasture": (0.066, 0.090, 0.066, 0.300, 0.210, 0.100),
    "scrub": (0.078, 0.098, 0.098, 0.215, 0.245, 0.160),
    "rock": (0.112, 0.130, 0.146, 0.195, 0.245, 0.210),
    "town": (0.122, 0.132, 0.140, 0.190, 0.205, 0.185),
    "road": (0.112, 0.128, 0.138, 0.185, 0.215, 0.185),
    "cloud": (0.520, 0.500, 0.495, 0.540, 0.420, 0.330),
}
"""Reflectance of the covers, in the order of bands 1, 2, 3, 4, 5, 7."""

SKYLIGHT = np.array([0.55, 0.47, 0.40, 0.28, 0.22, 0.20], np.float32)
"""What a shadow keeps of the light, by band: the sky is blue."""

HAZE = np.array([0.013, 0.010, 0.007, 0.003, 0.001, 0.0005], np.float32)
"""Reflectance that thick haze adds, by band."""

EARLIER = np.array([0.97, 0.96, 0.97, 1.03, 0.95, 0.94], np.float32)
"""How bright the ground was 16 days before, by band: greener, under a sun as high."""

RIVERS = (
    (((1.05, -0.05), (0.82, 0.17), (0.68, 0.32), (0.56, 0.47), (0.46, 0.6), (0.3, 0.8), (0.22, 1.05)), 9.0, 3.2),
    (((0.50, -0.05), (0.44, 0.18), (0.36, 0.40), (0.42, 0.53), (0.46, 0.60)), 5.0, 1.4),
    (((1.05, 0.66), (0.86, 0.68), (0.68, 0.78), (0.50, 0.80), (0.30, 0.80)), 6.0, 1.6),
    (((0.0, 0.52), (0.12, 0.60), (0.20, 0.70), (0.27, 0.84)), 4.0, 1.0),
)
"""Rivers: places they flow through, as shares of the side `(x, y)`; how far they swing; how wide they are."""


@dataclass(frozen=True)
class Landscape:
    """A painted landscape.

    Attributes:
        reflectance: `(band, row, col)`, six bands, float32.
        water: Share of each pixel that is water, `(row, col)`.
        cloud: Opacity of the clouds.
        shadow: Depth of their shadows.
        warmth: How warm the ground is, 0 to 1.
    """

    reflectance: NDArray[np.float32]
    water: Image
    cloud: Image
    shadow: Image
    warmth: Image


def paint_landscape(side_px: int, seed: int, *, oversampling: int = 1, is_earlier: bool = False) -> Landscape:
    """Return a square landscape.

    Args:
        side_px: Side of the landscape in pixels of 30 m.
        seed: Decides what it looks like.
        oversampling: How many painted pixels a pixel of 30 m has on a side.
        is_earlier: Whether to paint it as it was 16 days before: other crops in some fields, other clouds, more haze.
    """
    generator = np.random.default_rng(seed)
    fine = side_px * oversampling
    y, x = (np.mgrid[:fine, :fine].astype(np.float32) + 0.5) / oversampling
    height, hills = _relief(x, y, side_px, generator)

    ground = paint_fields(x, y, generator, is_earlier=is_earlier)
    wildness = fractal(fine, generator, roughness=2.6)
    ground = _mix(ground, _wild(height, fine, generator), smooth_step(hills + 0.10 * wildness, 0.30, 0.34))
    woods = smooth_step(fractal(fine, generator, roughness=2.7), 1.25, 1.4) * (1 - hills)
    ground = _mix(ground, _woods("broadleaf", fine, generator), woods)
    ground *= _shade(height * hills, oversampling)

    lake = smooth_step(-_lake_depth(height, x, y, side_px), -0.02, 0.02)
    rivers, banks = _rivers(side_px, oversampling, generator)
    ground = _mix(ground, _woods("broadleaf", fine, generator), banks * smooth_step(wildness, -0.6, 0.4))
    ground = _towns(ground, x, y, side_px, oversampling, generator)
    silt = smooth_step(fractal(fine, generator, roughness=3.2), -0.5, 1.5)
    river_water = _flat("silt") * (0.9 + 0.2 * silt)
    ground = _mix(ground, river_water.astype(np.float32), rivers)
    lake_water = _flat("water") + (_flat("silt") - _flat("water")) * 0.5 * silt**2
    ground = _mix(ground, lake_water.astype(np.float32), lake)

    if is_earlier:
        generator = np.random.default_rng([seed, 1])
        ground *= EARLIER[:, None, None]
    haze = (0.9 if is_earlier else 0.5) + 0.35 * fractal(fine, generator, roughness=3.8)
    ground += HAZE[:, None, None] * np.clip(haze, 0, 1.6)
    cloud, shadow = _clouds(x, y, side_px, oversampling, generator)
    water = np.maximum(lake, rivers)
    greenness = (ground[3] - ground[2]) / (ground[3] + ground[2])
    warmth = np.clip(0.75 - 0.45 * greenness - 0.25 * hills, 0, 1) * (1 - 0.6 * water) * (1 - 0.15 * shadow)
    warmth = warmth * (1 - cloud) + 0.02 * cloud
    ground *= 1 - shadow * (1 - SKYLIGHT[:, None, None])
    billows = 1 + 0.10 * fractal(fine, generator, roughness=2.4)
    ground = _mix(ground, (_flat("cloud") * billows).astype(np.float32), cloud)
    return Landscape(ground, water, cloud, shadow, warmth.astype(np.float32))


def _flat(cover: str) -> NDArray[np.float32]:
    return np.array(SPECTRA[cover], np.float32)[:, None, None]


def _mix(below: NDArray[np.float32], above: NDArray[np.float32], opacity: Image) -> NDArray[np.float32]:
    return below + (above - below) * opacity


def _relief(x: Image, y: Image, side_px: int, generator: np.random.Generator) -> tuple[Image, Image]:
    """Return the height (about unit variance) and how hilly each place is, 0 to 1."""
    # Valleys where a smooth surface changes its sign: ridges stand sharp between them.
    valleys = np.abs(fractal(len(x), generator, roughness=3.5))
    gullies = np.abs(fractal(len(x), generator, roughness=2.9))
    height = 0.6 * fractal(len(x), generator, roughness=4.1) + 0.8 * valleys + 0.16 * gullies
    lay = (x - y) / side_px + 0.22 * fractal(len(x), generator, roughness=3.4)
    return height.astype(np.float32), smooth_step(lay, 0.0, 0.45)


def _wild(height: Image, fine: int, generator: np.random.Generator) -> NDArray[np.float32]:
    """Return the hills' cover: pasture and scrub low, woods between, rock on top."""
    patches = fractal(fine, generator, roughness=2.7)
    cover = _mix(np.broadcast_to(_flat("scrub"), (6, fine, fine)), _flat("pasture"), smooth_step(patches, -0.4, 0.5))
    wooded = smooth_step(fractal(fine, generator, roughness=2.7) - 0.5 * np.abs(height - 0.8), -0.5, -0.3)
    conifers = smooth_step(height + 0.5 * patches, 0.9, 1.6)
    trees = _mix(_woods("broadleaf", fine, generator), _woods("conifer", fine, generator), conifers)
    cover = _mix(cover, trees, wooded)
    bare = smooth_step(height + 0.3 * patches, 1.9, 2.6)
    return _mix(cover, _flat("rock") * (0.85 + 0.10 * patches), bare)


def _woods(kind: str, fine: int, generator: np.random.Generator) -> NDArray[np.float32]:
    crowns = fractal(fine, generator, roughness=1.2)
    stands = fractal(fine, generator, roughness=2.6)
    return (_flat(kind) * (1 + 0.06 * crowns + 0.07 * stands)).astype(np.float32)


def _shade(height: Image, oversampling: int) -> Image:
    """Return how much brighter than flat ground the slopes are."""
    down, right = np.gradient(height * 16.0 * oversampling)
    azimuth, elevation = np.deg2rad(SUN_AZIMUTH_DEG), np.deg2rad(SUN_ELEVATION_DEG)
    towards_sun = -(right * np.sin(azimuth) - down * np.cos(azimuth)) * 0.35
    steepness = np.sqrt(1 + 0.35**2 * (right**2 + down**2))
    lit = (np.sin(elevation) + np.cos(elevation) * towards_sun) / steepness / np.sin(elevation)
    return np.clip(lit, 0.45, 1.5).astype(np.float32)


def _lake_depth(height: Image, x: Image, y: Image, side_px: int) -> Image:
    """Return how far the ground lies above a reservoir's level; negative is flooded."""
    across, down = x / side_px - 0.70, y / side_px - 0.30
    # A valley floor that runs along the river, from north-east to south-west, and rises to its sides.
    along, aside = (across - down) / 2**0.5, (across + down) / 2**0.5
    return (9 * np.hypot(0.6 * along, aside) + 0.9 * height - 1.45).astype(np.float32)


def _curve(
    points: tuple[tuple[float, float], ...], side_px: int, swing_px: float, generator: np.random.Generator
) -> NDArray[np.float64]:
    """Return a meandering line through some points (shares of the side), `(point, xy)` in pixels."""
    from scipy.interpolate import CubicSpline

    knots = np.array(points) * side_px
    t = np.linspace(0, len(points) - 1, 40 * len(points) + side_px)
    line = CubicSpline(np.arange(len(points)), knots)(t)
    step = np.gradient(line, axis=0)
    length = np.cumsum(np.hypot(*step.T))
    normal = np.stack([-step[:, 1], step[:, 0]], 1) / np.hypot(*step.T)[:, None]
    bends = np.zeros(len(t))
    for wavelength_px, share in ((52, 0.6), (29, 0.4), (17, 0.08)):
        stations = np.arange(0, length[-1] + 80, 80)
        wander = CubicSpline(stations, generator.normal(0, 1.5, len(stations)))(length)
        bends += share * np.sin(2 * np.pi * length / wavelength_px + wander)
    # A river swings wider the farther it has come.
    return line + normal * (swing_px * bends * np.linspace(0.35, 1, len(t)))[:, None]


def _stroke(line: NDArray[np.float64], fine: int, oversampling: int, width_px: float) -> Image:
    """Return the coverage of a line drawn with a width."""
    canvas = np.zeros((fine, fine), np.uint8)
    points = (line * oversampling * 16).astype(np.int32)[:, None]
    cv2.polylines(canvas, [points], False, 255, max(round(width_px * oversampling), 1), cv2.LINE_AA, 4)
    return canvas.astype(np.float32) / 255


def _rivers(side_px: int, oversampling: int, generator: np.random.Generator) -> tuple[Image, Image]:
    """Return the coverage of the rivers, and of the wooded land along them."""
    fine = side_px * oversampling
    rivers = np.zeros((fine, fine), np.float32)
    banks = np.zeros((fine, fine), np.float32)
    for points, swing_px, width_px in RIVERS:
        line = _curve(points, side_px, swing_px, generator)
        rivers = np.maximum(rivers, _stroke(line, fine, oversampling, width_px))
        banks = np.maximum(banks, _stroke(line, fine, oversampling, 3 * width_px + 2))
    return rivers, banks


def _towns(
    ground: NDArray[np.float32], x: Image, y: Image, side_px: int, oversampling: int, generator: np.random.Generator
) -> NDArray[np.float32]:
    """Return the ground with towns at some crossings and roads between them."""
    fine = len(x)
    places = np.array([(0.515, 0.565), (0.70, 0.86), (0.33, 0.27), (0.27, 0.66), (0.88, 0.52)]) * side_px
    sizes_px = np.array([26.0, 13.0, 9.0, 8.0, 7.0]) * side_px / 512
    roads = np.zeros((fine, fine), np.float32)
    ends = np.array([(-0.05, 0.42), (1.05, 0.95), (0.55, 1.05), (0.10, -0.05)]) * side_px
    routes = (
        (places[0], places[3], ends[0]),
        (places[0], places[1], ends[1]),
        (places[0], places[2], ends[3]),
        (places[1], ends[2]),
        (places[0], places[4]),
    )
    for route in routes:
        for start, end in pairwise(route):
            middle = (start + end) / 2 + generator.normal(0, 0.03 * side_px, 2)
            roads = np.maximum(roads, _stroke(np.array([start, middle, end]), fine, oversampling, 0.8))
    ground = _mix(ground, _flat("road"), 0.75 * roads)
    blocks = generator.normal(0, 1, (fine // 2 + 1, fine // 2 + 1)).astype(np.float32)
    blocks = cv2.resize(blocks, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)[:fine, :fine]
    ragged = fractal(fine, generator, roughness=2.0)
    for (town_x, town_y), size_px in zip(places, sizes_px, strict=True):
        distance = np.hypot(x - town_x, y - town_y) / size_px + 0.30 * ragged
        built = 1 - smooth_step(distance, 0.75, 1.1)
        turn = generator.uniform(0, np.pi / 2)
        u, v = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
        streets = np.maximum(np.cos(2 * np.pi * u / 4.3), np.cos(2 * np.pi * v / 5.1))
        roofs = _flat("town") * (1 + 0.14 * blocks - 0.10 * streets)
        gardens = smooth_step(blocks, 0.1, 0.6) * smooth_step(distance, 0.1, 0.9)
        quarter = _mix(roofs.astype(np.float32), _flat("pasture"), 0.6 * gardens)
        ground = _mix(ground, quarter, built)
    return ground


def _clouds(x: Image, y: Image, side_px: int, oversampling: int, generator: np.random.Generator) -> tuple[Image, Image]:
    """Return the opacity of fair-weather clouds, and the depth of their shadows."""
    fine = len(x)
    field = fractal(fine, generator, roughness=2.7)
    gathering = np.full((fine, fine), -3.0, np.float32)
    for _ in range(max(side_px**2 // 11000, 1)):
        centre = generator.uniform(0.05, 0.95, 2) * side_px
        size_px = 3.0 + 10.0 * generator.uniform() ** 2
        gathering = np.maximum(gathering, 1 - ((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / size_px**2)
    opacity = smooth_step(gathering + 0.9 * field, 0.3, 1.6)
    # The sun stands in the south-east: shadows fall to the north-west.
    azimuth = np.deg2rad(SUN_AZIMUTH_DEG)
    fall_px = 21.0 * oversampling
    away = np.array([[1, 0, -np.sin(azimuth) * fall_px], [0, 1, np.cos(azimuth) * fall_px]])
    shadow = cv2.warpAffine(opacity, away, (fine, fine), flags=cv2.INTER_LINEAR)
    return opacity, cv2.GaussianBlur(shadow, (0, 0), 0.8 * oversampling) * (1 - opacity)
