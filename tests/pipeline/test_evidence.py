"""What a request asks of scenes that can't answer."""

from __future__ import annotations

from dataclasses import replace

from affine import Affine

from landsat_fill.methods import create_method
from landsat_fill.pipeline import FillRequest, Flag
from landsat_fill.pipeline.evidence import without_unanswerable
from landsat_fill.scene import Grid, QualityBand, Scene, SceneBand

GRID = Grid(8, 8, Affine.identity(), None)
BAND = SceneBand("b.tif", 1, "B1", "uint8", 0, (1, 255))
REFLECTIVE = Scene("r", "r", (BAND,), GRID, quality=(QualityBand("QA_PIXEL", "qa.tif"),))
PAN = Scene("p", "p", (replace(BAND, name="B8"),), GRID)
REQUEST = FillRequest(
    create_method("nearest"),
    distrusted=frozenset({Flag.CLOUD, Flag.FAINT}),
    refilled=frozenset({Flag.SHADOW}),
)


def test_a_grid_without_quality_band_is_asked_nothing_of_it_and_said_so():
    request, notes = without_unanswerable(REQUEST, PAN, (REFLECTIVE, PAN))
    assert request.distrusted == {Flag.FAINT}
    assert request.refilled == frozenset()
    assert notes == ("no quality band on the grid of B8: cloud, shadow has no effect there",)


def test_a_scene_with_quality_bands_is_asked_everything():
    assert without_unanswerable(REQUEST, REFLECTIVE, (REFLECTIVE, PAN)) == (REQUEST, ())


def test_where_no_scene_can_answer_the_request_stays_to_be_refused():
    assert without_unanswerable(REQUEST, PAN, (PAN,)) == (REQUEST, ())
