"""Results of an evaluation: a table of scores, means by method and by group, and both as CSV, JSON and Markdown."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from landsat_fill.evaluation.metrics import SCORES, data_limits
from landsat_fill.io.atomic import write_text_atomically
from landsat_fill.scene import Filled, Window, tile_windows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from landsat_fill.evaluation.trials import ObservedImage, Trial


EXAMPLE_PX = 160
"""Side of the crop: five scan periods, so that single pixels remain visible."""

NATURAL_COLOUR = ("red", "green", "blue")


@dataclass(frozen=True, slots=True)
class Example:
    """A crop of one trial. Arrays are `(band, row, col)`; all bands are kept.

    Attributes:
        scene: The image's name.
        pattern: The pattern's label.
        drawn_bands: Indexes of the three bands to show as red, green and blue, or of one to show as grey.
        detail: How much detail the hidden pixels have, to choose between examples.
        truth: The true numbers, NaN where nothing was observed.
        hidden: The hidden pixels.
        fills: Values of each method at the hidden pixels, by label; NaN elsewhere.
    """

    scene: str
    pattern: str
    drawn_bands: tuple[int, ...]
    detail: float
    truth: NDArray[np.floating]
    hidden: NDArray[np.bool_]
    fills: Mapping[str, Filled]

    def composite(self, method: str) -> NDArray[np.floating]:
        """Return the truth with the hidden pixels filled by a method."""
        return np.where(self.hidden, self.fills[method].mean, self.truth)


def crop_example(image: ObservedImage, pattern: str, trial: Trial, fills: Mapping[str, Filled]) -> Example:
    """Return the crop of a trial that has the most detail to fill."""
    bands = _drawn_bands(image)
    windows = tile_windows(Window(0, 0, *trial.truth.shape[1:]), EXAMPLE_PX)
    details = _details(trial, bands, windows)
    best = int(np.argmax(details))
    crop = windows[best].slices

    def cut(filled: Filled) -> Filled:
        std = None if filled.std is None else filled.std[:, *crop].copy()
        return Filled(filled.mean[:, *crop].copy(), std)

    return Example(
        scene=image.name,
        pattern=pattern,
        drawn_bands=bands,
        detail=details[best],
        truth=trial.truth[:, *crop].copy(),
        hidden=trial.hidden[:, *crop].copy(),
        fills={label: cut(filled) for label, filled in fills.items()},
    )


def _drawn_bands(image: ObservedImage) -> tuple[int, ...]:
    """Return the bands of natural colour, or the third to first (blue comes first), or a single band."""
    colours = [band.band.colour if band.band else None for band in image.scene.bands]
    if all(colour in colours for colour in NATURAL_COLOUR):
        return tuple(colours.index(colour) for colour in NATURAL_COLOUR)
    return (2, 1, 0) if len(colours) >= 3 else (0,)


def _details(trial: Trial, bands: tuple[int, ...], windows: Sequence[Window]) -> list[float]:
    """Return for each window the sum of steps between hidden neighbours, in units of the bands' ranges.

    Clouds stretch the range and are smooth inside, so a cloudy crop is rarely the one to show.
    """
    details = [0.0] * len(windows)
    for band in bands:
        hidden = trial.hidden[band]
        if not hidden.any():
            continue
        low, high = data_limits(trial.truth[band])
        steps = np.abs(np.diff(trial.truth[band], axis=1)) / (high - low)
        steps = np.where(hidden[:, 1:] & hidden[:, :-1], steps, 0)
        for number, window in enumerate(windows):
            details[number] += float(np.sum(steps[window.slices]))
    return details


@dataclass(frozen=True, slots=True)
class Failure:
    """A scene, pattern or method that couldn't be scored.

    Attributes:
        scene: The scene, or a window of it.
        pattern: The pattern's label, or empty for a scene that couldn't be read.
        seed: The seed, or None.
        method: The method's label, or empty if no method failed.
        error: The error.
    """

    scene: str
    pattern: str
    seed: int | None
    method: str
    error: Exception


@dataclass(frozen=True, slots=True)
class Results:
    """All results of an evaluation.

    Attributes:
        methods: The methods' labels, the reference first.
        records: The scores, from `record_table`.
        failures: Scenes, patterns and methods that couldn't be scored.
        example: A crop of one trial, or None if nothing was scored.
        groups: The groups of scenes in their order; empty without groups.
        devices: The device that each method ran on, in the order of the methods.
    """

    methods: tuple[str, ...]
    records: pd.DataFrame
    failures: tuple[Failure, ...] = ()
    example: Example | None = None
    groups: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()

    @property
    def patterns(self) -> list[str]:
        """The patterns, in their order."""
        return list(self.records["pattern"].unique())


ALL_BANDS = "all"
"""The band of a record that counts all bands together."""

ALL_PATTERNS = "all"
"""The pattern of a summary that averages over all patterns."""

PIXELS = ["scene", "pattern", "seed", "band"]
"""The columns that identify the hidden pixels of a record."""

RATIO_SCORES = ("rmse", "mae")
"""Scores that are also given relative to the reference's."""

