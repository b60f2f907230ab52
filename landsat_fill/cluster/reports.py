"""Reports on an archive: the status of each scene, and the merged report, summary and STAC item collection.

Items are made with `pystac`, because `rio-stac` makes items of single rasters with their bounds as outline.
Items here have several files, and outlines are cut at the antimeridian.

Source: SpatioTemporal Asset Catalog specification, item-spec, and its projection extension.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime, time
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from landsat_fill.cluster.archive import Listed, ManifestLine, Round, report_rows
from landsat_fill.errors import InputError
from landsat_fill.io import claim_owner, find_inputs, open_input, write_text_atomically
from landsat_fill.io.atomic import MARK_NAME, STAGING_SUFFIX, read_mark
from landsat_fill.io.gdal import gdal_session
from landsat_fill.io.usgs_names import read_name
from landsat_fill.pipeline.plan import is_done
from landsat_fill.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pystac

    from landsat_fill.cluster.archive import Archive
    from landsat_fill.cluster.slurm import QueuedTask, Slurm
    from landsat_fill.scene import Grid, Scene


LOG_TAIL_BYTES, LAST_LINES, LONGEST_QUOTE = 4096, 4, 160


class State(Enum):
    """The status of a scene."""

    DONE = "done"
    RUNNING = "running"
    WAITING = "waiting"
    FAILED = "failed"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class SceneState:
    """A scene and its status.

    Attributes:
        listed: The scene.
        state: Its status.
        reason: Why it failed or is missing, the process that fills it, or what it waits for; or empty.
        row: The last report row from its task, or None.
    """

    listed: Listed
    state: State
    reason: str = ""
    row: dict[str, object] | None = None


def scene_states(archive: Archive, slurm: Slurm | None) -> list[SceneState]:
    """Return the status of each scene, in the order of the manifests.

    Args:
        archive: The archive.
        slurm: The cluster whose queue is read, or None to use files only.

    Raises:
        InputError: If the folder isn't an archive, or one of its files can't be read.
    """
    facts = {one.folder: one.facts for one in archive.rounds}
    rows = {(one.folder, str(row["target"])): row for one in archive.rounds for row in one.rows()}
    arrays = {one.folder: one.arrays for one in archive.rounds}
    jobs = [array.job for of_round in arrays.values() for array in of_round]
    queue = slurm.queue(jobs) if slurm is not None else None
    ended = slurm.ended(jobs) if slurm is not None else {}

    def task_of(listed: Listed) -> tuple[str, int] | None:
        task = listed.number % facts[listed.round.folder].tasks + 1
        before = [array for array in arrays[listed.round.folder] if array.offset < task]
        return (before[-1].job, task - before[-1].offset) if before else None

    states = []
    for listed in archive.scenes():
        row = rows.get((listed.round.folder, str(listed.line.target)))
        since_ns = listed.round.began_ns if facts[listed.round.folder].overwrite else None
        task = task_of(listed)
        queued = queue.get(task) if queue is not None and task is not None else None
        state, reason = _state(listed, row, since_ns, queued)
        if state is State.MISSING and task is not None and task in ended and not reason:
            reason = f"its task ended: {ended[task]}"
        if state is State.MISSING and not reason:
            reason = _silence(listed.round, listed.number, is_submitted=task is not None)
        states.append(SceneState(listed, state, reason, row))
    return states


def shard_states(archive: Archive, reports: Sequence[Path] = ()) -> list[SceneState]:
    """Return the status of each scene that runs without Slurm have begun, such as those of `fill --shard`.

    Reports, marks and what a killed run has left say which scenes these are; scenes that no run has begun leave no
    trace.

    Args:
        archive: The folder of the outputs.
        reports: Reports outside that folder.

    Raises:
        InputError: If a report can't be read, or there is neither a report nor an output.
    """
    folder = archive.folder
    rows: dict[Path, dict[str, object]] = {}
    for path in (*sorted(folder.glob("*.jsonl")), *reports):
        for row in report_rows(path):
            rows[_place_of(str(row["target"]), folder)] = row
    for name in sorted(folder.rglob(f"*{MARK_NAME}")):
        target = name.parent if name.name == MARK_NAME else name.with_name(name.name[1 : -len(MARK_NAME)])
        mark = read_mark(target)
        if mark is not None:
            rows[target] = rows.get(target, {}) | dict(mark.facts["row"])
    begun = {path.with_name(path.name[1 : -len(STAGING_SUFFIX)]) for path in folder.rglob(f".*{STAGING_SUFFIX}")}
    rows |= {target: {"error": "a run ended while it filled this scene"} for target in sorted(begun - rows.keys())}
    if not rows:
        raise InputError(
            f"expected outputs of landsat-fill in {folder}, but got none",
            hint="Give the folder that was given to `fill` or `cluster submit` with -o.",
        )
    states = []
    for number, (target, row) in enumerate(rows.items()):
        listed = Listed(ManifestLine(str(row.get("source", target)), target), Round(folder), number)
        states.append(SceneState(listed, *_state(listed, row, None, None), row))
    return states


def _place_of(target: str, folder: Path) -> Path:
    """Return the target of a report's row in `folder`, although the run may have had another working directory."""
    path = Path.cwd() / target
    tails = (folder.joinpath(*path.parts[start:]) for start in range(1, len(path.parts)))
    return path if path.is_relative_to(folder) else next((tail for tail in tails if tail.exists()), path)


