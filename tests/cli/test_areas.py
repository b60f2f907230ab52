"""What the user says of an area: masks of missing pixels, where the footprint ends, and the part to write."""

from __future__ import annotations

import json

import numpy as np
import pytest
import rasterio
import rasterio.warp
from making import NORTH_UP, UTM, stripes, write_geotiff
from rasterio.features import geometry_mask
from rasterio.transform import Affine
from rasterio.windows import from_bounds

import landsat_fill
from landsat_fill.io.areas import as_areas

PRODUCT = "LE07_L1TP_299299_20050704_20200914_02_T1"
FINE = Affine(10.0, 0.0, 500_000.0, 0.0, -10.0, 1_200_000.0)


@pytest.fixture
def painted(make):
    """A scene whose gaps hold a number that nothing declares as missing."""
    made = make()
    write_geotiff(made.path, np.where(made.missing, 90, made.clean).astype(np.uint8))
    return made


def masks_of(made, folder):
    """Write masks that say the same for all bands, in different ways."""
    lost = made.missing.any(axis=0)
    ours = np.where(lost, 2, 1).astype(np.uint8)[None]
    degrees = {"crs": "EPSG:4326", "transform": Affine(1e-4, 0, 38.9995, 0, -1e-4, 10.8585), "nodata": -1}
    there = np.full((1, 290, 330), -1, np.float32)
    rasterio.warp.reproject(
        lost.astype(np.float32), there[0], src_transform=NORTH_UP, src_crs=UTM, dst_transform=degrees["transform"],
        dst_crs="EPSG:4326", dst_nodata=-1,
    )  # fmt: skip
    return {
        "one band": write_geotiff(folder / "one.tif", lost[None].astype(np.uint8)),
        "a band each": write_geotiff(folder / "each.tif", np.stack([lost] * 3).astype(np.uint8) * 255),
        "no place": write_geotiff(folder / "plain.tif", lost[None].astype(np.int16), georeferenced=False),
        "finer": write_geotiff(
            folder / "fine.tif", lost.repeat(3, 0).repeat(3, 1)[None].astype(np.uint8), transform=FINE
        ),
        "in degrees": write_geotiff(folder / "degrees.tif", np.where(there > 0, 1, -1).astype(np.float32), **degrees),
        "a gap layer": write_geotiff(
            folder / "gaps.tif", ours, describe=lambda dataset: dataset.update_tags(CODE_1="observed", CODE_2="missing")
        ),
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["one band", "a band each", "no place", "finer", "in degrees", "a gap layer"])
def test_a_mask_on_any_grid_says_what_is_missing(painted, run, tmp_path, kind):
    mask = masks_of(painted, tmp_path / "masks")[kind]
    assert run(painted.path, "-m", "nearest", "--mask", mask).code == 0
    lost = painted.missing.any(axis=0)
    with rasterio.open(tmp_path / "scene_filled.tif") as after, rasterio.open(tmp_path / "scene_fill.tif") as layer:
        filled, codes, tags = after.read(), layer.read(1), after.tags()
    np.testing.assert_array_equal(filled[:, ~lost], painted.clean[:, ~lost])
    assert (filled[:, lost] != 90).any()
    np.testing.assert_array_equal(codes, np.where(lost, 3, 1))
    assert f"{mask.name} (sha256 " in tags["LANDSAT_FILL_OPTIONS"]
    row = json.loads((tmp_path / "report.jsonl").read_text())
    assert f"{3 * lost.sum():,} observed pixels were replaced because the mask says" in "".join(row["notes"])
    assert row["masks"][0].startswith(mask.name)


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857"])
def test_a_mask_of_the_whole_world_holds_the_scene(make, crs, tmp_path):
    world = rasterio.warp.transform_bounds("EPSG:4326", crs, -180, -85, 180, 85)
    there = rasterio.transform.from_bounds(*world, 90, 60)
    nowhere = np.zeros((1, 60, 90), np.uint8)
    mask = write_geotiff(tmp_path / "masks" / "water.tif", nowhere, crs=crs, transform=there)
    outcome = landsat_fill.fill_file(make().path, method="nearest", mask=mask)
    assert "no observed pixel was replaced" in "".join(outcome.notes)


