"""Finds other acquisitions of a place, and reads them on the scene's grid.

A reference may be any raster or product, on any grid. Its own gaps, clouds and shadows aren't usable, nor are pixels
that landsat-fill filled.
"""

from __future__ import annotations

import re
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Self, cast

from landsat_fill.errors import InputError, LandsatFillError
from landsat_fill.gaps.quality import BITS, CODES, flagged_pixels
from landsat_fill.io import SceneReader, find_inputs, open_input
from landsat_fill.io.archives import forget_unpacked
from landsat_fill.io.areas import NO_AREAS, with_areas
from landsat_fill.io.output_names import FILL, FillCode, is_ours, output_stem
from landsat_fill.io.reference_index import SUFFIX, IndexedScene, degree_bounds, index_text, may_overlap, read_index
from landsat_fill.io.regridding import Regridding
from landsat_fill.scene import BandRole, Reference, Window

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    import numpy as np
    from numpy.typing import NDArray

    from landsat_fill.io import Input
    from landsat_fill.io.areas import Areas
    from landsat_fill.pipeline.request import ReferenceRequest
    from landsat_fill.scene import Scene, SceneBand

SEASON_DAYS = 45
"""Largest difference of the days of the year within one season."""


@dataclass(frozen=True, slots=True)
class Suitability:
    """How well a reference serves a scene; a row of `landsat-fill references`.

    Attributes:
        name: Name of the reference.
        source: Its file, folder or archive.
        date: Day of acquisition, or None.
        days: Days from the scene to the reference, negative for an earlier one; None if unknown.
        clear: Usable share of its pixels within the scene.
        covers: Share of the scene's gap pixels where it is usable.
        shift_px: Rows and columns by which its content lies below and to the right, or None if unknown.
        agreement: Squared correlation with the scene, the mean of the bands, or None if unknown.
        used: Whether it is used.
        reason: Why, or why not.
        notes: Warnings for the user.
    """

    name: str
    source: str
    date: date | None = None
    days: int | None = None
    clear: float = 0.0
    covers: float = 0.0
    shift_px: tuple[float, float] | None = None
    agreement: float | None = None
    used: bool = False
    reason: str = ""
    notes: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Name and day."""
        return self.name if self.date is None else f"{self.name} ({self.date.isoformat()})"

    def as_dict(self) -> dict[str, object]:
        """Return the facts as JSON values."""
        return {
            "name": self.name,
            "date": None if self.date is None else self.date.isoformat(),
            "days": self.days,
            "clear": round(self.clear, 4),
            "covers": round(self.covers, 4),
            "shift_px": None if self.shift_px is None else [round(shift, 2) for shift in self.shift_px],
            "agreement": None if self.agreement is None else round(self.agreement, 4),
            "used": self.used,
            "reason": self.reason,
            "notes": list(self.notes),
        }


@dataclass(slots=True)
class OpenReference:
    """A reference that can be read on the scene's grid. A context manager; for one thread at a time.

    Attributes:
        scene: Its bands.
        matches: For each band of the target, the index of the reference band, or None.
        regridding: How it is read on the target's grid.
        facts: What is known of it.
        missing_numbers: Numbers that its metadata don't declare as missing, but that lie as missing pixels do.
    """

    scene: Scene
    matches: tuple[int | None, ...]
    regridding: Regridding
    facts: Suitability
    missing_numbers: tuple[float, ...] = ()
    _fill_layer: str | None = None
    _reader: SceneReader | None = None
    _layer_reader: SceneReader | None = None
    _open: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        """Open its files.

        Raises:
            InputError: If one can't be read.
        """
        self._reader = self._open.enter_context(SceneReader(self.scene))
        if self._fill_layer is not None:
            (layer,) = open_input(next(iter(find_inputs([self._fill_layer])[0])))
            self._layer_reader = self._open.enter_context(SceneReader(layer))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close its files."""
        self._open.close()

    def read(self, window: Window) -> Reference:
        """Return the pixels of a window of the target's grid, as one tile; values may keep the stored type.

        Raises:
            InputError: If a file can't be read there.
        """
        values, usable = self.regridding.read(self._read_source, len(self.scene.bands), window)
        return Reference(values[None], usable[None], self.matches, self.facts.date, self.facts.name)

    def _read_source(self, window: Window) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
        """Return values and usable pixels of a window of the reference's own grid."""
        reader = self._reader
        if reader is None:
            raise InputError(
                f"expected {self.facts.name} to be open, but it is closed", hint="Use it in a with statement."
            )
        values, usable = reader.read(window)
        for number in self.missing_numbers:
            usable &= values != number
        if self.scene.quality:
            quality = cast("dict[str, NDArray[np.integer]]", reader.read_quality(window))
            bands = tuple(band.band for band in self.scene.bands)
            for flag in ("cloud", "shadow"):
                if any(flag in table.get(kind, ()) for table in (BITS, CODES) for kind in quality):
                    usable &= ~flagged_pixels(flag, quality, bands)
        if self._layer_reader is not None:
            codes, _ = self._layer_reader.read(window)
            usable &= codes == FillCode.OBSERVED
        return values, usable


