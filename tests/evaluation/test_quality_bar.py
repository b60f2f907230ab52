"""What is promised of the default and of its rivals, on real places that nothing was trained on.

These places chose the training step that is shipped, and the factor of the standard deviations.
"""

from __future__ import annotations

import pytest

from landsat_fill.evaluation import FLOOR_WIDTHS_PX, SimulatedStripes, evaluate, summarise
from landsat_fill.evaluation.summaries import ALL_PATTERNS
from landsat_fill.io.geotiff import open_geotiff
from landsat_fill.methods import DEFAULT_METHOD, create_method

CLASSICAL = {1.0: ("cokriging",), 0.0: ("biharmonic", "tension-spline")}
"""By how far the gaps of one band lie off those of another: the best by SSIM and by stripe index there."""


@pytest.mark.real_data
@pytest.mark.parametrize("band_shift_px", CLASSICAL)
def test_the_default_keeps_its_promises(real_data, band_shift_px):
    scenes = [open_geotiff(str(path)) for path in sorted((real_data / "validation").glob("*.tif"))]
    methods = [create_method(name) for name in (DEFAULT_METHOD, *CLASSICAL[band_shift_px])]
    patterns = [SimulatedStripes.of_width(px, band_shift_px=band_shift_px) for px in FLOOR_WIDTHS_PX]
    results = evaluate(scenes, methods, patterns)
    assert not results.failures
    overall = {s.method: s for s in summarise(results) if s.pattern == ALL_PATTERNS}
    default, rivals = overall[DEFAULT_METHOD], [overall[name] for name in CLASSICAL[band_shift_px]]
    assert default.ratios["rmse"] <= 0.90
    assert default.worst_ratio <= 1.00
    assert 0.85 <= default.means["coverage_90"] <= 0.95
    assert default.means["ssim"] > max(rival.means["ssim"] for rival in rivals)
    assert default.means["stripe_index"] < min(rival.means["stripe_index"] for rival in rivals)
