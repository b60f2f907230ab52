"""How the package is cut; ruff checks what one file alone shows, by the rules in pyproject.toml."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "landsat_fill"
MOST_FILES = 140
MOST_LINES = 600
SMALL_LINES = 40
"""Below, a file that one other file alone imports belongs into that file."""
VAGUE = {"utils", "util", "helpers", "helper", "common", "misc"}
HEAVY = {"cv2", "matplotlib", "numba", "pandas", "rasterio", "scipy", "torch"}


@pytest.fixture(scope="module")
def modules():
    """Return the package's modules by name: their file."""
    found = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in sorted(PACKAGE.rglob("*.py"))
    }
    assert "landsat_fill.cli.app" in found
    return found


@pytest.fixture(scope="module")
def imports(modules):
    """Return what each module imports of the package, anywhere in it, for type checkers too."""
    found = defaultdict(set)
    for module, path in modules.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.ImportFrom):
                assert not node.level, f"{path}:{node.lineno} is a relative import"
                names = [f"{node.module}.{alias.name}" for alias in node.names]
                names = [name if name in modules else node.module for name in names]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            found[module].update(name for name in names if name in modules and name != module)
    assert "landsat_fill.errors" in found["landsat_fill.cli.exits"]
    return found


def length(path):
    return len(path.read_text(encoding="utf-8").splitlines())


def test_an_import_only_goes_down(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert lint_imports(no_cache=True) == EXIT_STATUS_SUCCESS


def test_no_files_import_each_other(imports):
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_a_name_of_a_file_means_one_thing(modules):
    """A method and its network share one."""
    homes = defaultdict(set)
    for module, path in modules.items():
        if path.stem != "__init__":
            homes[path.stem].add(module.split(".")[1] if module.count(".") > 1 else "")
    assert not {
        stem: rooms for stem, rooms in homes.items() if len(rooms) > 1 and rooms != {"methods", "networks"}
    }
    assert not VAGUE & homes.keys()


def test_files_are_few_and_neither_long_nor_splinters(modules, imports):
    assert len(modules) <= MOST_FILES
    lines = {module: length(path) for module, path in modules.items()}
    assert not {module: count for module, count in lines.items() if count > MOST_LINES}
    importers = defaultdict(set)
    for module, imported in imports.items():
        for name in imported:
            importers[name].add(module)
    assert not {
        module: importers[module]
        for module, count in lines.items()
        if count < SMALL_LINES and len(importers[module]) == 1 and modules[module].stem != "__init__"
    }


@pytest.mark.parametrize(
    ("code", "allowed"),
    [
        ("import landsat_fill", set()),
        ("from landsat_fill.cli import main; sys.argv[1:] = ['--help']; main()", set()),
        # Reading a list of methods takes no torch, and a scene can be opened without it.
        ("import landsat_fill; landsat_fill.list_methods()", {"rasterio", "numba", "scipy"}),
        ("from landsat_fill.networks.weights import shipped_names; assert shipped_names()", {"rasterio"}),
    ],
    ids=["package", "help", "methods", "weights"],
)
def test_heavy_libraries_wait_until_they_are_used(code, allowed):
    script = f"import sys, atexit; atexit.register(lambda: print('LOADED', *sys.modules)); {code}"
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert ended.returncode == 0, ended.stderr
    loaded = set(ended.stdout.partition("LOADED")[2].split())
    assert "landsat_fill" in loaded
    assert not loaded & HEAVY - allowed


def test_no_module_needs_click():
    """Typer ships its own; the other may not be there."""
    texts = [path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")]
    assert not [text for text in texts if "import click" in text or "from click" in text]
