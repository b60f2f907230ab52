"""The experiments, tables and figures of the deep image prior paper by Petrovskaia et al. 2020.

Source: Petrovskaia et al. 2020, A single image deep learning approach to restoration of corrupted remote
sensing products, section 2.4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from landsat_fill.errors import UsageError, not_one_of
from landsat_fill.evaluation.figures import GAP_COLOUR, Stretch, empty_figure, in_lines
from landsat_fill.evaluation.protocol import ENDING, BandsAlone
from landsat_fill.evaluation.results import ALL_BANDS, markdown_table, method_means, relative_error, three_digits
from landsat_fill.evaluation.trials import PAPER_PERCENTAGES, Sampling, SimulatedStripes

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from landsat_fill.evaluation.results import Example, Results
    from landsat_fill.methods import FillMethod


PAPER_WINDOW_PX = 115
"""Side of 12 km² in pixels of 30 m, the paper's study area."""


@dataclass(frozen=True, slots=True)
class Preset:
    """An experiment.

    Attributes:
        name: Name on the command line.
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
        """Return the patterns of hidden pixels, the largest share last."""
        return [SimulatedStripes.of_share(percent, band_shift_px=0) for percent in self.percentages]

    def contenders(self, methods: Sequence[FillMethod]) -> list[FillMethod]:
        """Return the methods; with `bands_alone`, each is followed by the one that fills each band alone."""
        if not self.bands_alone:
            return list(methods)
        return [one for method in methods for one in (method, cast("FillMethod", BandsAlone(method)))]

    def sampling(self, window_px: int | None = None, windows: int | None = None) -> Sampling:
        """Return the sampling of a scene: by default one window of the paper's size."""
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
    """Return the preset of a name, or raise UsageError."""
    if name not in PRESETS:
        raise not_one_of(f"--preset to be {' or '.join(PRESETS)}", name, PRESETS, "")
    return PRESETS[name]


def as_paper_page(results: Results, command: str, preset: Preset) -> str:
    """Return a page with the command and the methods by bands, by shares of hidden pixels, and by places."""
    records = results.records
    is_band = records["band"] != ALL_BANDS
    most = results.patterns[-1]
    hidden_most = records["pattern"] == most
    parts = [
        f"# {preset.name}: {preset.summary}",
        f"```sh\n{command}\n```",
        _setting(results),
        f"## By band, {most} hidden",
        _by_band(records[is_band & hidden_most], results.methods),
    ]
    if len(results.patterns) > 1:
        parts += ["## By share of hidden pixels", _by_pattern(records[is_band], results.methods, most)]
    by_place = _by_place(records[is_band & hidden_most], records[~is_band & hidden_most], results.methods)
    parts += [f"## By place, {most} hidden", by_place]
    return "\n\n".join(parts) + "\n"


def _setting(results: Results) -> str:
    records = results.records
    known = records.loc[records["reflectance"].notna(), "place"].nunique()
    units = (
        f"RMSE in reflectance: mean over the {known} places whose numbers are reflectances, or have a scale to "
        "reflectance"
        if known
        else "RMSE in reflectance: none, because no place has numbers that are known to be reflectances"
    )
    alone = (
        f" Rows that end in “{ENDING.strip(' ·')}” filled each band alone."
        if any(method.endswith(ENDING) for method in results.methods)
        else ""
    )
    return (
        "Hidden pixels only, the same for all methods in one run; all bands lose the same pixels. "
        f"Places: {', '.join(records['scene'].unique())}. r² = 1 − SSE/SST of a band's hidden pixels, mean "
        "over the places; r² (corr.) is the squared correlation, which ignores bias and gain; σ is the "
        f"standard deviation of a band's hidden pixels; {units}.{alone}"
    )


def _by_band(records: pd.DataFrame, methods: Sequence[str]) -> str:
    """Return methods by bands: RMSE in reflectance, then r², the best first."""
    bands = records.assign(reflected=records["rmse"] * records["reflectance"])
    r2 = method_means(bands, "r2", "band").add_prefix("r² ")
    r2["r² mean"] = bands.groupby("method")["r2"].mean()
    r2["r² (corr.)"] = bands.groupby("method")["pearson_r2"].mean()
    table = r2.map(three_digits)
    table["r² mean"] = "**" + table["r² mean"] + "**"
    if bands["reflectance"].notna().any():
        rmse = method_means(bands, "reflected", "band").add_prefix("RMSE ")
        table = rmse.map(_reflectance).join(table)
    return markdown_table(table.loc[_best_first(bands, methods)])


def _by_pattern(records: pd.DataFrame, methods: Sequence[str], most: str) -> str:
    """Return methods by shares of hidden pixels: r², and RMSE relative to the spread of the hidden pixels."""
    records = records.assign(relative=relative_error(records))
    table = method_means(records, "r2", "pattern").add_prefix("r² ")
    table = table.join(method_means(records, "relative", "pattern").add_prefix("RMSE/σ "))
    order = _best_first(records[records["pattern"] == most], methods)
    return markdown_table(table.loc[order].map(three_digits))


def _by_place(bands: pd.DataFrame, together: pd.DataFrame, methods: Sequence[str]) -> str:
    """Return methods by places: r², mean over the bands, and seconds."""
    whole = together.groupby("method")
    table = method_means(bands, "r2", "scene")
    table = table.assign(**{"cover 90": whole["coverage_90"].mean(), "s": whole["seconds"].mean()})
    return markdown_table(table.loc[_best_first(bands, methods)].map(three_digits))


