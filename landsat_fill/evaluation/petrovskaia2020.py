"""The experiments, tables and figures of the deep image prior paper.

Source: Petrovskaia et al. 2020, A single image deep learning approach to restoration of corrupted remote
sensing products, section 2.4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from landsat_fill.errors import UsageError, not_one_of
from landsat_fill.evaluation.figures import (
    DOTS_PER_INCH,
    GAP_COLOUR,
    Stretch,
    empty_figure,
    in_lines,
    save_figure,
)
from landsat_fill.evaluation.protocol import ENDING, BandsAlone
from landsat_fill.evaluation.report import markdown_table, three_digits
from landsat_fill.evaluation.results import ALL_BANDS
from landsat_fill.evaluation.scoring import mean_of_known
from landsat_fill.evaluation.trials import PAPER_PERCENTAGES, Sampling, SimulatedStripes
from landsat_fill.io.atomic import write_text_atomically

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from landsat_fill.evaluation.results import Example, Record, Results
    from landsat_fill.methods import FillMethod


PAPER_WINDOW_PX = 115
"""Side of 12 km² in pixels of 30 m, the paper's study area."""


@dataclass(frozen=True, slots=True)
class Preset:
    """An experiment.

    Attributes:
        name: What it is called on the command line.
        summary: One line.
        percentages: Shares of the pixels that are hidden, the same pixels in all bands.
        bands_alone: Whether each method also fills each band alone.
        window_px: Side of the window of a scene that is scored.
    """

    name: str
    summary: str
    percentages: tuple[float, ...]
    bands_alone: bool
    window_px: int = PAPER_WINDOW_PX

    def patterns(self) -> list[SimulatedStripes]:
        """Return how pixels are hidden, the largest share last."""
        return [SimulatedStripes.of_share(percent, band_shift_px=0) for percent in self.percentages]

    def contenders(self, methods: Sequence[FillMethod]) -> list[FillMethod]:
        """Return the methods, and after each, where bands are to be filled alone, the one that does."""
        if not self.bands_alone:
            return list(methods)
        both: list[FillMethod] = []
        for method in methods:
            both += [method, cast("FillMethod", BandsAlone(method))]
        return both

    def sampling(self, window_px: int | None = None, windows: int | None = None) -> Sampling:
        """Return what is read of a scene: one window of the paper's size if not told otherwise."""
        return Sampling(window_px=window_px or self.window_px, windows=windows or 1)


PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            "paper-bands",
            "55 % hidden; all bands together and each alone: table 1 of the deep image prior paper",
            PAPER_PERCENTAGES[-1:],
            bands_alone=True,
        ),
        Preset(
            "paper-shares",
            "3, 6, 15, 35 and 55 % hidden, all bands together: figure 1 of the deep image prior paper",
            PAPER_PERCENTAGES,
            bands_alone=False,
        ),
    )
}


def preset_called(name: str) -> Preset:
    """Return the preset of a name.

    Raises:
        UsageError: If there is none.
    """
    if name in PRESETS:
        return PRESETS[name]
    raise not_one_of(f"--preset to be {' or '.join(PRESETS)}", name, PRESETS, "")


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


REGIONS = 3
ABOVE_INCHES = 5.2
REGION_PX = 40
"""Side of the regions shown closely: more than a period of the stripes."""


def write_paper_figure(results: Results, path: Path, shown: Sequence[str] | None = None) -> None:
    """Write the figure, in the format that the name's suffix tells (PNG, PDF, SVG).

    Args:
        results: What to draw.
        path: The file.
        shown: Labels of methods, of which the first is the one whose pictures are shown.

    Raises:
        MissingPackageError: If matplotlib isn't installed.
        UsageError: If nothing was scored, or the suffix isn't one of a picture.
        OutputError: If the file can't be written.
    """
    save_figure(draw_paper_figure(results, shown), path)


def draw_paper_figure(results: Results, shown: Sequence[str] | None = None) -> Figure:
    """Return the figure: above (a) scores and (b) similarity at each pixel, below three regions closely.

    Args:
        results: What to draw.
        shown: Labels of methods, of which the first is the one whose pictures are shown; the first after the
            reference if not given.

    Raises:
        MissingPackageError: If matplotlib isn't installed.
        UsageError: If nothing was scored.
    """
    example = results.example
    if example is None:
        raise UsageError("expected results to draw, but no method was scored", hint="look at the failures")
    wanted = [label for label in shown or results.methods[1:] or results.methods if label in example.fills]
    label = wanted[0] if wanted else next(iter(example.fills))
    figure = empty_figure((11.0, ABOVE_INCHES + 2.6 * REGIONS), DOTS_PER_INCH)
    (above,), (below,) = figure.subfigures(2, 1, squeeze=False, height_ratios=[ABOVE_INCHES, 2.6 * REGIONS])
    left, right = above.subplots(1, 2, width_ratios=[1.6, 1])
    _draw_scores(left, results)
    _draw_similarity(right, example, label)
    _draw_regions(below.subplots(REGIONS, 3), example, label)
    return figure


