"""Finds other acquisitions of a place, chooses the best of them, and reads them on the scene's grid.

A reference may be any raster or product, on any grid. Its own gaps, clouds and shadows aren't usable, nor are pixels
that landsat-fill filled. How well a reference serves is measured in small windows spread over the scene: the share
of the gaps that it covers, its shift, and its agreement with the scene.
"""

from __future__ import annotations

import re
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from landsat_fill.errors import InputError, LandsatFillError
from landsat_fill.gaps.quality import BITS, CODES, flagged_pixels
from landsat_fill.io import SceneReader, find_inputs, open_input
from landsat_fill.io.output_names import FILL, is_ours, output_stem
from landsat_fill.io.reference_index import SUFFIX, IndexedScene, degree_bounds, index_text, may_overlap, read_index
from landsat_fill.io.regridding import Regridding
from landsat_fill.pipeline.compose import FillCode
from landsat_fill.scene import BandRole, Reference, Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType

    from numpy.typing import NDArray

    from landsat_fill.io import Input
    from landsat_fill.pipeline.request import ReferenceRequest
    from landsat_fill.scene import Gaps, Scene, SceneBand

    ReadTarget = Callable[[Window], tuple[NDArray[np.generic], Gaps]]
    """Returns values and gaps of a window of the scene, `(band, row, col)`."""

SEASON_DAYS = 45
"""Largest difference of the days of the year within one season."""

SAMPLE_PX, SAMPLES_ACROSS = 128, 4
"""Side and number (in each direction) of the windows in which references are measured."""

MOST_MEASURED = 24
"""References of a folder that are measured; those nearest in season and time come first."""

LARGEST_SHIFT_PX = 4
"""Shifts are searched up to this many pixels in each direction."""

LEAST_SHIFT_PX = 0.25
"""Smaller shifts aren't corrected, because resampling costs more than they do."""

LEAST_COMMON = 200
"""Fewest pixels that scene and reference must share for agreement and shift to be measured."""

UNDECLARED_SHARE = 0.05
"""A number at an end of a reference's range that fills this share of it, unlike in the scene, is taken for missing."""


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
        assert_open = self._reader
        if assert_open is None:
            raise InputError(
                f"expected {self.facts.name} to be open, but it is closed", hint="Use it in a with statement."
            )
        values, usable = assert_open.read(window)
        for number in self.missing_numbers:
            usable &= values != number
        if self.scene.quality:
            quality = assert_open.read_quality(window)
            bands = tuple(band.band for band in self.scene.bands)
            for flag in ("cloud", "shadow"):
                if any(flag in (BITS | CODES).get(kind, ()) for kind in quality):
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
    colours = [_colour(band) for band in others]
    matches = tuple(
        colours.index(_colour(band)) if _colour(band) in colours and _colour(band) else None for band in bands
    )
    if any(match is not None for match in matches):
        return matches, None
    known = any(_colour(band) for band in bands) and any(colours)
    if not known and len(bands) == len(others):
        return tuple(
            range(len(bands))
        ), "its bands are matched by their order, because their names don't say what they are"
    return matches, None


_SENTINEL = {"b02": "blue", "b03": "green", "b04": "red", "b08": "nir", "b8a": "nir", "b11": "swir1", "b12": "swir2"}
"""Bands of Sentinel-2 that Landsat has, too. Source: ESA, Sentinel-2 MSI user guide, spatial resolution."""

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


def _colour(band: SceneBand) -> str | None:
    """Return the part of the spectrum a band sees, or None if unknown."""
    if band.band is not None:
        return "thermal" if band.band.role is BandRole.THERMAL else band.band.colour
    name = band.name.strip().lower()
    name = _SYNONYMS.get(name, name)
    return name if name in _COLOURS else _SENTINEL.get(name)


def find_references(scene: Scene, request: ReferenceRequest) -> tuple[list[OpenReference], list[Suitability]]:
    """Return the references that may serve a scene, unmeasured, and what is known of those that can't.

    Args:
        scene: The scene.
        request: Where to look, and the limits of time.

    Raises:
        InputError: If a reference that the user named can't be used.
    """
    found: list[OpenReference] = []
    refused: list[Suitability] = []
    for given, is_named in _inputs(request, scene):
        try:
            opened = _opened(given, scene, request, is_named=is_named)
        except LandsatFillError as error:
            if is_named:
                raise
            refused.append(Suitability(given.name, str(given.source), reason=str(error)))
            continue
        if isinstance(opened, Suitability):
            if is_named:
                raise InputError(
                    f"expected {given.source} to serve as a reference of {scene.name}, but {opened.reason}",
                    hint="Leave it out; `landsat-fill references` shows what a reference is worth.",
                )
            if opened.reason:
                refused.append(opened)
        else:
            found.append(opened)
    return found, refused


