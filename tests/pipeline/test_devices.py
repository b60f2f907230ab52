from __future__ import annotations

import sys

import pytest
import torch

from landsat_fill.errors import MethodError, MissingPackageError, UsageError
from landsat_fill.methods import MethodInfo
from landsat_fill.pipeline import choose_device

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
    with pytest.raises(
        MethodError, match=r"expected the device cuda to work, but CUDA error: out of memory$"
    ):
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
