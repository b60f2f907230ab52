"""Scenes in groups: how a method does on places like those it was trained on, and on others."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from landsat_fill.evaluation.summaries import Summary, summarise_pattern

if TYPE_CHECKING:
    from landsat_fill.evaluation.results import Results


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