UNIT_SCORES = ("rmse", "mae", "bias", "crps")
"""Scores in stored numbers, averaged in per cent of the band's range: scenes of any type compare."""

_MEAN_SCORES = [name for name in SCORES if name not in ("hidden", "range", *UNIT_SCORES)]
_OF_ALL_BANDS = frozenset({"spectral_angle_deg", "seconds"})


def record_table(rows: Iterable[Mapping[str, Any]], reference: str) -> pd.DataFrame:
    """Return a row for each scene, pattern, seed, method and band, and one for all bands together.

    The columns are `scene` (or a window of it), `place` (the scene of the window), `group`, `pattern`, `seed`,
    `method`, `band`, `hidden_pct` (percentage of the observed pixels that are hidden), `SCORES` in stored
    numbers, RMSE and MAE divided by those of the reference on the same pixels, `scale` (from stored numbers to
    the band's physical unit; 1 if there is none, or if bands differ), the scaled `UNIT_SCORES`, and
    `reflectance` (from stored numbers to reflectance). Values that don't apply or aren't known are NaN.

    Args:
        rows: All columns but the ratios and the scaled scores; scores may be missing.
        reference: Label of the method that ratios refer to.
    """
    import pandas as pd

    keys = ["scene", "place", "group", "pattern", "seed", "method", "band", "hidden_pct"]
    table = pd.DataFrame(rows, columns=[*keys, *SCORES, "scale", "reflectance"])
    table = table.astype(dict.fromkeys([*SCORES, "scale", "reflectance"], float) | {"hidden": int})
    of_reference = table[table["method"] == reference].drop_duplicates(PIXELS).set_index(PIXELS)
    for name in RATIO_SCORES:
        base = table.join(of_reference[name].rename("base"), on=PIXELS)["base"]
        table.insert(table.columns.get_loc("scale"), f"{name}_ratio", table[name] / base.where(base > 0))
    for name in UNIT_SCORES:
        table.insert(table.columns.get_loc("reflectance"), f"{name}_scaled", table[name] * table["scale"])
    return table


def summarise(results: Results) -> pd.DataFrame:
    """Return a row for each pattern and method, then one for each method over all patterns.

    The rows of a pattern are those of `summarise_pattern`.
    """
    import pandas as pd

    patterns = [*results.patterns, *([ALL_PATTERNS] if len(results.patterns) > 1 else [])]
    parts = [summarise_pattern(results, pattern) for pattern in patterns]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def summarise_pattern(results: Results, pattern: str = ALL_PATTERNS) -> pd.DataFrame:
    """Return a row for each method under one pattern, or over all of them; the best RMSE first.

    The columns are `pattern`, `method`, `trials` (number of scored scenes × seeds × patterns), `failures`,
    `rmse_ratio` and `mae_ratio` (means over the bands of all trials; below 1 is better than GDAL's fillnodata),
    `worst_rmse_ratio` and `worst_place` (the place with the highest mean RMSE ratio), RMSE, MAE, bias and CRPS
    in per cent of the band's range (`rmse_pct` and so on), and the means of the other scores. Each band counts
    once. Spectral angle and seconds are of all bands together.
    """
    import pandas as pd

    records = results.records
    if pattern != ALL_PATTERNS:
        records = records[records["pattern"] == pattern]
    rows = []
    for method in results.methods:
        own = records[records["method"] == method]
        bands, together = own[own["band"] != ALL_BANDS], own[own["band"] == ALL_BANDS]
        places = [(part.mean(), place) for place, part in bands.groupby("place")["rmse_ratio"]]
        worst = max((one for one in places if not np.isnan(one[0])), default=(np.nan, ""))
        row = {
            "pattern": pattern,
            "method": method,
            "trials": len(together),
            "failures": sum(
                failure.method in (method, "") and pattern in (failure.pattern, ALL_PATTERNS)
                for failure in results.failures
            ),
            **{f"{name}_ratio": bands[f"{name}_ratio"].mean() for name in RATIO_SCORES},
            "worst_rmse_ratio": worst[0],
            "worst_place": worst[1],
            **{f"{name}_pct": (100 * bands[name] / bands["range"]).mean() for name in UNIT_SCORES},
        }
        row |= {name: (together if name in _OF_ALL_BANDS else bands)[name].mean() for name in _MEAN_SCORES}
        rows.append(row)
    return pd.DataFrame(rows).sort_values("rmse_ratio", kind="stable", ignore_index=True)


