"""Every input, however it is named, has an output of its own, once."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

PRODUCT = "LE07_L1TP_299299_20050704_20200914_02_T1"


def tree(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def rows(report):
    return [json.loads(line) for line in report.read_text().splitlines()]


@pytest.fixture
def scenes(make, samples, tmp_path):
    """Return a folder with two GeoTIFFs, one below the other, and a product."""
    make("scenes/a.tif", count=1)
    make("scenes/deep/er/b.tif", count=1)
    shutil.copytree(samples / PRODUCT, tmp_path / "scenes" / "usgs" / PRODUCT)
    return tmp_path / "scenes"


def test_a_folder_is_mirrored_beside_itself(scenes, run):
    ended = run(scenes)

    assert ended.code == 0, ended.said
    filled = scenes.with_name("scenes_filled")
    found = tree(filled)
    assert {"a_filled.tif", "a_fill.tif", "deep/er/b_filled.tif", "report.jsonl"} <= set(found)
    assert sum(name.endswith("_T1_B3.TIF") for name in found) == 1
    assert len(rows(filled / "report.jsonl")) == 3
    assert not [name for name in tree(scenes) if "_fill" in name]


def test_a_folder_is_mirrored_into_another(scenes, run, tmp_path):
    assert run(scenes, "-o", tmp_path / "out").code == 0
    assert {"a_filled.tif", "deep/er/b_filled.tif", "report.jsonl"} <= set(tree(tmp_path / "out"))


def test_a_glob_is_expanded_and_outputs_in_it_passed_over(make, run, tmp_path):
    for name in ("a.tif", "b.tif"):
        make(name, count=1)
    pattern = tmp_path / "*.tif"
    assert "2 filled" in run(pattern).out

    before = tree(tmp_path)
    again = run(pattern)
    assert again.code == 0
    assert "2 already done" in again.out
    assert tree(tmp_path) == before


def test_outputs_that_a_shell_names_are_passed_over(make, run, tmp_path):
    make("a.tif", count=1)
    assert run(tmp_path / "a.tif").code == 0
    before = tree(tmp_path)
    again = run(*(tmp_path / name for name in ("a.tif", "a_fill.tif", "a_filled.tif")))
    assert again.code == 0, again.said
    assert tree(tmp_path) == before


def test_a_list_of_inputs(make, run, tmp_path):
    for name in ("a.tif", "b.tif"):
        make(name, count=1)
    (tmp_path / "list.txt").write_text(f"# mine\n{tmp_path / 'a.tif'}\n\n{tmp_path / 'b.tif'}\n")
    assert run("--from-file", tmp_path / "list.txt", "-o", tmp_path / "out").code == 0
    assert {"a_filled.tif", "b_filled.tif"} <= set(tree(tmp_path / "out"))


def test_a_vsi_path(make, run, tmp_path):
    made = make("a.tif", count=1)
    archive = shutil.make_archive(str(tmp_path / "zipped"), "zip", tmp_path, "a.tif")
    made.path.unlink()
    ended = run(f"/vsizip/{archive}/a.tif", "-o", tmp_path / "out")
    assert ended.code == 0, ended.said
    assert "a_filled.tif" in tree(tmp_path / "out")


def test_a_vsi_path_is_filled_into_the_working_folder(make, run, tmp_path, monkeypatch):
    make("a.tif", count=1)
    archive = shutil.make_archive(str(tmp_path / "zipped"), "zip", tmp_path, "a.tif")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert run(f"/vsizip/{archive}/a.tif").code == 0
    assert "a_filled.tif" in tree(tmp_path / "here")


def test_output_may_be_a_file_a_folder_or_a_folder_to_be(make, run, tmp_path):
    made = make(count=1)
    (tmp_path / "there").mkdir()
    for target, written in {
        "out.tif": "out.tif",
        "there": "there/scene_filled.tif",
        "new/folder": "new/folder/scene_filled.tif",
    }.items():
        assert run(made.path, "-o", tmp_path / target).code == 0
        assert (tmp_path / written).is_file()


def test_names_are_made_from_a_template(make, run, tmp_path):
    made = make(count=1)
    assert run(made.path, "--name", "gapless-{name}-v1").code == 0
    assert (tmp_path / "gapless-scene-v1.tif").is_file()


@pytest.mark.parametrize("template", ["{nam}", "../{name}", "{name", "", "{0}"])
def test_a_template_that_names_no_file_is_refused(make, run, tmp_path, template):
    made = make(count=1)
    ended = run(made.path, "--name", template)
    assert ended.code == 2, ended.said
    assert "--name" in ended.err
    assert tree(tmp_path) == ["scene.tif"]


def test_a_seed_below_0_is_refused(make, run, tmp_path):
    ended = run(make(count=1).path, "--seed", -1)
    assert ended.code == 2, ended.said
    assert "--seed" in ended.err
    assert tree(tmp_path) == ["scene.tif"]


def test_two_inputs_never_share_an_output(make, run, tmp_path):
    first, second = make("one/a.tif", count=1), make("two/a.tif", count=1)
    ended = run(first.path, second.path, "-o", tmp_path / "out")
    assert ended.code == 2
    assert "a different output for each input" in ended.err
    assert not (tmp_path / "out").exists()


def test_the_layers_of_two_inputs_never_share_a_file(make, run, tmp_path):
    """`a.tif` has its fill layer where `a_fill.tif` would be filled to."""
    first, second = make("a.tif", count=1), make("a_fill.tif", count=1)
    ended = run(first.path, second.path, "-o", tmp_path / "out", "--name", "{name}")
    assert ended.code == 2, ended.said
    assert not (tmp_path / "out").exists()


def test_an_input_named_twice_is_filled_once(make, run, tmp_path):
    made = make(count=1)
    ended = run(made.path, tmp_path / "." / "scene.tif", made.path)
    assert ended.code == 0
    assert "1 scene: 1 to fill" in ended.out


def test_what_is_done_is_skipped_unless_overwritten(make, run, opened):
    made = make(count=1)
    target = made.path.with_name("scene_filled.tif")
    assert run(made.path).code == 0
    assert "1 skipped" in run(made.path).out
    refused = run(made.path, "-m", "nearest")
    assert refused.code == 1
    assert "method: band-unet, but nearest is requested" in refused.out
    assert "--overwrite" in refused.out
    with opened(target) as dataset:
        assert dataset.tags()["LANDSAT_FILL_METHOD"] == "band-unet"
    assert run(made.path, "-m", "nearest", "--overwrite").code == 0
    with opened(target) as dataset:
        assert dataset.tags()["LANDSAT_FILL_METHOD"] == "nearest"


def test_a_batch_that_was_cut_short_goes_on_where_it_stopped(make, run, tmp_path):
    for name in ("a.tif", "b.tif"):
        make(name, count=1)
    assert run(tmp_path / "a.tif").code == 0
    ended = run(tmp_path / "a.tif", tmp_path / "b.tif")
    assert "1 to fill, 1 already done" in ended.out
    assert [row["name"] for row in rows(tmp_path / "report.jsonl")] == ["a", "b"]


def test_a_dry_run_prints_the_plan_and_writes_nothing(scenes, run, tmp_path):
    before = tree(tmp_path)
    ended = run(scenes, "-o", tmp_path / "out", "--dry-run")
    assert ended.code == 0
    assert "3 scenes: 3 to fill" in ended.out
    assert str(tmp_path / "out" / "deep" / "er" / "b_filled.tif") in ended.out
    assert tree(tmp_path) == before
    assert not (tmp_path / "out").exists()


def test_a_dry_run_is_json_where_asked(scenes, run):
    ended = run(scenes, "--dry-run", "--json")
    assert [json.loads(line)["action"] for line in ended.out.splitlines()] == ["fill"] * 3


def test_a_dry_run_foretells_failure(make, run, tmp_path):
    made = make(count=1)
    shutil.copy(made.path, tmp_path / "scene_filled.tif")
    assert run(made.path, "--dry-run").code == run(made.path).code == 1


def test_one_bad_input_is_reported_and_the_rest_go_on(make, run, tmp_path):
    make("scenes/a.tif", count=1)
    make("scenes/c.tif", count=1)
    (tmp_path / "scenes" / "b.tif").write_text("no raster at all")
    ended = run(tmp_path / "scenes")
    assert ended.code == 1
    assert "2 filled · 1 failed" in ended.out
    found = rows(tmp_path / "scenes_filled" / "report.jsonl")
    assert {row["name"]: row["status"] for row in found} == {"a": "filled", "b": "failed", "c": "filled"}
    assert next(row["error"] for row in found if row["name"] == "b")


def test_an_input_that_is_not_there_does_not_stop_the_others(make, run, tmp_path):
    made = make(count=1)
    ended = run(tmp_path / "nowhere.tif", made.path)
    assert ended.code == 1
    assert "1 filled · 1 failed" in ended.out
    assert (tmp_path / "scene_filled.tif").is_file()


@pytest.mark.parametrize("output", [None, "out.tif", "out"])
def test_an_input_that_is_not_there_leaves_nothing(run, tmp_path, monkeypatch, output):
    monkeypatch.chdir(tmp_path)
    ended = run("nowhere.tif", *(["-o", output] if output else []))
    assert ended.code == 1
    assert "nowhere.tif" in ended.said
    assert list(tmp_path.iterdir()) == []


def test_the_report_may_lie_elsewhere(make, run, tmp_path):
    made = make(count=1)
    assert run(made.path, "--report", tmp_path / "log" / "rows.jsonl").code == 0
    assert [row["name"] for row in rows(tmp_path / "log" / "rows.jsonl")] == ["scene"]
    assert not (tmp_path / "report.jsonl").exists()


def test_several_processes_write_the_same_files(make, run, spawn, tmp_path, opened):
    for name in ("a.tif", "b.tif", "c.tif"):
        make(f"scenes/{name}", count=2, height=150)
    folders = {}
    for jobs, call in (("1", run), ("2", spawn)):
        folders[jobs] = tmp_path / f"jobs{jobs}"
        ended = call(tmp_path / "scenes", "-o", folders[jobs], "-m", "tension-spline", "--jobs", jobs)
        assert ended.code == 0, ended.said
        assert "3 filled" in ended.out
    assert tree(folders["1"]) == tree(folders["2"])
    for name in ("a_filled.tif", "b_filled.tif", "c_fill.tif"):
        with opened(folders["1"] / name) as one, opened(folders["2"] / name) as two:
            np.testing.assert_array_equal(one.read(), two.read())


def test_what_is_asked_for_later_is_added_and_the_rest_left_alone(make, run, tmp_path):
    made = make(count=1)
    assert run(made.path, "-m", "nearest", "--fill-layer", "none").code == 0
    before = (tmp_path / "scene_filled.tif").stat()
    ended = run(made.path, "-m", "nearest", "--preview")
    assert ended.code == 0, ended.said
    assert "added scene.png, scene_fill.tif" in ended.out
    assert {"scene.png", "scene_fill.tif"} <= set(tree(tmp_path))
    assert (tmp_path / "scene_filled.tif").stat() == before
    assert "1 skipped" in run(made.path, "-m", "nearest", "--preview").out
    assert run(made.path, "-m", "harmonic", "--overwrite").code == 0
    assert "scene.png" not in tree(tmp_path)


def test_an_output_that_was_changed_is_not_replaced_unasked(make, run, tmp_path):
    made = make(count=1)
    assert run(made.path, "-m", "nearest").code == 0
    with (tmp_path / "scene_filled.tif").open("ab") as file:
        file.write(b"more")
    ended = run(made.path, "-m", "nearest")
    assert ended.code == 1
    assert "were written" in ended.out
    (tmp_path / "scene_filled.tif").unlink()
    assert "1 filled" in run(made.path, "-m", "nearest").out


def test_a_row_that_a_kill_kept_out_of_the_report_is_appended(make, run, tmp_path):
    made = make(count=1)
    assert run(made.path, "-m", "nearest").code == 0
    lost = rows(tmp_path / "report.jsonl")
    (tmp_path / "report.jsonl").unlink()
    for _ in range(2):
        assert "1 skipped" in run(made.path, "-m", "nearest").out
        assert rows(tmp_path / "report.jsonl") == lost


def test_realizations_are_no_inputs_of_any_command(make, tmp_path):
    from landsat_fill.io import find_inputs

    for name in ("in/a.tif", "in/a_draw1.tif", "in/a_std.tif", "in/a_fill.tif"):
        make(name, count=1)
    found, bad = find_inputs([str(tmp_path / "in"), str(tmp_path / "in" / "*.tif")])
    assert ([one.name for one in found], bad) == (["a"], [])
