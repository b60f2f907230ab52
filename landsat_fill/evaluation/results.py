"""What an evaluation found, as plain values: records, crops, summaries by method and by group."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.evaluation.metrics import data_limits
from landsat_fill.evaluation.scoring import SCORE_NAMES, mean_of_known
from landsat_fill.scene import Filled, Window, tile_windows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from landsat_fill.evaluation.scoring import Scores
    from landsat_fill.evaluation.trials import ObservedImage, Trial

    Reference = Mapping[tuple[object, ...], "Record"]


EXAMPLE_PX = 160
"""Side of the crop: five scan periods, so that single pixels can still be seen."""

NATURAL_COLOUR = ("red", "green", "blue")


@dataclass(frozen=True, slots=True)
class Example:
    """A crop of one trial. Arrays are `(band, row, col)`; all bands are kept.

    Attributes:
        scene: The image's name.
        pattern: The pattern's label.
        shown: Indexes of the three bands to show as red, green and blue, or of one to show as grey.
        detail: How much detail the hidden pixels have, to choose between examples.
        truth: The true numbers, NaN where nothing was observed.
        hidden: The hidden pixels.
        fills: What each method would have stored at them, by label; NaN elsewhere.
    """

    scene: str
    pattern: str
    shown: tuple[int, ...]
    detail: float
    truth: NDArray[np.floating]
    hidden: NDArray[np.bool_]
    fills: Mapping[str, Filled]

    def composite(self, method: str) -> NDArray[np.floating]:
        """Return the truth with its hidden pixels as a method filled them."""
        return np.where(self.hidden, self.fills[method].mean, self.truth)


def crop_example(image: ObservedImage, pattern: str, trial: Trial, fills: Mapping[str, Filled]) -> Example:
    """Return the crop of a trial that has the most detail to fill."""
    shown = _shown_bands(image)
    windows = tile_windows(Window(0, 0, *trial.truth.shape[1:]), EXAMPLE_PX)
    details = _details(trial, shown, windows)
    best = int(np.argmax(details))
    crop = windows[best].slices

    def cut(filled: Filled) -> Filled:
        std = None if filled.std is None else filled.std[:, *crop].copy()
        return Filled(filled.mean[:, *crop].copy(), std)

    return Example(
        scene=image.name,
        pattern=pattern,
        shown=shown,
        detail=details[best],
        truth=trial.truth[:, *crop].copy(),
        hidden=trial.hidden[:, *crop].copy(),
        fills={label: cut(filled) for label, filled in fills.items()},
    )


def _shown_bands(image: ObservedImage) -> tuple[int, ...]:
    """Return the bands of natural colour; else the third to first, as blue comes first; else one."""
    colours = [band.band.colour if band.band else None for band in image.scene.bands]
    if all(colour in colours for colour in NATURAL_COLOUR):
        return tuple(colours.index(colour) for colour in NATURAL_COLOUR)
    return (2, 1, 0) if len(colours) >= 3 else (0,)


def _details(trial: Trial, shown: tuple[int, ...], windows: Sequence[Window]) -> list[float]:
    """Return for each window the sum of steps between hidden neighbours, in units of the bands' ranges.

    Clouds stretch the range and are smooth inside: a cloudy crop is seldom the one to show.
    """
    details = [0.0] * len(windows)
    for band in shown:
        hidden = trial.hidden[band]
        if not hidden.any():
            continue
        low, high = data_limits(trial.truth[band])
        steps = np.abs(np.diff(trial.truth[band], axis=1)) / (high - low)
        steps = np.where(hidden[:, 1:] & hidden[:, :-1], steps, 0)
        for number, window in enumerate(windows):
            details[number] += float(np.sum(steps[window.slices]))
    return details


ALL_BANDS = "all"
"""The band of a record that counts all bands together."""


@dataclass(frozen=True, slots=True)
class Record:
    """The scores of one method on one band of one trial.

    Attributes:
        scene: The scene, or a window of it.
        place: The scene, whichever window of it was scored.
        group: The group that the scene belongs to; empty where scenes aren't told apart by groups.
        pattern: The pattern's label.
        seed: What placed the pattern, and seeded methods that draw.
        method: The method's label.
        band: The band's name, or `ALL_BANDS`.
        hidden_pct: Percentage of the observed pixels that were hidden.
        scale: From stored numbers to the band's physical unit; 1 if there is none, or if bands differ.
        scores: The scores, in stored numbers.
        reflectance: From stored numbers to reflectance; NaN where the units don't tell.
    """

    scene: str
    place: str
    group: str
    pattern: str
    seed: int
    method: str
    band: str
    hidden_pct: float
    scale: float
    scores: Scores
    reflectance: float = math.nan


@dataclass(frozen=True, slots=True)
class Failure:
    """What could not be scored, and why.

    Attributes:
        scene: The scene, or a window of it.
        pattern: The pattern's label, or empty where the scene failed before.
        seed: The seed, or None.
        method: The method's label, or empty where no method was to blame.
        error: What was raised.
    """

    scene: str
    pattern: str
    seed: int | None
    method: str
    error: Exception


@dataclass(frozen=True, slots=True)
class Results:
    """All that an evaluation found.

    Attributes:
        methods: The methods' labels, the reference first.
        records: One a scene, pattern, seed, method and band, and one more for all bands together.
        failures: What could not be scored; the rest went on.
        example: A crop of one trial to draw, or None where nothing was scored.
        groups: The groups of scenes in the order they were given, empty where scenes aren't grouped.
        devices: The device that each method ran on, in the order of the methods.
    """

    methods: tuple[str, ...]
    records: tuple[Record, ...]
    failures: tuple[Failure, ...] = ()
    example: Example | None = None
    groups: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()


ALL_PATTERNS = "all"
"""The pattern of a summary that averages over all patterns."""

RATIO_SCORES = ("rmse", "mae")
"""Scores in stored numbers, which only compare from scene to scene as ratios to the reference's."""

