"""What is promised of the default and of its rivals, on real places that nothing was trained on.

These places chose the training step that is shipped, and the factor of the standard deviations.
"""

from __future__ import annotations

import pytest

from landsat_fill.evaluation import SimulatedStripes, evaluate, summarise
from landsat_fill.evaluation.results import summarise_pattern
from landsat_fill.io.geotiff import open_geotiff
from landsat_fill.methods import DEFAULT_METHOD, create_method

DEFAULT = create_method(DEFAULT_METHOD).info.name


@pytest.fixture
def scenes(real_data):
    return [open_geotiff(str(path)) for path in sorted((real_data / "validation").glob("*.tif"))]


def kept(results, rivals):
    """Check what is promised over all scenes, against all rivals."""
    assert not results.failures
    by_method = {summary.method: summary for summary in summarise_pattern(results).itertuples()}
    own, others = by_method[DEFAULT], [by_method[rival] for rival in rivals]
    assert own.rmse_ratio <= 0.90
    assert own.worst_rmse_ratio <= 1.00
    assert 0.85 <= own.coverage_90 <= 0.95
    assert own.ssim > max(other.ssim for other in others)
    assert own.stripe_index < min(other.stripe_index for other in others)


@pytest.mark.real_data
def test_the_default_keeps_its_promises_at_each_width(scenes):
    rivals = ("biharmonic", "tension-spline")
    patterns = [SimulatedStripes.of_width(width_px) for width_px in (4.0, 8.0, 14.0)]
    results = evaluate(scenes, [create_method(name) for name in (DEFAULT, *rivals)], patterns)
    kept(results, rivals)
    ratios = {s.pattern: s.rmse_ratio for s in summarise(results).itertuples() if s.method == DEFAULT}
    assert len(ratios) >= 3
    assert all(ratio <= 1 for ratio in ratios.values()), ratios


@pytest.mark.slow
@pytest.mark.real_data
def test_the_default_keeps_its_promises_where_bands_have_stripes_apart(scenes):
    """Cokriging is the best classical method there by far."""
    methods = [create_method(name) for name in (DEFAULT, "cokriging")]
    kept(evaluate(scenes, methods, [SimulatedStripes.of_width(8.0, band_shift_px=1.0)]), ["cokriging"])