def busy_targets(archive: Archive, slurm: Slurm) -> set[Path]:
    """Return the outputs that a task of an earlier round writes or will write."""
    if not archive.has_rounds:
        return set()
    busy = (State.RUNNING, State.WAITING)
    return {one.listed.line.target for one in scene_states(archive, slurm) if one.state in busy}


def _state(
    listed: Listed, row: dict[str, object] | None, since_ns: int | None, queued: QueuedTask | None
) -> tuple[State, str]:
    """Return the status of a scene and its reason."""
    target = listed.line.target
    has_failed = row is not None and row.get("status") == "failed"
    if is_done(target, since_ns):
        mark = read_mark(target)
        # A finished scene can fail later, in a round with other options.
        failed_at = str(row.get("time", "")) if row is not None and has_failed else ""
        if mark is None or failed_at <= str(mark.facts["row"].get("time", "")):
            return State.DONE, ""
    owner = claim_owner(target)
    if owner is not None:
        return State.RUNNING, str(owner)
    if has_failed and row is not None:
        return State.FAILED, str(row.get("error"))
    if queued is not None:
        why = f"{queued.reason}, may start {queued.start}" if queued.waits else "its task runs"
        return State.WAITING, why
    return State.MISSING, str(row.get("error") or "") if row is not None else ""


def _silence(of_round: Round, number: int, *, is_submitted: bool) -> str:
    """Return the reason for a scene without a report."""
    if not is_submitted:
        return "its task was never submitted"
    log = of_round.log(of_round.task_of(number))
    last = last_line(log)
    if last is None:
        return "its task never began: cancelled, or not started yet"
    return f"its task ended early; {log} ends with: {last}"


def last_line(log: Path) -> str | None:
    """Return the most informative line at the end of a log, or None without a log.

    A line of Slurm about a killed process takes precedence over the process's own last line.
    """
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - LOG_TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return None
    lines = [line.strip()[:LONGEST_QUOTE] for line in text.splitlines() if line.strip()]
    last = lines[-LAST_LINES:]
    return next((line for line in reversed(last) if line.startswith("slurmstepd")), last[-1] if last else "nothing")


PLATFORMS = {"LE07": "landsat-7", "LT05": "landsat-5", "LT04": "landsat-4", "LC08": "landsat-8", "LC09": "landsat-9"}

PROCESSING = "https://stac-extensions.github.io/processing/v1.2.0/schema.json"

FIRST_LANDSAT = datetime(1972, 7, 23, tzinfo=UTC)
"""Launch of Landsat 1. Source: USGS, Landsat Satellite Missions."""

OUTLINE_STEPS = 6
"""Points on each side of an outline, because straight sides are curved in longitude and latitude."""

ENDINGS = {"_fill": "fill", "_std": "std"}


