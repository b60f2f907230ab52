"""An index of acquisitions: STAC items with outline and day, so that an archive's headers are read once."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from landsat_fill.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from landsat_fill.scene import Grid

    Bounds = tuple[float, float, float, float]
    """West, south, east and north in degrees."""

SUFFIX = ".json"


class IndexedScene(NamedTuple):
    """An acquisition of an index.

    Attributes:
        source: File, folder or archive.
        bounds: Its outline's bounds in degrees, or None if it has no coordinate reference system.
        day: Day of acquisition, or None.
    """

    source: str
    bounds: Bounds | None
    day: date | None


def degree_bounds(grid: Grid) -> Bounds | None:
    """Return the bounds of a grid in degrees, or None without a coordinate reference system."""
    from rasterio.transform import array_bounds
    from rasterio.warp import transform_bounds

    if grid.crs is None:
        return None
    west, south, east, north = transform_bounds(
        grid.crs, "EPSG:4326", *array_bounds(grid.height, grid.width, grid.transform)
    )
    return west, south, east, north


def index_text(scenes: Sequence[IndexedScene]) -> str:
    """Return an index as the JSON text of a STAC item collection."""
    import pystac

    items = []
    for number, scene in enumerate(scenes):
        day = None if scene.day is None else datetime(scene.day.year, scene.day.month, scene.day.day, tzinfo=UTC)
        item = pystac.Item(
            id=f"{number}-{Path(scene.source).name}",
            geometry=None if scene.bounds is None else _outline(scene.bounds),
            bbox=None if scene.bounds is None else list(scene.bounds),
            datetime=day or datetime(1970, 1, 1, tzinfo=UTC),
            properties={"landsat_fill:day_is_known": day is not None},
        )
        item.add_asset("data", pystac.Asset(href=scene.source, roles=["data"]))
        items.append(item)
    return json.dumps(pystac.ItemCollection(items, clone_items=False).to_dict(), indent=1)


def _outline(bounds: Bounds) -> dict[str, object]:
    west, south, east, north = bounds
    return {
        "type": "Polygon",
        "coordinates": [[[west, south], [east, south], [east, north], [west, north], [west, south]]],
    }


def read_index(path: Path) -> list[IndexedScene]:
    """Return the acquisitions of an index.

    Raises:
        InputError: If the file can't be read, or isn't a STAC item collection with data assets.
    """
    try:
        items = json.loads(path.read_text(encoding="utf-8"))["features"]
        return [_indexed(item, path.parent) for item in items]
    except (OSError, ValueError, KeyError, TypeError, StopIteration) as error:
        raise InputError(
            f"expected {path} to be a STAC item collection, but got {type(error).__name__}: {error}",
            hint="Make it with `landsat-fill references --index ARCHIVE -o FILE.json`.",
        ) from error


def _indexed(item: dict[str, object], folder: Path) -> IndexedScene:
    assets, properties = item["assets"], item["properties"]
    if not isinstance(assets, dict) or not isinstance(properties, dict):
        raise TypeError("an item without assets or properties")
    asset = assets.get("data") or next(iter(assets.values()))
    source = str(asset["href"])
    if "://" not in source and not Path(source).is_absolute():
        source = str(folder / source)
    bounds = item.get("bbox")
    known = properties.get("landsat_fill:day_is_known", True)
    day = datetime.fromisoformat(str(properties["datetime"])).date() if known else None
    if bounds is None:
        return IndexedScene(source, None, day)
    if not isinstance(bounds, list):
        raise TypeError("a bbox that is no list")
    west, south, east, north = map(float, bounds)
    return IndexedScene(source, (west, south, east, north), day)


def may_overlap(one: Bounds | None, other: Bounds | None) -> bool:
    """Return whether two outlines may share ground; an unknown one may lie anywhere."""
    if one is None or other is None:
        return True
    return one[0] <= other[2] and other[0] <= one[2] and one[1] <= other[3] and other[1] <= one[3]