def _best_first(bands: pd.DataFrame, methods: Sequence[str]) -> list[str]:
    """Return the methods that have records, the highest r² first."""
    means = bands.groupby("method")["r2"].mean().reindex([m for m in methods if m in set(bands["method"])])
    return list(means.sort_values(ascending=False, kind="stable").index)


def _reflectance(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.4f}"


REGIONS = 3
ABOVE_INCHES = 5.2
REGION_PX = 40
"""Side of the enlarged regions: more than a period of the stripes."""


def draw_paper_figure(results: Results, labels: Sequence[str] | None = None) -> Figure:
    """Return the figure: (a) scores and (b) similarity at each pixel above, three enlarged regions below.

    Args:
        results: The results to draw.
        labels: Labels of methods; the pictures are those of the first. By default the first after the
            reference.

    Raises:
        MissingPackageError: If matplotlib isn't installed.
        UsageError: If nothing was scored.
    """
    example = results.example
    if example is None:
        raise UsageError("expected results to draw, but no method was scored", hint="Look at the failures.")
    wanted = [label for label in labels or results.methods[1:] or results.methods if label in example.fills]
    label = wanted[0] if wanted else next(iter(example.fills))
    figure = empty_figure((11.0, ABOVE_INCHES + 2.6 * REGIONS))
    (above,), (below,) = figure.subfigures(2, 1, squeeze=False, height_ratios=[ABOVE_INCHES, 2.6 * REGIONS])
    left, right = above.subplots(1, 2, width_ratios=[1.6, 1])
    _draw_scores(left, results)
    _draw_similarity(right, example, label)
    _draw_regions(below.subplots(REGIONS, 3), example, label)
    return figure


def _draw_scores(axes: Axes, results: Results) -> None:
    """Draw r² (full lines) and RMSE (broken ones) against the shares, or r² by band of a single share."""
    records = results.records[results.records["band"] != ALL_BANDS]
    records = records.assign(relative=relative_error(records))
    several = len(results.patterns) > 1
    r2 = method_means(records, "r2", "pattern" if several else "band")
    relative = method_means(records, "relative", "pattern" if several else "band")
    steps = list(r2.columns)
    other = axes.twinx() if several else None
    together = list(dict.fromkeys(method.removesuffix(ENDING) for method in results.methods))
    for method in (method for method in results.methods if method in r2.index):
        colour = f"C{together.index(method.removesuffix(ENDING)) % 10}"
        line, dot = (":", "none") if method.endswith(ENDING) else ("-", "full")
        axes.plot(r2.loc[method], "o", linestyle=line, fillstyle=dot, color=colour, label=in_lines(method))
        if other is not None:
            other.plot(relative.loc[method], "s--", color=colour, markersize=4)
    axes.set_xticks(range(len(steps)), steps)
    axes.set_ylabel("r² (full lines)" if other is not None else "r²")
    axes.set_xlabel("hidden" if other is not None else f"band, {results.patterns[-1]} hidden")
    axes.set_title("(a) hidden pixels, mean over places", fontsize="medium")
    if other is not None:
        other.set_ylabel("RMSE / σ of the hidden pixels (broken lines)")
    axes.legend(fontsize="x-small", frameon=False, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.15))


def _draw_similarity(axes: Axes, example: Example, label: str) -> None:
    """Draw the similarity of each pixel to the true one; dark green is similar."""
    stretch = Stretch(example)
    percent = stretch.percent(np.abs(example.composite(label) - example.truth))
    image = axes.imshow(100 - np.clip(percent, 0, 100), cmap="Greens", vmin=70, vmax=100, interpolation="nearest")
    axes.figure.colorbar(image, ax=axes, extend="min", label="100 − |error| in % of the bands' range")
    axes.set_axis_off()
    axes.set_title(f"(b) similarity, {example.pattern} hidden\n{in_lines(label)}", fontsize="medium")


def _draw_regions(all_axes: Any, example: Example, label: str) -> None:
    """Draw the gaps, the fill and the truth of the regions with most detail."""
    stretch = Stretch(example)
    truth = stretch.colours(example.truth)
    gaps = truth.copy()
    gaps[example.hidden[list(example.drawn_bands)].any(axis=0)] = GAP_COLOUR
    columns = (("with gaps", gaps), (label, stretch.colours(example.composite(label))), ("truth", truth))
    for row, region in zip(all_axes, _regions(truth), strict=False):
        for axes, (title, picture) in zip(row, columns, strict=True):
            axes.imshow(picture[region], interpolation="nearest")
            axes.set_title(in_lines(title), fontsize="small")
    for axes in all_axes.flat:
        axes.set_axis_off()


def _regions(truth: NDArray[np.floating]) -> list[tuple[slice, slice]]:
    """Return the regions with the largest variance; they don't overlap."""
    height, width = truth.shape[:2]
    regions = [
        (slice(row, row + REGION_PX), slice(col, col + REGION_PX))
        for row in range(0, max(height - REGION_PX, 0) + 1, REGION_PX)
        for col in range(0, max(width - REGION_PX, 0) + 1, REGION_PX)
    ]
    return sorted(regions, key=lambda region: -float(np.var(truth[region])))[:REGIONS]
