"""Methods of other packages: found by their entry point, reported where they are broken, taken as objects."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pytest
from typer.testing import CliRunner

from landsat_fill import fill_array
from landsat_fill.cli.app import app
from landsat_fill.errors import UsageError
from landsat_fill.methods import Context, MethodInfo, create_method, method_classes, option, registry
from landsat_fill.scene import Filled, Gaps

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PLUGIN = """
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from landsat_fill.methods import MethodInfo, option
from landsat_fill.scene import Filled


@dataclass(frozen=True)
class Constant:
    info: ClassVar[MethodInfo] = MethodInfo("constant", "one number everywhere", "a test of 2026", halo_px=0)
    number: float = option(7.0, "the number", low=0)

    def fill(self, image, gaps, context):
        return Filled(np.where(gaps.missing, np.float32(self.number), image))
"""


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    registry._found.cache_clear()
    yield
    registry._found.cache_clear()


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a distribution with a method that works and three that don't."""
    (tmp_path / "constant_plugin.py").write_text(PLUGIN)
    (tmp_path / "failing_plugin.py").write_text("raise OSError('no licence server')")
    (tmp_path / "empty_plugin.py").write_text("")
    (tmp_path / "twin_plugin.py").write_text(PLUGIN.replace('"constant"', '"nearest"'))
    facts = tmp_path / "toy_plugins-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-plugins\nVersion: 1.0\n")
    names = {"a-failing": "failing_plugin", "empty": "empty_plugin", "twin": "twin_plugin:Constant"}
    lines = [f"{name} = {place}" for name, place in {**names, "constant": "constant_plugin"}.items()]
    (facts / "entry_points.txt").write_text("\n".join(["[landsat_fill.methods]", *lines]) + "\n")
    monkeypatch.syspath_prepend(str(tmp_path))


def test_a_method_of_another_package_joins(plugins: None) -> None:
    assert "constant" in method_classes()
    image, missing = np.ones((4, 4), np.float32), np.eye(4, dtype=bool)
    filled = fill_array(image, missing, method="constant", options={"number": 3})
    np.testing.assert_array_equal(filled.mean, np.where(missing, 3, 1))
    with pytest.raises(UsageError, match="expected --number to be a number of at least 0, but got -1"):
        create_method("constant", {"number": -1})


def test_a_broken_plugin_is_reported_and_breaks_nothing(plugins: None) -> None:
    result = CliRunner().invoke(app, ["methods", "--json"])
    assert result.exit_code == 0, result.output
    assert "constant" in {one["name"] for one in json.loads(result.stdout)}
    said = " ".join(result.stderr.split())
    assert "the method a-failing" in said and "package toy-plugins: OSError: no licence server" in said
    assert "the method empty" in said and "the method twin" in said and "two methods are called" in said
    with pytest.raises(UsageError, match="a-failing to load, but got an error in package toy-plugins"):
        create_method("a-failing")


@dataclass(frozen=True)
class Seven:
    info: ClassVar[MethodInfo] = MethodInfo("seven", "seven everywhere", "a test of 2026", halo_px=0)
    number: float = option(7.0, "the number", low=0)

    def fill(self, image: np.ndarray, gaps: Gaps, context: Context) -> Filled:  # noqa: ARG002
        return Filled(np.where(gaps.missing, np.float32(self.number), image))


def test_a_method_object_stands_for_a_name() -> None:
    image, missing = np.ones((4, 4), np.float32), np.eye(4, dtype=bool)
    np.testing.assert_array_equal(fill_array(image, missing, method=Seven()).mean, np.where(missing, 7, 1))


@pytest.mark.parametrize(
    ("method", "options", "said"),
    [
        (Seven(), {"number": 3}, "expected no options together with a method object, but got number"),
        (Seven(number=-1.0), None, "expected --number to be a number of at least 0, but got -1"),
        (Seven, None, "expected the name of a method or a method object"),
        (7, None, "expected the name of a method or a method object, but got 7"),
    ],
)
def test_objects_that_are_no_method_are_refused(method: object, options: object, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        create_method(method, options)  # type: ignore[arg-type]
