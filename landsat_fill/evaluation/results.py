"""Results of an evaluation: a table of scores, their means by method and by group, and a crop to draw."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from landsat_fill.evaluation.metrics import data_limits
from landsat_fill.evaluation.scoring import SCORES
from landsat_fill.scene import Filled, Window, tile_windows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

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
