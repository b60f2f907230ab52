"""A claim is held by one living process, and by nobody once that is dead."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import time
from contextlib import suppress

import pytest

from landsat_fill.io import Claim, TakenError, claim_owner, locks
from landsat_fill.io.locks import LEASE_S, claim_path

FORK = multiprocessing.get_context("fork")


def hold(target, held):
    with Claim(target):
        held.set()
        time.sleep(60)


@pytest.fixture
def holder(tmp_path):
    """Return a process that holds the claim on `tmp_path / "out.tif"`."""
    held = FORK.Event()
    process = FORK.Process(target=hold, args=(tmp_path / "out.tif", held))
    process.start()
    assert held.wait(60)
    yield process
    process.kill()
    process.join()


def no_locks(monkeypatch):
    """Let the file system be one that has no locks."""
    import fcntl

    def refuse(_descriptor, _how):
        raise OSError(errno.EOPNOTSUPP, "no locks")

    monkeypatch.setattr(fcntl, "flock", refuse)


def elsewhere(path, *, seconds_ago):
    """Leave a claim as a process on another machine would."""
    claim_path(path).write_text(json.dumps({"host": "node7", "pid": 1, "job": "12_3"}))
    then = time.time() - seconds_ago
    os.utime(claim_path(path), (then, then))


def test_a_claim_is_taken_and_given_back(tmp_path):
    target = tmp_path / "out.tif"
    with Claim(target):
        owner = claim_owner(target)
        assert owner is not None
        assert owner.pid == os.getpid()
        with pytest.raises(TakenError, match=f"process {os.getpid()} on"), Claim(target):
            pass
    assert claim_owner(target) is None
    assert not list(tmp_path.iterdir())


def test_a_living_process_keeps_others_out(tmp_path, holder):
    with pytest.raises(TakenError, match=str(holder.pid)), Claim(tmp_path / "out.tif"):
        pass
    assert claim_owner(tmp_path / "out.tif").pid == holder.pid


@pytest.mark.parametrize("locks", [True, False])
def test_a_killed_process_keeps_nobody_out(tmp_path, holder, monkeypatch, locks):
    holder.kill()
    holder.join()
    if not locks:
        no_locks(monkeypatch)
    assert claim_path(tmp_path / "out.tif").exists()
    assert claim_owner(tmp_path / "out.tif") is None
    with Claim(tmp_path / "out.tif"):
        assert claim_owner(tmp_path / "out.tif").pid == os.getpid()
    assert not list(tmp_path.iterdir())


def test_without_locks_a_living_process_keeps_others_out(tmp_path, holder, monkeypatch):
    no_locks(monkeypatch)
    with pytest.raises(TakenError, match=str(holder.pid)), Claim(tmp_path / "out.tif"):
        pass


def test_another_machine_is_believed_as_long_as_it_speaks(tmp_path):
    target = tmp_path / "out.tif"
    elsewhere(target, seconds_ago=LEASE_S - 60)
    with pytest.raises(TakenError, match="process 1 on node7, job 12_3"), Claim(target):
        pass
    elsewhere(target, seconds_ago=LEASE_S + 1)
    assert claim_owner(target) is None
    with Claim(target):
        assert claim_owner(target).pid == os.getpid()


def test_the_lock_of_a_dead_machine_is_broken(tmp_path):
    """A file server may never learn that the machine it gave a lock to is dead."""
    import fcntl

    target = tmp_path / "out.tif"
    elsewhere(target, seconds_ago=LEASE_S + 1)
    with claim_path(target).open() as kept:
        fcntl.flock(kept, fcntl.LOCK_EX)
        with Claim(target):
            assert claim_owner(target).pid == os.getpid()


def test_an_owner_touches_its_claim(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "BEAT_S", 0.01)
    target = tmp_path / "out.tif"
    with Claim(target):
        os.utime(claim_path(target), (0, 0))
        until = time.monotonic() + 10
        while claim_path(target).stat().st_mtime == 0 and time.monotonic() < until:
            time.sleep(0.01)
        assert claim_path(target).stat().st_mtime > 0


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"host": 1}'])
def test_a_claim_that_says_nothing_keeps_nobody_out(tmp_path, content):
    target = tmp_path / "out.tif"
    claim_path(target).write_text(content)
    with Claim(target):
        pass


def test_many_that_come_at_once_get_it_one_after_the_other(tmp_path):
    """Taking, giving back and taking over race; whoever holds it must be alone."""
    racers = [FORK.Process(target=race, args=(tmp_path / "out.tif", tmp_path / "alone")) for _ in range(4)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(60)
        assert racer.exitcode == 0
    assert not list(tmp_path.iterdir())


def race(target, alone):
    """Take the claim 40 times; a second holder at the same time would find the file `alone`."""
    got = 0
    until = time.monotonic() + 20
    while got < 40 and time.monotonic() < until:
        with suppress(TakenError), Claim(target):
            os.close(os.open(alone, os.O_CREAT | os.O_EXCL))
            alone.unlink()
            got += 1
    assert got == 40