def match_bands(bands: Sequence[SceneBand], others: Sequence[SceneBand]) -> tuple[tuple[int | None, ...], str | None]:
    """Return for each band the index of the other band that sees the same part of the spectrum, and a warning.

    Bands are matched by what they are, across the sensors. Where neither side says what its bands are, equal
    numbers of bands are matched by order, with a warning.
    """
    ours, theirs = _colours(bands), _colours(others)
    matches = tuple(theirs.index(colour) if colour is not None and colour in theirs else None for colour in ours)
    if any(match is not None for match in matches):
        return matches, None
    known = any(ours) and any(theirs)
    if not known and len(bands) == len(others):
        return tuple(
            range(len(bands))
        ), "its bands are matched by their order, because their names don't say what they are"
    return matches, None


_SENTINEL = {"b02": "blue", "b03": "green", "b04": "red", "b08": "nir", "b8a": "nir", "b11": "swir1", "b12": "swir2"}
"""Bands of Sentinel-2 that Landsat has, too. Source: ESA, Sentinel-2 MSI user guide, spatial resolution."""

_HLS_LANDSAT = {
    "b02": "blue", "b03": "green", "b04": "red", "b05": "nir", "b06": "swir1", "b07": "swir2", "b10": "thermal",
}  # fmt: skip
"""Bands of the Landsat half of HLS, which are numbered as OLI's. Source: NASA, HLS Product User Guide v2.0."""

_SYNONYMS = {
    "near infrared": "nir",
    "nir08": "nir",
    "short-wave infrared 1": "swir1",
    "short-wave infrared 2": "swir2",
    "swir 1": "swir1",
    "swir 2": "swir2",
    "swir16": "swir1",
    "swir22": "swir2",
}
"""Other names of the bands: STAC's common names and those of atlases."""

_COLOURS = frozenset({"blue", "green", "red", "nir", "swir1", "swir2", "pan", "thermal"})


def _colours(bands: Sequence[SceneBand]) -> list[str | None]:
    """Return the part of the spectrum that each band sees, or None if unknown.

    B05 to B07 lie at the red edge in Sentinel-2, and in the infrared in HLS's Landsat half, which has B06 and B07 but
    none of the near-infrared bands of Sentinel-2.
    """
    names = [band.name.strip().lower() for band in bands]
    is_landsat = {"b06", "b07"} <= set(names) and not {"b08", "b8a"} & set(names)
    numbered = _HLS_LANDSAT if is_landsat else _SENTINEL

    def colour(band: SceneBand, name: str) -> str | None:
        if band.band is not None:
            return "thermal" if band.band.role is BandRole.THERMAL else band.band.colour
        name = _SYNONYMS.get(name, name)
        return name if name in _COLOURS else numbered.get(name)

    return [colour(*pair) for pair in zip(bands, names, strict=True)]


def find_references(
    scene: Scene, request: ReferenceRequest, areas: Areas = NO_AREAS
) -> tuple[list[OpenReference], list[Suitability]]:
    """Return the references that may serve a scene, unmeasured, and what is known of those that can't.

    Args:
        scene: The scene.
        request: Where to look, and the limits of time.
        areas: What the user gives for scenes; masks with `{name}` in their names count for references, too.

    Raises:
        InputError: If a reference that the user named can't be used.
    """
    found: list[OpenReference] = []
    refused: list[Suitability] = []
    for given, is_named in _inputs(request, scene):
        try:
            opened = _opened(given, scene, request, areas, is_named=is_named)
        except LandsatFillError as error:
            if is_named:
                raise
            refused.append(Suitability(given.name, given.label, reason=str(error)))
            continue
        if isinstance(opened, Suitability):
            if is_named:
                raise InputError(
                    f"expected {given.label} to serve as a reference of {scene.name}, but {opened.reason}",
                    hint="Leave it out; `landsat-fill references` shows what a reference is worth.",
                )
            if opened.reason:
                refused.append(opened)
        else:
            found.append(opened)
    return found, refused


def _inputs(request: ReferenceRequest, scene: Scene) -> Iterator[tuple[Input, bool]]:
    """Yield each input that may be a reference once, and whether the user named it."""
    seen: set[tuple[str, str | None]] = set()
    folders, indexed = _listed(request)
    nearby = [
        one.source
        for one in indexed
        if may_overlap(one.bounds, degree_bounds(scene.grid))
        and _problem_of_day(day_of(scene), one.day, request) is None
    ]
    # One call for each named input, because among several find_inputs leaves out what landsat-fill wrote.
    for arguments, is_named in (*(([name], True) for name in request.named), (folders, False), (nearby, False)):
        if not arguments:
            continue
        inputs, bad = find_inputs(arguments)
        for argument, error in bad:
            if is_named or argument in folders:
                raise error
        for given in inputs:
            if (given.source, given.entry) not in seen:
                seen.add((given.source, given.entry))
                yield given, is_named


