"""What Python programs are offered: the same as the command line, and refused alike."""

from __future__ import annotations

import doctest
import json
from functools import cache

import numpy as np
import pytest
import rasterio
import torch
import xarray
from making import landscape, stripes, write_scene
from typer.testing import CliRunner

import landsat_fill
from landsat_fill.cli.app import app
from landsat_fill.errors import UsageError
from landsat_fill.methods import create_method


@pytest.mark.parametrize(
    ("method", "asked", "is_there"), [("harmonic", None, False), ("convcnp", None, True), ("convcnp", False, False)]
)
@pytest.mark.usefixtures("tiny_models")
def test_the_deviation_is_written_unless_told_where_the_method_has_one(samples, tmp_path, method, asked, is_there):
    outcome = landsat_fill.fill_file(samples / "slc_off.tif", tmp_path / "out.tif", method=method, uncertainty=asked)
    assert (tmp_path / "out_std.tif" in outcome.files) == is_there
    assert (tmp_path / "out_std.tif").exists() == is_there
    if is_there:
        with rasterio.open(tmp_path / "out_std.tif") as std, rasterio.open(tmp_path / "out_fill.tif") as codes:
            filled = codes.read(1) == 4
            assert (np.nan_to_num(std.read()).max(axis=0)[filled] > 0).all()


def test_a_deviation_that_a_method_lacks_is_refused_and_nothing_written(samples, tmp_path):
    with pytest.raises(landsat_fill.LandsatFillError, match=r"standard deviation .* but harmonic has none"):
        landsat_fill.fill_file(samples / "slc_off.tif", tmp_path / "out.tif", method="harmonic", uncertainty=True)
    assert not list(tmp_path.iterdir())


NAMES = sorted(set(landsat_fill.__all__) - {"__version__"})


@pytest.fixture
def beside_samples(samples, tmp_path, monkeypatch):
    """Work in a folder that holds the sample data, as the examples do."""
    (tmp_path / "sample_data").symlink_to(samples, target_is_directory=True)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", [name for name in NAMES if name[0].islower()])
@pytest.mark.usefixtures("beside_samples")
def test_the_example_of_a_function_runs(name):
    function = getattr(landsat_fill, name)
    (example,) = [
        found
        for found in doctest.DocTestFinder().find(function, globs={"landsat_fill": landsat_fill})
        if found.examples
    ]
    assert doctest.DocTestRunner().run(example).failed == 0


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_can_be_found_and_read_about(name):
    assert name in dir(landsat_fill)
    assert getattr(landsat_fill, name).__doc__
    if name[0].islower():
        for section in ("Source:", "Example:"):
            assert section in getattr(landsat_fill, name).__doc__


SMALL = np.arange(2 * 40 * 40, dtype=np.float32).reshape(2, 40, 40)
LOST = np.zeros((2, 40, 40), dtype=bool)
LOST[:, 18:22] = True


@cache
def expected():
    return landsat_fill.fill_array(SMALL, LOST, method="harmonic").mean


@pytest.mark.parametrize(
    "missing",
    [
        LOST.astype(np.uint8),
        LOST.astype(np.uint8) * 255,
        LOST.astype(np.int64),
        LOST.tolist(),
        LOST[0],
        torch.from_numpy(LOST),
    ],
    ids=["uint8", "255", "int64", "lists", "one for all bands", "tensor"],
)
def test_missing_pixels_are_given_in_any_way(missing):
    assert np.isfinite(expected()).all()
    np.testing.assert_array_equal(landsat_fill.fill_array(SMALL, missing, method="harmonic").mean, expected())


@pytest.mark.parametrize("convert", [np.ndarray.tolist, torch.from_numpy], ids=["lists", "tensor"])
def test_an_image_is_given_in_any_way(convert):
    filled = landsat_fill.fill_array(convert(SMALL), LOST, method="harmonic")
    np.testing.assert_allclose(filled.mean, expected(), rtol=1e-6)


