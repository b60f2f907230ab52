"""Finding references: which bands are alike, and what is refused."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pytest
from making import NORTH_UP, landscape, packed, stripes, write_geotiff
from rasterio.crs import CRS
from rasterio.transform import Affine

from landsat_fill.errors import InputError
from landsat_fill.io import archives, find_inputs, one_input, open_input
from landsat_fill.pipeline.reference_scenes import (
    candidate_names,
    day_of,
    find_references,
    index_of,
    match_bands,
    season_apart,
)
from landsat_fill.pipeline.request import ReferenceRequest
from landsat_fill.scene import ETM_PLUS, OLI, TM, SceneBand, Window

if TYPE_CHECKING:
    from pathlib import Path

    from landsat_fill.scene import Band, Scene

SHAPE = (3, 60, 70)


def of_sensor(bands: tuple[Band, ...]) -> list[SceneBand]:
    return [SceneBand("x.tif", number, one.name, "uint16", 0, (1, 100), one) for number, one in enumerate(bands, 1)]


def named(*names: str) -> list[SceneBand]:
    return [SceneBand("x.tif", number, name, "uint16", 0, (1, 100)) for number, name in enumerate(names, 1)]


class TestBands:
    def test_sensors_are_matched_by_what_their_bands_see(self):
        assert match_bands(of_sensor(ETM_PLUS[:6]), of_sensor(TM)) == ((0, 1, 2, 3, 4, 5), None)
        assert match_bands(of_sensor(ETM_PLUS[:6]), of_sensor(OLI)) == ((1, 2, 3, 4, 5, 6), None)
        assert match_bands(of_sensor(OLI[:2]), of_sensor(TM)) == ((None, 0), None)

    def test_thermal_and_panchromatic_bands_match_their_like(self):
        assert match_bands(of_sensor(ETM_PLUS[6:]), of_sensor(TM)) == ((6, 6, None), None)
        assert match_bands(of_sensor(ETM_PLUS[8:]), of_sensor(OLI)) == ((10,), None)

    def test_names_of_other_sensors_and_catalogues(self):
        six = of_sensor(ETM_PLUS[:6])
        assert match_bands(six, named("B02", "B03", "B04", "B8A", "B11", "B12")) == ((0, 1, 2, 3, 4, 5), None)
        assert match_bands(six, named("swir22", "swir16", "nir08", "Red", "green", " blue "))[0] == (5, 4, 3, 2, 1, 0)
        assert match_bands(six, named("B02", "B03", "B04", "B05", "B06", "B07", "B10"))[0] == (0, 1, 2, 3, 4, 5)
        assert match_bands(six, named("B02", "B05", "B08"))[0] == (0, None, None, 2, None, None)

    def test_bands_without_names_are_matched_by_order_with_a_warning(self):
        matches, warning = match_bands(of_sensor(ETM_PLUS[:3]), named("band 1", "band 2", "band 3"))
        assert matches == (0, 1, 2)
        assert warning is not None
        assert "order" in warning
        assert match_bands(of_sensor(ETM_PLUS[:3]), named("band 1", "band 2")) == ((None, None, None), None)

    def test_known_bands_that_differ_are_not_matched_by_order(self):
        assert match_bands(of_sensor(TM[:2]), of_sensor(TM[2:4])) == ((None, None), None)


def write(path: Path, pixels: np.ndarray | None = None, names: tuple[str, ...] = ("blue", "green", "red"), **where):
    pixels = landscape(SHAPE, "uint8") if pixels is None else pixels

    def describe(dataset):
        dataset.descriptions = names

    return write_geotiff(path, pixels, nodata=0, describe=describe, **where)


def opened(path: Path) -> Scene:
    return open_input(one_input(path))[0]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    pixels = landscape(SHAPE, "uint8")
    pixels[stripes(SHAPE)] = 0
    return opened(write(tmp_path / "scene_20040819.tif", pixels))


def reasons(scene: Scene, *archives: object, **limits) -> dict[str, str]:
    found, refused = find_references(scene, ReferenceRequest(archives=tuple(map(str, archives)), **limits))
    return {one.facts.name: "" for one in found} | {one.name: one.reason for one in refused}


def refusal(scene: Scene, path: Path) -> str:
    with pytest.raises(InputError) as caught:
        find_references(scene, ReferenceRequest(named=(str(path),)))
    return caught.value.message


def test_days_are_read_from_names(scene):
    assert day_of(scene) == date(2004, 8, 19)
    assert season_apart(date(2005, 12, 30), date(2001, 1, 4)) == 5


def test_the_scene_itself_is_passed_over_in_a_folder_and_refused_by_name(scene, tmp_path):
    write(tmp_path / "other_20040820.tif")
    assert reasons(scene, tmp_path) == {"other_20040820": ""}
    assert "it is the scene itself" in refusal(scene, tmp_path / "scene_20040819.tif")


def test_no_overlap_no_common_band_and_an_unreadable_file(scene, tmp_path):
    write(tmp_path / "refs" / "far.tif", transform=Affine(30, 0, 700_000, 0, -30, 1_200_000))
    write(tmp_path / "refs" / "thermal.tif", names=("thermal", "thermal", "thermal"))
    (tmp_path / "refs" / "broken.tif").write_bytes(b"II*\0 and nothing")
    found = reasons(scene, tmp_path / "refs")
    assert found["far"] == "it doesn't overlap the scene"
    assert "no band in common" in found["thermal"]
    assert "broken" in found["broken"]
    for name in ("far", "thermal", "broken"):
        assert name in refusal(scene, tmp_path / "refs" / f"{name}.tif")


def test_a_folder_that_is_not_there_is_an_error(scene, tmp_path):
    with pytest.raises(InputError, match="nowhere"):
        find_references(scene, ReferenceRequest(archives=(str(tmp_path / "nowhere"),)))


def test_limits_of_days_and_season(scene, tmp_path):
    for day in ("20040718", "20030820", "20040219"):
        write(tmp_path / "refs" / f"a_{day}.tif")
    assert reasons(scene, tmp_path / "refs", within_days=40) == {
        "a_20040718": "",
        "a_20030820": "it lies 365 days apart",
        "a_20040219": "it lies 182 days apart",
    }
    assert reasons(scene, tmp_path / "refs", same_season=True) == {
        "a_20040718": "",
        "a_20030820": "",
        "a_20040219": "it is of another season",
    }


@pytest.mark.parametrize("ending", [".zip", ".tar"])
def test_images_of_one_archive_serve_each_other(tmp_path, ending):
    for name in ("a_20040819", "b_20040820"):
        write(tmp_path / "in" / f"{name}.tif")
    source = str(packed(tmp_path / "in", tmp_path / f"images{ending}"))
    for given, other in zip(find_inputs([source])[0], ("b_20040820", "a_20040819"), strict=True):
        found, refused = find_references(open_input(given)[0], ReferenceRequest(archives=(source,)))
        assert ([one.facts.name for one in found], refused) == ([other], [])


def test_an_index_leaves_no_unpacked_archive_behind(tmp_path):
    write(tmp_path / "refs" / "near_20040820.tif")
    packed(tmp_path / "refs", tmp_path / "archive" / "refs.tar.bz2")
    assert index_of([str(tmp_path / "archive")])[1] == []
    assert not archives._kept


def test_an_index_holds_outline_and_day_and_spares_the_headers(scene, tmp_path):
    write(tmp_path / "refs" / "near_20040820.tif")
    write(tmp_path / "refs" / "old_20010820.tif")
    write(tmp_path / "refs" / "far_20040820.tif", transform=Affine(30, 0, 700_000, 0, -30, 1_200_000))
    (tmp_path / "refs" / "broken.tif").write_bytes(b"no raster")
    text, problems = index_of([str(tmp_path / "refs")])
    assert [line.partition(":")[0] for line in problems] == ["broken"]
    index = tmp_path / "index.json"
    index.write_text(text, encoding="utf-8")
    assert reasons(scene, index) == {"near_20040820": "", "old_20010820": ""}
    assert reasons(scene, index, within_days=40) == {"near_20040820": ""}
    request = ReferenceRequest(archives=(str(index),))
    assert candidate_names(request) == ["far_20040820.tif", "near_20040820.tif", "old_20010820.tif"]
    index.write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match="STAC"):
        find_references(scene, request)


def test_pixels_that_landsat_fill_filled_are_not_usable(scene, tmp_path, run):
    other = landscape(SHAPE, "uint8", 1)
    gaps = stripes(SHAPE, apart_px=0)
    gaps = np.roll(gaps, 15, axis=1)
    other[gaps] = 0
    ours = tmp_path / "own" / "other_20040820_filled.tif"
    assert run(write(tmp_path / "other_20040820.tif", other), "-o", ours, "-m", "nearest").code == 0
    (one,), _ = find_references(scene, ReferenceRequest(named=(str(ours),)))
    with one:
        usable = one.read(Window(0, 0, *SHAPE[1:])).usable[0]
    np.testing.assert_array_equal(usable[0], ~gaps[0])
    (tmp_path / "own" / "other_20040820_fill.tif").unlink()
    assert "its fill layer isn't beside it" in refusal(scene, ours)


def test_outputs_of_landsat_fill_are_refused_beside_other_named_references(scene, tmp_path, run):
    """Among several inputs, a search leaves out what landsat-fill wrote; a reference that was named must not vanish."""
    good = write(tmp_path / "refs" / "good_20040820.tif")
    ours = tmp_path / "own" / "ours.tif"
    assert run(write(tmp_path / "other.tif"), "-o", ours, "-m", "nearest", "--fill-layer", "none").code == 0
    with pytest.raises(InputError, match="landsat-fill filled it"):
        find_references(scene, ReferenceRequest(named=(str(good), str(ours))))


def test_another_zone_and_southern_northings_are_read_on_the_grid_of_the_scene(scene, tmp_path):
    west, north = NORTH_UP.c, NORTH_UP.f
    south = write(
        tmp_path / "south.tif", crs=CRS.from_epsg(32737), transform=Affine(30, 0, west, 0, -30, north + 10_000_000)
    )
    (one,), _ = find_references(scene, ReferenceRequest(named=(str(south),)))
    with one:
        read = one.read(Window(0, 0, *SHAPE[1:]))
    inner = np.s_[0, :, 4:-4, 4:-4]
    assert read.usable[inner].all()
    np.testing.assert_allclose(read.values[inner], landscape(SHAPE, "uint8")[:, 4:-4, 4:-4], atol=12)