def _listed(request: ReferenceRequest) -> tuple[list[str], list[IndexedScene]]:
    """Return the folders and lists of a request, and the acquisitions of its indexes."""
    indexes = [source for source in request.archives if source.endswith(SUFFIX)]
    folders = [source for source in request.archives if source not in indexes]
    return folders, [one for source in indexes for one in read_index(Path(source))]


def candidate_names(request: ReferenceRequest) -> list[str]:
    """Return the names of all acquisitions in the folders, lists and indexes of a request, sorted.

    Raises:
        InputError: If an index can't be read.
    """
    folders, indexed = _listed(request)
    found = find_inputs(folders)[0] if folders else []
    names = {one.entry or Path(one.source).name for one in found}
    return sorted(names | {Path(one.source).name for one in indexed})


def _problem_of_day(ours: date | None, theirs: date | None, request: ReferenceRequest) -> str | None:
    """Return why a day lies outside the limits, or None."""
    if ours is None or theirs is None:
        return None
    if request.within_days is not None and abs((theirs - ours).days) > request.within_days:
        return f"it lies {abs((theirs - ours).days)} days apart"
    if request.same_season and season_apart(ours, theirs) > SEASON_DAYS:
        return "it is of another season"
    return None


def index_of(sources: Sequence[str]) -> tuple[str, list[str]]:
    """Return the index of all acquisitions in folders as JSON, and a line for each input that can't be opened."""
    inputs, bad = find_inputs(list(sources))
    scenes, problems = [], [f"{source}: {error.message}" for source, error in bad]
    for given in inputs:
        try:
            first, *_ = open_input(given)
            scenes.append(IndexedScene(str(Path(given.source).absolute()), degree_bounds(first.grid), day_of(first)))
        except LandsatFillError as error:
            problems.append(f"{given.name}: {error.message}")
        forget_unpacked()
    return index_text(scenes), problems


def _opened(
    given: Input, scene: Scene, request: ReferenceRequest, areas: Areas, *, is_named: bool
) -> OpenReference | Suitability:
    """Return a reference, or the reason why it can't serve; an empty reason for the scene itself."""
    facts = Suitability(given.name, given.label)
    itself = replace(facts, reason="it is the scene itself" if is_named else "")
    if given.entry is None and _same_file(given.source, scene.source):
        return itself
    candidates = with_areas(open_input(given), areas.of_reference(given.name), given.name)
    if {band.dataset for one in candidates for band in one.bands} & {band.dataset for band in scene.bands}:
        return itself
    matched = [(other, *match_bands(scene.bands, other.bands)) for other in candidates]
    other, matches, warning = max(matched, key=lambda row: sum(match is not None for match in row[1]))
    ours, theirs = day_of(scene), day_of(other)
    days = (theirs - ours).days if ours and theirs else None
    facts = replace(facts, date=theirs, days=days, notes=() if warning is None else (warning,))
    if all(match is None for match in matches):
        names = ", ".join(band.name for band in other.bands)
        return replace(facts, reason=f"it has no band in common with the scene ({names})")
    if _is_same_acquisition(scene, other):
        return replace(facts, reason="it is the same acquisition" if is_named else "")
    problem = _problem_of_day(ours, theirs, request)
    if problem is not None:
        return replace(facts, reason=problem)
    regridding = Regridding(other.grid, scene.grid)
    if not regridding.overlaps():
        return replace(facts, reason="it doesn't overlap the scene")
    layer = None
    source = Path(given.source)
    if source.exists() and is_ours(source):
        layer = source.with_name(output_stem(source.name) + FILL)
        if not layer.exists():
            return replace(facts, reason="landsat-fill filled it, and its fill layer isn't beside it")
    return OpenReference(other, matches, regridding, facts, _fill_layer=None if layer is None else str(layer))


_DAY = re.compile(r"(?<!\d)((?:19|20)\d\d)[-_]?(\d\d)[-_]?(\d\d)(?!\d)")


def day_of(scene: Scene) -> date | None:
    """Return the day of acquisition: as the metadata say, or the first day in the name, such as `2001-08-13`."""
    if scene.acquired is not None:
        return scene.acquired
    for year, month, day in _DAY.findall(scene.name):
        with suppress(ValueError):
            return date(int(year), int(month), int(day))
    return None


def _same_file(one: Path | str, other: Path | str) -> bool:
    try:
        return Path(str(one)).samefile(str(other))
    except OSError:
        return str(one) == str(other)


def _is_same_acquisition(scene: Scene, other: Scene) -> bool:
    """Return whether two inputs are one acquisition: the same sensor, day and name up to the level."""
    if not (scene.acquired and other.acquired and scene.sensor and other.sensor):
        return False
    return (scene.acquired, scene.sensor, scene.name) == (other.acquired, other.sensor, other.name)


def season_apart(one: date, other: date) -> int:
    """Return the number of days between two days of the year, at most half a year."""
    days = abs(one.timetuple().tm_yday - other.timetuple().tm_yday)
    return min(days, 365 - days)