@pytest.mark.parametrize(
    ("image", "missing", "message"),
    [
        (None, LOST, "expected image to be an array, but got None"),
        (SMALL, None, "expected missing to be an array, but got None"),
        (SMALL, LOST.astype(float), "expected missing to hold bool or integers, but got float64"),
        (SMALL, LOST[:, 1:], r"expected missing to have the shape \(2, 40, 40\) or \(40, 40\), but got"),
        (SMALL.astype(complex), LOST, "expected image to hold integers or floats, but got complex128"),
        ([[1, 2], [3]], LOST, "expected image to be an array, but got list"),
        (SMALL[0, 0], LOST, r"expected image to have the shape \(band, row, col\)"),
        (torch.zeros(2, 40, 40, requires_grad=True), LOST, "expected image to be an array, but got Tensor"),
        (xarray.DataArray(SMALL, dims=("y", "x", "band")), LOST, r"end with the dimensions \('y', 'x'\)"),
    ],
)
def test_what_is_no_image_or_no_mask_is_refused(image, missing, message):
    with pytest.raises(landsat_fill.LandsatFillError, match=message) as refused:
        landsat_fill.fill_array(image, missing, method="harmonic")
    assert refused.value.hint[0].isupper()


def test_masked_pixels_fill_no_others():
    image = np.ma.MaskedArray(SMALL.copy(), mask=LOST)
    image.mask[:, 14:18] = True
    image.data[:, 14:18] = 1e6
    filled = landsat_fill.fill_array(image, LOST, method="harmonic").mean
    assert np.abs(filled[LOST]).max() < 1e5


def test_a_data_array_comes_back_as_one():
    image = xarray.DataArray(
        SMALL,
        dims=("band", "y", "x"),
        coords={"band": ["red", "nir"], "y": np.arange(40)[::-1] * 30.0},
        attrs={"units": "1"},
    )
    image.encoding["dtype"] = "uint8"
    filled = landsat_fill.fill_array(image, image.copy(data=LOST), method="direct-sampling", realizations=2)
    for one in (filled.mean, filled.std, filled.realizations[0]):
        assert one.dims == image.dims
        assert one.attrs == image.attrs
        assert not one.encoding
        xarray.testing.assert_equal(one.coords.to_dataset(), image.coords.to_dataset())
    assert filled.realizations.dims == ("realization", *image.dims)
    assert (filled.mean.where(~LOST) == image.where(~LOST)).where(~LOST, other=True).all()
    gaps = landsat_fill.find_gaps(image.where(~LOST))
    assert gaps.missing.dims == image.dims
    np.testing.assert_array_equal(gaps.missing, LOST)


def test_one_band_may_come_without_its_axis():
    filled = landsat_fill.fill_array(SMALL[0], LOST[0], method="kriging")
    assert filled.mean.shape == filled.std.shape == (40, 40)


def test_a_method_object_is_taken_where_a_name_is(samples, tmp_path):
    method = create_method("inverse-distance", {"smoothing": 0})
    filled = landsat_fill.fill_array(SMALL, LOST, method=method).mean
    named = landsat_fill.fill_array(SMALL, LOST, method="inverse-distance", options={"smoothing": 0}).mean
    np.testing.assert_array_equal(filled, named)
    outcome = landsat_fill.fill_file(samples / "slc_off.tif", tmp_path / "out.tif", method=method)
    assert outcome.method == "inverse-distance"


@pytest.mark.parametrize("method", [type(create_method("harmonic")), object(), 3])
def test_what_is_no_method_is_refused(method):
    with pytest.raises(landsat_fill.LandsatFillError, match="expected the name of a method or a method object"):
        landsat_fill.fill_array(SMALL, LOST, method=method)


