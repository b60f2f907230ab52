"""What the command line says, where it says it, and with which exit code."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
from typer.main import get_command

from landsat_fill import __version__
from landsat_fill.cli.app import LazyCommand, app

COMMANDS = ("fill", "info", "mask", "tile", "stitch", "simulate", "evaluate", "methods")
STAMPED = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  \S")


def test_help_lists_every_command_and_shows_examples(run):
    ended = run("--help")
    assert ended.code == 0
    for command in COMMANDS:
        assert re.search(rf"\b{command}\b", ended.out)
    assert "landsat-fill scene.tif" in ended.out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(run, command):
    ended = run(command, "--help")
    assert ended.code == 0
    assert "Usage:" in ended.out
    assert run(command, "-h").out == ended.out


def test_help_of_fill_groups_its_options(run):
    ended = run("fill", "--help")
    for panel in ("Input", "Method", "Gaps", "Output", "Terminal"):
        assert f"\n{panel}:\n" in ended.out
    assert "Exit codes" in ended.out


def test_help_says_what_every_option_does():
    def parameters(command):
        for child in getattr(command, "commands", {}).values():
            yield from parameters(child.load() if isinstance(child, LazyCommand) else child)
        yield from command.params

    found = list(parameters(get_command(app)))
    assert len(found) > 200
    assert not [one.name for one in found if not one.help]


def test_paragraphs_of_help_fill_the_lines(run):
    text = " ".join(run("train", "--help").out.split("Arguments:")[0].split())
    assert "RUN gets run.toml" in text
    assert "Args" not in text
    lines = run("fill", "--help").out.splitlines()
    (number,) = [number for number, line in enumerate(lines) if "Observed pixels stay" in line]
    assert len(lines[number].rstrip()) > 70


def test_the_version(run):
    ended = run("--version")
    assert (ended.code, ended.out.strip()) == (0, f"landsat-fill {__version__}")


def test_fill_is_the_command_meant_when_none_is_named(make, run, tmp_path):
    made = make(count=1)
    assert run(made.path, "-o", tmp_path / "a.tif").code == 0
    assert run("fill", made.path, "-o", tmp_path / "b.tif").code == 0
    assert run("-o", tmp_path / "c.tif", made.path).code == 0
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "c.tif").read_bytes()


def test_lines_are_plain_and_stamped_where_there_is_no_terminal(make, spawn):
    made = make(count=1)
    ended = spawn(made.path, "-m", "kriging")
    assert ended.code == 0
    assert ended.err == ""
    assert "\x1b" not in ended.out
    assert "\r" not in ended.out
    assert all(STAMPED.match(line) for line in ended.out.splitlines())
    plan, line, summary = ended.out.splitlines()[1:4]
    assert "1 scene: 1 to fill" in plan
    assert re.search(
        r"filled: scene  \d+\.\d % missing · \d+ pixels filled over all bands · median σ [\d.]+ · \d+\.\d s$", line
    )
    assert summary.endswith("1 filled")


def test_the_first_line_says_method_and_device(make, run):
    first = run(make(count=1).path, "-m", "nearest").out.splitlines()[0]
    assert f"landsat-fill {__version__} · nearest · cpu" in first


def test_quiet_prints_nothing_on_success(make, spawn):
    """Nor do libraries, which warn of a scene without coordinates."""
    ended = spawn(make(count=1, georeferenced=False).path, "-q", "-m", "nearest")
    assert (ended.code, ended.said) == (0, "")


def test_quiet_prints_failures_on_standard_error(run, tmp_path):
    (tmp_path / "scene.tif").write_text("no raster")
    ended = run(tmp_path / "scene.tif", "-q")
    assert (ended.code, ended.out) == (1, "")
    assert "GDAL can read" in ended.err


def test_verbose_names_the_files_and_what_was_skipped(make, run):
    made = make(count=1)
    assert str(made.path.with_name("scene_fill.tif")) in run(made.path, "-v").out
    assert "already done" in run(made.path, "-v").out.splitlines()[-2]


def test_json_is_one_object_a_scene_and_nothing_else(make, run, tmp_path):
    make("in/a.tif", count=1)
    make("in/b.tif", count=1, gaps=False)
    (tmp_path / "in" / "c.tif").write_text("no raster")
    ended = run(tmp_path / "in", "--json")
    assert ended.code == 1
    found = {row["name"]: row for row in map(json.loads, ended.out.splitlines())}
    assert {name: row["status"] for name, row in found.items()} == {
        "a": "filled", "b": "no gaps", "c": "failed",
    }  # fmt: skip
    assert found["a"]["tally"]["filled"] > 0
    assert found["c"]["hint"]


def test_debug_shows_where_an_error_came_from(run, tmp_path):
    (tmp_path / "scene.tif").write_text("no raster")
    assert "Traceback" not in run(tmp_path / "scene.tif").said
    assert "Traceback" in run(tmp_path / "scene.tif", "--debug").err


def test_a_defect_is_an_error_with_a_hint_not_a_traceback(make, run, monkeypatch):
    def broken(*_arguments, **_options):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("landsat_fill.pipeline.fill_scene.fill_tiles", broken)
    made = make(count=1)
    ended = run(made.path)
    assert ended.code == 1
    assert "unexpected ZeroDivisionError" in ended.out
    assert "--debug" in ended.out
    assert not made.path.with_name("scene_filled.tif").exists()


@pytest.mark.parametrize(
    ("arguments", "near"),
    [
        (["--overwrit", "scene.tif"], "--overwrite"),
        (["fill", "scene.tif", "--fill-layers", "none"], "--fill-layer"),
        (["info", "scene.tif", "--jsn"], "--json"),
    ],
)
def test_an_unknown_option_names_its_like(run, arguments, near):
    ended = run(*arguments)
    assert ended.code == 2
    assert near in ended.err


def test_ctrl_c_is_130(make, run, monkeypatch):
    def interrupted(*_arguments, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr("landsat_fill.pipeline.fill_scene.fill_tiles", interrupted)
    made = make(count=1)
    ended = run(made.path)
    assert ended.code == 130
    assert "interrupted" in ended.err
    assert sorted(path.name for path in made.path.parent.iterdir()) == ["scene.tif"]


def test_a_bar_is_shown_on_a_terminal(make, monkeypatch):
    """A pseudo-terminal: what a person sees."""
    import os
    import pty

    made = make(count=1)
    parent, child = pty.openpty()
    command = [sys.executable, "-m", "landsat_fill", str(made.path), "-m", "nearest"]
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "120"}
    process = subprocess.Popen(command, stdout=child, stderr=child, env=environment)
    os.close(child)
    seen = b""
    while True:
        try:
            chunk = os.read(parent, 4096)
        except OSError:  # Linux ends a closed pseudo-terminal so
            break
        if not chunk:
            break
        seen += chunk
    os.close(parent)
    assert process.wait(timeout=60) == 0
    text = seen.decode()
    assert "\x1b[" in text
    assert "✔" in text
    assert "1 filled" in text
    assert not STAMPED.search(text)
