"""What is promised of the default and of its rivals, on real places that nothing was trained on.

These places chose the training step that is shipped, and the factor of the standard deviations.
"""

from __future__ import annotations

import pytest

from landsat_fill.evaluation import FLOOR_WIDTHS_PX, SimulatedStripes, evaluate
from landsat_fill.evaluation.summaries import summarise_pattern
from landsat_fill.io.geotiff import open_geotiff
from landsat_fill.methods import DEFAULT_METHOD, create_method


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("band_shift_px", "widths_px", "classical"),
    [
        (0.0, FLOOR_WIDTHS_PX, ("biharmonic", "tension-spline")),
        # The best there by far, and slow.
        (1.0, (8.0,), ("cokriging",)),
    ],
)
def test_the_default_keeps_its_promises(real_data, band_shift_px, widths_px, classical):
    scenes = [open_geotiff(str(path)) for path in sorted((real_data / "validation").glob("*.tif"))]
    default, *rivals = methods = [create_method(name) for name in (DEFAULT_METHOD, *classical)]
    patterns = [SimulatedStripes.of_width(px, band_shift_px=band_shift_px) for px in widths_px]
    results = evaluate(scenes, methods, patterns)
    assert not results.failures
    by_method = {summary.method: summary for summary in summarise_pattern(results)}
    own, others = by_method[default.info.name], [by_method[rival.info.name] for rival in rivals]
    assert own.ratios["rmse"] <= 0.90
    assert own.worst_ratio <= 1.00
    assert 0.85 <= own.means["coverage_90"] <= 0.95
    assert own.means["ssim"] > max(other.means["ssim"] for other in others)
    assert own.means["stripe_index"] < min(other.means["stripe_index"] for other in others)
