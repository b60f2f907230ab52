"""Files of unusual make are filled, or refused in a line that says why; none is a crash."""

from __future__ import annotations

import json

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from rasterio.enums import Resampling

BAND = (
    '<VRTRasterBand dataType="{type}" band="{band}">{colour}<NoDataValue>{nodata}</NoDataValue><SimpleSource>'
    '<SourceFilename relativeToVRT="1">{file}</SourceFilename><SourceBand>1</SourceBand>'
    "</SimpleSource></VRTRasterBand>"
)


def write_vrt(path, *bands, size=(100, 80)):
    text = "".join(BAND.format(band=number, **band) for number, band in enumerate(bands, 1))
    path.write_text(f'<VRTDataset rasterXSize="{size[0]}" rasterYSize="{size[1]}">{text}</VRTDataset>')
    return path


def test_a_palette_band_without_a_table_is_filled_as_any_band(make, run, opened, tmp_path):
    made = make("grey.tif", count=1)
    colour = "<ColorInterp>Palette</ColorInterp>"
    path = write_vrt(tmp_path / "p.vrt", {"type": "Byte", "colour": colour, "nodata": 0, "file": "grey.tif"})
    ended = run(path, "-m", "harmonic")
    assert ended.code == 0, ended.said
    new, (observed,) = opened(tmp_path / "p_filled.tif").read(1), made.observed
    np.testing.assert_array_equal(new[observed], made.clean[0][observed])
    assert (new[~observed] > 0).all()


@pytest.mark.parametrize(
    ("types", "dtype"),
    [(("uint8", "float32"), "float32"), (("uint8", "int16", "uint16"), "int32"), (("int16", "float64"), "float64")],
)
def test_bands_of_several_types_take_one_that_holds_all(make, run, opened, tmp_path, types, dtype):
    gdal = {"uint8": "Byte", "int16": "Int16", "uint16": "UInt16", "float32": "Float32", "float64": "Float64"}
    made = [make(f"b{n}.tif", count=1, dtype=kind) for n, kind in enumerate(types)]
    bands = [{"type": gdal[t], "colour": "", "nodata": 0, "file": f"b{n}.tif"} for n, t in enumerate(types)]
    ended = run(write_vrt(tmp_path / "mixed.vrt", *bands), "-m", "harmonic")
    assert ended.code == 0, ended.said
    assert f"are all stored as {dtype}" in ended.said
    with opened(tmp_path / "mixed_filled.tif") as filled:
        assert set(filled.dtypes) == {dtype}
        for new, one, kind in zip(filled.read(), made, types, strict=True):
            np.testing.assert_array_equal(new[one.observed[0]], one.clean[0][one.observed[0]])
            if np.dtype(kind).kind != "f":
                np.testing.assert_array_equal(new, np.rint(new))


@pytest.mark.parametrize("block_px", [16, 64, 96, 128])
def test_a_cloud_optimized_file_of_small_blocks(make, run, opened, tmp_path, block_px):
    made = make("plain.tif", count=1, height=200, width=260)
    with rasterio.open(made.path, "r+") as dataset:
        dataset.build_overviews([2, 4], Resampling.nearest)
    blocks = {"BLOCKXSIZE": str(block_px), "BLOCKYSIZE": str(block_px), "TILED": "YES"}
    rasterio.shutil.copy(str(made.path), str(tmp_path / "cog.tif"), driver="GTiff", COPY_SRC_OVERVIEWS="YES", **blocks)
    ended = run(tmp_path / "cog.tif", "-m", "harmonic")
    assert ended.code == 0, ended.said
    assert ("blocks of 128" in ended.said) == (block_px < 128)
    with opened(tmp_path / "cog_filled.tif") as filled:
        assert filled.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert filled.block_shapes[0] == (128, 128)
        np.testing.assert_array_equal(filled.read(1)[made.observed[0]], made.clean[0][made.observed[0]])


@pytest.mark.parametrize("name", ["out.png", "out.img", "out.JP2"])
def test_an_output_of_another_format_is_refused(make, run, tmp_path, name):
    made = make(count=1)
    ended = run(made.path, "-o", tmp_path / name)
    assert ended.code == 2
    assert "expected -o to be a .tif file or a folder" in ended.err_in_a_line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scene.tif"]


def test_what_was_not_counted_is_null(make, run):
    made = make(count=1)
    assert run(made.path, "-m", "nearest").code == 0
    skipped = json.loads(run(made.path, "-m", "nearest", "--json").out)
    assert (skipped["status"], skipped["tally"], skipped["missing_percent"]) == ("skipped", None, None)
