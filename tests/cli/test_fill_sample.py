"""The sample scene, which has a footprint with a ragged side and a truth, filled once and looked at."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import rasterio
from typer.testing import CliRunner

from landsat_fill.cli.app import app

NEXT_PIXEL = 1.5
"""Farther away than the next pixel, also over a corner."""


@pytest.fixture(scope="module")
def filled(samples, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample")
    arguments = [str(samples / "slc_off.tif"), "-o", str(folder / "out.tif"), "--preview"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture(scope="module")
def cubes(samples, filled):
    read = {}
    for name, path in {
        "clean": samples / "clean.tif",
        "gappy": samples / "slc_off.tif",
        "filled": filled / "out.tif",
        "layer": filled / "out_fill.tif",
    }.items():
        with rasterio.open(path) as dataset:
            read[name] = dataset.read()
    return read


def test_observed_pixels_are_bit_identical(cubes):
    observed = cubes["gappy"] != 0
    np.testing.assert_array_equal(cubes["filled"][observed], cubes["gappy"][observed])


def test_nothing_is_invented_outside_any_bands_footprint(cubes):
    for clean, filled in zip(cubes["clean"], cubes["filled"], strict=True):
        away_px = cv2.distanceTransform((clean == 0).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        assert not ((filled != 0) & (away_px > NEXT_PIXEL)).any()


def test_what_is_missing_inside_the_footprint_is_filled(cubes):
    missing = (cubes["clean"] != 0) & (cubes["gappy"] == 0)
    assert (cubes["filled"][missing] != 0).mean() >= 0.997


def test_the_fill_is_close_to_the_truth(cubes):
    missing = (cubes["clean"] != 0) & (cubes["gappy"] == 0) & (cubes["filled"] != 0)
    truth = cubes["clean"][missing].astype(float)
    assert np.sqrt(np.mean((cubes["filled"][missing] - truth) ** 2)) < 0.5 * truth.std()


def test_the_fill_layer_says_of_each_pixel_what_was_done(cubes, filled):
    gappy, after, layer = cubes["gappy"], cubes["filled"], cubes["layer"][0]
    was_filled = ((gappy == 0) & (after != 0)).any(axis=0)
    np.testing.assert_array_equal(layer == 4, was_filled)
    np.testing.assert_array_equal(layer == 0, (after == 0).all(axis=0))
    np.testing.assert_array_equal(layer == 1, (gappy != 0).any(axis=0) & ~was_filled)
    with rasterio.open(filled / "out_fill.tif") as dataset:
        assert dataset.colormap(1)[4] != dataset.colormap(1)[1]
        assert dataset.colormap(1)[0][3] == 0
        assert dataset.tags()["CODE_4"] == "missing, filled"
        assert dataset.nodata == 0
        assert dataset.count == 1


def test_the_tags_say_how_it_was_made(filled):
    with rasterio.open(filled / "out.tif") as dataset:
        tags = dataset.tags()
    assert tags["LANDSAT_FILL_METHOD"] == "band-unet"
    assert tags["LANDSAT_FILL_SOURCE"] == "slc_off.tif"
    assert "precision" in json.loads(tags["LANDSAT_FILL_METHOD_OPTIONS"])
    assert json.loads(tags["LANDSAT_FILL_OPTIONS"])["holes"] == "narrow"
    assert tags["ORIGIN"].startswith("invented by landsat-fill")


def test_the_report_has_a_row(cubes, filled):
    (row,) = map(json.loads, (filled / "report.jsonl").read_text().splitlines())
    assert row["status"] == "filled"
    assert row["tally"]["observed"] == np.count_nonzero(cubes["gappy"])
    assert row["tally"]["filled"] == np.count_nonzero((cubes["gappy"] == 0) & (cubes["filled"] != 0))
    assert row["tally"]["left"] == 0
    assert sum(row["tally"].values()) == cubes["gappy"].size
    assert {"method", "options", "version", "time", "seconds", "missing_percent"} <= set(row)


def test_the_picture_shows_before_and_after_side_by_side(filled):
    picture = cv2.imread(str(filled / "out.png"))
    height, width, _ = picture.shape
    assert (height, width) == (512, 2 * 512 + 8)
    before, after = picture[:, :512], picture[:, -512:]
    black = [(half == 0).all(axis=2).mean() for half in (before, after)]
    assert black[0] > black[1] + 0.2


def test_no_other_file_is_left(filled):
    names = sorted(path.name for path in filled.iterdir())
    assert names == [".out.tif.done", "out.png", "out.tif", "out_fill.tif", "out_std.tif", "report.jsonl"]
