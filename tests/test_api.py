"""What Python programs are offered: the same as the command line, and refused alike."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio

import landsat_fill


@pytest.mark.parametrize(
    ("method", "asked", "is_there"),
    [("harmonic", None, False), ("convcnp", None, True), ("convcnp", False, False)],
)
@pytest.mark.usefixtures("tiny_models")
def test_the_deviation_is_written_unless_told_where_the_method_has_one(
    samples, tmp_path, method, asked, is_there
):
    outcome = landsat_fill.fill_file(
        samples / "slc_off.tif", tmp_path / "out.tif", method=method, uncertainty=asked
    )
    assert (tmp_path / "out_std.tif" in outcome.files) == is_there
    assert (tmp_path / "out_std.tif").exists() == is_there
    if is_there:
        with (
            rasterio.open(tmp_path / "out_std.tif") as std,
            rasterio.open(tmp_path / "out_fill.tif") as codes,
        ):
            filled = codes.read(1) == 4
            assert (np.nan_to_num(std.read()).max(axis=0)[filled] > 0).all()


def test_a_deviation_that_a_method_lacks_is_refused_and_nothing_written(samples, tmp_path):
    with pytest.raises(landsat_fill.LandsatFillError, match=r"standard deviation .* but harmonic has none"):
        landsat_fill.fill_file(
            samples / "slc_off.tif", tmp_path / "out.tif", method="harmonic", uncertainty=True
        )
    assert not list(tmp_path.iterdir())