def test_a_file_is_filled_as_by_the_command(samples, tmp_path):
    (product,) = samples.glob("LE07_*")
    shares = []
    outcome = landsat_fill.fill_file(
        product,
        tmp_path / "out",
        method="harmonic",
        bands=[3, "4"],
        distrust=["cloud", "shadow"],
        refill="interpolated",
        stack=True,
        fill_layer="bands",
        preview=True,
        report=tmp_path / "rows.jsonl",
        progress=lambda share, _text: shares.append(share),
    )
    assert {path.suffix for path in outcome.files} >= {".tif", ".png"}
    assert json.loads((tmp_path / "rows.jsonl").read_text())["status"] == "filled"
    assert shares[-1] == 1
    arguments = [str(product), "-o", str(tmp_path / "cli"), "-m", "harmonic", "--bands", "3,4", "--stack"]
    arguments += ["--distrust", "cloud,shadow", "--refill", "interpolated", "--fill-layer", "bands"]
    done = CliRunner().invoke(app, ["fill", *arguments])
    assert done.exit_code == 0, done.output
    for path in outcome.files:
        if path.suffix == ".tif":
            with rasterio.open(path) as own, rasterio.open(next((tmp_path / "cli").rglob(path.name))) as other:
                np.testing.assert_array_equal(own.read(), other.read())


def test_what_is_done_already_is_skipped(samples, tmp_path):
    for status in ("filled", "skipped"):
        outcome = landsat_fill.fill_file(samples / "slc_off.tif", tmp_path / "out.tif", method="nearest")
        assert outcome.status.value == status


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"holes": "all"}, "expected holes to be one of narrow, every, stripes, but got 'all'"),
        ({"distrust": ["clouds"]}, "expected distrust to be one of cloud, dilated-cloud"),
        ({"realizations": 2}, "expected realizations to be 0 for harmonic, but got 2"),
    ],
)
def test_what_a_fill_cannot_mean_is_refused(samples, tmp_path, asked, message):
    with pytest.raises(landsat_fill.LandsatFillError, match=message):
        landsat_fill.fill_file(samples / "slc_off.tif", tmp_path / "out.tif", method="harmonic", **asked)
    assert not list(tmp_path.iterdir())


def test_gaps_of_an_integer_image_need_a_nodata_number(samples):
    scene = landsat_fill.open_scene(samples / "slc_off.tif", bands=["red"])
    assert scene.values.shape[0] == 1
    with pytest.raises(landsat_fill.LandsatFillError, match="expected nodata"):
        landsat_fill.find_gaps(scene.values)
    gaps = landsat_fill.find_gaps(np.ma.masked_equal(scene.values, 0))
    np.testing.assert_array_equal(gaps.missing, scene.missing)
    np.testing.assert_array_equal(gaps.footprint, scene.footprint)


def test_real_gaps_are_laid_over_an_image(samples):
    real = landsat_fill.open_scene(samples / "slc_off.tif").missing
    assert 0.1 < landsat_fill.simulate_gaps(SMALL, gaps=real.astype(np.uint8), seed=1).mean() < 0.9
    with pytest.raises(landsat_fill.LandsatFillError, match="but got both"):
        landsat_fill.simulate_gaps(SMALL, gaps=real, share=0.2)


