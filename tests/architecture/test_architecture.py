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
MOST_FILES = 140  # a method is a file, and so is a network; what a reader looks for together shares a file
MOST_LINES = 600
SMALL_LINES = 40
"""Below, a file that one other file alone imports belongs into that file."""
VAGUE = {"utils", "util", "helpers", "helper", "common", "misc"}
HEAVY = {
    "cv2", "matplotlib", "numba", "numpy", "pandas", "rasterio", "rich", "scipy", "torch", "typer", "xarray",
}  # fmt: skip
HELP = (["--help"], ["fill", "--help"], ["evaluate", "--help"], ["--version"])


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
    assert "landsat_fill.errors" in found["landsat_fill.cli.options"]
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
    assert not {stem: rooms for stem, rooms in homes.items() if len(rooms) > 1 and rooms != {"methods", "networks"}}
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
        *((f"sys.argv[1:] = {words}; main()", {"typer"}) for words in HELP),
        # A list of methods takes no network, and the weights are listed without torch.
        ("import landsat_fill; landsat_fill.list_methods()", HEAVY - {"matplotlib", "torch"}),
        ("from landsat_fill.networks.weights import shipped_names; assert shipped_names()", HEAVY - {"torch"}),
    ],
    ids=["package", *map(" ".join, HELP), "methods", "weights"],
)
def test_heavy_libraries_wait_until_they_are_used(code, allowed):
    start = "import atexit, sys; atexit.register(lambda: print('LOADED', *sys.modules));"
    start += "from landsat_fill.cli.app import main;" * ("main()" in code)
    command = [sys.executable, "-c", f"{start} {code}"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("LOADED") or "main()" in code
    loaded = set(ended.stdout.rpartition("LOADED")[2].split())
    assert "landsat_fill" in loaded
    assert not loaded & HEAVY - allowed


def test_no_module_needs_click():
    """Typer ships its own; the other may not be there."""
    texts = [path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")]
    assert not [text for text in texts if "import click" in text or "from click" in text]
