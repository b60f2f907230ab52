"""The paper's experiments by name: what they hide, what they compare, and the page and the figure of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from making import write_geotiff

from landsat_fill.errors import UsageError
from landsat_fill.evaluation import PRESETS, evaluate, preset_called
from landsat_fill.evaluation.petrovskaia2020 import as_paper_page, draw_paper_figure
from landsat_fill.io import find_inputs, open_input
from landsat_fill.methods import Context, MethodInfo, create_method
from landsat_fill.scene import Filled

COMMAND = "landsat-fill evaluate clean.tif --preset paper-bands"


@dataclass(frozen=True)
class MeanOfAll:
    """Fills with the mean of all usable pixels of all bands: bands alone, it fills with their own."""

    info: ClassVar[MethodInfo] = MethodInfo("mean-of-all", "", "", halo_px=0)

    def fill(self, image, gaps, _context):
        mean = [np.full(tile.shape, tile[known].mean()) for tile, known in zip(image, gaps.usable, strict=True)]
        return Filled(np.stack(mean).astype(image.dtype))


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    path = tmp_path_factory.mktemp("presets") / "clean.tif"
    rows, cols = np.mgrid[:130, :140]
    noise = np.random.default_rng(0).normal(0, 0.01, (2, 130, 140))
    planes = np.stack([0.2 + 0.05 * np.sin(rows / 9), 0.4 + 0.1 * np.cos(cols / 11)]) + noise
    write_geotiff(path, planes.astype(np.float32))
    return open_input(find_inputs([str(path)])[0][0])[0]


def results_of(preset, scene):
    patterns = preset.patterns()
    return evaluate(
        [scene], preset.contenders([MeanOfAll(), create_method("harmonic")]), patterns,
        context=Context(threads=1), sampling=preset.sampling(), example_pattern=patterns[-1],
    )  # fmt: skip


@pytest.fixture(scope="module")
def bands(scene):
    return results_of(PRESETS["paper-bands"], scene)


@pytest.fixture(scope="module")
def shares(scene):
    return results_of(PRESETS["paper-shares"], scene)


def r2(results, method):
    return np.mean([r.r2 for r in results.records.itertuples() if r.method == method and r.band != "all"])


def test_the_shares_are_the_papers_and_all_bands_lose_the_same(shares):
    hidden = {r.pattern: r.hidden_pct for r in shares.records.itertuples()}
    assert list(hidden) == ["3 %", "6 %", "15 %", "35 %", "55 %"]
    for label, percent in hidden.items():
        assert percent == pytest.approx(float(label.split()[0]), abs=1.5)
    per_band = {(r.pattern, r.method, r.hidden) for r in shares.records.itertuples() if r.band != "all"}
    assert len(per_band) == 5 * 3


def test_a_crop_is_of_12_square_kilometres(shares):
    (record,) = [
        r for r in shares.records.itertuples() if (r.pattern, r.method, r.band) == ("3 %", "mean-of-all", "all")
    ]
    assert record.hidden / (record.hidden_pct / 100) == pytest.approx(2 * 115 * 115, rel=0.01)
    assert pytest.approx(12, rel=0.01) == 115 * 115 * 30**2 / 1e6


def test_a_method_given_bands_alone_never_sees_two(bands):
    assert r2(bands, "mean-of-all") < -1  # the mean of both bands is far from each
    assert r2(bands, "mean-of-all · bands alone") > -0.1
    assert r2(bands, "harmonic · bands alone") == r2(bands, "harmonic")
    assert not bands.failures


def test_the_page_has_the_command_and_a_row_for_each_method(bands, shares):
    page = as_paper_page(bands, COMMAND, PRESETS["paper-bands"])
    assert COMMAND in page
    for method in bands.methods:
        assert page.count(f"`{method}`") == 2  # by band, by place
    assert "RMSE in reflectance: mean over the 1" in page
    page = as_paper_page(shares, COMMAND, PRESETS["paper-shares"])
    assert "| r² 3 % |" in page.replace("| method ", "")
    (row,) = [line for line in page.splitlines() if line.startswith("| `harmonic` | 0") and line.count("|") == 12]
    values = [float(cell) for cell in row.split("|")[2:-1]]
    assert values[0] > values[4]  # more is harder
    assert values[5] == pytest.approx(np.sqrt(1 - values[0]), abs=0.02)


def test_rmse_is_in_reflectance(bands):
    record = next(r for r in bands.records.itertuples() if r.method == "harmonic")
    assert record.reflectance == 1
    page = as_paper_page(bands, COMMAND, PRESETS["paper-bands"])
    assert f"{record.rmse:.4f}" in page


@pytest.mark.parametrize("name", ["bands", "shares"])
def test_the_figure_shows_the_method_asked_for(name, request):
    figure = draw_paper_figure(request.getfixturevalue(name), ["harmonic"])
    titles = [axes.get_title() for axes in figure.axes]
    assert "(b) similarity, 55 % hidden\nharmonic" in titles
    assert titles.count("truth") == titles.count("with gaps") == 3
    (scores,) = [axes for axes in figure.axes if axes.get_title().startswith("(a)")]
    assert [label.get_text() for label in scores.get_xticklabels()][-1] in ("55 %", "band 2")


def test_an_unknown_preset_names_the_near_one():
    with pytest.raises(UsageError, match="paper-bands or paper-shares") as raised:
        preset_called("paper-band")
    assert "paper-bands" in str(raised.value.hint)
