"""Progress of long work: a bar on a terminal, a line at intervals elsewhere."""

from __future__ import annotations

import io
import re
import sys

import pytest

from landsat_fill.cli import console
from landsat_fill.cli.console import TrainingScreen, progress_bar
from landsat_fill.training.run_folder import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def standing_in(monkeypatch):
    """Let a stream stand for standard error, in the test itself: pytest sets it anew after the fixtures."""

    def stand_in(stream):
        monkeypatch.setattr(sys, "stderr", stream)
        return stream

    return stand_in


def test_without_a_terminal_there_is_a_line_at_intervals(standing_in, monkeypatch):
    seen = standing_in(io.StringIO())
    monkeypatch.setattr(console, "LOG_INTERVAL_S", 0.0)
    with progress_bar(quiet=False) as show:
        for step in range(1, 4):
            show(step / 4, f"scene {step}")
    lines = seen.getvalue().splitlines()
    assert "\r" not in seen.getvalue()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  75 % 00:00<.*, scene 3", lines[-1])


def test_on_a_terminal_there_is_a_bar_and_notes_above_it(standing_in, monkeypatch):
    seen = standing_in(Terminal())
    monkeypatch.setattr(console, "LOG_INTERVAL_S", 0.0)
    with progress_bar(quiet=False) as show:
        screen = TrainingScreen(lambda: False, show, quiet=False)
        screen.stepped(Progress(step=5, share=0.5, minutes=1.0, loss=0.25))
        screen.noted("a note")
    assert "a note\n" in seen.getvalue()
    assert "50 %" in seen.getvalue()


@pytest.mark.parametrize("kind", [io.StringIO, Terminal])
def test_quiet_shows_nothing(standing_in, kind):
    seen = standing_in(kind())
    with progress_bar(quiet=True) as show:
        screen = TrainingScreen(lambda: False, show, quiet=True)
        screen.stepped(Progress(step=5, share=0.5, minutes=1.0, loss=0.25))
        screen.noted("a note")
    assert seen.getvalue() == ""
