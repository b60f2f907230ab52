"""`landsat-fill dataset` says what it made, goes on after a bad scene, and exits accordingly."""

from __future__ import annotations

import json

import pytest
import typer
from typer.testing import CliRunner

from landsat_fill.cli.train import register_dataset
from landsat_fill.training.dataset import open_samples
from landsat_fill.training.dataset_manifest import read_manifest


@pytest.fixture
def dataset():
    """Return a function that runs the command alone."""
    app = typer.Typer()
    register_dataset(app)
    app.command("other")(lambda: None)

    def run(*arguments):
        return CliRunner().invoke(app, ["dataset", *map(str, arguments)])

    return run


def test_scenes_and_gaps_become_a_dataset(dataset, make, tmp_path):
    clean = make("clean.tif", height=140, width=150, gaps=False).path
    gappy = make("gappy.tif", height=140, width=150).path
    target = tmp_path / "data"
    ended = dataset(clean, "--gaps-from", gappy, "-o", target, "--size", 64, "--stride", 32)
    assert ended.exit_code == 0, ended.output
    said = " ".join(ended.stdout.split())
    manifest = read_manifest(target)
    assert f"{manifest.scenes[0].patches} patches of 64 px" in said
    assert f"{manifest.gaps[0].crops} crops of real gaps" in said
    assert (manifest.stride_px, manifest.folds, manifest.scenes[0].name) == (32, 1, "clean")
    assert "warning: 1 of 5 folds" in ended.stderr
    assert open_samples(target, size_px=64).scenes == ("clean",)


def test_bad_scenes_are_reported_and_the_rest_goes_on(dataset, make, tmp_path):
    clean = make("clean.tif", height=80, gaps=False).path
    text = tmp_path / "text.tif"
    text.write_text("<html>not found</html>")
    ended = dataset(text, clean, tmp_path / "nothing", "-o", tmp_path / "data", "--size", 64)
    assert ended.exit_code == 1
    assert "text.tif" in ended.stderr
    assert "nothing" in ended.stderr
    assert [facts.name for facts in read_manifest(tmp_path / "data").scenes] == ["clean"]


def test_bands_nodata_and_json(dataset, make, tmp_path):
    gappy = make("gappy.tif", height=120, told_by="name", nodata=7).path
    options = ("-o", tmp_path / "data", "--size", 64, "--bands", "1,3", "--nodata", 7, "--json")
    ended = dataset(gappy, *options, "--max-missing", "40%")
    assert ended.exit_code == 0, ended.output
    scene = json.loads(ended.stdout)["scenes"][0]
    assert len(scene["bands"]) == 2
    assert scene["observed"] is not None
    again = dataset(gappy, *options, "--overwrite", "--max-missing", "0")
    assert again.exit_code == 1
    assert "0% missing" in " ".join(again.stderr.split())


def test_an_existing_dataset_stays_without_overwrite(dataset, make, tmp_path):
    clean = make("clean.tif", height=80, gaps=False).path
    options = (clean, "-o", tmp_path / "data", "--size", 64, "-q")
    assert dataset(*options).exit_code == 0
    refused = dataset(*options)
    assert refused.exit_code == 1
    assert "--overwrite" in refused.stderr
    assert dataset(*options, "--overwrite").exit_code == 0
    assert dataset(*options[:-2], 60, "--overwrite").exit_code == 2
