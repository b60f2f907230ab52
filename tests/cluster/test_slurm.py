"""The sbatch scripts as text: what they say, that bash can read them, and that edits survive."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from landsat_fill.cluster.archive import Round, RoundFacts
from landsat_fill.cluster.slurm import (
    ArraySettings,
    Part,
    array_call,
    array_script,
    merge_script,
    parts_of,
    seconds_of,
    throttle_of,
    with_arguments,
)
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
    assert "round=${1:-'/my archive/50%/cluster/1'}" in text


def ran(text, *arguments, **variables):
    """Return what bash makes of the lines of a script that say which task of which round it is."""
    lines = [line for line in text.splitlines() if line.startswith(("round=", "tasks=", "task="))]
    lines.append('echo "$round|$tasks|$task"')
    ended = subprocess.run(
        ["bash", "-c", "\n".join(lines), "bash", *arguments],
        env={"SLURM_ARRAY_TASK_ID": "7"} | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    return ended.stdout.strip().split("|")


FIRST = "round='/my archive/50%/1'\ntasks=40\ntask=$((SLURM_ARRAY_TASK_ID + ${1:-0}))"
"""What a script of the first version says; it took the tasks before it as its only argument."""


@pytest.mark.parametrize("text", [script(folder=Path("/my archive/50%/1")), with_arguments(FIRST)])
def test_the_round_and_its_tasks_are_arguments_of_a_script(text):
    assert ran(text) == ["/my archive/50%/1", "40", "7"]
    assert ran(text, "/my archive/2", "300", "100") == ["/my archive/2", "300", "107"]
    assert with_arguments(text) == text


def test_options_of_a_round_win_over_the_script_that_it_was_copied_from():
    facts = RoundFacts("typed", 300, False, "0", throttle=20, options={"mem": "31G"})
    call = array_call(Round(Path("/my archive/50%/2")), Part(100, 200), facts)
    assert call[:4] == [
        "sbatch", "--array=1-200%20", "--output=/my archive/50%%/2/logs/after-100-task-%a.log", "--mem=31G"
    ]  # fmt: skip
    assert call[4:] == ["/my archive/50%/2/fill.sbatch", "/my archive/50%/2", "300", "100"]
    assert throttle_of(script()) == 20
    assert throttle_of(array_script(ArraySettings({}), FOLDER, 1, 1, ())) is None


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
