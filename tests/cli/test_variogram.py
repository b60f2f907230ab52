"""`landsat-fill variogram`: what it tells, what it draws, and what it refuses."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import rasterio


def test_it_tells_of_each_band(make, run):
    made = make()
    ended = run("variogram", made.path, "--json")
    assert ended.code == 0, ended.said
    told = json.loads(ended.out)
    with rasterio.open(made.path) as dataset:
        assert len(told) == dataset.count
    for band in told:
        semivariance = [band["semivariance"][px] for px in ("1", "4", "16")]
        assert 0 <= band["nugget"] <= semivariance[0] < semivariance[1] < semivariance[2] <= band["sill"]
        assert band["ratio"] == 1
        sills = [one["sill"] for one in band["structures"]]
        assert band["nugget"] + sum(sills) == pytest.approx(band["sill"])
        assert all(one["range_m"] == pytest.approx(30 * one["range_px"]) for one in band["structures"])
    table = run("variogram", made.path, "--bands", "2")
    assert table.code == 0
    assert table.out.count("all directions") == 1  # one band, not three
    assert re.search(r"\d (exp|mat) \d+ m", table.out)


def test_roughness_is_that_of_the_observed_pixels(make, run):
    """The root mean square difference between neighbours; nodata is no neighbour."""
    made = make(count=1, height=120)
    (told,) = json.loads(run("variogram", made.path, "--json").out)
    clean, known = made.clean[0].astype(float), made.observed[0]
    squares = [
        np.diff(clean, axis=axis)[(known & np.roll(known, -1, axis=axis)).take(range(size - 1), axis=axis)]
        ** 2
        for axis, size in enumerate(clean.shape)
    ]
    assert told["roughness"] == pytest.approx(np.sqrt(np.concatenate(squares).mean()), rel=1e-6)


def test_options_of_kriging_change_it(make, run):
    made = make(count=1)
    plain, robust = (
        json.loads(run("variogram", made.path, "--json", *options).out)[0]
        for options in ((), ("-O", "estimator=cressie-hawkins", "-O", "local=false"))
    )
    assert robust["semivariance"] != plain["semivariance"]
    assert robust["roughness"] == 0


def test_a_plot_is_drawn(make, run, opened, tmp_path):
    made = make(count=2)
    target = tmp_path / "variogram.png"
    assert run("variogram", made.path, "--plot", target).code == 0
    with opened(target) as picture:
        pixels = picture.read()
    assert min(pixels.shape[1:]) > 200
    assert len(np.unique(pixels)) > 10
    before = target.read_bytes()
    again = run("variogram", made.path, "--plot", target)
    assert again.code != 0
    assert "is there already" in again.said
    assert target.read_bytes() == before
    assert run("variogram", made.path, "--plot", target, "--overwrite").code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-O", "estimator=median"), "matheron or cressie-hawkins, but got 'median'"),
        (("-O", "range=3"), "expected an option of kriging, but got 'range'"),
        (("-O", "robust"), "expected -O NAME=VALUE"),
        (("--bands", "9"), "expected bands of scene, but got '9'"),
        (("--plot", "variogram.docx"), "expected a figure to end in"),
    ],
)
def test_what_cannot_be_meant_is_refused(make, run, tmp_path, monkeypatch, arguments, said):
    made = make()
    monkeypatch.chdir(tmp_path)
    ended = run("variogram", made.path, *arguments)
    assert ended.code in (1, 2)
    assert said in ended.err_in_a_line
    assert [path.name for path in tmp_path.iterdir()] == ["scene.tif"]


def test_a_scene_that_is_none_is_refused(make, run, tmp_path):
    missing = run("variogram", tmp_path / "nowhere.tif")
    assert missing.code == 1
    assert "but got nothing there" in missing.err_in_a_line
    text = tmp_path / "text.tif"
    text.write_text("no raster")
    assert run("variogram", text).code == 1
    made = make()
    ended = run("variogram", made.path, "--plot", made.path, "--overwrite")
    assert ended.code != 0
    assert "is the input itself" in ended.err_in_a_line


def test_bands_of_one_value_and_of_none(make, run):
    def constant(dataset):
        dataset.update_tags(1, note="one value")

    made = make("flat.tif", count=1, describe=constant)
    with rasterio.open(made.path, "r+") as dataset:
        stored = dataset.read(1)
        dataset.write(np.where(stored == 0, 0, 77).astype("uint8"), 1)
    (told,) = json.loads(run("variogram", made.path, "--json").out)
    assert told["sill"] == 0
    with rasterio.open(made.path, "r+") as dataset:
        dataset.write(np.zeros_like(stored), 1)
    empty = run("variogram", made.path)
    assert empty.code == 1
    assert "expected" in empty.err_in_a_line
