"""The figure of an evaluation."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

from landsat_fill.errors import MissingPackageError, UsageError
from landsat_fill.evaluation.figures import calibration_curves, draw_figure, picture_grid, save_figure
from landsat_fill.evaluation.metrics import NOMINAL_PCT
from landsat_fill.evaluation.results import ALL_BANDS, Example, Results, record_table
from landsat_fill.scene import Filled


def scores_of(rmse: float, calibrated: bool) -> dict[str, float]:
    shares = {f"coverage_{pct}": pct / 200 for pct in NOMINAL_PCT} if calibrated else {}
    return {"hidden": 10, "range": 100.0, "rmse": rmse, "r2": 0.5, **shares}


def make_results(methods: int = 2, *, bands: int = 3, std: bool = False) -> Results:
    generator = np.random.default_rng(0)
    labels = tuple(f"method {number}" for number in range(methods))
    truth = generator.uniform(0, 200, (bands, 60, 60))
    truth[:, :, :4] = np.nan
    hidden = np.zeros(truth.shape, dtype=bool)
    hidden[:, 20:30, 4:] = True
    spread = np.where(hidden, 5.0, np.nan) if std else None
    fills = {label: Filled(np.where(hidden, truth + 9, np.nan), None) for label in labels}
    fills[labels[-1]] = Filled(np.where(hidden, truth - 9, np.nan), spread)
    example = Example("scene", "8 px", (2, 1, 0) if bands > 2 else (0,), 1.0, truth, hidden, fills)
    records = [
        {"scene": "scene", "place": "scene", "group": "", "pattern": pattern, "seed": 0, "method": label}
        | {"band": band, "hidden_pct": 20, "scale": 1.0}
        | scores_of(rmse, label == labels[-1] and std)
        for pattern in ("4 px", "8 px", "15 %")
        for label, rmse in zip(labels, range(2, 2 + methods), strict=True)
        for band in ("red", ALL_BANDS)
    ]
    return Results(labels, record_table(records, labels[0]), example=example)


@pytest.fixture(scope="module")
def figure():
    """Return a figure of two methods."""
    return draw_figure(make_results())


@pytest.mark.parametrize("kind", ["png", "pdf", "svg"])
def test_a_picture_is_written(tmp_path, kind, figure):
    path = tmp_path / f"figure.{kind}"
    figure.set_dpi(30)
    save_figure(figure, path)
    assert path.read_bytes()[:5] in (b"\x89PNG\r", b"%PDF-", b"<?xml")
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(("methods", "bands", "std"), [(1, 1, False), (9, 4, True)])
def test_any_number_of_methods_and_bands(methods, bands, std):
    figure = draw_figure(make_results(methods, bands=bands, std=std))
    above, below = figure.subfigs
    titles = [axes.get_title() for axes in above.axes]
    for label in ("truth", "gaps", *(f"method {number}" for number in range(methods))):
        assert label in titles
    assert ("standard deviation" in titles) == std
    assert sum("RMSE 9" in title for title in titles) == methods
    # One more line, the diagonal, where there is a calibration.
    assert [len(panel.lines) for panel in below.axes] == [methods, methods, 2][: 3 if std else 2]


def test_curves_break_between_widths_and_shares(figure):
    _, below = figure.subfigs
    ratios = below.axes[0].lines[1].get_ydata()
    assert np.array_equal(ratios, [1.5, 1.5, np.nan, 1.5], equal_nan=True)


def test_error_is_shown_where_pixels_were_hidden():
    example = make_results().example
    assert example is not None
    grid = picture_grid(example)
    assert [picture.title if picture else None for picture in grid[0]] == ["truth", "gaps", "method 0", "method 1"]
    assert grid[1][:2] == [None, None]
    error = grid[1][2]
    assert error is not None
    assert np.array_equal(np.isfinite(error.pixels), example.hidden[0])
    assert error.pixels[example.hidden[0]] == pytest.approx(100 * 9 / 200, rel=0.05)


def test_gaps_are_dark_and_fills_are_not():
    example = make_results().example
    assert example is not None
    gaps, fill = picture_grid(example)[0][1:3]
    assert gaps is not None
    assert fill is not None
    assert gaps.pixels[25, 10] == pytest.approx((0.13, 0.13, 0.15))
    assert np.ptp(gaps.pixels[20:30, 4:]) < 0.05
    assert np.ptp(fill.pixels[20:30, 4:]) > 0.5


def test_long_rows_are_broken():
    example = make_results(9).example
    assert example is not None
    grid = picture_grid(example)
    assert {len(row) for row in grid} == {6}
    assert len(grid) == 4


def test_calibration_is_that_of_the_methods_with_a_std():
    results = make_results(3, std=True)
    assert calibration_curves(results) == {"method 2": [pytest.approx(pct / 2) for pct in NOMINAL_PCT]}
    _, below = draw_figure(results).subfigs
    diagonal, curve = below.axes[2].lines
    assert list(diagonal.get_xdata()) == list(diagonal.get_ydata())
    assert list(curve.get_xdata()) == list(NOMINAL_PCT)
    assert curve.get_color() == below.axes[0].lines[2].get_color()


def test_shown_methods_are_chosen_and_ordered():
    example = make_results(9).example
    assert example is not None
    (titles, _) = picture_grid(example, ["method 7", "method 2", "failed"])
    assert [picture.title for picture in titles if picture] == ["truth", "gaps", "method 7", "method 2"]


def test_the_curves_are_of_all_methods_whatever_is_shown():
    _, below = draw_figure(make_results(4), methods=["method 1"]).subfigs
    assert len(below.axes[0].lines) == 4


def test_a_long_label_is_broken_into_lines():
    results = make_results(1)
    example = results.example
    assert example is not None
    label = "unet weights=runs/a-rather-long-name/of-a-folder/best.safetensors"
    grid = picture_grid(replace(example, fills={label: example.fills["method 0"]}))
    title = grid[0][2]
    assert title is not None
    assert title.title.replace("\n", "").replace(" ", "") == label.replace(" ", "")
    assert max(map(len, title.title.split("\n"))) <= 30


def test_a_text_file_is_no_picture(tmp_path, figure):
    with pytest.raises(UsageError, match=r"figure\.txt"):
        save_figure(figure, tmp_path / "figure.txt")


def test_nothing_scored_is_nothing_to_draw():
    with pytest.raises(UsageError, match="no method was scored"):
        draw_figure(Results(("method 0",), ()))


def test_without_matplotlib_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingPackageError, match="matplotlib") as caught:
        draw_figure(make_results())
    assert "landsat-fill[evaluate]" in str(caught.value.hint)