_AVERAGED = tuple(name for name in SCORE_NAMES if name != "hidden")
_OF_ALL_BANDS = frozenset({"spectral_angle_deg", "seconds"})


@dataclass(frozen=True, slots=True)
class Summary:
    """A method's scores under one pattern, averaged over scenes, seeds and bands, each band counting once.

    Attributes:
        method: The method's label.
        pattern: The pattern's label, or `ALL_PATTERNS`.
        trials: Scenes × seeds (× patterns) that were scored.
        failures: Those that failed.
        means: Mean of each score. Means of RMSE, MAE, bias and CRPS are in stored numbers: between scenes of
            different types they mean nothing, the ratios do.
        ratios: Mean over the bands of all trials of a score divided by the reference's of the same pixels;
            below 1 is better than GDAL's fillnodata. NaN where the reference is perfect or failed.
        worst_ratio: The highest of the places' mean RMSE ratios: a mean hides places where a method harms.
        worst_place: The place that has it; empty where no ratio is known.
    """

    method: str
    pattern: str
    trials: int
    failures: int
    means: Mapping[str, float]
    ratios: Mapping[str, float]
    worst_ratio: float
    worst_place: str


def summarise(results: Results) -> tuple[Summary, ...]:
    """Return a summary a pattern and method, then one a method over all patterns; the best RMSE first."""
    patterns = list(dict.fromkeys(record.pattern for record in results.records))
    if len(patterns) > 1:
        patterns.append(ALL_PATTERNS)
    return tuple(summary for pattern in patterns for summary in summarise_pattern(results, pattern))


def summarise_pattern(results: Results, pattern: str = ALL_PATTERNS) -> tuple[Summary, ...]:
    """Return a summary a method under one pattern, or over all of them; the best RMSE first."""
    reference = reference_records(results)
    summaries = [_summary(results, reference, method, pattern) for method in results.methods]
    return tuple(sorted(summaries, key=lambda summary: _nan_last(summary.ratios["rmse"])))


