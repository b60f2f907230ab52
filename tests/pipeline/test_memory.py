"""How much memory there is, and how much a scene needs."""

from __future__ import annotations

import pytest
from affine import Affine

from landsat_fill.methods import create_method
from landsat_fill.pipeline import FillRequest
from landsat_fill.pipeline.resources import MIB, available_bytes, needed_bytes, usable_cores
from landsat_fill.scene import Grid, Scene, SceneBand

GIB = 1 << 30


@pytest.fixture
def system(tmp_path):
    """Return a root folder of a machine with 16 GiB free."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/meminfo").write_text("MemTotal: 33554432 kB\nMemAvailable: 16777216 kB\n")
    return tmp_path


def test_it_is_nine_tenths_of_what_is_free(system):
    assert available_bytes({}, system) == int(0.9 * 16 * GIB)


@pytest.mark.parametrize(
    ("environment", "gib"),
    [
        ({"SLURM_MEM_PER_NODE": "4096"}, 4),
        ({"SLURM_MEM_PER_CPU": "1024", "SLURM_CPUS_ON_NODE": "8"}, 8),
        ({"SLURM_MEM_PER_NODE": "0"}, 16),
        ({"SLURM_MEM_PER_NODE": "65536"}, 16),
    ],
)
def test_it_is_no_more_than_slurm_gave(system, environment, gib):
    assert available_bytes(environment, system) == int(0.9 * gib * GIB)


def test_it_is_no_more_than_any_control_group_allows(system):
    (system / "proc/self/cgroup").write_text("0::/outer/inner\n")
    for group, limit in (("", None), ("outer", str(2 * GIB)), ("outer/inner", "max")):
        folder = system / "sys/fs/cgroup" / group
        folder.mkdir(parents=True, exist_ok=True)
        if limit is not None:
            (folder / "memory.max").write_text(f"{limit}\n")
    assert available_bytes({}, system) == int(0.9 * 2 * GIB)


def test_where_nothing_tells_there_is_no_bound(tmp_path):
    assert available_bytes({}, tmp_path) is None
    assert MIB == 1 << 20


def test_cores_are_no_more_than_slurm_gave():
    assert usable_cores({"SLURM_CPUS_PER_TASK": "1", "SLURM_CPUS_ON_NODE": "2"}) == 1
    assert usable_cores({"SLURM_CPUS_ON_NODE": "1"}) == 1
    assert usable_cores({"SLURM_CPUS_PER_TASK": "100000"}) == usable_cores({})


@pytest.mark.parametrize(("dtype", "bytes_a_value"), [("uint8", 7), ("uint16", 10), ("int32", 20)])
def test_draws_take_memory_in_proportion(dtype, bytes_a_value):
    """The draw itself, single precision if that holds the numbers, and three copies of what is stored."""
    bands = tuple(SceneBand("s.tif", number, f"B{number}", dtype, 0, (1, 255)) for number in (1, 2, 3))
    scene = Scene("s", "s.tif", bands, Grid(8000, 7000, Affine.identity(), None))
    request = FillRequest(create_method("nearest"))
    plain = needed_bytes([scene], request)
    values = request.method.info.tile_px * 7000 * len(bands)
    assert needed_bytes([scene], request, draws=20) - plain == 20 * values * bytes_a_value