def test_a_mask_adds_to_nodata_and_may_concern_one_band(make, run, tmp_path):
    made = make()
    block = np.zeros((1, 80, 100), np.uint8)
    block[0, 30:36, 40:60] = 1
    mask = write_geotiff(tmp_path / "masks" / "block.tif", block)
    assert run(made.path, "-m", "nearest", "--mask", f"2={mask}", "--fill-layer", "bands").code == 0
    with rasterio.open(tmp_path / "scene_fill.tif") as layer:
        codes = layer.read()
    np.testing.assert_array_equal(codes[0], np.where(made.missing[0], 4, 1))
    np.testing.assert_array_equal(codes[1], np.where(made.missing[1], 4, np.where(block[0], 3, 1)))


@pytest.mark.parametrize(
    ("shape", "options", "said"),
    [
        ((2, 80, 100), {}, "expected a mask with 1 band or one for each of the 3 bands of scene, but"),
        ((1, 79, 100), {"georeferenced": False}, "expected a mask with the 100 × 80 pixels of scene"),
        ((1, 80, 100), {"transform": Affine(30, 0, 9e5, 0, -30, 1.2e6)}, "to overlap scene"),
    ],
)
def test_a_mask_that_does_not_fit(painted, run, tmp_path, shape, options, said):
    mask = write_geotiff(tmp_path / "masks" / "mask.tif", np.ones(shape, np.uint8), **options)
    ended = run(painted.path, "--mask", mask)
    assert ended.code == 1
    assert said in ended.out


def test_gap_masks_of_usgs_are_given_by_hand(samples, run, tmp_path):
    with rasterio.open(samples / PRODUCT / f"{PRODUCT}_B4.TIF") as band:
        seen = np.ones(band.shape, np.uint8)
        here = {"crs": band.crs, "transform": band.transform}
    seen[100:104] = 0  # 0 is missing in these files
    for name in ("B4", "B5"):
        write_geotiff(tmp_path / "gap_mask" / f"{PRODUCT}_GM_{name}.TIF", seen[None], **here)
    more = ("-m", "nearest", "--bands", "B3,B4", "--fill-layer", "bands", "-q")
    assert run(samples / PRODUCT, "-o", tmp_path, "--mask", tmp_path / "gap_mask", *more).code == 0
    with rasterio.open(tmp_path / f"{PRODUCT}_filled" / f"{PRODUCT}_fill.tif") as layer:
        assert [(codes == 3).any(axis=1).nonzero()[0].tolist() for codes in layer.read()] == [[], [100, 101, 102, 103]]
    ended = run(
        samples / PRODUCT, "-o", tmp_path / "b", "--mask", tmp_path / "gap_mask" / f"{PRODUCT}_GM_B5.TIF", *more
    )
    assert ended.code == 1
    assert "expected the band of a gap_mask file" in ended.said
    named = f"B3={tmp_path / 'gap_mask' / f'{PRODUCT}_GM_B5.TIF'}"
    assert run(samples / PRODUCT, "-o", tmp_path / "c", "--mask", named, *more).code == 0
    with rasterio.open(tmp_path / "c" / f"{PRODUCT}_filled" / f"{PRODUCT}_fill.tif") as layer:
        assert [(codes == 3).any(axis=1).nonzero()[0].tolist() for codes in layer.read()] == [[100, 101, 102, 103], []]


def test_gap_masks_of_other_scenes_are_no_mask_of_this_one(make, run, tmp_path):
    for day in ("20050704", "20050720"):
        name = f"{PRODUCT.replace('20050704', day)}_GM_B1.TIF"
        write_geotiff(tmp_path / "gap_mask" / name, np.zeros((1, 80, 100), np.uint8))
    ended = run(make().path, "--mask", tmp_path / "gap_mask")
    assert ended.code == 1
    assert "expected gap_mask files of scene in" in ended.said
    assert "but got those of 2 other scenes" in ended.said


