"""A part of the fuzz in `benchmarks/check_fuzz.py`: damaged files end in a plain message, and soon."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest


@pytest.fixture
def check_fuzz(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    import check_fuzz

    yield check_fuzz
    del sys.modules["check_fuzz"]


@pytest.mark.parametrize("share", [4, pytest.param(1, marks=pytest.mark.slow)], ids=["some", "all"])
def test_damaged_files_are_reported(check_fuzz, share):
    counts = {"geotiff": 110, "archive": 20, "patches": 15, "round": 20, "mark": 10, "dataset": 15, "checkpoint": 10}

    assert check_fuzz.fuzz([(kind, seed) for kind, count in counts.items() for seed in range(count // share)]) == []


def test_the_fuzz_notices_what_goes_wrong(check_fuzz, monkeypatch):
    """In this process: a traceback, an unexpected error and a peak of memory."""
    wrong = (RuntimeError("x"), SystemExit(0))
    problems = []
    for error in wrong:

        def read(_file, error=error):
            if isinstance(error, SystemExit):
                sys.stderr.write("error: unexpected KeyError: 'x'\n")
            raise error

        problems.append(check_fuzz._problem(check_fuzz.Kind(1, None, None, read), Path("x")))
    assert "RuntimeError: x" in problems[0]
    assert "unexpected KeyError" in problems[1]
    monkeypatch.setattr(check_fuzz, "_peak_bytes", lambda: 2 << 30)
    assert check_fuzz._problem(check_fuzz.Kind(1, None, None, lambda _file: None), Path("x")) == "2048 MiB"
