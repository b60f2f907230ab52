"""A process that ends at any step leaves the old outputs or the new ones; the next one settles the rest."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from landsat_fill.io import atomic
from landsat_fill.io.atomic import Transaction, read_mark, settle, staging_path, unreadable_mark
from landsat_fill.io.locks import TakenError

STEPS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.listdir", "os.scandir", "ctypes.dlopen"}
"""What Python reports of the file system: a process ends before one of them, each in turn."""


def facts(made):
    return {"request": {"made": made}, "scenes": [""], "layers": [], "row": {}}


def new_file(folder):
    with Transaction(folder / "a.tif") as new:
        for name in ("a.tif", "a_fill.tif", "a.png"):
            (new.folder / name).write_text(f"new {name}")
        new.facts, new.removed = facts("new"), ["a_std.tif"]


def new_folder(folder):
    with Transaction(folder / "product") as new:
        (new.folder / "product").mkdir()
        for name in ("B1.TIF", "B2.TIF"):
            (new.folder / "product" / name).write_text(f"new {name}")
        new.facts, new.kept = facts("new"), ["mine.txt"]


def added_file(folder):
    with Transaction(folder / "product") as new:
        (new.folder / "product").mkdir()
        (new.folder / "product" / "x.png").write_text("new x.png")
        new.facts, new.adds = facts("old and more"), True


def contents(folder):
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text() for path in files}


def marked(folder, names, target):
    with Transaction(folder / target) as new:
        for name in names:
            (new.folder / name).parent.mkdir(exist_ok=True)
            (new.folder / name).write_text(f"old {name}")
        new.facts = facts("old")


@pytest.fixture
def no_waiting_for_the_disk(monkeypatch):
    """Let `fsync` return at once: it matters when a machine stops, not when a process does."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)


@pytest.mark.usefixtures("no_waiting_for_the_disk")
@pytest.mark.parametrize(
    ("write", "is_there"),
    [(new_file, False), (new_file, True), (new_folder, False), (new_folder, True), (added_file, True)],
)
def test_a_process_may_end_at_any_step(write, is_there, tmp_path, small_process):
    ends_at_any_step(write, is_there, tmp_path, small_process)


def ends_at_any_step(write, is_there, tmp_path, process, exchanges=True):
    start = tmp_path / "start"
    start.mkdir()
    if is_there:
        marked(start, ["a.tif", "a_std.tif"], "a.tif")
        marked(start, ["product/B1.TIF", "product/B9.TIF"], "product")
        (start / "product" / "mine.txt").write_text("mine")

    def prepared(name):
        return shutil.copytree(start, tmp_path / name)

    before = contents(prepared("before"))
    write(prepared("after"))
    after = contents(tmp_path / "after")
    target = "a.tif" if write is new_file else "product"
    found = set()
    for step in range(200):
        folder = prepared(f"step{step}")
        code = ends_at(step, write, folder, process, exchanges)
        settle(folder / target)
        there = contents(folder)
        assert there in (before, after), f"ended at step {step}"
        found.add(there == after)
        assert not staging_path(folder / target).exists()
        write(folder)
        assert contents(folder) == after
        if code == 0:
            break
    assert code == 0
    assert found == {False, True}


@pytest.fixture(scope="module")
def small_process():
    """Yield a process that runs this file and imports little: it splits into two in a tenth of the time."""
    command = [sys.executable, __file__]
    paths = os.pathsep.join(path for path in sys.path if path)
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": paths}
    ) as process:
        yield process
        process.stdin.close()


def ends_at(step, write, folder, process, exchanges=True):
    """Return the exit code of a process that writes, and ends at a step: 9, or 0 if it ended before."""
    process.stdin.write(json.dumps([step, write.__name__, str(folder), exchanges]) + "\n")
    process.stdin.flush()
    return int(process.stdout.readline())


def end_processes():
    """Do what `ends_at` asks for, a line each."""
    os.fsync = lambda _descriptor: None
    for line in sys.stdin:
        step, name, folder, exchanges = json.loads(line)
        pid = os.fork()
        if not pid:
            _write_until(step, globals()[name], Path(folder), exchanges)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}\n")
        sys.stdout.flush()


