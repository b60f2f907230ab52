"""Damaged, hostile and unreadable inputs: each is named in one line, and the rest of the batch is filled."""

from __future__ import annotations

import http.server
import os
import random
import struct
import sys
import tarfile
import threading
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import rasterio
from making import NORTH_UP, UTM, landscape, write_geotiff
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS

from landsat_fill.cli import app
from landsat_fill.errors import InputError, cannot_write, printable
from landsat_fill.io import Rasters, find_inputs, open_input, reader
from landsat_fill.io.archives import list_members
from landsat_fill.io.gdal import open_dataset
from landsat_fill.scene import Window

PRODUCT = "LE07_L1TP_299299_20050704_20200914_02_T1"


def rows_by_name(run, *arguments):
    """Run a fill with --json, and return its rows by name."""
    import json

    ended = run(*arguments, "-m", "nearest", "--json")
    return {row["name"]: row for row in map(json.loads, ended.out.splitlines())}


def test_bad_inputs_do_not_stop_a_batch(make, run, tmp_path):
    folder = tmp_path / "in"
    make("in/good.tif")
    claims = b"II" + struct.pack("<HHHQ", 43, 8, 0, 16) + struct.pack("<Q", 2**36) + bytes(64)
    (folder / "claims.tif").write_bytes(claims)
    (folder / "loop.tif").symlink_to("loop.tif")
    os.mkfifo(folder / "pipe.tif")

    rows = rows_by_name(run, folder, tmp_path / f"{'b' * 300}.tif", "-o", tmp_path / "out")

    assert {name: row["status"] for name, row in rows.items()} == {
        "good": "filled",
        "claims": "failed",
        "loop.tif": "failed",
        "pipe.tif": "failed",
        f"{'b' * 300}.tif": "failed",
    }
    assert not [row["error"] for row in rows.values() if "unexpected" in (row["error"] or "")]


@pytest.mark.parametrize("name", ["n" * 240, "\udcff\udcfe"], ids=["long", "no UTF-8"])
def test_a_name_that_no_output_can_have_is_refused_and_the_rest_filled(make, run, tmp_path, name):
    make("in/good.tif")
    content = (tmp_path / "in/good.tif").read_bytes()
    (tmp_path / f"in/{name}.tif").write_bytes(content)

    rows = rows_by_name(run, tmp_path / "in", "-o", tmp_path / "out")

    assert rows["good"]["status"] == "filled"
    assert rows[name]["error"].startswith("expected output names")


def test_a_target_that_is_a_link_to_itself_does_not_stop_a_batch(make, run, tmp_path):
    make("in/good.tif")
    make("in/other.tif")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/other_filled.tif").symlink_to("other_filled.tif")

    rows = rows_by_name(run, tmp_path / "in", "-o", tmp_path / "out")

    assert rows["good"]["status"] == "filled"
    assert "expected to write" in rows["other"]["error"]


@pytest.fixture
def server(tmp_path):
    """Serve a folder on this machine; yields its address and the requests seen."""
    seen = []

    class Noting(http.server.SimpleHTTPRequestHandler):
        def do_GET(self):
            seen.append(self.path)
            self.send_error(404)

        def do_HEAD(self):
            self.do_GET()

        def log_message(self, *_arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Noting) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{served.server_port}", seen
        served.shutdown()