def reference_records(results: Results) -> Reference:
    """Return the reference's records by the pixels that they count, to look ratios up with."""
    return {_pixels(r): r for r in results.records if r.method == results.methods[0]}


def ratio_to(reference: Reference, record: Record, name: str) -> float:
    """Return a record's score divided by the reference's of the same pixels; NaN where that is 0 or none."""
    other = reference.get(_pixels(record))
    if other is None:
        return math.nan
    value: float = getattr(record.scores, name)
    base: float = getattr(other.scores, name)
    return value / base if base > 0 else math.nan


def _summary(results: Results, reference: Reference, method: str, pattern: str) -> Summary:
    wanted = [r for r in results.records if r.method == method and pattern in (r.pattern, ALL_PATTERNS)]
    bands = [record for record in wanted if record.band != ALL_BANDS]
    together = [record for record in wanted if record.band == ALL_BANDS]
    failures = [
        f for f in results.failures if f.method in (method, "") and pattern in (f.pattern, ALL_PATTERNS)
    ]
    means = {}
    for name in _AVERAGED:
        counted = together if name in _OF_ALL_BANDS else bands
        means[name] = mean_of_known(np.array([getattr(r.scores, name) for r in counted], dtype=np.float64))
    ratios = {name: _mean_ratio(bands, reference, name) for name in RATIO_SCORES}
    worst = _worst_place(bands, reference)
    return Summary(method, pattern, len(together), len(failures), means, ratios, *worst)


def _worst_place(bands: Sequence[Record], reference: Reference) -> tuple[float, str]:
    """Return the highest of the places' mean RMSE ratios, and the place."""
    places = dict.fromkeys(record.place for record in bands)
    ratios = [
        (_mean_ratio([r for r in bands if r.place == place], reference, "rmse"), place) for place in places
    ]
    return max((one for one in ratios if not math.isnan(one[0])), default=(math.nan, ""))


def _mean_ratio(bands: Sequence[Record], reference: Reference, name: str) -> float:
    return mean_of_known(np.array([ratio_to(reference, record, name) for record in bands], dtype=np.float64))


def _pixels(record: Record) -> tuple[object, ...]:
    """Return what tells the hidden pixels of one record from those of others."""
    return record.scene, record.pattern, record.seed, record.band


def _nan_last(value: float) -> float:
    return math.inf if math.isnan(value) else value


@dataclass(frozen=True, slots=True)
class GroupSummary:
    """A method's scores on one group of scenes, averaged over all patterns.

    Attributes:
        group: The group's name.
        summary: The averages.
        shift: The RMSE ratio on this group divided by the one on the first group, where the first is that of
            the scenes the method knows: above 1 it does worse here. As both are relative to a reference that
            learns nothing, groups that are hard for every method don't count against this one. NaN where a
            ratio is.
    """

    group: str
    summary: Summary
    shift: float


def summarise_groups(results: Results) -> tuple[GroupSummary, ...]:
    """Return a summary a group and method, the groups as given, in each the best RMSE first.

    Nothing is returned for fewer than two groups: there is nothing to compare.
    """
    if len(results.groups) < 2:
        return ()
    summaries = {group: summarise_pattern(_only(results, group)) for group in results.groups}
    known = {summary.method: summary.ratios["rmse"] for summary in summaries[results.groups[0]]}
    return tuple(
        GroupSummary(group, summary, _quotient(summary.ratios["rmse"], known[summary.method]))
        for group, found in summaries.items()
        for summary in found
    )


def _only(results: Results, group: str) -> Results:
    """Return the records of one group. Failures stay out: they are told of for all groups together."""
    records = tuple(record for record in results.records if record.group == group)
    return replace(results, records=records, failures=())


def _quotient(value: float, base: float) -> float:
    return value / base if base > 0 else math.nan
