"""The options of a method are flags of their own, or NAME=VALUE after -O."""

from __future__ import annotations

import json

import pytest

from landsat_fill.cli.options import asked_method, rewritten
from landsat_fill.methods import Option


def options_in(path):
    import rasterio

    with rasterio.open(path) as dataset:
        return json.loads(dataset.tags()["LANDSAT_FILL_METHOD_OPTIONS"])


@pytest.mark.parametrize(
    "arguments",
    [
        ["-m", "inverse-distance", "--smoothing", "0"],
        ["-minverse-distance", "--smoothing=0"],
        ["--method=inverse-distance", "-O", "smoothing=0"],
        ["--smoothing", "0", "--method", "inverse-distance"],
        ["-m", "inverse-distance", "--option", "smoothing=0"],
    ],
)
def test_an_option_may_be_given_in_any_way(make, run, arguments):
    made = make(count=1)
    assert run(*arguments, made.path).code == 0
    assert options_in(made.path.with_name("scene_filled.tif"))["smoothing"] == 0


def test_names_with_hyphens(make, run):
    made = make(count=1)
    assert run(made.path, "-m", "inverse-distance", "--max-distance-px", "20").code == 0
    assert options_in(made.path.with_name("scene_filled.tif"))["max_distance_px"] == 20


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-m", "inverse-distance", "--smothing", "0"], "Did you mean '--smoothing'?"),
        (["-m", "nearest", "--smoothing", "0"], "add -m inverse-distance"),
        (["-m", "inverse-distance", "-O", "smothing=0"], "Did you mean 'smoothing'?"),
        (["-m", "nearest", "-O", "smoothing=0"], "Available: none."),
        (["-m", "inverse-distance", "--smoothing", "99"], "to be a whole number from 0 to 8, but got 99"),
        (["-m", "inverse-distance", "--smoothing", "much"], "to be a whole number from 0 to 8"),
        (["-m", "inverse-distance", "--smoothing"], "--smoothing"),
    ],
)
def test_a_wrong_option_is_a_usage_error(make, run, arguments, said):
    made = make(count=1)
    ended = run(made.path, *arguments)
    assert ended.code == 2
    assert said in ended.err_in_a_line
    assert [path.name for path in made.path.parent.iterdir()] == ["scene.tif"]


def test_an_option_of_another_method_names_that_method(make, run):
    ended = run(make(count=1).path, "--smoothing", "0")
    assert ended.code == 2
    assert "add -m inverse-distance" in ended.err_in_a_line


def test_an_unknown_method_is_named_before_its_options(make, run):
    ended = run(make(count=1).path, "-m", "inverse-distanse", "--smoothing", "0")
    assert ended.code == 2
    assert "'inverse-distanse'" in ended.err_in_a_line
    assert "Did you mean 'inverse-distance'?" in ended.err_in_a_line


def method_options(**kinds):
    return {f"--{name}": Option(name, kind, None) for name, kind in kinds.items()}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["a.tif", "--size", "3"], ["a.tif", "-O", "size=3"]),
        (["--size=3", "a.tif"], ["-O", "size=3", "a.tif"]),
        (["--sharp", "a.tif"], ["-O", "sharp=true", "a.tif"]),
        (["--no-sharp", "a.tif"], ["-O", "sharp=false", "a.tif"]),
        (["--sharp=no", "a.tif"], ["-O", "sharp=no", "a.tif"]),
        (["--seed", "3"], ["--seed", "3"]),
        (["--", "--size", "3"], ["--", "--size", "3"]),
        (["--unknown", "3"], ["--unknown", "3"]),
    ],
)
def test_flags_of_the_method_are_rewritten_and_others_left(given, expected):
    options = method_options(size=int, sharp=bool)
    assert rewritten(given, {"--seed", "-m"}, options) == expected


def test_the_commands_own_flag_wins():
    assert rewritten(["--seed", "3"], {"--seed"}, method_options(seed=int)) == ["--seed", "3"]


@pytest.mark.parametrize(
    ("arguments", "method"),
    [
        (["-m", "telea", "a"], "telea"),
        (["--method=telea"], "telea"),
        (["-mtelea"], "telea"),
        (["a.tif"], "auto"),
        (["-m"], "auto"),
    ],
)
def test_the_method_asked_for(arguments, method):
    assert asked_method(arguments) == method
