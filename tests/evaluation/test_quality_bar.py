"""What is promised of the default and of its rivals, on real places that nothing was trained on.

These places chose the training step that is shipped, and the factor of the standard deviations.
"""

from __future__ import annotations

import pytest

from landsat_fill.evaluation import SimulatedStripes, evaluate, summarise
from landsat_fill.evaluation.results import summarise_pattern
from landsat_fill.evaluation.trials import FLOOR_WIDTHS_PX
from landsat_fill.io.geotiff import open_geotiff
from landsat_fill.methods import DEFAULT_METHOD, create_method


@pytest.fixture
def scenes(real_data):
    return [open_geotiff(str(path)) for path in sorted((real_data / "validation").glob("*.tif"))]


@pytest.mark.real_data
def test_the_default_is_no_worse_than_fillnodata_at_each_width(scenes):
    default = create_method(DEFAULT_METHOD)
    patterns = [SimulatedStripes.of_width(width_px) for width_px in FLOOR_WIDTHS_PX]
    results = evaluate(scenes, [default], patterns)
    assert not results.failures
    ratios = {s.pattern: s.rmse_ratio for s in summarise(results) if s.method == default.info.name}
    assert len(ratios) >= len(FLOOR_WIDTHS_PX)
    assert all(ratio <= 1 for ratio in ratios.values()), ratios


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("band_shift_px", "widths_px", "classical"),
    [
        (0.0, FLOOR_WIDTHS_PX, ("biharmonic", "tension-spline")),
        # The best there by far, and slow.
        (1.0, (8.0,), ("cokriging",)),
    ],
)
def test_the_default_keeps_its_promises(scenes, band_shift_px, widths_px, classical):
    default, *rivals = methods = [create_method(name) for name in (DEFAULT_METHOD, *classical)]
    patterns = [SimulatedStripes.of_width(px, band_shift_px=band_shift_px) for px in widths_px]
    results = evaluate(scenes, methods, patterns)
    assert not results.failures
    by_method = {summary.method: summary for summary in summarise_pattern(results).itertuples()}
    own, others = by_method[default.info.name], [by_method[rival.info.name] for rival in rivals]
    assert own.rmse_ratio <= 0.90
    assert own.worst_rmse_ratio <= 1.00
    assert 0.85 <= own.coverage_90 <= 0.95
    assert own.ssim > max(other.ssim for other in others)
    assert own.stripe_index < min(other.stripe_index for other in others)