def _draw_scores(axes: Axes, results: Results) -> None:
    """Draw r² (full lines) and RMSE (broken ones) against the shares, or r² by band of a single share."""
    records = [record for record in results.records if record.band != ALL_BANDS]
    patterns = list(dict.fromkeys(record.pattern for record in records))
    key = "pattern" if len(patterns) > 1 else "band"
    steps = list(dict.fromkeys(getattr(record, key) for record in records))
    other = axes.twinx() if len(patterns) > 1 else None
    together = list(dict.fromkeys(method.removesuffix(ENDING) for method in results.methods))
    for method in results.methods:
        mine = [record for record in records if record.method == method]
        parts = [[record for record in mine if getattr(record, key) == step] for step in steps]
        colour = f"C{together.index(method.removesuffix(ENDING)) % 10}"
        line, dot = (":", "none") if method.endswith(ENDING) else ("-", "full")
        r2 = [_mean_of([r.scores.r2 for r in p]) for p in parts]
        axes.plot(r2, "o", linestyle=line, fillstyle=dot, color=colour, label=in_lines(method))
        if other is not None:
            other.plot(
                [_mean_of([relative_error(r) for r in p]) for p in parts],
                "s--",
                color=colour,
                markersize=4,
            )
    axes.set_xticks(range(len(steps)), steps)
    axes.set_ylabel("r² (full lines)" if other is not None else "r²")
    axes.set_xlabel("hidden" if other is not None else f"band, {patterns[-1]} hidden")
    axes.set_title("(a) hidden pixels, mean over places", fontsize="medium")
    if other is not None:
        other.set_ylabel("RMSE / σ of the hidden pixels (broken lines)")
    axes.legend(fontsize="x-small", frameon=False, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.15))


def _draw_similarity(axes: Axes, example: Example, label: str) -> None:
    """Draw how similar each pixel is to the true one: dark green is alike, white is not."""
    stretch = Stretch(example)
    percent = stretch.percent(np.abs(example.composite(label) - example.truth))
    image = axes.imshow(
        100 - np.clip(percent, 0, 100), cmap="Greens", vmin=70, vmax=100, interpolation="nearest"
    )
    axes.figure.colorbar(image, ax=axes, extend="min", label="100 − |error| in % of the bands' range")
    axes.set_axis_off()
    axes.set_title(f"(b) similarity, {example.pattern} hidden\n{in_lines(label)}", fontsize="medium")


def _draw_regions(all_axes: Any, example: Example, label: str) -> None:
    """Draw the gaps, the fill and the truth of the regions with most detail."""
    stretch = Stretch(example)
    truth = stretch.colours(example.truth)
    gaps = truth.copy()
    gaps[example.hidden[list(example.shown)].any(axis=0)] = GAP_COLOUR
    columns = (("with gaps", gaps), (label, stretch.colours(example.composite(label))), ("truth", truth))
    for row, region in zip(all_axes, _regions(truth), strict=False):
        for axes, (title, picture) in zip(row, columns, strict=True):
            axes.imshow(picture[region], interpolation="nearest")
            axes.set_title(in_lines(title), fontsize="small")
    for axes in all_axes.flat:
        axes.set_axis_off()


def _regions(truth: NDArray[np.floating]) -> list[tuple[slice, slice]]:
    """Return the regions that differ most within themselves; they don't overlap."""
    height, width = truth.shape[:2]
    found = []
    for row in range(0, max(height - REGION_PX, 0) + 1, REGION_PX):
        for col in range(0, max(width - REGION_PX, 0) + 1, REGION_PX):
            region = slice(row, row + REGION_PX), slice(col, col + REGION_PX)
            found.append((float(np.var(truth[region])), region))
    found.sort(key=lambda one: -one[0])
    return [region for _, region in found[:REGIONS]]


def _mean_of(values: list[float]) -> float:
    return mean_of_known(np.array(values, np.float64))