def summarise_groups(results: Results) -> pd.DataFrame:
    """Return a row for each group and method over all patterns; the best RMSE comes first in each group.

    The columns are `group`, `shift` and those of `summarise_pattern`. `shift` is the RMSE ratio on the group
    divided by that on the first group, for example the scenes used in training. Above 1 the method does worse
    than on the first group. Both ratios are relative to a reference that isn't trained, so a group that is hard
    for every method doesn't count against one. Failures aren't counted. With fewer than two groups the table is
    empty.
    """
    import pandas as pd

    if len(results.groups) < 2:
        return pd.DataFrame()
    parts: list[pd.DataFrame] = []
    for group in results.groups:
        records = results.records[results.records["group"] == group]
        part = summarise_pattern(replace(results, records=records, failures=()))
        known = (parts or [part])[0].set_index("method")["rmse_ratio"].reindex(part["method"]).to_numpy()
        part.insert(0, "shift", part["rmse_ratio"] / np.where(known > 0, known, np.nan))
        part.insert(0, "group", group)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV, or raise OutputError; scores that don't apply are empty."""
    write_text_atomically(path, table.to_csv(index=False, lineterminator="\n"))


def write_json(results: Results, path: Path) -> None:
    """Write summaries, records and failures as JSON, or raise OutputError."""
    write_text_atomically(path, json.dumps(as_json(results), indent=2, ensure_ascii=False) + "\n")


def as_json(results: Results) -> dict[str, Any]:
    """Return summaries, records and failures; scores that don't apply are None."""
    return {
        "reference": results.methods[0],
        "methods": list(results.methods),
        "devices": list(results.devices),
        "summary": _finite_rows(summarise(results)),
        "groups": _finite_rows(summarise_groups(results)),
        "records": _finite_rows(results.records),
        "failures": [
            {
                "scene": failure.scene,
                "pattern": failure.pattern,
                "seed": failure.seed,
                "method": failure.method,
                "error": f"{type(failure.error).__name__}: {failure.error}",
            }
            for failure in results.failures
        ],
    }


