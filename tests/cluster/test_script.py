"""The sbatch scripts as text: what they say, that bash can read them, and that edits survive."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from landsat_fill.cluster import (
    ArraySettings,
    Part,
    array_script,
    merge_script,
    parts_of,
    with_directives,
    with_round,
)
from landsat_fill.cluster.script import seconds_of, throttle_of, with_merge_log
from landsat_fill.errors import UsageError
from landsat_fill.version import __version__

SNAPSHOTS = Path(__file__).with_name("snapshots")
FOLDER = Path("/archive/filled/cluster/1")
SETTINGS = ArraySettings(
    directives={
        "chdir": "/home/ada",
        "partition": "gpu",
        "account": "glacier",
        "qos": "night",
        "time": "2:00:00",
        "mem": "8G",
        "cpus-per-task": "4",
        "gres": "gpu:1",
        "constraint": "a100",
    },
    extra=("--mail-type=FAIL",),
    throttle=20,
    requeues=3,
    setup="module load python\nsource /home/ada/env/bin/activate\n",
)
ARGUMENTS = ("--method", "band-unet", "--uncertainty", "--device", "cuda")


def script(settings=SETTINGS, folder=FOLDER):
    return array_script(settings, folder, 40, 640, ARGUMENTS)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("fill.sbatch", script()),
        ("least.sbatch", array_script(ArraySettings({}), FOLDER, 1, 1, ())),
        ("merge.sbatch", merge_script(SETTINGS, FOLDER, FOLDER.parents[1], {"partition": "cpu"})),
    ],
)
def test_a_script_is_as_it_was(name, text):
    """To change a snapshot, look at the new text, and write it there."""
    expected = (SNAPSHOTS / name).read_text(encoding="utf-8")
    assert text.replace(f"landsat-fill {__version__}", "landsat-fill VERSION") == expected


@pytest.mark.parametrize("text", [script(), merge_script(SETTINGS, FOLDER, FOLDER, {})])
def test_bash_can_read_it(text):
    ended = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_path_with_spaces_and_percent_signs_is_quoted():
    text = script(folder=Path("/my archive/50%/cluster/1"))
    assert '#SBATCH --output="/my archive/50%%/cluster/1/logs/task-%a.log"' in text
    assert "round='/my archive/50%/cluster/1'" in text


def test_edits_survive_another_round():
    edited = (
        script().replace("--mem=8G", "--mem=31G").replace("module load python", "module load python/3.13")
    )
    again = with_round(edited, FOLDER.with_name("2"), 3)
    expected = (
        edited.replace("cluster/1", "cluster/2")
        .replace("tasks=40", "tasks=3")
        .replace("--array=1-40%20", "--array=1-3%20")
        .replace("fills 640 scenes in 40 tasks.", "fills what is left in 3 tasks.")
    )
    assert again == expected
    assert throttle_of(with_round(edited, FOLDER, 3, throttle=2)) == 2


def test_options_are_set_anew_or_added():
    text = with_directives(script(), {"time": "4:00:00", "nodelist": "node7"})
    assert "#SBATCH --time=4:00:00\n" in text
    assert "--time=2:00:00" not in text
    assert text.index("#SBATCH --nodelist=node7\n") < text.index("\nround=")
    log = with_merge_log(merge_script(SETTINGS, FOLDER, FOLDER, {}), FOLDER.with_name("2"))
    assert "#SBATCH --output=/archive/filled/cluster/2/logs/merge.log" in log


def test_an_archive_is_split_at_the_largest_array():
    assert parts_of(40, 1001) == [Part(0, 40)]
    assert parts_of(1000, 1001) == [Part(0, 1000)]
    assert parts_of(2100, 1001) == [Part(0, 1000), Part(1000, 1000), Part(2000, 100)]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 5400), ("1:30", 90), ("2:00:00", 7200), ("1-12", 129600), ("1-12:30", 131400),
        ("1-00:00:30", 86430), ("UNLIMITED", None), ("0", None),
    ],
)  # fmt: skip
def test_a_time_limit_is_read_as_slurm_does(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["two hours", "2h", "1:2:3:4", "-5", ""])
def test_what_is_no_time_limit_is_refused(text):
    with pytest.raises(UsageError, match="--time"):
        seconds_of(text)


@pytest.mark.parametrize("limit", ["5", "6:00", "0:30"])
def test_a_warning_that_may_come_at_once_is_refused(limit):
    """Slurm may send it a minute early; then a task would go back without having done a thing."""
    with pytest.raises(UsageError, match="as soon as it begins"):
        ArraySettings({"time": limit}, lead_s=300)


def test_a_warning_that_leaves_no_time_to_finish_is_refused():
    with pytest.raises(UsageError, match="--lead"):
        ArraySettings({}, lead_s=30)
