"""The commands of `cluster` where there is no Slurm, and what they refuse before anything is handed in."""

from __future__ import annotations

import json
import os

import pytest


@pytest.fixture(autouse=True)
def no_slurm(monkeypatch, tmp_path_factory):
    """Take Slurm's commands off the search path."""
    monkeypatch.setenv("PATH", str(tmp_path_factory.mktemp("empty")))


def dry(run, scenes, out, *options):
    ended = run("cluster", "submit", scenes, "-o", out, "--dry-run", *options)
    assert ended.code == 0, ended.err
    return ended.out


def call_of_fill(text):
    """Return the options of `fill` in a script."""
    return text.partition("--grace")[2].partition(" &\n")[0]


def test_a_dry_run_shows_everything_and_writes_nothing(run, archive, tmp_path):
    scenes, out = archive(5), tmp_path / "filled"
    text = dry(run, scenes, out, "-m", "nearest", "--partition", "gpu", "--gpus", 1, "--time", "2:00:00")
    assert "#SBATCH --partition=gpu" in text
    assert "#SBATCH --gres=gpu:1" in text
    assert "#SBATCH --array=1-1" in text
    assert len([line for line in text.splitlines() if "\t" in line]) == 5
    assert "sbatch --dependency=afterany:JOBS" in text
    assert not out.exists()


def test_every_option_of_fill_may_be_given(run, archive, tmp_path):
    text = dry(
        run, archive(1), tmp_path / "out", "-m", "inverse-distance", "--smoothing", 0, "--nodata", "-9999,0",
        "--co", "COMPRESS=ZSTD", "--co", "PREDICTOR=2", "--overwrite", "--jobs", 2,
        "--holes=every", "--time", "90", "--mask", tmp_path, "--bbox", "-70.5,1,-70,2", "--bbox-crs", "EPSG:4326",
    )  # fmt: skip
    words = call_of_fill(text)
    for word in (
        "--method inverse-distance", "--option smoothing=0", "--nodata -9999,0", "--overwrite", "--jobs 2",
        "--co COMPRESS=ZSTD --co PREDICTOR=2", "--holes every",
        f"--mask {tmp_path}", "--bbox -70.5,1,-70,2", "--bbox-crs EPSG:4326",
    ):  # fmt: skip
        assert word in words
    assert "--output" not in words
    assert "scenes" not in words
    assert "#SBATCH --time=90" in text


def test_references_are_handed_on(run, archive, tmp_path):
    scenes = archive(2)
    text = dry(
        run, scenes, tmp_path / "out", "--reference", "earlier one.tif", "--references", scenes, "--within", 90,
        "--same-season", "--max-references", 3, "--no-align", "--refresh", "-m", "llhm",
    )  # fmt: skip
    words = call_of_fill(text)
    for word in (
        "--reference 'earlier one.tif'", f"--references {scenes}", "--within 90", "--same-season",
        "--max-references 3", "--no-align", "--refresh", "--method llhm",
    ):  # fmt: skip
        assert word in words
    assert "#SBATCH --chdir=" in text  # so that relative paths of references hold in a task


def test_methods_with_references_need_them_on_a_cluster_too(run, archive, tmp_path):
    ended = run("cluster", "submit", archive(1), "-o", tmp_path / "out", "--dry-run", "-m", "llhm")
    assert ended.code == 2
    assert "expected references for llhm" in ended.err_in_a_line


def test_a_refusal_is_handed_on(run, archive, tmp_path):
    text = dry(run, archive(1), tmp_path / "out", "-m", "kriging", "--no-uncertainty")
    assert "--no-uncertainty" in call_of_fill(text)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--gpus", "2"), ["--device cuda", "--jobs 2"]),
        (("--gpus", "a100:1"), ["--device cuda"]),
        (("--gpus", "2", "--jobs", "4", "--device", "auto"), ["--device auto", "--jobs 4"]),
        (("--gpus", "1", "-m", "nearest"), []),
        ((), []),
    ],
)
def test_a_task_uses_all_its_graphics_processors_and_never_the_cores_instead(
    run, archive, tmp_path, tiny_models, options, expected
):
    words = call_of_fill(dry(run, archive(1), tmp_path / "out", *options))
    assert [word for word in expected if word not in words] == []
    assert words.count("--device") == sum("--device" in word for word in expected)
    assert words.count("--jobs") == sum("--jobs" in word for word in expected)


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("-m", "nearst"), 2, "Did you mean 'nearest'"),
        (("--partion", "gpu"), 2, "but got --partion"),
        (("--shard", "1/2"), 2, "but got --shard"),
        (("--time", "5"), 2, "as soon as it begins"),
        (("--time", "soon"), 2, "time limit"),
        (("--array-size", "2", "--scenes-per-task", "2"), 2, "but got both"),
        (("--array-size", "0"), 2, "--array-size"),
        (("--setup", "gone.sh"), 1, "gone.sh"),
        (("no/such/scene.tif",), 1, "no/such/scene.tif"),
        (("--merge-arg", "partition"), 2, "--merge-arg NAME=VALUE"),
        (("--uncertainty",), 2, "--uncertainty"),
    ],
)
def test_what_cannot_work_is_refused_at_once(run, archive, tmp_path, options, code, said):
    method = () if "-m" in options else ("-m", "nearest")
    ended = run("cluster", "submit", archive(2), "-o", tmp_path / "out", "--dry-run", *method, *options)
    assert ended.code == code, ended.out
    assert said in " ".join(ended.err.replace("│", " ").split())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("output", [(), ("-o", "one.tif")])
