"""A raster appears whole or not at all, whatever the strips it is written in."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.transform import Affine

from landsat_fill.errors import OutputError, UsageError
from landsat_fill.io import read_profile
from landsat_fill.io.atomic import append_line, staging_path, write_text_atomically
from landsat_fill.io.geotiff import open_geotiff
from landsat_fill.io.locks import TakenError
from landsat_fill.io.raster_profile import RasterProfile
from landsat_fill.io.reader import SceneReader
from landsat_fill.io.writer import BlockRows, new_raster
from landsat_fill.scene import Grid, Window

GRID = Grid(100, 80, Affine(30.0, 0.0, 5e5, 0.0, -30.0, 1e6), CRS.from_epsg(32637))


def plain(*, count=2, dtype="uint8", grid=GRID, **changes):
    return replace(RasterProfile.plain(grid, dtype, count=count), **changes)


def random_pixels(profile, seed=0):
    shape = profile.count, profile.height, profile.width
    return np.random.default_rng(seed).integers(0, 100, shape).astype(profile.dtype)


def write_whole(target, profile, pixels, **options):
    with new_raster(target, profile, **options) as writer:
        writer.write(pixels, Window(0, 0, profile.height, profile.width))


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@settings(max_examples=60, deadline=None)
@given(
    strips=st.lists(st.integers(1, 70), min_size=1, max_size=12),
    block=st.one_of(st.sampled_from([16, 32, 48]), st.integers(1, 40)),
    tiled=st.booleans(),
    interleave=st.sampled_from(["PIXEL", "BAND"]),
    masked=st.booleans(),
)
def test_strips_of_any_height_come_back_bit_by_bit(strips, block, tiled, interleave, masked):
    block = -(-block // 16) * 16 if tiled else block
    profile = plain(
        tiled=tiled, block_height=block, block_width=block, interleave=interleave, masked=masked
    )  # fmt: skip
    pixels = random_pixels(profile)
    valid = np.random.default_rng(1).random(pixels.shape[1:]) > 0.5
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "out.tif"
        with new_raster(target, profile) as writer:
            row = 0
            for height in [*strips, profile.height]:
                height = min(height, profile.height - row)
                if height:
                    rows = slice(row, row + height)
                    writer.write(pixels[:, rows], Window(row, 0, height, 80), valid=valid[rows])
                    row += height
        with rasterio.open(target) as dataset:
            np.testing.assert_array_equal(dataset.read(), pixels)
            if masked:
                np.testing.assert_array_equal(dataset.dataset_mask() > 0, valid)


def test_windows_in_any_order_come_back_bit_by_bit(tmp_path):
    profile = plain(block_height=32, block_width=32, masked=True)
    pixels = random_pixels(profile)
    windows = [Window(r, c, min(30, 100 - r), min(30, 80 - c)) for r in range(0, 100, 30) for c in range(0, 80, 30)]
    np.random.default_rng(4).shuffle(windows)

    with new_raster(tmp_path / "out.tif", profile) as writer:
        for window in windows:
            writer.write(pixels[:, *window.slices], window)

    with rasterio.open(tmp_path / "out.tif") as dataset:
        np.testing.assert_array_equal(dataset.read(), pixels)


def test_no_block_is_written_twice(tmp_path):
    """A block written twice would leave its first version behind as dead bytes."""
    profile = plain(grid=replace(GRID, height=600, width=300), block_height=64, block_width=64)
    pixels = random_pixels(profile)
    write_whole(tmp_path / "whole.tif", profile, pixels)

    with new_raster(tmp_path / "strips.tif", profile) as writer:
        for row in range(0, 600, 50):
            writer.write(pixels[:, row : row + 50], Window(row, 0, 50, 300))

    whole, strips = ((tmp_path / name).stat().st_size for name in ("whole.tif", "strips.tif"))
    assert strips == pytest.approx(whole, rel=0.01)


def test_what_is_written_may_be_reused_by_the_caller(tmp_path):
    profile = plain(block_height=64, block_width=64)
    pixels = random_pixels(profile)
    buffer = np.empty((2, 10, 80), "uint8")

    with new_raster(tmp_path / "out.tif", profile) as writer:
        for row in range(0, 100, 10):
            buffer[:] = pixels[:, row : row + 10]
            writer.write(buffer, Window(row, 0, 10, 80))

    with rasterio.open(tmp_path / "out.tif") as dataset:
        np.testing.assert_array_equal(dataset.read(), pixels)


def test_the_alpha_band_is_opaque_where_pixels_are_valid(tmp_path):
    profile = plain(count=2, dtype="uint16")
    profile = replace(profile, bands=(profile.bands[0], replace(profile.bands[1], colour="alpha")))
    valid = np.zeros((100, 80), bool)
    valid[:50] = True

    with new_raster(tmp_path / "out.tif", profile) as writer:
        writer.write(np.full((1, 100, 80), 7, "uint16"), Window(0, 0, 100, 80), valid=valid)

    with rasterio.open(tmp_path / "out.tif") as dataset:
        assert dataset.read(2)[[0, 99], 0].tolist() == [65535, 0]


def test_numbers_given_for_the_alpha_band_are_kept(tmp_path):
    profile = plain(count=2)
    profile = replace(profile, bands=(replace(profile.bands[0], colour="alpha"), profile.bands[1]))
    alpha = np.arange(8000, dtype="uint8").reshape(100, 80)

    with new_raster(tmp_path / "out.tif", profile) as writer:
        writer.write(np.full((1, 100, 80), 7, "uint8"), Window(0, 0, 100, 80), alpha=alpha)

    with rasterio.open(tmp_path / "out.tif") as dataset:
        np.testing.assert_array_equal(dataset.read(1), alpha)
        assert (dataset.read(2) == 7).all()


def test_the_target_is_not_there_before_the_end(tmp_path):
    profile = plain()
    with new_raster(tmp_path / "out.tif", profile) as writer:
        writer.write(random_pixels(profile), Window(0, 0, 100, 80))
        assert not (tmp_path / "out.tif").exists()
        assert all(name.startswith(".") for name in names(tmp_path))
    assert names(tmp_path) == ["out.tif"]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "out.tif"
    target.write_bytes(b"old")

    with pytest.raises(ZeroDivisionError), new_raster(target, plain(), overwrite=True) as writer:
        writer.write(random_pixels(plain()), Window(0, 0, 100, 80))
        raise ZeroDivisionError

    assert names(tmp_path) == ["out.tif"]
    assert target.read_bytes() == b"old"


def test_an_existing_file_is_replaced_only_on_request(tmp_path):
    target, profile = tmp_path / "out.tif", plain()
    target.write_bytes(b"old")

    with pytest.raises(OutputError, match="already exists") as caught:
        write_whole(target, profile, random_pixels(profile))
    assert "--overwrite" in caught.value.hint
    assert target.read_bytes() == b"old"

    write_whole(target, profile, random_pixels(profile), overwrite=True)
    assert read_profile(target) == profile


@pytest.mark.parametrize("link", ["same", "symlink", "hardlink", "other spelling"])
def test_the_input_is_never_written_on(link, tmp_path):
    source, target = tmp_path / "in.tif", tmp_path / "out.tif"
    source.write_bytes(b"input")
    if link == "symlink":
        target.symlink_to(source)
    elif link == "hardlink":
        target.hardlink_to(source)
    elif link == "other spelling":
        (tmp_path / "sub").mkdir()
        target = tmp_path / "sub" / ".." / "in.tif"
    else:
        target = source

    with pytest.raises(OutputError, match="is the input itself"):
        write_whole(target, plain(), random_pixels(plain()), overwrite=True, protected=[source])

    assert source.read_bytes() == b"input"


def test_a_link_leads_to_the_file_that_is_replaced(tmp_path):
    (tmp_path / "real").mkdir()
    real, link = tmp_path / "real" / "data.tif", tmp_path / "out.tif"
    real.write_bytes(b"old")
    link.symlink_to(real)

    write_whole(link, plain(), random_pixels(plain()), overwrite=True)

    assert link.is_symlink()
    assert read_profile(real) == plain()


def test_a_folder_that_is_missing_is_made(tmp_path):
    write_whole(tmp_path / "a" / "b" / "out.tif", plain(), random_pixels(plain()))

    assert names(tmp_path / "a" / "b") == ["out.tif"]


def test_a_folder_is_no_target(tmp_path):
    with pytest.raises(OutputError, match="is a folder"):
        write_whole(tmp_path, plain(), random_pixels(plain()))


def test_a_folder_below_a_file_is_no_place(tmp_path):
    (tmp_path / "file").write_text("x")

    with pytest.raises(OutputError, match="expected to write"):
        write_whole(tmp_path / "file" / "out.tif", plain(), random_pixels(plain()))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_says_so(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="ermission") as caught:
            write_whole(tmp_path / "out.tif", plain(), random_pixels(plain()))
        assert "--output" in caught.value.hint
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize(
    "options", [{"COMPRESS": "NOSUCH"}, {"BLOCKXSIZE": "17"}, {"NOSUCH": "1"}, {"COMPRESS": "JPEG"}]
)
def test_wrong_creation_options_are_a_usage_error(options, tmp_path, capfd):
    with pytest.raises(UsageError) as caught:
        write_whole(tmp_path / "out.tif", plain(), random_pixels(plain()), creation_options=options)

    assert next(iter(options)) in str(caught.value) or next(iter(options.values())) in str(caught.value)
    assert names(tmp_path) == []
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("disabled", ["logger", "level", "all"])
def test_wrong_creation_options_are_refused_without_logging(disabled, tmp_path, monkeypatch):
    logger = logging.getLogger("rasterio._env")
    monkeypatch.setattr(logger, "disabled", disabled == "logger")
    monkeypatch.setattr(logger, "level", logging.CRITICAL if disabled == "level" else logging.NOTSET)
    logging.disable(logging.CRITICAL if disabled == "all" else logging.NOTSET)
    try:
        with pytest.raises(UsageError, match="creation options"):
            write_whole(tmp_path / "out.tif", plain(), random_pixels(plain()), creation_options={"COMPRES": "LZW"})
        assert logger.manager.disable == (logging.CRITICAL if disabled == "all" else logging.NOTSET)
        assert logger.disabled == (disabled == "logger")
    finally:
        logging.disable(logging.NOTSET)


def test_creation_options_come_through(tmp_path):
    options = {"compress": "zstd", "zstd_level": "1", "blockysize": "64", "BIGTIFF": "YES"}
    write_whole(tmp_path / "out.tif", plain(), random_pixels(plain()), creation_options=options)

    profile = read_profile(tmp_path / "out.tif")
    assert (profile.compression, profile.block_height, profile.big) == ("ZSTD", 64, True)


def test_tiles_on_request_of_a_file_in_strips(tmp_path):
    profile = plain(tiled=False, block_height=13, block_width=80)
    write_whole(tmp_path / "out.tif", profile, random_pixels(profile), creation_options={"TILED": "YES"})

    assert read_profile(tmp_path / "out.tif").tiled


@pytest.mark.real_data
def test_real_files_come_back_as_they_were(real_data, tmp_path):
    files = sorted(path for path in real_data.rglob("*") if path.suffix.lower() == ".tif")
    for number, source in enumerate(files[::9]):
        profile = read_profile(source)
        target = tmp_path / f"{number}.tif"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with rasterio.open(source) as dataset:
                pixels = dataset.read()
        write_whole(target, profile, pixels)
        assert read_profile(target) == profile, source
        with SceneReader(open_geotiff(str(target))) as reader:
            values, _ = reader.read(Window(0, 0, profile.height, profile.width))
        np.testing.assert_array_equal(values, pixels, err_msg=str(source))


def test_a_cloud_optimized_file_on_request(tmp_path):
    profile = plain(count=3, grid=replace(GRID, height=1200, width=1100), masked=True)
    pixels = random_pixels(profile)
    options = {"blocksize": "256", "compress": "zstd"}

    write_whole(tmp_path / "out.tif", profile, pixels, cog=True, creation_options=options, tags={"TOOL": "this"})

    assert names(tmp_path) == ["out.tif"]
    with rasterio.open(tmp_path / "out.tif") as dataset:
        np.testing.assert_array_equal(dataset.read(), pixels)
        structure = dataset.tags(ns="IMAGE_STRUCTURE")
        assert (structure["LAYOUT"], structure["COMPRESSION"], structure["PREDICTOR"]) == ("COG", "ZSTD", "2")
        assert dataset.block_shapes[0] == (256, 256)
        assert dataset.tags()["TOOL"] == "this"
        assert dataset.crs == GRID.crs


def run_in_python(script, **kwargs):
    """Run a script with the imports of this file in a process of its own."""
    header = f"""
        import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
        from test_writer import *
    """
    code = textwrap.dedent(header) + textwrap.dedent(script)
    return subprocess.Popen([sys.executable, "-c", code], text=True, stdout=-1, stderr=-1, **kwargs)


# A limit on file size fails a write in the same place as a full disk does: in the middle of it. One process
# tries them all, as each costs a second to start.
FULL_DISKS = """
    import resource
    for changes in (
        {}, {"interleave": "PIXEL"}, {"masked": True}, {"overviews": (2, 4)}, {"sparse": True},
        {"compression": None, "predictor": 1}, {"tiled": False, "block_height": 1, "block_width": 226},
    ):
        profile = plain(grid=replace(GRID, height=300, width=226), **changes)
        target = Path(FOLDER) / "out.tif"
        pixels = random_pixels(profile)
        write_whole(target, profile, pixels)
        size = target.stat().st_size
        target.unlink()
        for limit in (0, 2_000, 30_000, size // 2, size - 4_000, size - 200, size - 1):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
            try:
                with new_raster(target, profile) as writer:
                    for row in range(0, 300, 50):
                        writer.write(pixels[:, row : row + 50], Window(row, 0, 50, 226))
                outcome = "whole" if target.stat().st_size < limit else "taken for whole"
            except OutputError as error:
                outcome = "refused" if error.hint else "refused without a hint"
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            print(changes, limit, size, names(Path(FOLDER)), outcome)
            target.unlink(missing_ok=True)
"""


def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path):
    process = run_in_python(FULL_DISKS.replace("FOLDER", repr(str(tmp_path))))
    out, err = process.communicate(timeout=120)

    lines = out.splitlines()
    assert len(lines) == 49, err
    assert [line for line in lines if not line.endswith("[] refused")] == []


def test_a_killed_run_leaves_what_the_next_one_removes(tmp_path):
    target = tmp_path / "out.tif"
    target.write_bytes(b"old")
    script = f"""
        profile = plain()
        context = new_raster(Path({str(target)!r}), profile, overwrite=True)
        writer = context.__enter__()
        writer.write(random_pixels(profile)[:, :50], Window(0, 0, 50, 80))
        print("written", flush=True)
        sys.stdin.read()
    """
    process = run_in_python(script, stdin=subprocess.PIPE)
    try:
        assert process.stdout.readline() == "written\n"
        with pytest.raises(TakenError, match=str(process.pid)):
            write_whole(target, plain(), random_pixels(plain()), overwrite=True)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=30)
    finally:
        process.kill()
    assert target.read_bytes() == b"old"
    assert staging_path(target).is_dir()

    write_whole(target, plain(), random_pixels(plain()), overwrite=True)

    assert names(tmp_path) == ["out.tif"]


def test_the_staging_folder_of_another_target_is_left_alone(tmp_path):
    other = staging_path(tmp_path / "other.tif")
    other.mkdir()

    write_whole(tmp_path / "out.tif", plain(), random_pixels(plain()))

    assert other.exists()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"interleave": "PIXEL"},
        {"masked": True},
        {"overviews": (2, 4)},
        {"overviews": (2, 4), "interleave": "PIXEL", "masked": True},
        {"sparse": True, "nodata": 0},
        {"cloud_optimized": True, "masked": True, "interleave": "PIXEL"},
    ],
)
def test_gdal_says_nothing_on_the_terminal(changes, tmp_path, capfd):
    profile = plain(count=3, grid=replace(GRID, height=1000, width=256), **changes)

    write_whole(tmp_path / "out.tif", profile, random_pixels(profile))

    assert capfd.readouterr() == ("", "")


def test_a_writer_works_in_another_thread(tmp_path):
    profile = plain(masked=True)
    pixels = random_pixels(profile)
    thread = threading.Thread(target=write_whole, args=(tmp_path / "out.tif", profile, pixels))
    thread.start()
    thread.join()

    assert read_profile(tmp_path / "out.tif") == profile
    assert names(tmp_path) == ["out.tif"]


def test_a_wrong_shape_is_refused(tmp_path):
    with pytest.raises(ValueError, match="shape"), new_raster(tmp_path / "out.tif", plain()) as writer:
        writer.write(np.zeros((3, 10, 80), "uint8"), Window(0, 0, 10, 80))


def test_text_replaces_text_whole(tmp_path):
    path = tmp_path / "sub" / "notes.txt"
    write_text_atomically(path, "one\n")
    write_text_atomically(path, "zwei ü\n")

    assert path.read_text(encoding="utf-8") == "zwei ü\n"
    assert names(path.parent) == ["notes.txt"]


def test_text_that_cannot_be_written_is_an_output_error(tmp_path):
    (tmp_path / "file").write_text("x")
    for write in (write_text_atomically, append_line):
        with pytest.raises(OutputError):
            write(tmp_path / "file" / "notes.txt", "text")


def test_lines_of_several_writers_never_mix(tmp_path):
    path = tmp_path / "report.jsonl"
    lines = [f"{n}" * 300 for n in range(8)]
    threads = [threading.Thread(target=append_line, args=(path, line)) for line in lines for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(path.read_text().splitlines()) == sorted(lines * 20)


HEIGHT, WIDTH, BLOCK = 100, 5, 16


class Target:
    """A raster in memory, which notes what it is given."""

    def __init__(self) -> None:
        self.planes = np.full((2, HEIGHT, WIDTH), -1)
        self.valid = np.zeros((HEIGHT, WIDTH), bool)
        self.windows: list[Window] = []
        self.given: list[np.ndarray] = []
        self.rows = BlockRows(HEIGHT, WIDTH, BLOCK, self.store)

    def store(self, planes, valid, window: Window) -> None:
        assert planes.shape == (2, window.height, window.width)
        self.planes[:, *window.slices] = planes
        self.valid[window.slices] = valid
        self.windows.append(window)
        self.given.append(planes)


@pytest.fixture
def image():
    return np.arange(2 * HEIGHT * WIDTH).reshape(2, HEIGHT, WIDTH)


@pytest.mark.parametrize("strip", [1, 7, 16, 24, 40, 64, 99, 100])
def test_strips_come_out_in_whole_rows_of_blocks(image, strip: int) -> None:
    target = Target()
    valid = image[0] % 3 == 0
    for row in range(0, HEIGHT, strip):
        window = Window(row, 0, min(strip, HEIGHT - row), WIDTH)
        target.rows.put(image[:, *window.slices], valid[window.slices], window)
    np.testing.assert_array_equal(target.planes, image)
    np.testing.assert_array_equal(target.valid, valid)
    ends = [window.row + window.height for window in target.windows]
    assert [window.row for window in target.windows] == [0, *ends[:-1]]
    assert all(end % BLOCK == 0 for end in ends[:-1])
    assert ends[-1] == HEIGHT


def test_of_a_strip_no_more_is_copied_than_the_row_of_blocks_it_shares(image) -> None:
    target = Target()
    for row, height in ((0, 40), (40, 60)):
        target.rows.put(image[:, row : row + height], np.ones((height, WIDTH), bool), Window(row, 0, height, WIDTH))
    assert target.windows == [Window(0, 0, 32, WIDTH), Window(32, 0, 16, WIDTH), Window(48, 0, 52, WIDTH)]
    assert [np.shares_memory(planes, image) for planes in target.given] == [True, False, True]


def test_what_does_not_follow_is_handed_on_at_once(image) -> None:
    target = Target()
    windows = [Window(0, 0, 20, WIDTH), Window(50, 1, 10, 3), Window(60, 0, 40, WIDTH)]
    for window in windows:
        target.rows.put(image[:, *window.slices], np.ones((window.height, window.width), bool), window)
    target.rows.flush()
    assert [(w.row, w.height) for w in target.windows[:3]] == [(0, 16), (16, 4), (50, 10)]
    for window in windows:
        np.testing.assert_array_equal(target.planes[:, *window.slices], image[:, *window.slices])
