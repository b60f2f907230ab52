"""What an evaluation comes to: a method's scores averaged over scenes, seeds and bands."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.evaluation.results import ALL_BANDS, Record, Results
from landsat_fill.evaluation.scoring import SCORE_NAMES, mean_of_known

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Reference = Mapping[tuple[object, ...], Record]

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
