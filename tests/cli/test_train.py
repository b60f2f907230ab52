"""`landsat-fill train` as a user types it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from landsat_fill.cli.app import app
from landsat_fill.cli.console import stop_requests
from landsat_fill.training.dataset import open_samples
from landsat_fill.training.dataset_manifest import read_manifest

if TYPE_CHECKING:
    from pathlib import Path


SMALL = (
    *("--size", "40", "--batch", "1", "--workers", "0", "--threads", "1", "--device", "cpu"),
    *("-O", "network.channels=8", "-O", "network.halvings=2", "-O", "data.band_counts=[3]"),
    *("-O", "validation.samples=1", "-O", "validation.every_steps=2"),
)


def call(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["train", *map(str, arguments)])
    return result.exit_code, result.output


def test_from_scenes_to_a_filled_scene(tmp_path: Path, clean_scenes: list[str], samples: Path) -> None:
    first, held = clean_scenes
    run = tmp_path / "run"
    code, said = call("unet", first, "-o", run, "--validation", held, "--steps", 4, *SMALL)
    assert code == 0, said
    assert "best error" in said
    for name in ("run.toml", "log.csv", "curve.png", "last.pt", "best.safetensors", "last.safetensors"):
        assert (run / name).is_file(), name
    assert (run / "curve.png").read_bytes().startswith(b"\x89PNG")

    code, said = call("-o", tmp_path / "again", "--config", run / "run.toml")
    assert code == 0, said
    again = (tmp_path / "again" / "run.toml").read_text()
    assert again == (run / "run.toml").read_text()

    code, said = call("-o", run, "--resume", "--steps", 6)
    assert code == 0, said
    assert "after 6 steps" in said

    scene, target = sorted(samples.glob("*.tif"))[0], tmp_path / "filled.tif"
    arguments = [str(scene), "-o", str(target), "-m", "unet", "--weights", str(run / "best.safetensors")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert target.is_file()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["unet", "DATA", "--steps", "3"], 2, "-o"),
        (["-o", "RUN", "--steps", "3"], 2, "network"),
        (["unett", "DATA", "-o", "RUN", "--steps", "3"], 2, "unet"),
        (["unet", "-o", "RUN", "--steps", "3"], 2, "data"),
        (["unet", "nowhere", "-o", "RUN", "--steps", "3"], 1, "nowhere"),
        (["unet", "DATA", "-o", "RUN", "--steps", "3", "-O", "optimiser.decay=linear"], 2, "cosine"),
        (["-o", "RUN", "--resume"], 1, "run.toml"),
        (["-o", "RUN", "--resume", "--config", "x.toml"], 2, "both"),
    ],
)
def test_errors_have_a_hint(
    arguments: list[str], code: int, said: str, tmp_path: Path, clean_scenes: list[str]
) -> None:
    words = {"DATA": clean_scenes[0], "RUN": str(tmp_path / "run")}
    found, output = call(*(words.get(word, word) for word in arguments))
    assert found == code, output
    assert said in output
    assert not (tmp_path / "run").exists()


def test_data_that_leave_nothing_to_train_or_score_on_are_explained(tmp_path: Path, clean_scenes: list[str]) -> None:
    (tmp_path / "data" / "scenes").mkdir(parents=True)
    (tmp_path / "data" / "scenes" / "000_place.npy").touch()
    for arguments, code, reason in (
        ([tmp_path / "data"], 1, "A dataset has a manifest.json, which this folder lacks"),
        ([clean_scenes[0]], 2, "outside fold 0, which is held out, but all lie in it"),
        ([*clean_scenes, "--fold", 4], 2, "in fold 4, but it is empty"),
    ):
        found, said = call("unet", *arguments, "-o", tmp_path / "run", "--steps", 3, *SMALL)
        assert found == code, said
        assert reason in said
        assert "hint" in said


@pytest.mark.skipif(sys.platform == "win32", reason="signals are others there")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_either_signal_asks_training_to_stop(number: signal.Signals) -> None:
    with stop_requests() as is_asked:
        assert not is_asked()
        signal.raise_signal(number)
        assert is_asked()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals are others there")
def test_an_interrupt_keeps_what_was_learned(tmp_path: Path, clean_scenes: list[str]) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-m", "landsat_fill", "train", "unet", clean_scenes[0], "-o", str(run)]
    small = [*SMALL]
    small[small.index("--workers") + 1] = "1"
    command += ["--validation", clean_scenes[1], "--minutes", "10", *small]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 60
    while not (run / "last.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)  # terminals and schedulers signal the workers as well
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "--resume" in said
    assert "Traceback" not in said
    code, said = call("-o", run, "--resume", "--minutes", "0.0001")
    assert code == 0, said


@pytest.fixture
def dataset():
    """Return a function that runs the command."""

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