def _inputs(request: ReferenceRequest, scene: Scene) -> Iterator[tuple[Input, bool]]:
    """Yield each input that may be a reference once, and whether the user named it."""
    seen: set[str] = set()
    folders = [source for source in request.archives if not source.endswith(SUFFIX)]
    indexed = [
        one.source
        for source in request.archives
        if source.endswith(SUFFIX)
        for one in read_index(Path(source))
        if may_overlap(one.bounds, degree_bounds(scene.grid))
        and _problem_of_day(day_of(scene), one.day, request) is None
    ]
    for arguments, is_named in ((request.named, True), (folders, False), (indexed, False)):
        if not arguments:
            continue
        inputs, bad = find_inputs(list(arguments))
        if is_named and bad:
            raise bad[0][1]
        for given in inputs:
            if str(given.source) not in seen:
                seen.add(str(given.source))
                yield given, is_named


def _problem_of_day(ours: date | None, theirs: date | None, request: ReferenceRequest) -> str | None:
    """Return why a day lies outside the limits, or None."""
    if ours is None or theirs is None:
        return None
    if request.within_days is not None and abs((theirs - ours).days) > request.within_days:
        return f"it lies {abs((theirs - ours).days)} days apart"
    if request.same_season and _season_apart(ours, theirs) > SEASON_DAYS:
        return "it is of another season"
    return None


def index_of(sources: Sequence[str]) -> tuple[str, list[str]]:
    """Return the index of all acquisitions in folders as JSON, and a line for each input that can't be opened."""
    inputs, bad = find_inputs(list(sources))
    scenes, problems = [], [f"{source}: {error.message}" for source, error in bad]
    for given in inputs:
        try:
            first, *_ = open_input(given)
            scenes.append(
                IndexedScene(str(Path(str(given.source)).absolute()), degree_bounds(first.grid), day_of(first))
            )
        except LandsatFillError as error:
            problems.append(f"{given.name}: {error.message}")
    return index_text(scenes), problems


def _opened(given: Input, scene: Scene, request: ReferenceRequest, *, is_named: bool) -> OpenReference | Suitability:
    """Return a reference, or the reason why it can't serve; an empty reason for the scene itself."""
    facts = Suitability(given.name, str(given.source))
    if _same_file(given.source, scene.source):
        return replace(facts, reason="it is the scene itself" if is_named else "")
    candidates = open_input(given)
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
    source = Path(str(given.source))
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


def _season_apart(one: date, other: date) -> int:
    days = abs(one.timetuple().tm_yday - other.timetuple().tm_yday)
    return min(days, 365 - days)


def choose_references(
    scene: Scene, read: ReadTarget, found: Sequence[OpenReference], request: ReferenceRequest, *, every: bool = False
) -> tuple[list[OpenReference], list[Suitability]]:
    """Return the references to use, best first, and the facts of all.

    References are added one at a time: each time the one that most raises the agreement at the gap pixels.

    Args:
        scene: The scene.
        read: Reads the scene.
        found: The candidates.
        request: The limits.
        every: Whether all that serve are used, instead of `request.most`.
    """
    ranked = sorted(found, key=lambda one: _distance(scene, one.facts))
    near, far = (ranked, []) if every else (ranked[:MOST_MEASURED], ranked[MOST_MEASURED:])
    windows = sample_windows(scene.grid.height, scene.grid.width)
    targets = [read(window) for window in windows]
    measured: list[tuple[OpenReference, list[NDArray[np.bool_]]]] = []
    refused = [replace(one.facts, reason=f"{MOST_MEASURED} others lie nearer in season and time") for one in far]
    for one in near:
        try:
            with one:
                better, covered = _measured(one, targets, windows, align=request.align)
        except LandsatFillError as error:
            refused.append(replace(one.facts, reason=str(error)))
            continue
        if better.facts.covers == 0:
            refused.append(replace(better.facts, reason="it covers none of the gaps"))
        else:
            measured.append((better, covered))
    chosen: list[OpenReference] = []
    best = [np.zeros(gaps.missing[0].shape) for _, gaps in targets]
    while measured and (every or len(chosen) < request.most):
        gains = [_gain(one, covered, best) for one, covered in measured]
        at = int(np.argmax(gains))
        one, covered = measured.pop(at)
        chosen.append(replace(one, facts=replace(one.facts, used=True, reason=_worth(one.facts)), _open=ExitStack()))
        worth = _agreement(one.facts)
        best = [np.where(where, np.maximum(before, worth), before) for where, before in zip(covered, best, strict=True)]
    refused += [replace(one.facts, reason="others agree better or cover more") for one, _ in measured]
    return chosen, [*(one.facts for one in chosen), *refused]