class TestReferences:
    SHAPE = (3, 80, 100)
    TRUTH = landscape(SHAPE, "uint8", 3)
    LOST = stripes(SHAPE, apart_px=0)

    def test_a_linear_change_is_undone(self):
        earlier = 0.8 * self.TRUTH + 5
        earlier[:, :, 60:] = np.nan
        filled = landsat_fill.fill_array(self.TRUTH, self.LOST, references=[earlier], method="llhm")
        shown = self.LOST & np.isfinite(earlier)
        assert np.abs(filled.mean - self.TRUTH)[shown].mean() < 0.5
        assert (filled.sources[shown] == 1).mean() > 0.9
        assert not filled.sources[self.LOST & ~shown].any()
        assert np.isfinite(filled.mean).all()

    def test_masked_pixels_of_a_reference_are_not_used(self):
        masked = np.ma.masked_array(self.TRUTH, self.TRUTH > 150)
        filled = landsat_fill.fill_array(self.TRUTH, self.LOST, references=[masked], method="llhm")
        assert not filled.sources[self.LOST & masked.mask].any()

    @pytest.mark.usefixtures("tiny_models")
    def test_auto_is_multi_date_with_references(self):
        earlier = 0.8 * self.TRUTH + 5
        auto, named = (
            landsat_fill.fill_array(self.TRUTH, self.LOST, references=[earlier], method=method, threads=1)
            for method in ("auto", "multi-date")
        )
        np.testing.assert_array_equal(auto.mean, named.mean)
        assert auto.std is not None

    def test_one_band_and_data_arrays(self):
        image = xarray.DataArray(self.TRUTH[0], dims=("y", "x"))
        earlier = xarray.DataArray(0.8 * self.TRUTH[0], dims=("y", "x"), coords={"time": np.datetime64("2004-08-18")})
        filled = landsat_fill.fill_array(image, self.LOST[0], references=[earlier], method="llhm")
        assert isinstance(filled.sources, xarray.DataArray)
        assert filled.sources.shape == image.shape

    def test_dates_of_data_arrays_make_a_time_series(self):
        series = [
            xarray.DataArray(
                (0.7 + 0.02 * month) * self.TRUTH,
                dims=("band", "y", "x"),
                coords={"time": np.datetime64(f"2003-{month:02}-15")},
            )
            for month in range(1, 11)
        ]
        filled = landsat_fill.fill_array(self.TRUTH, self.LOST, references=series, method="time-series")
        assert (filled.sources[self.LOST] == 1).all()

    def test_errors(self):
        for arguments, said in (
            ({"method": "llhm"}, "expected references for llhm"),
            ({"method": "harmonic", "references": [self.TRUTH]}, "expected a method that uses references"),
            ({"references": [self.TRUTH[:2]]}, r"expected reference 1 to have the image's shape \(3, 80, 100\)"),
            ({"references": [self.TRUTH, "text"]}, "expected reference 2 to"),
        ):
            with pytest.raises(UsageError, match=said):
                landsat_fill.fill_array(self.TRUTH, self.LOST, **arguments)

    def test_files(self, tmp_path):
        scene = write_scene(tmp_path / "scene_20040819.tif", count=3).path
        clean = write_scene(tmp_path / "refs" / "near_20040820.tif", count=3, gaps=False).path
        outcome = landsat_fill.fill_file(scene, tmp_path / "a.tif", reference=clean, method="llhm")
        assert [one.name for one in outcome.references if one.used] == ["near_20040820"]
        arguments = {"references": tmp_path / "refs", "method": "llhm", "within": 10}
        again = landsat_fill.fill_file(scene, tmp_path / "b.tif", **arguments)
        with rasterio.open(tmp_path / "a.tif") as one, rasterio.open(tmp_path / "b.tif") as other:
            np.testing.assert_array_equal(one.read(), other.read())
        write_scene(tmp_path / "refs" / "new_20040821.tif", count=3, gaps=False)
        skipped = landsat_fill.fill_file(scene, tmp_path / "b.tif", **arguments)
        assert skipped.status.value == "skipped"
        assert skipped.notes == ("1 new reference since; --refresh fills again",)
        refreshed = landsat_fill.fill_file(scene, tmp_path / "b.tif", **arguments, refresh=True)
        assert (again.status, refreshed.status) == (again.status, again.status)
        assert len(refreshed.references) == 2
        with pytest.raises(UsageError, match="limits of days and season"):
            landsat_fill.fill_file(scene, tmp_path / "c.tif", within=3)
        with pytest.raises(UsageError, match="1 to 8"):
            landsat_fill.fill_file(scene, tmp_path / "c.tif", reference=clean, max_references=9)