def test_masks_with_the_name_of_the_scene_count_for_references_too(painted, tmp_path):
    lost = painted.missing.any(axis=0)
    for name in ("scene", "other_20040820"):
        write_geotiff(tmp_path / "masks" / f"{name}.tif", lost[None].astype(np.uint8))
    darker = np.where(painted.missing, 90, 0.8 * painted.clean).astype(np.uint8)
    other = write_geotiff(tmp_path / "other_20040820.tif", darker)
    outcome = landsat_fill.fill_file(
        painted.path, method="llhm", references=other, mask=tmp_path / "masks" / "{name}.tif", nodata=0
    )
    assert "it covers none of the gaps" in "".join(outcome.notes)
    (tmp_path / "masks" / "other_20040820.tif").unlink()
    outcome = landsat_fill.fill_file(
        painted.path, method="llhm", references=other, mask=tmp_path / "masks" / "{name}.tif", nodata=0, overwrite=True
    )
    assert "with the help of 1 of 1 references" in "".join(outcome.notes)


PARTS = {
    "window": (["--window", "37,150,51,60"], (37, 150, 51, 60)),
    "bbox": (["--bbox", "501110,1193700,502640,1195500"], (37, 150, 51, 60)),
    "degrees": (["--bbox", "39.0102,10.8014,39.0241,10.8176", "--bbox-crs", "EPSG:4326"], None),
    "beyond the edge": (["--bbox", "505000,1192000,509000,1192900"], (166, 236, 34, 4)),
}


@pytest.fixture(scope="module")
def large(tmp_path_factory, run):
    """A scene of several tiles with several overviews, and its fill."""
    from making import write_scene

    folder = tmp_path_factory.mktemp("large")
    made = write_scene(
        folder / "scene.tif", height=240, width=200, compress="deflate", tiled=True, blockxsize=64, blockysize=64
    )
    assert run(made.path, "-m", "harmonic", "-o", folder / "whole.tif", "-q").code == 0
    return made


@pytest.mark.parametrize("kind", PARTS)
def test_a_part_has_the_pixels_of_the_whole_fill(large, run, tmp_path, kind):
    options, expected = PARTS[kind]
    part = tmp_path / "part.tif"
    assert run(large.path, "-m", "harmonic", "-o", part, "-q", "--preview", *options).code == 0
    for ending in ("", "_fill"):
        whole = large.path.with_name(f"whole{ending}.tif")
        with rasterio.open(whole) as source, rasterio.open(tmp_path / f"part{ending}.tif") as cut:
            window = from_bounds(*cut.bounds, source.transform).round_offsets().round_lengths()
            assert expected in (None, (window.col_off, window.row_off, window.width, window.height))
            assert cut.crs == source.crs
            np.testing.assert_array_equal(cut.read(), source.read(window=window))
    with rasterio.open(part) as cut:
        assert "part" in json.loads(cut.tags()["LANDSAT_FILL_OPTIONS"])


@pytest.mark.parametrize("kind", ["realizations", "references", "a mask"])
def test_all_outputs_of_a_part_are_cut_from_those_of_the_whole(make, run, tmp_path, kind):
    made = make()
    other = write_geotiff(tmp_path / "other_20040820.tif", (0.8 * made.clean).astype(np.uint8), nodata=0)
    block = np.zeros((1, 80, 100), np.uint8)
    block[0, 30:36, 40:60] = 1
    mask = write_geotiff(tmp_path / "mask.tif", block)
    options = {
        "realizations": ("-m", "direct-sampling", "--ensemble", "2", "--realizations", "1"),
        "references": ("-m", "llhm", "--reference", other, "--fill-layer", "source"),
        "a mask": ("-m", "harmonic", "--mask", mask, "--fill-layer", "bands"),
    }[kind]
    assert run(made.path, "-o", tmp_path / "out" / "whole.tif", "-q", *options).code == 0
    assert run(made.path, "-o", tmp_path / "out" / "part.tif", "-q", *options, "--window", "35,25,30,20").code == 0
    endings = {path.name.removeprefix("whole") for path in (tmp_path / "out").glob("whole*.tif")}
    assert len(endings) == {"realizations": 4, "references": 2, "a mask": 2}[kind]
    for ending in endings:
        with (
            rasterio.open(tmp_path / "out" / f"whole{ending}") as whole,
            rasterio.open(tmp_path / "out" / f"part{ending}") as part,
        ):
            np.testing.assert_array_equal(part.read(), whole.read()[:, 25:45, 35:65])