def _worth(facts: Suitability) -> str:
    return f"usable at {facts.covers:.0%} of the gap pixels"


def _agreement(facts: Suitability) -> float:
    return 0.1 if facts.agreement is None else max(facts.agreement, 0.01)


def _gain(one: OpenReference, covered: Sequence[NDArray[np.bool_]], best: Sequence[NDArray[np.float64]]) -> float:
    """Return the mean gain of agreement at gap pixels, and a little for the second view of a pixel."""
    worth = _agreement(one.facts)
    total = sum(where.size for where in covered)
    gained = sum(
        float((np.maximum(worth - before, 0) + 0.1 * worth)[where].sum())
        for where, before in zip(covered, best, strict=True)
    )
    return gained / max(total, 1)


def _distance(scene: Scene, facts: Suitability) -> float:
    """Return how far a reference lies in season and time: a day of season counts as ten."""
    ours = day_of(scene)
    if ours is None or facts.date is None or facts.days is None:
        return float("inf")
    return 10.0 * _season_apart(ours, facts.date) + abs(facts.days)


def sample_windows(height: int, width: int) -> list[Window]:
    """Return windows spread evenly over a grid."""

    def starts(size: int) -> list[int]:
        count = min(SAMPLES_ACROSS, -(-size // SAMPLE_PX))
        return sorted({int(start) for start in np.linspace(0, max(size - SAMPLE_PX, 0), count).round()})

    return [
        Window(row, col, min(SAMPLE_PX, height), min(SAMPLE_PX, width))
        for row in starts(height)
        for col in starts(width)
    ]


def _measured(
    one: OpenReference, targets: Sequence[tuple[NDArray[np.generic], Gaps]], windows: Sequence[Window], *, align: bool
) -> tuple[OpenReference, list[NDArray[np.bool_]]]:
    """Return a reference with its facts and its shift corrected, and where it is usable in the gaps of each window."""
    views = [one.read(window) for window in windows]
    numbers = _undeclared_numbers(one, views, targets)
    if numbers:
        said = ", ".join(f"{number:g}" for number in numbers)
        note = f"much of it is {said}, which its nodata doesn't say; these pixels aren't used"
        one = replace(one, missing_numbers=numbers, facts=replace(one.facts, notes=(*one.facts.notes, note)))
        views = [replace(view, usable=view.usable & ~np.isin(view.values, numbers)) for view in views]
    shift = estimate_shift(targets, views)
    if shift is not None and max(map(abs, shift)) >= LEAST_SHIFT_PX:
        said = f"it lies {shift[0]:+.2f} rows and {shift[1]:+.2f} columns off"
        if align:
            moved = replace(one.regridding, shift_px=shift)
            one = replace(
                one, regridding=moved, facts=replace(one.facts, notes=(*one.facts.notes, said + ", which is corrected"))
            )
            views = [one.read(window) for window in windows]
        else:
            one = replace(one, facts=replace(one.facts, notes=(*one.facts.notes, said)))
    usable = [
        np.logical_and.reduce([view.usable[0, match] for match in one.matches if match is not None]) for view in views
    ]
    covered = [where & gaps.missing.any(axis=0) for where, (_, gaps) in zip(usable, targets, strict=True)]
    gap_pixels = sum(int(gaps.missing.any(axis=0).sum()) for _, gaps in targets)
    facts = replace(
        one.facts,
        clear=float(np.mean([where.mean() for where in usable])),
        covers=sum(int(where.sum()) for where in covered) / max(gap_pixels, 1),
        shift_px=shift,
        agreement=_squared_correlation(targets, views, one.matches),
    )
    return replace(one, facts=facts, _open=ExitStack(), _reader=None, _layer_reader=None), covered


def _undeclared_numbers(
    one: OpenReference, views: Sequence[Reference], targets: Sequence[tuple[NDArray[np.generic], Gaps]]
) -> tuple[float, ...]:
    """Return the smallest and largest numbers that are common in the reference, but not in the scene."""
    found = []
    used = [match for match in one.matches if match is not None]
    values = np.concatenate([view.values[0, used].reshape(len(used), -1) for view in views], axis=1)
    usable = np.concatenate([view.usable[0, used].reshape(len(used), -1) for view in views], axis=1).all(axis=0)
    if not usable.any():
        return ()
    for end in (values[:, usable].min(), values[:, usable].max()):
        alike = (values == end).all(axis=0) & usable
        share = np.count_nonzero(alike) / np.count_nonzero(usable)
        in_scene = np.mean(
            [np.mean((stored == end)[gaps.usable]) if gaps.usable.any() else 0.0 for stored, gaps in targets]
        )
        if UNDECLARED_SHARE < share < 1 and in_scene < UNDECLARED_SHARE / 5:
            found.append(float(end))
    return tuple(found)


def _pairs(
    targets: Sequence[tuple[NDArray[np.generic], Gaps]],
    views: Sequence[Reference],
    matches: Sequence[int | None],
    band: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the common pixels of a band of the scene and of the reference."""
    ours, theirs = [], []
    match = matches[band]
    for (stored, gaps), view in zip(targets, views, strict=True):
        if match is not None:
            common = gaps.usable[band] & view.usable[0, match]
            ours.append(stored[band][common])
            theirs.append(view.values[0, match][common])
    return np.concatenate(ours).astype(np.float64), np.concatenate(theirs).astype(np.float64)


def _squared_correlation(
    targets: Sequence[tuple[NDArray[np.generic], Gaps]], views: Sequence[Reference], matches: Sequence[int | None]
) -> float | None:
    squares = []
    for band, match in enumerate(matches):
        if match is None:
            continue
        ours, theirs = _pairs(targets, views, matches, band)
        if ours.size >= LEAST_COMMON and ours.std() > 0 and theirs.std() > 0:
            squares.append(float(np.corrcoef(ours, theirs)[0, 1] ** 2))
    return float(np.mean(squares)) if squares else None


def estimate_shift(
    targets: Sequence[tuple[NDArray[np.generic], Gaps]], views: Sequence[Reference]
) -> tuple[float, float] | None:
    """Return the rows and columns by which a reference's content lies below and to the right of the scene's.

    The normalised cross-correlation of the common pixels is computed for each shift by whole pixels; a parabola
    through its peak gives the fraction.

    Returns:
        The shift, or None if the peak is weak or at the edge of the search.

    Source: Padfield 2012, Masked object registration in the Fourier domain, doi:10.1109/TIP.2011.2181402.
    """
    reach = LARGEST_SHIFT_PX
    scores = np.zeros((2 * reach + 1, 2 * reach + 1))
    weights = 0.0
    for (stored, gaps), view in zip(targets, views, strict=True):
        for band, match in enumerate(view.matches):
            height, width = stored.shape[1:]
            if match is None or min(height, width) < 6 * reach:
                continue
            core = np.s_[reach : height - reach, reach : width - reach]
            ours, known = stored[band][core].astype(np.float64), gaps.usable[band][core]
            theirs, usable = view.values[0, match].astype(np.float64), view.usable[0, match]
            found = np.zeros_like(scores)
            for down, right in np.ndindex(*scores.shape):
                moved = np.s_[down : down + ours.shape[0], right : right + ours.shape[1]]
                common = known & usable[moved]
                found[down, right] = _correlation(ours[common], theirs[moved][common])
            if np.isfinite(found).all():
                weight = abs(found).max()
                scores += weight * np.sign(found[reach, reach] or 1.0) * found
                weights += weight
    if weights == 0:
        return None
    scores /= weights
    row, col = np.unravel_index(int(np.argmax(scores)), scores.shape)
    if scores[row, col] < 0.1 or not (0 < row < 2 * reach and 0 < col < 2 * reach):
        return None
    return (
        float(row - reach + _vertex(scores[row - 1 : row + 2, col])),
        float(col - reach + _vertex(scores[row, col - 1 : col + 2])),
    )


def _correlation(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> float:
    if ours.size < LEAST_COMMON:
        return np.nan
    ours, theirs = ours - ours.mean(), theirs - theirs.mean()
    spread = np.sqrt((ours @ ours) * (theirs @ theirs))
    return float(ours @ theirs / spread) if spread > 0 else np.nan


def _vertex(three: NDArray[np.float64]) -> float:
    """Return where a parabola through three values peaks, from the middle one."""
    curvature = three[0] - 2 * three[1] + three[2]
    return float(np.clip(0.5 * (three[0] - three[2]) / curvature, -0.5, 0.5)) if curvature < 0 else 0.0
