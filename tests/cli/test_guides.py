"""What users read: the README, the guides, the citations, and the plugin that a guide shows."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rich.console import Console
from typer.main import get_command
from typer.testing import CliRunner

import landsat_fill
from landsat_fill.cli.about import markdown_table, method_references, references
from landsat_fill.cli.app import LazyCommand, app
from landsat_fill.methods import MethodInfo, method_classes, method_options

ROOT = Path(__file__).resolve().parents[2]
GUIDES = ROOT / "landsat_fill" / "guides"
TOPICS = sorted(path.stem for path in GUIDES.glob("*.md"))
METHODS = list(method_classes().values())
PAGES = [ROOT / "README.md", *sorted(GUIDES.glob("*.md"))]


def run(*arguments):
    return CliRunner().invoke(app, list(arguments))


def commands():
    """Return the options of each command by its name, `cluster submit` for example."""
    found = {}
    waiting = [("", get_command(app))]
    while waiting:
        name, command = waiting.pop()
        if isinstance(command, LazyCommand):
            command = command.load()
        found[name] = {flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)}
        waiting += [(f"{name} {child}".strip(), one) for child, one in getattr(command, "commands", {}).items()]
    return found


@pytest.mark.parametrize("topic", TOPICS)
def test_a_guide_is_shown_and_listed(topic):
    shown = run("guide", topic)
    assert shown.exit_code == 0
    assert shown.output == (GUIDES / f"{topic}.md").read_text(encoding="utf-8")
    index = (GUIDES / "index.md").read_text(encoding="utf-8")
    assert topic == "index" or f"[{topic}]({topic}.md)" in index
    assert f"{topic}.md" in (ROOT / ".mkdocs.yml").read_text(encoding="utf-8")


def test_a_terminal_gets_a_guide_set_in_type(monkeypatch):
    monkeypatch.setattr(Console, "is_terminal", True)
    shown = run("guide", "outputs").output
    assert "The fill layer" in shown
    assert "## The fill layer" not in shown
    plain = re.sub(r"\x1b\[[\d;]*m", "", run("guide", "products").output)
    assert "the layers (landsat-fill guide outputs)" in " ".join(plain.split())


def test_an_unknown_topic_is_refused_and_all_are_named():
    refused = run("guide", "cooking")
    assert refused.exit_code == 2
    assert all(topic in refused.output for topic in TOPICS if topic != "index")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)]+)\)", text):
        if not link.startswith("http"):
            target, _, anchor = link.partition("#")
            assert (page.parent / target).exists(), link
            if anchor:
                headings = re.findall(r"^#+ (.+)$", (page.parent / target).read_text(encoding="utf-8"), re.MULTILINE)
                assert anchor in {heading.lower().replace(" ", "-") for heading in headings}, link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_is_shown_exists(page):
    known = commands()
    text = page.read_text(encoding="utf-8")
    lines = [
        line
        for block in re.findall(r"^```(?:sh)?\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
        for line in block.splitlines()
    ]
    lines += re.findall(r"`(landsat-fill [^`]+)`", text)
    methods_own = {option.flag for cls in METHODS for option in method_options(cls)}
    for line in lines:
        words = line.removeprefix("$ ").split("#")[0].split("&&")[-1].split()
        if words[:1] != ["landsat-fill"] or words[1:2] in ([], ["COMMAND"]):
            continue
        name = next((n for n in (" ".join(words[1:3]), words[1]) if n in known), "fill")
        flags = {word.split("=")[0] for word in words if word.startswith("--") and word[2:3].isalpha()}
        own = methods_own if name in ("fill", "cluster submit") else set()
        flags = {flag.replace("--no-", "--") if flag not in known[name] else flag for flag in flags}
        assert flags <= known[name] | known[""] | {"--help"} | own, line


def test_the_readme_fits_and_has_the_table_of_methods():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    assert "shared/data" not in text
    assert markdown_table() in text


def test_methods_prints_the_same_table():
    shown = run("methods").output.splitlines()
    for row in markdown_table().splitlines()[2:]:
        name, *cells, summary = (cell.strip() for cell in row.replace("`", "").strip("| ").split(" | "))
        assert [name, *cells] in [re.split(r" {2,}", line) for line in shown]
        assert f"    {summary}" in shown


@pytest.mark.parametrize("info", landsat_fill.list_methods(), ids=lambda info: info.name)
def test_each_source_of_a_method_has_its_entry(info):
    entries = method_references(info)
    shown = run("cite", info.name).output
    assert all(entry in shown for entry in entries)
    assert set(entries) <= set(references().values())
    assert "landsat-fill developers" in shown
    assert "10.5066/P9TU80IG" in shown
    for identity in re.findall(r"doi:(\S+?)[,;]?(?:\s|$)|(https://arxiv\S+?)[,;.]?(?:\s|$)", info.source):
        assert any("".join(identity) in entry for entry in entries), identity


def test_an_entry_belongs_to_a_method_or_to_the_data():
    used = {entry for info in landsat_fill.list_methods() for entry in method_references(info)}
    assert {key for key, entry in references().items() if entry not in used} == {"landsat7_level1", "landsat7_level2"}


def test_a_method_of_another_package_is_cited_by_its_source():
    (entry,) = method_references(MethodInfo(name="own", summary="", source="Me 2026", halo_px=1))
    assert entry == "@misc{own,\n  title = {own},\n  note  = {Me 2026}\n}"


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["fill", "x.tif", "--foo"], "expected an option of `.* fill`, but got --foo", ""),
        (["fill", "x.tif", "--jobs", "0"], "expected a value that --jobs can have, but got another", "Input"),
        (["fill", "x.tif", "--jobs"], "expected a value after --jobs, but got none", "See"),
        (["mask", "x.tif"], "expected --output / -o, but got nothing", "See"),
        (["mask", "a", "b", "{c}", "-o", "x"], r"expected no further argument, but got b {c}", "See"),
        (["evaluat", "x"], "expected a file or a command, but got 'evaluat'", "Did you mean 'evaluate'?"),
        (["cluster", "foo"], "expected a command, but got 'foo'", "See"),
    ],
)
def test_the_parser_refuses_as_everything_does(arguments, message, hint):
    refused = run(*arguments)
    assert refused.exit_code == 2
    first, second = refused.output.splitlines()
    assert re.match(f"error: {message}", first)
    assert second.startswith(f"hint:  {hint}")


def test_the_plugin_of_the_guide_is_installed_and_fills(samples, tmp_path):
    text = (GUIDES / "python.md").read_text(encoding="utf-8")
    package = tmp_path / "package"
    package.mkdir()
    for name, code in re.findall(r"^`([\w.]+)`[^\n]*:\n\n```\w+\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        (package / name).write_text(code, encoding="utf-8")
    target = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--no-build-isolation", "--no-deps", "--no-index", "--quiet"]
    subprocess.run([*pip, "--target", str(target), str(package)], check=True, capture_output=True)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(target), str(ROOT)])}

    def landsat_fill_command(*arguments):
        command = [sys.executable, "-m", "landsat_fill", *map(str, arguments)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    (described,) = json.loads(landsat_fill_command("methods", "column-line", "--json"))
    assert described["options"][0]["name"] == "nearest"
    filled = tmp_path / "filled.tif"
    landsat_fill_command(samples / "slc_off.tif", "-o", filled, "-m", "column-line", "--nearest")
    with rasterio.open(filled) as result, rasterio.open(samples / "slc_off.tif") as scene:
        values, before = result.read(), scene.read()
        assert result.tags()["LANDSAT_FILL_METHOD"] == "column-line"
    np.testing.assert_array_equal(values[before != 0], before[before != 0])
    with rasterio.open(tmp_path / "filled_fill.tif") as layer:
        assert (layer.read(1) != 2).all()