def item_collection(folder: Path, states: Sequence[SceneState]) -> tuple[dict[str, Any], list[str]]:
    """Return the collection of finished scenes, with paths relative to `folder`, and errors of the others."""
    import pystac

    items, without = [], []
    with gdal_session():  # one session, because an archive has thousands of scenes
        for one in states:
            if one.state is not State.DONE:
                continue
            try:
                items.append(_item(folder, one))
            except InputError as error:
                without.append(f"{one.listed.line.target}: {error.message}")
    return pystac.ItemCollection(items, clone_items=False).to_dict(), without


def _item(folder: Path, one: SceneState) -> pystac.Item:
    """Return the item of a scene.

    Raises:
        InputError: If its output can't be opened.
    """
    import pystac
    from pystac.extensions.projection import ProjectionExtension

    target = one.listed.line.target
    found, bad = find_inputs([str(target)])
    if bad:
        raise bad[0][1]
    scene = open_input(found[0])[0]
    geometry, bbox = _outline(scene.grid)
    item = pystac.Item(
        id=str(target.relative_to(folder).with_suffix("")) if target.is_relative_to(folder) else target.stem,
        geometry=geometry,
        bbox=bbox,
        properties=_properties(one, scene),
        **_dates(one, scene),
    )
    item.stac_extensions.append(PROCESSING)
    projection = ProjectionExtension.ext(item, add_if_missing=True)
    epsg = scene.grid.crs.to_epsg() if scene.grid.crs is not None else None
    projection.apply(
        epsg=epsg,
        wkt2=scene.grid.crs.to_wkt() if scene.grid.crs is not None and epsg is None else None,
        shape=[scene.grid.height, scene.grid.width],
        transform=list(scene.grid.transform)[:6],
    )
    for path in _files(one):
        item.add_asset(_key(path, target), _asset(path, folder, target, scene))
    return item


def _files(one: SceneState) -> list[Path]:
    """Return the files of a scene: those its task reported, or those at its target."""
    listed = one.row.get("files") if one.row is not None else None
    files = [path for name in listed if (path := Path(str(name))).exists()] if isinstance(listed, list) else []
    target = one.listed.line.target
    return files or (sorted(target.glob("*.[tT][iI][fF]")) if target.is_dir() else [target])


def _key(path: Path, target: Path) -> str:
    """Return the key of a file: `data`, `fill`, `std`, `preview`, or its name in a product."""
    if path == target:
        return "data"
    if path.suffix == ".png":
        return "preview"
    if target.is_dir():
        return path.stem
    name = path.stem
    return next((key for ending, key in ENDINGS.items() if name.endswith(ending)), name.rpartition("_")[2] or name)


def _asset(path: Path, folder: Path, target: Path, scene: Scene) -> pystac.Asset:
    import pystac

    href = Path(os.path.relpath(path, folder)).as_posix()
    if path.suffix == ".png":
        return pystac.Asset(href, media_type=pystac.MediaType.PNG, roles=["overview"])
    is_layer = path.stem.endswith(tuple(ENDINGS))
    bands = [band for band in scene.bands if path in (target, Path(band.dataset))]
    extra = {"bands": [{"name": band.name} for band in bands]} if bands and not is_layer else {}
    roles = ["metadata"] if is_layer else ["data"]
    return pystac.Asset(href, media_type=pystac.MediaType.GEOTIFF, roles=roles, extra_fields=extra)


def _properties(one: SceneState, scene: Scene) -> dict[str, Any]:
    row = one.row or {}
    properties: dict[str, Any] = {"processing:software": {"landsat-fill": str(row.get("version", __version__))}}
    sensor = scene.sensor or (facts.sensor if (facts := _facts(one)) else None)
    if sensor in PLATFORMS:
        properties["platform"] = PLATFORMS[sensor]
    if scene.grid.pixel_size_m is not None:
        properties["gsd"] = scene.grid.pixel_size_m
    for name in ("method", "missing_percent"):
        if name in row:
            properties[f"landsat_fill:{name}"] = row[name]
    return properties


def _dates(one: SceneState, scene: Scene) -> dict[str, Any]:
    """Return the date of a scene, or the span of possible dates if unknown."""
    day = scene.acquired or (facts.acquired if (facts := _facts(one)) else None)
    if day is not None:
        begin, end = (datetime.combine(day, at, UTC) for at in (time(), time(23, 59, 59)))
        return {"datetime": begin, "start_datetime": begin, "end_datetime": end}
    filled = datetime.fromtimestamp(one.listed.line.target.stat().st_mtime, UTC)
    return {"datetime": None, "start_datetime": FIRST_LANDSAT, "end_datetime": filled}