def _write_until(step, write, folder, exchanges):
    left = [step]

    def watch(event, _arguments):
        if event in STEPS:
            if left[0] == 0:
                os._exit(9)
            left[0] -= 1

    code = 1
    try:
        if not exchanges:
            atomic._exchange = lambda _one, _other: False
        sys.addaudithook(watch)
        write(folder)
        code = 0
    finally:
        os._exit(code)


@pytest.mark.usefixtures("no_waiting_for_the_disk")
def test_two_folders_change_places_where_the_system_cannot_do_it_in_one_step(monkeypatch, tmp_path, small_process):
    monkeypatch.setattr(atomic, "_exchange", lambda _one, _other: False)
    ends_at_any_step(new_folder, True, tmp_path, small_process, exchanges=False)


def test_an_error_leaves_what_was_there(tmp_path):
    marked(tmp_path, ["a.tif"], "a.tif")
    before = contents(tmp_path)
    with pytest.raises(ZeroDivisionError), Transaction(tmp_path / "a.tif") as new:
        (new.folder / "a.tif").write_text("new")
        raise ZeroDivisionError
    assert contents(tmp_path) == before


def test_an_interrupt_in_the_midst_of_the_moves_does_not_stop_them(monkeypatch, tmp_path):
    really, calls = atomic._move, []

    def interrupted(source, target):
        calls.append(source)
        if len(calls) == 2:
            raise KeyboardInterrupt
        really(source, target)

    monkeypatch.setattr(atomic, "_move", interrupted)
    with pytest.raises(KeyboardInterrupt):
        new_file(tmp_path)
    monkeypatch.undo()
    assert read_mark(tmp_path / "a.tif").facts == facts("new")
    assert read_mark(tmp_path / "a.tif").differing() == {}
    assert not staging_path(tmp_path / "a.tif").exists()


def test_whoever_lost_the_lock_commits_nothing(tmp_path):
    with pytest.raises(TakenError, match="another process took it"), Transaction(tmp_path / "a.tif") as new:
        (new.folder / "a.tif").write_text("new")
        next(tmp_path.glob("*.claim")).unlink()
    assert not (tmp_path / "a.tif").exists()


def test_a_mark_names_what_is_not_as_it_was_written(tmp_path):
    marked(tmp_path, ["a.tif", "a_fill.tif"], "a.tif")
    (tmp_path / "a.tif").write_text("longer than before")
    (tmp_path / "a_fill.tif").unlink()
    assert read_mark(tmp_path / "a.tif").differing() == {"a.tif": 18, "a_fill.tif": None}


def damaged_marks():
    """Yield marks that each lack or spoil one of the facts, or aren't marks at all."""
    yield from ("", "{", "[]", "null", "[1, 2]")
    for name in facts("old"):
        left = {key: value for key, value in facts("old").items() if key != name}
        for spoilt in (left, left | {name: None}, left | {name: "text"}):
            yield json.dumps({"facts": spoilt, "outputs": {"a.tif": 3}})
    yield json.dumps({"facts": facts("old") | {"layers": [["a"]]}, "outputs": {}})
    for outputs in ({"a.tif": "3"}, ["a.tif"], None):
        yield json.dumps({"facts": facts("old"), "outputs": outputs})


@pytest.mark.parametrize("content", list(damaged_marks()))
def test_a_damaged_mark_counts_as_none(content, tmp_path):
    target = tmp_path / "a.tif"
    mark = tmp_path / ".a.tif.done"
    mark.write_text(content)
    assert read_mark(target) is None
    assert unreadable_mark(target) == mark
    mark.write_text(json.dumps({"facts": facts("old"), "outputs": {"a.tif": 3}}))
    assert read_mark(target).facts == facts("old")
    assert unreadable_mark(target) is None
    mark.unlink()
    assert unreadable_mark(target) is None


if __name__ == "__main__":
    end_processes()
