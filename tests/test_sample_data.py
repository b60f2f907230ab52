from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio

if TYPE_CHECKING:
    from types import ModuleType

FOLDER = Path(__file__).resolve().parents[1] / "sample_data"
PRODUCT = FOLDER / "LE07_L1TP_299299_20050704_20200914_02_T1"
BANDS = ("1", "2", "3", "4", "5", "7", "6_VCID_1", "6_VCID_2", "8")


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        pixels: np.ndarray = dataset.read()
    return pixels


@pytest.fixture
def maker(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the generator of the sample data as a module."""
    monkeypatch.syspath_prepend(str(FOLDER))
    import make

    return make


def test_the_samples_stay_small() -> None:
    stored = [*FOLDER.glob("*.tif"), *FOLDER.glob("LE07_*/**/*")]
    assert sum(path.stat().st_size for path in stored if path.is_file()) < 3_000_000


def test_the_gappy_scene_is_the_clean_one_with_stripes() -> None:
    gappy, clean = read(FOLDER / "slc_off.tif"), read(FOLDER / "clean.tif")
    assert gappy.shape == clean.shape == (6, 512, 512)
    observed = gappy > 0
    assert np.array_equal(gappy[observed], clean[observed])
    hidden = (clean > 0) & ~observed
    assert 0.2 < hidden.sum() / (clean > 0).sum() < 0.35
    assert 0.05 < (clean == 0).mean() < 0.2
    assert any(not np.array_equal(observed[0], band) for band in observed[1:])


def test_the_earlier_date_shows_most_of_what_is_missing() -> None:
    gappy, clean, earlier = (read(FOLDER / name) for name in ("slc_off.tif", "clean.tif", "slc_off_20050618.tif"))
    missing = (clean > 0) & (gappy == 0)
    assert 0.6 < (earlier > 0)[missing].mean() < 0.9
    both = (gappy > 0) & (earlier > 0)
    agreement = [np.corrcoef(gappy[band][both[band]], earlier[band][both[band]])[0, 1] for band in range(6)]
    assert agreement[0] > 0.4  # the clouds are others
    assert 0.8 < agreement[3] < 0.97


def test_the_scene_carries_what_a_reader_wants_to_know() -> None:
    with rasterio.open(FOLDER / "slc_off.tif") as scene:
        assert scene.dtypes == ("uint8",) * 6
        assert scene.nodata == 0
        assert scene.descriptions == ("blue", "green", "red", "nir", "swir1", "swir2")
        assert scene.crs.to_epsg() == 32626
        assert scene.tags()["SENSOR_MODE_SLC"] == "OFF"
        assert scene.tags()["AREA_OR_POINT"] == "Point"
        assert scene.profile["compress"] == "deflate"
        assert scene.block_shapes == [(256, 256)] * 6


def test_the_clean_scene_is_no_flat_picture() -> None:
    clean = read(FOLDER / "clean.tif").astype(float)
    land = (clean > 0).all(axis=0) & (clean < 255).all(axis=0)
    near_infrared = clean[3]
    steps = np.abs(np.diff(near_infrared, axis=0))[land[1:] & land[:-1]]
    assert np.percentile(steps, 90) > 10
    red_to_nir = np.corrcoef(clean[2][land], near_infrared[land])[0, 1]
    assert red_to_nir < 0.5


def test_the_product_has_every_file_of_its_kind() -> None:
    names = {path.name.removeprefix(PRODUCT.name) for path in PRODUCT.rglob("*") if path.is_file()}
    assert names == {
        *(f"_B{band}.TIF" for band in BANDS),
        *(f"_GM_B{band}.TIF" for band in BANDS),
        "_QA_PIXEL.TIF",
        "_QA_RADSAT.TIF",
        "_MTL.txt",
    }
    text = (PRODUCT / f"{PRODUCT.name}_MTL.txt").read_text()
    for line in ('SENSOR_MODE_SLC = "OFF"', "DATE_ACQUIRED = 2005-07-04", "SCAN_GAP_INTERPOLATION = 2.0"):
        assert line in text


@pytest.mark.parametrize("band", BANDS)
def test_the_gap_mask_covers_more_than_the_zeros(band: str) -> None:
    values = read(PRODUCT / f"{PRODUCT.name}_B{band}.TIF")[0]
    observed = read(PRODUCT / "gap_mask" / f"{PRODUCT.name}_GM_B{band}.TIF")[0]
    assert values.shape == ((512, 512) if band == "8" else (256, 256))
    assert set(np.unique(observed)) == {0, 1}
    assert (values[observed == 1] > 0).all()
    assert ((values > 0) & (observed == 0)).sum() > 0.1 * (observed == 0).sum()


def test_quality_bands_agree_with_the_pixels() -> None:
    reflective = np.stack([read(PRODUCT / f"{PRODUCT.name}_B{band}.TIF")[0] for band in BANDS[:8]])
    pixel_quality = read(PRODUCT / f"{PRODUCT.name}_QA_PIXEL.TIF")[0]
    saturation = read(PRODUCT / f"{PRODUCT.name}_QA_RADSAT.TIF")[0]
    assert np.array_equal(pixel_quality & 1 == 1, (reflective == 0).any(axis=0))
    assert np.array_equal(saturation & 1 == 1, reflective[0] == 255)
    assert (pixel_quality >> 3 & 1).any()
    assert (pixel_quality >> 4 & 1).any()


@pytest.mark.slow
def test_the_generator_makes_the_samples_that_are_stored(maker: ModuleType) -> None:
    sample, acquisition = maker.make_sample()
    stored = read(FOLDER / "clean.tif")
    # Another FFT may round another way here and there.
    assert (sample.clean != stored).mean() < 0.01
    assert (sample.gappy != read(FOLDER / "slc_off.tif")).mean() < 0.01
    assert (maker.make_earlier_date() != read(FOLDER / "slc_off_20050618.tif")).mean() < 0.01
    assert (acquisition.bands["4"] == sample.clean[3, 176:432, 40:296])[acquisition.inside["4"]].all()


def test_a_full_size_scene_comes_with_its_true_footprint(maker: ModuleType, tmp_path: Path) -> None:
    maker.write_full_scene(tmp_path / "scene.tif", 1100, 900, 1, tmp_path / "inside.tif")
    scene, inside = read(tmp_path / "scene.tif"), read(tmp_path / "inside.tif").astype(bool)
    assert scene.shape == inside.shape == (6, 1100, 900)
    assert not scene[~inside].any()
    assert 0.17 < (scene[inside] == 0).mean() < 0.25
    with rasterio.open(tmp_path / "scene.tif") as dataset:
        assert dataset.profile["compress"] == "deflate"
        assert dataset.block_shapes == [(512, 512)] * 6
        assert dataset.nodata == 0
    observed_bytes = (scene > 0).sum()
    assert (tmp_path / "scene.tif").stat().st_size > 0.6 * observed_bytes