def test_a_folder_for_the_outputs_is_needed(run, archive, output):
    ended = run("cluster", "submit", archive(2), *output, "-m", "nearest", "--dry-run")
    assert ended.code == 2
    assert "expected -o to be a folder" in ended.err


def test_without_slurm_nothing_is_written_and_a_way_out_is_told(run, archive, tmp_path):
    ended = run("cluster", "submit", archive(1), "-o", tmp_path / "out", "-m", "nearest")
    assert ended.code == 1
    assert "expected Slurm's command" in ended.err
    assert "--shard I/N" in ended.err
    assert not (tmp_path / "out").exists()


def test_scenes_that_are_done_come_last_so_that_tasks_are_even(run, archive, tmp_path):
    scenes, out = archive(4), tmp_path / "out"
    first, _, third, _ = sorted(scenes.iterdir())
    assert run(scenes, "-o", out, "-m", "nearest", "--shard", "1/2").code == 0
    text = dry(run, scenes, out, "-m", "nearest", "--scenes-per-task", 1)
    listed = [line.partition("\t")[0] for line in text.splitlines() if "\t" in line]
    assert listed[2:] == [str(first), str(third)]
    assert "#SBATCH --array=1-2" in text
    assert run(scenes, "-o", out, "-m", "nearest").code == 0
    assert "nothing to submit: 4 scenes are done" in run("cluster", "submit", scenes, "-o", out, "-m", "nearest").out


@pytest.mark.parametrize("command", ["status", "resubmit", "merge"])
def test_a_folder_that_nothing_was_submitted_for_is_refused(run, tmp_path, command):
    ended = run("cluster", command, tmp_path)
    assert ended.code == 1
    assert "cluster submit" in ended.err


def test_a_manifest_replaces_scenes_and_outputs(run, archive, tmp_path):
    scenes = archive(3)
    one, two, three = sorted(scenes.iterdir())
    manifest, report = tmp_path / "manifest.tsv", tmp_path / "report.jsonl"
    lines = [(one, "x/one.tif"), (two, "y/two.tif"), (three, "y/three.tif")]
    manifest.write_text("".join(f"{source}\t{tmp_path / target}\n" for source, target in lines))
    three.unlink()
    options = ("--manifest", manifest, "--report", report, "-m", "nearest")
    ended = run("fill", *options, "--shard", "1/2")
    assert ended.code == 1
    assert (tmp_path / "x" / "one.tif").exists()
    rows = {row["target"]: row["status"] for row in map(json.loads, report.read_text().splitlines())}
    assert rows == {str(tmp_path / "x" / "one.tif"): "filled", str(tmp_path / "y" / "three.tif"): "failed"}
    assert run("fill", *options, "--shard", "2/2").code == 0
    assert (tmp_path / "y" / "two.tif").exists()
    for wrong in ((one,), ("-o", tmp_path)):
        assert run("fill", *wrong, *options).code == 2


def test_an_overwriting_run_that_goes_on_redoes_nothing(run, archive, tmp_path):
    """What it wrote itself before it was stopped is newer than the round it belongs to."""
    scenes, out = archive(2), tmp_path / "out"
    assert run(scenes, "-o", out, "-m", "nearest").code == 0
    from landsat_fill.cluster.archive import Archive, RoundFacts, lines_of, manifest_text
    from landsat_fill.io import find_inputs
    from landsat_fill.pipeline.plan import plan_jobs
    from landsat_fill.pipeline.request import OutputRequest

    one = Archive(out).next_round()
    jobs = plan_jobs(find_inputs([str(scenes)])[0], OutputRequest(target=out))
    one.create(RoundFacts("typed", 1, True, "0"), manifest_text(lines_of(jobs)), "", "")
    options = ("fill", "--manifest", one.manifest, "-m", "harmonic", "--overwrite")
    assert "2 filled" in run(*options).out
    assert "2 skipped" in run(*options).out


def test_the_threads_of_a_scene_may_be_given(run, archive, tmp_path, monkeypatch):
    monkeypatch.delenv("GDAL_NUM_THREADS", raising=False)
    ended = run("fill", archive(1), "-o", tmp_path / "out", "-m", "nearest", "--threads", 3)
    assert (ended.code, os.environ.pop("GDAL_NUM_THREADS")) == (0, "3")
    assert "· 3 threads" in ended.out
    assert run("fill", archive(1), "--threads", 0).code == 2
    printed = run("cluster", "submit", archive(1), "-o", tmp_path / "more", "--threads", 3, "--dry-run").out
    assert "--threads 3" in printed