@pytest.mark.parametrize("kind", ["local file", "address", "service"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_file_that_refers_to_others_is_not_followed(make, run, tmp_path, server, kind, packed):
    address, seen = server
    secret = make("secret.tif").path
    source = {"local file": secret, "address": f"/vsicurl/{address}/x.tif"}.get(kind)
    text = (
        '<VRTDataset rasterXSize="64" rasterYSize="64"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
        f"<SourceFilename>{source}</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"
    )
    if kind == "service":
        text = (
            f'<GDAL_WMS><Service name="TMS"><ServerUrl>{address}/${{z}}/${{x}}/${{y}}.png</ServerUrl></Service>'
            "<DataWindow><UpperLeftX>0</UpperLeftX><UpperLeftY>1</UpperLeftY><LowerRightX>1</LowerRightX>"
            "<LowerRightY>0</LowerRightY><TileLevel>0</TileLevel></DataWindow><BandsCount>1</BandsCount></GDAL_WMS>"
        )
    folder = tmp_path / "in"
    folder.mkdir()
    member = folder / f"{PRODUCT}_B1.TIF"
    member.write_text(text)
    if packed:
        with tarfile.open(folder / f"{PRODUCT}.tar", "w") as archive:
            archive.add(member, member.name)
        member.unlink()

    (row,) = rows_by_name(run, folder, "-o", tmp_path / "out").values()

    assert row["status"] == "failed"
    assert seen == []
    assert not list((tmp_path / "out").rglob("*.TIF"))


def test_an_output_in_the_way_that_refers_to_others_is_not_followed(make, run, tmp_path, server):
    address, seen = server
    make()
    (tmp_path / "scene_filled.tif").write_text(
        '<VRTDataset rasterXSize="64" rasterYSize="64"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
        f"<SourceFilename>/vsicurl/{address}/x.tif</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"
    )

    assert run(tmp_path / "scene.tif", "-m", "nearest").code == 1
    assert seen == []


def test_names_cannot_forge_lines_of_a_log(make, run, tmp_path):
    name = "a\x1b[31m\n2026-01-01 00:00:00  filled: forged"
    make(f"in/{name}.tif")
    (tmp_path / "in/bad\x1b[2J\r.tif").write_text("x")

    ended = run(tmp_path / "in", "-m", "nearest", "-o", tmp_path / "out")
    info = run("info", tmp_path / "in")

    for said in (ended.said, info.said):
        assert "\x1b" not in said
        assert "\r" not in said
        assert not [line for line in said.splitlines() if line.startswith("2026-01-01")]
    assert r"a\x1b[31m\n2026-01-01 00:00:00  filled: forged" in ended.out


def test_texts_are_printed_in_one_line():
    assert printable("é — 2\u00a0147\u202f483 σ²") == "é — 2\u00a0147\u202f483 σ²"
    assert printable("a\n\x1b[2J\udcff\u202eb\x9b") == r"a\n\x1b[2J\xff\u202eb\x9b"


def test_a_tag_that_is_not_utf8_is_a_damaged_file(make, run, tmp_path):
    made = make(tags={"NOTE": "plain text"})
    made.path.write_bytes(made.path.read_bytes().replace(b"plain text", b"plain\xf2text"))

    (row,) = rows_by_name(run, made.path).values()

    assert row["status"] in ("failed", "filled")
    assert "unexpected" not in (row["error"] or "")


def test_a_pixel_size_of_0_and_ground_points_without_a_crs(run, opened, tmp_path):
    pixels = landscape((2, 60, 70))
    pixels[:, 20:24] = 0
    points = [GroundControlPoint(row, col, 5e5 + 30 * col, 1e6 - 30 * row, 0) for row in (0, 60) for col in (0, 70)]
    write_geotiff(tmp_path / "points.tif", pixels, georeferenced=False, nodata=0, gcps=points, crs=CRS())
    write_geotiff(
        tmp_path / "flat.tif", pixels, georeferenced=False, crs="EPSG:32637", nodata=0,
        transform=(0, 0, 5e5, 0, 0, 1e6),
    )  # fmt: skip

    for name in ("points", "flat"):
        assert run(tmp_path / f"{name}.tif", "-m", "nearest").code == 0
    found = opened(tmp_path / "points_filled.tif").gcps
    assert len(found[0]) == 4
    assert not found[1]


class FullStream:
    """Standard output on a full disk."""

    encoding = "utf-8"

    def __init__(self, number):
        self.number = number

    def write(self, _text):
        raise OSError(self.number, os.strerror(self.number))

    def flush(self):
        pass

    def isatty(self):
        return False

    def fileno(self):
        raise OSError


@pytest.mark.parametrize(("number", "code"), [(28, 1), (32, 0), (None, 0)], ids=["full", "head", "closed"])
def test_output_that_cannot_be_written_costs_no_scene(make, tmp_path, monkeypatch, capsys, number, code):
    made = make()
    monkeypatch.setattr(sys, "stdout", None if number is None else FullStream(number))

    with pytest.raises(SystemExit) as ended:
        app.app([str(made.path), "-m", "nearest"])

    assert ended.value.code == code
    assert (tmp_path / "scene_filled.tif").exists()
    assert ("No space left on device" in capsys.readouterr().err) == (number == 28)


def test_the_number_of_an_error_of_gdal_is_not_the_systems(tmp_path, monkeypatch):
    from rasterio._err import CPLE_AppDefinedError

    error = CPLE_AppDefinedError(1, 1, "WriteEncodedStrip() failed")
    assert "WriteEncodedStrip() failed" in cannot_write(tmp_path / "x.tif", error).message
    monkeypatch.setattr("shutil.disk_usage", lambda _folder: type("Usage", (), {"free": 100})())
    full = cannot_write(tmp_path / "x.tif", error)
    assert "No space left on device" in full.message
    assert "full" in full.hint


def test_values_of_a_scene_beside_a_damaged_one_stay(make, run, opened, tmp_path):
    made = make("in/good.tif")
    (tmp_path / "in/bad.tif").write_bytes(made.path.read_bytes()[:300])

    rows = rows_by_name(run, tmp_path / "in", "-o", tmp_path / "out")

    assert rows["bad"]["status"] == "failed"
    found = opened(Path(tmp_path / "out/good_filled.tif")).read()
    np.testing.assert_array_equal(found[made.observed], made.clean[made.observed])


def test_a_scene_that_claims_more_than_the_memory_is_refused_with_the_number(run, tmp_path):
    wide = {
        "driver": "GTiff",
        "height": 64,
        "width": 4_000_000,
        "count": 2,
        "dtype": "uint8",
        "nodata": 0,
        "crs": UTM,
        "transform": NORTH_UP,
    }
    with rasterio.open(tmp_path / "wide.tif", "w", sparse_ok=True, tiled=True, **wide):
        pass
    assert (tmp_path / "wide.tif").stat().st_size < 2_000_000

    for jobs in (1, 2):
        rows = rows_by_name(run, tmp_path / "wide.tif", "--memory", "2G", "-o", tmp_path / "out", "--jobs", jobs)
        assert "2,048 MiB" in rows["wide"]["error"]


def test_an_archive_of_large_metadata_files_takes_little_memory(tmp_path):
    with zipfile.ZipFile(tmp_path / "many.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for day in range(40):
            archive.writestr(f"LE07_L1TP_299299_200507{day:02}_20200914_02_T1_MTL.txt", b"x" * (4 << 20))

    tracemalloc.start()
    list_members(tmp_path / "many.zip")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 40 * (1 << 20)


def test_colours_are_listed_once_for_all_bands(tmp_path, monkeypatch):
    """rasterio looks at all bands for the colours, which takes minutes if it is asked for each of thousands."""
    path = write_geotiff(tmp_path / "many.tif", landscape((150, 16, 16)), nodata=0, interleave="pixel")
    asked = []

    class Counting:
        def __init__(self, dataset):
            self._dataset = dataset

        def __getattr__(self, name):
            asked.append(name)
            return getattr(self._dataset, name)

    monkeypatch.setattr(reader, "open_dataset", lambda source: Counting(open_dataset(source)))
    with Rasters() as rasters:
        open_input(find_inputs([str(path)])[0][0], rasters=rasters)
        assert rasters[str(path)].profile.count == 150
    assert asked.count("colorinterp") <= 2
    assert asked.count("read") < 30


def test_a_damaged_jpeg_block_is_reported_as_with_one_thread(tmp_path):
    """With several threads, GDAL hides some errors."""
    pixels = landscape((3, 256, 256))
    options = {"compress": "jpeg", "photometric": "ycbcr", "interleave": "pixel", "tiled": True}
    path = write_geotiff(tmp_path / "jpeg.tif", pixels, blockxsize=64, blockysize=64, **options)
    with rasterio.open(path) as dataset:
        offset, size = (int(dataset.get_tag_item(f"BLOCK_{of}_1_1", "TIFF", bidx=1)) for of in ("OFFSET", "SIZE"))
    content = path.read_bytes()
    chance = random.Random(1)
    outcomes = []
    for _ in range(60):
        damaged = bytearray(content)
        for _ in range(chance.choice((1, 2, 5))):
            damaged[offset + chance.choice((chance.randrange(size), chance.randrange(40)))] = chance.randrange(256)
        path.write_bytes(damaged)
        found = []
        for read in (read_with_one_thread, read_by_us):
            try:
                found.append(read(path).tobytes())
            except (rasterio.errors.RasterioError, InputError):
                found.append(None)
        outcomes.append(found)
    assert all(one == ours for one, ours in outcomes)
    assert 0 < sum(one is None for one, _ in outcomes) < 60


def read_with_one_thread(path):
    with rasterio.Env(GDAL_NUM_THREADS="1"), rasterio.open(path) as dataset:
        return dataset.read()


def read_by_us(path):
    with Rasters() as rasters:
        return rasters[str(path)].read(Window(0, 0, 256, 256))


def test_a_name_that_leaves_no_room_for_side_files_costs_its_scene_alone(make, run, tmp_path):
    make("in/a.tif", count=1)
    make(f"in/{'x' * 246}.tif", count=1)  # 250 of the 255 bytes that a name may have
    ended = run(tmp_path / "in", "-m", "nearest")
    assert ended.code == 1
    assert "expected output names of at most 255 bytes" in ended.out
    assert "1 filled · 1 failed" in ended.out
