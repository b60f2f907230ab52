"""The results of a preset as a page of Markdown: tables like table 1 of the deep image prior paper."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.evaluation.bands_alone import ENDING
from landsat_fill.evaluation.markdown import markdown_table, three_digits
from landsat_fill.evaluation.results import ALL_BANDS
from landsat_fill.evaluation.scoring import mean_of_known
from landsat_fill.io.text_files import write_text_atomically

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from landsat_fill.evaluation.presets import Preset
    from landsat_fill.evaluation.results import Record, Results


def write_paper_page(results: Results, path: Path, command: str, preset: Preset) -> None:
    """Write the page that `as_paper_page` returns.

    Raises:
        OutputError: If the file can't be written.
    """
    write_text_atomically(path, as_paper_page(results, command, preset))


def as_paper_page(results: Results, command: str, preset: Preset) -> str:
    """Return the page: methods by bands, by shares of hidden pixels, and by places.

    Args:
        results: What was found.
        command: The command line that made it, quoted on the page.
        preset: The experiment.
    """
    patterns = list(dict.fromkeys(record.pattern for record in results.records))
    most = patterns[-1]
    parts = [
        f"# {preset.name}: {preset.summary}",
        f"```sh\n{command}\n```",
        _setting(results),
        f"## By band, {most} hidden",
        _by_band(results, most),
    ]
    if len(patterns) > 1:
        parts += ["## By share of hidden pixels", _by_pattern(results, patterns)]
    parts += [f"## By place, {most} hidden", _by_place(results, most)]
    return "\n\n".join(parts) + "\n"


def _setting(results: Results) -> str:
    places = list(dict.fromkeys(record.scene for record in results.records))
    known = {r.place for r in results.records if not math.isnan(r.reflectance)}
    units = (
        f"RMSE in reflectance: mean over the {len(known)} of them whose numbers are reflectances, or say "
        "how they become some"
        if known
        else "none of them says how its numbers become reflectances"
    )
    alone = (
        f" Rows that end in “{ENDING.strip(' ·')}” filled each band alone."
        if any(method.endswith(ENDING) for method in results.methods)
        else ""
    )
    return (
        "Hidden pixels only, the same for all methods in one run; all bands lose the same. "
        f"Of {', '.join(places)}. r² = 1 − SSE/SST of a band's hidden pixels, mean "
        "over the places; r² (corr.) is the squared correlation, which forgives bias and gain; σ is the "
        f"standard deviation of a band's hidden pixels; {units}.{alone}"
    )


def _by_band(results: Results, pattern: str) -> str:
    """Return methods by bands: RMSE in reflectance, then r², the best first."""
    own = [r for r in results.records if r.pattern == pattern and r.band != ALL_BANDS]
    bands = list(dict.fromkeys(record.band for record in own))
    known = any(not math.isnan(record.reflectance) for record in own)
    headings = ["method"]
    if known:
        headings += [f"RMSE {band}" for band in bands]
    headings += [f"r² {band}" for band in bands] + ["r² mean", "r² (corr.)"]
    rows = []
    for method in _best_first(results, own):
        mine = [record for record in own if record.method == method]
        cells = [f"`{method}`"]
        if known:
            cells += [_reflectance(_mean(_of(mine, band), _rmse_in_reflectance)) for band in bands]
        cells += [three_digits(_mean(_of(mine, band), _r2)) for band in bands]
        cells += [f"**{three_digits(_mean(mine, _r2))}**", three_digits(_mean(mine, _pearson_r2))]
        rows.append(cells)
    return markdown_table(headings, rows)


def _by_pattern(results: Results, patterns: list[str]) -> str:
    """Return methods by shares of hidden pixels: r², and RMSE relative to the spread of the hidden pixels."""
    own = [record for record in results.records if record.band != ALL_BANDS]
    headings = ["method", *(f"r² {p}" for p in patterns), *(f"RMSE/σ {p}" for p in patterns)]
    rows = []
    for method in _best_first(results, [r for r in own if r.pattern == patterns[-1]]):
        mine = [record for record in own if record.method == method]
        parts = [[record for record in mine if record.pattern == pattern] for pattern in patterns]
        cells = [three_digits(_mean(part, _r2)) for part in parts]
        cells += [three_digits(_mean(part, relative_error)) for part in parts]
        rows.append([f"`{method}`", *cells])
    return markdown_table(headings, rows)


def _by_place(results: Results, pattern: str) -> str:
    """Return methods by places: r², mean over the bands, and seconds."""
    own = [record for record in results.records if record.pattern == pattern]
    bands = [record for record in own if record.band != ALL_BANDS]
    places = list(dict.fromkeys(record.scene for record in own))
    rows = []
    for method in _best_first(results, bands):
        cells = [
            three_digits(_mean([r for r in bands if (r.method, r.scene) == (method, place)], _r2))
            for place in places
        ]
        whole = [r for r in own if r.method == method and r.band == ALL_BANDS]
        rows.append(
            [
                f"`{method}`",
                *cells,
                three_digits(_mean(whole, _coverage)),
                three_digits(_mean(whole, _seconds)),
            ]
        )
    return markdown_table(["method", *places, "cover 90", "s"], rows)


def relative_error(record: Record) -> float:
    """Return the RMSE relative to the standard deviation of the hidden pixels."""
    return math.sqrt(max(1 - record.scores.r2, 0))


def _best_first(results: Results, records: list[Record]) -> list[str]:
    means = {m: _mean([r for r in records if r.method == m], _r2) for m in results.methods}
    return sorted(means, key=lambda method: -means[method] if not math.isnan(means[method]) else math.inf)


def _mean(records: Iterable[Record], score: Callable[[Record], float]) -> float:
    return mean_of_known(np.array([score(record) for record in records], np.float64))


def _of(records: list[Record], band: str) -> list[Record]:
    return [record for record in records if record.band == band]


def _rmse_in_reflectance(record: Record) -> float:
    return record.scores.rmse * record.reflectance


def _r2(record: Record) -> float:
    return record.scores.r2


def _pearson_r2(record: Record) -> float:
    return record.scores.pearson_r2


def _coverage(record: Record) -> float:
    return record.scores.coverage_90


def _seconds(record: Record) -> float:
    return record.scores.seconds


def _reflectance(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.4f}"