def _finite_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table with None for NaN and the infinities, which JSON lacks."""
    return [
        {name: None if isinstance(cell, float) and not math.isfinite(cell) else cell for name, cell in row.items()}
        for row in table.to_dict("records")
    ]


_FURTHER_SCORES = {
    "r²": "r2",
    "SSIM": "ssim",
    "stripe index": "stripe_index",
    "cover 90": "coverage_90",
    "s": "seconds",
}
"""The scores on the page after the RMSE, by heading."""


def write_markdown(results: Results, path: Path, command: str) -> None:
    """Write the page of `as_markdown`, or raise OutputError."""
    write_text_atomically(path, as_markdown(results, command))


def as_markdown(results: Results, command: str) -> str:
    """Return a page with a row for each method: RMSE ratios by pattern, the worst place, other scores.

    Args:
        results: Results of the evaluation.
        command: The command line, quoted on the page.
    """
    parts = [f"```sh\n{command}\n```", _scores_table(results), _explanation(results)]
    groups = summarise_groups(results)
    if len(groups):
        table = group_columns(results, groups, {"SSIM": "ssim"}).map(three_digits)
        parts += [markdown_table(table), _groups_explanation(results)]
    return "\n\n".join(parts) + "\n"


def _scores_table(results: Results) -> str:
    """Return the methods by patterns, the best over all patterns first."""
    overall = summarise_pattern(results).set_index("method")
    table = overall[[]].copy()
    for pattern in results.patterns:
        by_method = summarise_pattern(results, pattern).set_index("method")
        table[pattern] = by_method["rmse_ratio"].map(three_digits)
    table[ALL_PATTERNS] = overall["rmse_ratio"].map(lambda ratio: f"**{three_digits(ratio)}**")
    table["worst place"] = [
        f"{three_digits(ratio)} ({place})" if place else "–"
        for ratio, place in zip(overall["worst_rmse_ratio"], overall["worst_place"], strict=True)
    ]
    for heading, name in _FURTHER_SCORES.items():
        if overall[name].notna().any():
            table[heading] = overall[name].map(three_digits)
    return markdown_table(table)


def _explanation(results: Results) -> str:
    """Return what the columns of the first table mean."""
    count = results.records["place"].nunique()
    places = "1 place" if count == 1 else f"{count} places"
    devices = ", ".join(sorted(set(results.devices))) or "cpu"
    return (
        f"RMSE on hidden pixels relative to `{results.methods[0]}` (GDAL's fillnodata with three smoothing "
        f"passes) by pattern of the gaps, mean over bands and {places}; worst place: the highest mean of one "
        "place. The other columns are means over all patterns. SSIM: of the composite. stripe index: how far "
        "the steps across the gaps' borders and inside the gaps are from those between observed pixels, mean "
        "of the two; 0 is invisible. cover 90: share of the hidden pixels inside the 90 % "
        f"interval, where a method gives one. s: seconds per fill ({devices})."
    )


def group_columns(results: Results, groups: pd.DataFrame, scores: dict[str, str]) -> pd.DataFrame:
    """Return a row for each method, the best on the first group first.

    The columns are the RMSE ratio on each group, its ratio to that on the first group, and further scores.

    Args:
        results: Results of the evaluation.
        groups: From `summarise_groups`.
        scores: The further columns by heading.
    """
    first, *others = results.groups
    by_group = {group: part.set_index("method") for group, part in groups.groupby("group")}
    table = by_group[first][["rmse_ratio"]].rename(columns={"rmse_ratio": first})
    for group in others:
        table[group] = by_group[group]["rmse_ratio"]
    for group in others:
        table[f"{group} / {first}"] = by_group[group]["shift"]
    for heading, name in scores.items():
        for group in results.groups:
            table[f"{heading} {group}"] = by_group[group][name]
    return table


def _groups_explanation(results: Results) -> str:
    """Return what the columns of the second table mean."""
    places = results.records.groupby("group")["place"].nunique()
    sizes = ", ".join(f"{group}: {places.get(group, 0)}" for group in results.groups)
    return (
        f"The same RMSE ratio by groups of places ({sizes}), the ratio between the groups, which is 1 for a "
        "method that does equally well on both, and SSIM."
    )


def markdown_table(table: pd.DataFrame) -> str:
    """Return a table of texts, indexed by method, with its columns aligned to the right."""
    lines: list[Sequence[str]] = [["method", *table.columns], ["---", *["---:"] * len(table.columns)]]
    lines += [[f"`{row[0]}`", *row[1:]] for row in table.itertuples()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def three_digits(value: float) -> str:
    """Return a number with three digits, and a dash for NaN."""
    if math.isnan(value):
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:#.3g}".rstrip(".")


def method_means(records: pd.DataFrame, score: str, key: str) -> pd.DataFrame:
    """Return the means of a score: a row for each method, a column for each value of `key` in its order."""
    means = records.groupby(["method", key], sort=False)[score].mean().unstack()
    return means.reindex(columns=list(records[key].unique()))


def relative_error(records: pd.DataFrame) -> pd.Series:
    """Return the RMSE relative to the standard deviation of the hidden pixels."""
    return np.sqrt((1 - records["r2"]).clip(lower=0))