def _facts(one: SceneState) -> Any:
    """Return the facts in the source's file name, or None."""
    line = one.listed.line
    return read_name(f"{line.product}.tif" if line.product else Path(line.source).name)


def _outline(grid: Grid) -> tuple[dict[str, Any] | None, list[float] | None]:
    """Return outline and bounds of a grid in longitude and latitude, or None without a CRS."""
    if grid.crs is None:
        return None, None
    from rasterio.warp import transform_geom

    steps = [number / (OUTLINE_STEPS - 1) for number in range(OUTLINE_STEPS - 1)]
    width, height = grid.width, grid.height
    ring = [
        *((step * width, 0) for step in steps),
        *((width, step * height) for step in steps),
        *((width - step * width, height) for step in steps),
        *((0, height - step * height) for step in steps),
        (0, 0),
    ]
    a, b, c, d, e, f = grid.transform[:6]
    corners = [(a * col + b * row + c, d * col + e * row + f) for col, row in reversed(ring)]
    outline = {"type": "Polygon", "coordinates": [corners]}
    geometry = transform_geom(grid.crs, "EPSG:4326", outline, antimeridian_cutting=True, precision=6)
    polygons = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
    longitudes = [[point[0] for point in polygon[0]] for polygon in polygons]
    latitudes = [point[1] for polygon in polygons for point in polygon[0]]
    west, east = min(map(min, longitudes)), max(map(max, longitudes))
    if len(polygons) > 1:  # at the antimeridian, the west of the scene is in the eastern hemisphere
        west = min(min(part) for part in longitudes if min(part) >= 0)
        east = max(max(part) for part in longitudes if max(part) <= 0)
    return geometry, [west, min(latitudes), east, max(latitudes)]


REPORT_NAME, SUMMARY_NAME, ITEMS_NAME = "report.jsonl", "summary.json", "items.json"


def merge(archive: Archive, states: Sequence[SceneState]) -> dict[str, object]:
    """Write report, items and summary beside the outputs, and return the summary.

    The report has a row for each scene: the last row from its task, or its status without one. Merging again
    replaces all three files.

    Raises:
        OutputError: If a write fails.
    """
    rows = [_row(one) for one in states]
    write_text_atomically(archive.folder / REPORT_NAME, "".join(f"{json.dumps(row)}\n" for row in rows))
    items, without_item = item_collection(archive.folder, states)
    write_text_atomically(archive.folder / ITEMS_NAME, json.dumps(items) + "\n")
    summary = summary_of(states, rows)
    summary["without item"] = without_item
    write_text_atomically(archive.folder / SUMMARY_NAME, json.dumps(summary, indent=1) + "\n")
    return summary


def summary_of(states: Sequence[SceneState], rows: Sequence[dict[str, object]]) -> dict[str, object]:
    """Return the counts of an archive and its unfinished scenes, from states and report rows."""
    counts = {state.value: sum(one.state is state for one in states) for state in State}
    tallies = [tally for row in rows if isinstance(tally := row.get("tally"), dict)]
    seconds = [float(value) for row in rows if isinstance(value := row.get("seconds"), int | float)]
    return {
        "scenes": len(states),
        **{name: number for name, number in counts.items() if number},
        "pixels filled": sum(int(tally.get("filled", 0)) for tally in tallies),
        "pixels left": sum(int(tally.get("left", 0)) for tally in tallies),
        "scene seconds": round(sum(seconds), 1),
        "not done": [
            {"source": one.listed.line.source, "state": one.state.value, "reason": one.reason}
            for one in states
            if one.state is not State.DONE
        ],
    }


def _row(one: SceneState) -> dict[str, object]:
    """Return the row of a scene in the report of the archive."""
    line = one.listed.line
    if one.row is not None and (one.state is State.FAILED or one.row.get("status") in ("filled", "no gaps")):
        return one.row
    row: dict[str, object] = {"source": line.source, "target": str(line.target), "status": one.state.value}
    if one.reason:
        row["error"] = one.reason
    return row
