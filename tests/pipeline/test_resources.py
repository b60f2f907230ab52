"""How much memory there is, and how much a scene needs."""

from __future__ import annotations

import sys

import pytest
import torch
from affine import Affine

from landsat_fill.errors import MethodError, MissingPackageError, UsageError
from landsat_fill.methods import MethodInfo, create_method
from landsat_fill.pipeline.request import FillRequest
from landsat_fill.pipeline.resources import (
    MIB,
    TILE_BYTES,
    TORCH_BYTES,
    available_bytes,
    choose_device,
    needed_bytes,
    usable_cores,
)
from landsat_fill.scene import Grid, Scene, SceneBand

CLASSICAL = MethodInfo("classical", "", "", halo_px=0)
LEARNED = MethodInfo("learned", "", "", halo_px=0, devices=("cpu", "cuda"))


@pytest.fixture
def two_cards(monkeypatch):
    """Let torch see two graphics processors that give memory."""
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch, "zeros", lambda *_given, **_named: None)


@pytest.fixture
def no_card(monkeypatch):
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def test_auto_takes_the_card_where_method_and_machine_can(two_cards):
    assert choose_device("auto", LEARNED) == "cuda:0"
    assert choose_device("auto", CLASSICAL) == "cpu"


def test_auto_falls_back_to_the_cpu(no_card):
    assert choose_device("auto", LEARNED) == "cpu"


def test_a_card_that_gives_no_memory_is_none(two_cards, monkeypatch):
    def full(*_given, **_named):
        raise RuntimeError("CUDA error: out of memory\nsomething long")

    monkeypatch.setattr(torch, "zeros", full)
    assert choose_device("auto", LEARNED) == "cpu"
    with pytest.raises(MethodError, match=r"expected the device cuda to work, but CUDA error: out of memory$"):
        choose_device("cuda", LEARNED)


@pytest.mark.parametrize(("asked", "device"), [("cuda", "cuda:0"), ("cuda:1", "cuda:1"), ("cpu", "cpu")])
def test_what_is_asked_for_by_name_is_taken(two_cards, asked, device):
    assert choose_device(asked, LEARNED) == device


def test_a_card_asked_for_by_name_is_never_replaced(no_card):
    with pytest.raises(MethodError, match="expected the device cuda to work, but torch sees no CUDA device"):
        choose_device("cuda", LEARNED)


def test_a_card_beyond_the_last_is_refused(two_cards):
    with pytest.raises(MethodError, match="expected the device cuda:2 to work, but torch sees 2 of them"):
        choose_device("cuda:2", LEARNED)


@pytest.mark.parametrize("asked", ["tpu", "cuda:", "cuda:first", "cpu:0", ""])
def test_a_device_that_does_not_exist_is_refused(two_cards, asked):
    with pytest.raises(UsageError, match=r"expected a device that learned runs on \(cpu, cuda\), but got"):
        choose_device(asked, LEARNED)


def test_a_classical_method_does_not_run_on_a_card(two_cards):
    with pytest.raises(UsageError, match=r"expected a device that classical runs on \(cpu\), but got 'cuda'"):
        choose_device("cuda", CLASSICAL)


def test_torch_is_only_needed_where_it_is_used(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert choose_device("auto", CLASSICAL) == "cpu"
    assert choose_device("cpu", LEARNED) == "cpu"
    with pytest.raises(MissingPackageError):
        choose_device("auto", LEARNED)


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
    assert needed_bytes([scene], request, realizations=20) - plain == 20 * values * bytes_a_value


def test_memory_counts_the_network_that_fills_what_references_leave():
    bands = (SceneBand("s.tif", 1, "B1", "uint8", 0, (1, 255)),)
    scene = Scene("s", "s.tif", bands, Grid(8000, 7000, Affine.identity(), None))
    alone = FillRequest(create_method("llhm"))
    both = FillRequest(create_method("llhm"), fallback=create_method("band-unet"))
    assert needed_bytes([scene], both) - needed_bytes([scene], alone) >= (TORCH_BYTES + TILE_BYTES)