def test_a_part_of_a_product_is_the_same_ground_in_all_grids(samples, run, tmp_path):
    more = ("-m", "nearest", "-q", "--window", "40,50,60,30", "--bands", "B4,B8")
    assert run(samples / PRODUCT, "-o", tmp_path, *more).code == 0
    folder = tmp_path / f"{PRODUCT}_filled"
    with rasterio.open(folder / f"{PRODUCT}_B4.TIF") as one, rasterio.open(folder / f"{PRODUCT}_B8.TIF") as other:
        assert one.shape == (30, 60)
        west, south, east, north = np.subtract(one.bounds, other.bounds)
        assert 0 <= west < 15
        assert 0 <= south < 15
        assert -15 < east <= 0
        assert -15 < north <= 0


def test_another_area_is_another_request(make, run, tmp_path):
    made = make()
    call = (made.path, "-m", "nearest", "--window", "0,0,50,40")
    assert run(*call).code == 0
    assert "1 skipped" in run(*call).out
    ended = run(made.path, "-m", "nearest", "--window", "0,0,50,41")
    assert ended.code == 1
    assert "part: window 0,0,50,40, but window 0,0,50,41 is requested" in ended.out
    assert "--overwrite" in ended.out
    assert "part: window 0,0,50,40, but none is requested" in run(made.path, "-m", "nearest").out
    assert run(made.path, "-m", "nearest", "--overwrite").code == 0
    with rasterio.open(tmp_path / "scene_filled.tif") as whole:
        assert whole.shape == (80, 100)


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--bbox", "1,2,3"], 2, "expected --bbox W,S,E,N, four numbers"),
        (["--bbox", "5,2,3,4"], 2, "west < east"),
        (["--bbox", "0,-inf,10,inf"], 2, "expected --bbox W,S,E,N, four numbers"),
        (["--window", "0,0,10.5,5"], 2, "whole pixels"),
        (["--window", "0,0,5,5", "--bbox", "1,2,3,4"], 2, "expected --bbox or --window, but got both"),
        (["--bbox-crs", "EPSG:4326"], 2, "together with --bbox"),
        (["--bbox", "1,2,3,4", "--bbox-crs", "EPSG:0"], 2, "expected a coordinate reference system"),
        (["--mask", "nothing.tif"], 2, "nothing at nothing.tif"),
        (["--window", "90,0,20,20"], 1, "ends at column 110 and row 20"),
        (["--bbox", "38,10,39,11"], 1, "Give --bbox-crs EPSG:4326 if the box is in degrees"),
    ],
)
def test_an_area_that_makes_no_sense(make, run, options, code, said):
    ended = run(make().path, *options)
    assert ended.code == code
    assert said in ended.said


@pytest.fixture
def clipped(tmp_path):
    """A scene of wide gaps that was clipped with a polygon, the polygon's file, and the pixels within it."""
    corners = [(60.3, 40.4), (320.1, 20.2), (380.6, 200.7), (200.2, 330.1), (80.9, 240.3)]
    polygon = {"type": "Polygon", "coordinates": [[NORTH_UP @ corner for corner in [*corners, corners[0]]]]}
    within = ~geometry_mask([polygon], (360, 420), NORTH_UP)
    lost = stripes((1, 360, 420), 14) | ~within
    path = write_geotiff(tmp_path / "scene.tif", np.where(lost, 0, 100).astype(np.uint8), nodata=0)
    extent = tmp_path / "extent.geojson"
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32637"}}
    shape = {"type": "Feature", "properties": {}, "geometry": polygon}
    extent.write_text(json.dumps({"type": "FeatureCollection", "crs": crs, "features": [shape]}))
    return path, extent, within


