"""Groups scenes by place, and assigns whole places to folds.

A network that was trained on a place recognises it in another scene, so all scenes of a place share a fold.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from landsat_fill.scene import Grid, Scene


NEAR_KM = 50.0
"""Scenes closer than this count as one place."""

KM_PER_DEGREE = 111.2
"""Length of a degree of latitude on a sphere with a radius of 6371 km."""

# Path and row as in LE07_L1TP_007059_2016…, LE70070592016344…, L71007059_059…
_PATH_ROW = re.compile(r"^L[A-Z]\d{2}_[A-Z0-9]{4}_(\d{6})_|^L[A-Z]\d(\d{6})\d{7}|^L7[12](\d{6})_")
_DATE = re.compile(r"(?<!\d)(?:19|20)\d{2}(?:\d{3,4})?(?!\d)")


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a scene; angles are in degrees."""

    stem: str  # path and row, or the scene's name up to the date
    lon: float | None = None  # of the centre, or None if the scene isn't georeferenced
    lat: float | None = None
    half_lon: float = 0.0  # half of the extent
    half_lat: float = 0.0

    def is_near(self, other: Place) -> bool:
        """Return whether two scenes may show the same place, by coordinates or, without these, by name."""
        if self.lon is None or self.lat is None or other.lon is None or other.lat is None:
            return self.stem == other.stem
        around = abs(self.lon - other.lon) % 360
        apart_lon = max(min(around, 360 - around) - self.half_lon - other.half_lon, 0.0)
        apart_lat = max(abs(self.lat - other.lat) - self.half_lat - other.half_lat, 0.0)
        shrink = math.cos(math.radians((self.lat + other.lat) / 2))
        return KM_PER_DEGREE * math.hypot(apart_lon * shrink, apart_lat) <= NEAR_KM


def place_of(scene: Scene) -> Place:
    """Return the place of a scene."""
    stem = place_stem(scene.name)
    bounds = _degrees(scene.grid)
    if bounds is None:
        return Place(stem)
    west, south, east, north = bounds
    if east < west:  # across the date line
        east += 360
    lon = ((west + east) / 2 + 180) % 360 - 180
    return Place(stem, lon, (south + north) / 2, (east - west) / 2, (north - south) / 2)


def place_stem(name: str) -> str:
    """Return path and row from a scene's name, or the part before the date."""
    path_row = _PATH_ROW.match(name.upper())
    if path_row is not None:
        return "".join(filter(None, path_row.groups()))
    date = _DATE.search(name)
    stem = (name[: date.start()] if date else name).rstrip("_-. ").lower()
    return stem or name.lower()


def balanced_folds(places: Sequence[Place], patches: Sequence[int], folds: int) -> list[int]:
    """Return the fold of each scene, from 0; near scenes share a fold.

    Places are assigned from the largest to the smallest, each to the fold with the fewest patches.
    """
    groups = sorted(near_groups(places), key=lambda group: -sum(patches[scene] for scene in group))
    filled = [0] * folds
    fold_of = [0] * len(places)
    for group in groups:
        fold = filled.index(min(filled))
        for scene in group:
            fold_of[scene] = fold
            filled[fold] += patches[scene]
    return fold_of


def near_groups(places: Sequence[Place]) -> list[list[int]]:
    """Group scenes that are near each other, and return the indexes of each group, ordered by first scene."""
    from scipy.sparse.csgraph import connected_components

    near = np.array([one.is_near(other) for one in places for other in places], np.bool_)
    count, group_of = connected_components(near.reshape(len(places), len(places)), directed=False)
    return [np.flatnonzero(group_of == group).tolist() for group in range(count)]


def _degrees(grid: Grid) -> tuple[float, float, float, float] | None:
    """Return west, south, east and north of a grid in degrees, or None if unknown."""
    if grid.crs is None:
        return None
    from rasterio.errors import RasterioError
    from rasterio.transform import array_bounds
    from rasterio.warp import transform_bounds

    try:
        bounds = transform_bounds(grid.crs, "EPSG:4326", *array_bounds(grid.height, grid.width, grid.transform))
    except (RasterioError, ValueError):  # for example a local grid
        return None
    west, south, east, north = map(float, bounds)
    return (west, south, east, north) if all(map(math.isfinite, bounds)) else None
