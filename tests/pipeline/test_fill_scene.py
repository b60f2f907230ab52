"""A method with a standard deviation gets a layer for it; no method has to be there for this to be tested."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import rasterio
from making import write_geotiff

from landsat_fill.io import find_inputs
from landsat_fill.methods import MethodInfo
from landsat_fill.pipeline.fill_scene import run_job
from landsat_fill.pipeline.outcome import Status
from landsat_fill.pipeline.plan import plan_jobs
from landsat_fill.pipeline.request import FillRequest, OutputRequest
from landsat_fill.scene import Filled


@dataclass(frozen=True)
class Doubtful:
    """Answers 50 ± 2.5 everywhere."""

    info: ClassVar[MethodInfo] = MethodInfo("doubtful", "", "", halo_px=4, tile_px=32, gives_std=True)

    def fill(self, image, _gaps, _context):
        return Filled(np.full_like(image, 50), np.full(image.shape, 2.5, np.float32))


@pytest.fixture
def scene(tmp_path):
    pixels = np.full((2, 90, 70), 40, np.uint8)
    pixels[:, 40:46] = 0
    return write_geotiff(tmp_path / "scene.tif", pixels, nodata=0)


def run(scene, method, **outputs):
    wanted = OutputRequest(**outputs)
    found, _ = find_inputs([str(scene)])
    (job,) = plan_jobs(found, wanted)
    shares = []
    return run_job(job, FillRequest(method), wanted, lambda share, _text: shares.append(share)), shares


def test_the_layer_holds_the_deviation_of_filled_pixels_and_zero_at_observed_ones(scene):
    outcome, _ = run(scene, Doubtful(), uncertainty=True)
    assert outcome.status is Status.FILLED
    assert outcome.median_std == 2.5
    with rasterio.open(scene.with_name("scene_std.tif")) as dataset:
        std = dataset.read()
        assert dataset.dtypes == ("float32", "float32")
        assert np.isnan(dataset.nodata)
        assert dataset.crs.to_epsg() == 32637
    assert (std[:, 40:46] == 2.5).all()
    assert (std[:, :40] == 0).all()


def test_the_layer_is_written_on_request_only(scene):
    outcome, _ = run(scene, Doubtful())
    assert not scene.with_name("scene_std.tif").exists()
    assert {path.name for path in outcome.files} == {"scene_filled.tif", "scene_fill.tif"}


def test_progress_rises_to_one(scene):
    _, shares = run(scene, Doubtful())
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)


def test_the_tally_counts_every_pixel_of_every_band_once(scene):
    outcome, _ = run(scene, Doubtful())
    tally = outcome.tally
    assert (tally.filled, tally.left, tally.outside) == (2 * 6 * 70, 0, 0)
    assert tally.observed == 2 * 84 * 70
    assert tally.missing_share == pytest.approx(6 / 90)


def test_a_method_without_an_answer_leaves_the_pixel(scene):
    @dataclass(frozen=True)
    class Silent(Doubtful):
        def fill(self, image, _gaps, _context):
            mean = np.full_like(image, 50)
            mean[..., :35] = np.nan
            return Filled(mean, np.full(image.shape, 1, np.float32))

    outcome, _ = run(scene, Silent())
    assert outcome.tally.left > 0
    with rasterio.open(scene.with_name("scene_filled.tif")) as dataset:
        filled = dataset.read()
    with rasterio.open(scene.with_name("scene_fill.tif")) as dataset:
        codes = dataset.read(1)
    assert (filled[:, 40:46, 0] == 0).all()
    np.testing.assert_array_equal(codes == 2, (filled == 0).any(axis=0))


def test_a_method_that_fails_leaves_nothing(scene):
    @dataclass(frozen=True)
    class Failing(Doubtful):
        def fill(self, *_given):
            raise MemoryError

    with pytest.raises(MemoryError):
        run(scene, Failing(), uncertainty=True, preview=True)
    assert [path.name for path in scene.parent.iterdir()] == ["scene.tif"]
