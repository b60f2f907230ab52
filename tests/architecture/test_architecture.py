"""The rules that hold for the code as a whole."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import landsat_fill

PACKAGE = Path(landsat_fill.__file__).parent
ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "_data" not in path.parts)
LONGEST_LINES = 600
HEAVY = {"torch", "scipy", "cv2", "matplotlib", "numba"}
WORK_ON_TENSORS = {"networks", "training"}
"""Packages whose modules may import torch at their top: others import them only where they use them."""
KERNELS = PACKAGE / "methods" / "kernels"
"""The folder of compiled loops, imported where they are used: only these may import numba at their top."""
VAGUE = {"utils", "util", "helpers", "helper", "common", "misc"}


def named(path):
    return str(path.relative_to(PACKAGE))


def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def test_an_import_only_goes_down():
    lint = Path(sys.executable).with_name("lint-imports")
    if not lint.exists():
        pytest.skip("import-linter is not installed beside this Python")
    result = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_a_module_says_what_it_is_for(path):
    assert ast.get_docstring(tree(path))


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_only_the_command_line_prints(path):
    if named(path).startswith("cli"):
        return
    calls = [node for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]
    assert not [call.lineno for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"]


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_heavy_libraries_are_imported_where_they_are_used(path):
    module = tree(path)
    typing_only = {
        id(node)
        for block in module.body
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    for node in module.body:
        if id(node) in typing_only or not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        heavy = HEAVY & {name.split(".")[0] for name in names}
        if path.relative_to(PACKAGE).parts[0] in WORK_ON_TENSORS:
            heavy.discard("torch")
        if path.parent == KERNELS:
            heavy.discard("numba")
        assert not heavy, node.lineno


def test_nothing_loads_torch_before_a_network_is_needed():
    """Neither the command line nor the list of methods and weights does."""
    code = (
        "import sys; import landsat_fill.cli.app, landsat_fill.api;"
        "from landsat_fill.methods import method_classes;"
        "from landsat_fill.networks.weights import shipped_names; method_classes(); shipped_names();"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_input_is_not_checked_by_assert(path):
    assert not [node.lineno for node in ast.walk(tree(path)) if isinstance(node, ast.Assert)]


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_a_file_can_be_read_in_a_sitting(path):
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= LONGEST_LINES
    assert path.stem not in VAGUE


def test_no_module_needs_click():
    """Typer ships its own; the other may not be there."""
    for path in MODULES:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
                assert "click" not in {name.split(".")[0] for name in names}, named(path)
