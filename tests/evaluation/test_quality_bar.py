"""The default method against GDAL's fillnodata, on real places it was not chosen by."""

from __future__ import annotations

import pytest

from landsat_fill.evaluation import FLOOR_WIDTHS_PX, SimulatedStripes, evaluate, summarise
from landsat_fill.io.geotiff import open_geotiff
from landsat_fill.methods import DEFAULT_METHOD, create_method


@pytest.mark.real_data
def test_the_default_is_no_worse_than_fillnodata_at_each_width(real_data):
    scenes = [open_geotiff(str(path)) for path in sorted((real_data / "validation").glob("*.tif"))]
    default = create_method(DEFAULT_METHOD)
    patterns = [SimulatedStripes.of_width(width_px) for width_px in FLOOR_WIDTHS_PX]
    results = evaluate(scenes, [default], patterns)
    assert not results.failures
    ratios = {s.pattern: s.ratios["rmse"] for s in summarise(results) if s.method == default.info.name}
    assert len(ratios) >= len(FLOOR_WIDTHS_PX)
    assert all(ratio <= 1 for ratio in ratios.values()), ratios
