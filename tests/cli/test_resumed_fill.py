"""A fill that takes minutes goes on where a killed run was."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import numpy as np
import pytest

SECONDS = 120
TINY = (
    "-m", "deep-image-prior", "--channels", "4", "--scales", "1", "--runs", "2", "--precision", "float32",
)  # fmt: skip
LONG = ("--iterations", "90")
"""A state is kept after 50."""


@pytest.mark.slow
def test_a_killed_run_goes_on_and_gives_what_it_would_have(make, run, opened, tmp_path):
    made = make("scene.tif", count=1, height=64, width=64)
    whole = tmp_path / "whole" / "out.tif"
    ended = run(made.path, "-o", whole, "-v", *TINY, *LONG)
    assert ended.code == 0, ended.said
    assert "held-out error 0." in ended.said
    written = [".out.tif.done", "out.tif", "out_fill.tif", "out_std.tif", "report.jsonl"]
    assert sorted(path.name for path in whole.parent.iterdir()) == written

    target = tmp_path / "killed" / "out.tif"
    command = [sys.executable, "-m", "landsat_fill", str(made.path), "-o", str(target), *TINY, *LONG]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    shelf = target.with_name(".out.tif.tiles")
    until = time.monotonic() + SECONDS
    while not list(shelf.glob("*.state")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.005)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not target.exists()
    assert list(shelf.iterdir())

    ended = run(made.path, "-o", target, "-v", *TINY, *LONG)
    assert ended.code == 0, ended.said
    assert not shelf.exists()
    with opened(whole) as expected, opened(target) as found:
        np.testing.assert_array_equal(found.read(), expected.read())