def test_the_extent_ends_the_footprint_of_a_clipped_scene(clipped, run, tmp_path):
    path, extent, within = clipped
    ended = run(path, "-m", "nearest", "-o", tmp_path / "without.tif")
    with rasterio.open(tmp_path / "without.tif") as dataset:
        left = int(((dataset.read(1) == 0) & within).sum())
    said = int(ended.out.split("at least ")[1].split(" gap pixels")[0].replace(",", ""))
    assert left > 900
    assert 0.4 * left < said <= left
    assert "--extent" in ended.out
    ended = run(path, "-m", "nearest", "-o", tmp_path / "with.tif", "--extent", extent)
    assert "at least" not in ended.out
    with rasterio.open(tmp_path / "with.tif") as dataset:
        np.testing.assert_array_equal(dataset.read(1) != 0, within)
    scene = landsat_fill.open_scene(path, extent=extent)
    np.testing.assert_array_equal(scene.footprint[0], within)


def test_the_extent_of_a_scene_with_steep_stripes(clipped, run, tmp_path):
    path, extent, within = clipped
    with rasterio.open(path) as dataset:
        turned = dataset.read().transpose(0, 2, 1)
        transform = dataset.transform @ Affine(0, 1, 0, 1, 0, 0)
    write_geotiff(path, turned, nodata=0, transform=transform)
    assert run(path, "-m", "nearest", "-o", tmp_path / "with.tif", "--extent", extent).code == 0
    with rasterio.open(tmp_path / "with.tif") as dataset:
        found = dataset.read(1) != 0
    before = turned[0] != 0
    assert (found & ~within.T).sum() < 0.01 * (found & ~before).sum()  # centres of pixels on the very edge
    assert (within.T & ~found).sum() < 0.01 * (found & ~before).sum()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"type": "LineString", "coordinates": [[39, 10], [40, 11]]}', "expected polygons in"),
        ('{"type": "Polygon", "coordinates": [[[1, 2], [2, 2], [2, 3]]]}', "expected --extent to overlap scene"),
        ('{"type": "Polygon", "coordinates": [[[5e5, 1e6], [6e5, 1e6], [6e5, 2e6]]]}', "expected degrees of longitude"),
        ('{"type": "Polygon", "coordinates": [[[39, 10], [40, 11]]]}', "a ring needs three corners"),
        ('{"type": "Polygon"', "expected polygons as GeoJSON"),
        ("no GeoJSON", "needs another package"),
    ],
)
def test_an_extent_that_does_not_fit(make, run, tmp_path, monkeypatch, content, said):
    def not_installed(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("landsat_fill.io.areas.import_module", not_installed)
    extent = tmp_path / "extent.geojson"
    extent.write_text(content)
    ended = run(make().path, "--extent", extent)
    assert ended.code == 1
    assert said in ended.out


def test_a_scene_without_a_file_of_its_own_for_the_extent(make, run, tmp_path):
    ended = run(make().path, "--extent", tmp_path / "{name}.geojson")
    assert ended.code == 1
    assert f"expected to read the polygon in {tmp_path / 'scene.geojson'}, but got: No such file" in ended.said


def test_files_of_areas_may_hold_the_name_of_the_scene(painted, tmp_path):
    mask = write_geotiff(tmp_path / "masks" / "scene_gaps.tif", painted.missing.any(axis=0)[None].astype(np.uint8))
    outcome = landsat_fill.fill_file(painted.path, method="nearest", mask=mask.parent / "{name}_gaps.tif")
    assert outcome.tally.filled == 3 * int(painted.missing.any(axis=0).sum())
    assert as_areas([str(mask)]).facts("scene") == as_areas([str(mask.parent / "{name}_gaps.tif")]).facts("scene")
