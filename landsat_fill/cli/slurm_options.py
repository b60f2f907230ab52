"""The options of Slurm that `cluster submit` and `cluster resubmit` share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping


SLURM = "Slurm"
SHARING = "Sharing the work"

Partition = Annotated[
    str | None, typer.Option("--partition", "-p", metavar="NAME", help="Partition.", rich_help_panel=SLURM)
]
Account = Annotated[
    str | None,
    typer.Option("--account", "-A", metavar="NAME", help="Account to charge.", rich_help_panel=SLURM),
]
Qos = Annotated[
    str | None, typer.Option("--qos", metavar="NAME", help="Quality of service.", rich_help_panel=SLURM)
]
Time = Annotated[
    str | None,
    typer.Option(
        "--time",
        "-t",
        metavar="LIMIT",
        help="Time limit of a task, for example 2:00:00.",
        rich_help_panel=SLURM,
    ),
]
Memory = Annotated[
    str | None, typer.Option("--mem", metavar="SIZE", help="Memory of a task.", rich_help_panel=SLURM)
]
Cpus = Annotated[
    int | None,
    typer.Option("--cpus", "-c", metavar="N", min=1, help="Cores of a task.", rich_help_panel=SLURM),
]
Gpus = Annotated[
    str | None, typer.Option("--gpus", metavar="[TYPE:]N", help="GPUs of a task.", rich_help_panel=SLURM)
]
Constraint = Annotated[
    str | None,
    typer.Option(
        "--constraint", "-C", metavar="FEATURES", help="Features that nodes must have.", rich_help_panel=SLURM
    ),
]
ArraySize = Annotated[
    int | None,
    typer.Option(
        "--array-size",
        metavar="TASKS",
        min=1,
        help="Number of tasks that share the scenes.",
        rich_help_panel=SHARING,
    ),
]
ScenesPerTask = Annotated[
    int | None,
    typer.Option(
        "--scenes-per-task",
        metavar="N",
        min=1,
        help="Scenes per task. Default, without --array-size: 16.",
        rich_help_panel=SHARING,
    ),
]
Throttle = Annotated[
    int | None,
    typer.Option(
        "--throttle",
        metavar="N",
        min=1,
        help="Largest number of tasks that run at once.",
        rich_help_panel=SHARING,
    ),
]
Setup = Annotated[
    Path | None,
    typer.Option(
        "--setup",
        metavar="FILE",
        help="File of shell lines that run before the work: module load …, source …/activate.",
        rich_help_panel=SLURM,
    ),
]
SbatchArguments = Annotated[
    list[str] | None,
    typer.Option(
        "--sbatch-arg",
        metavar="ARGUMENT",
        help="Another option of sbatch: --sbatch-arg=--mail-type=FAIL.",
        rich_help_panel=SLURM,
    ),
]
Merge = Annotated[
    bool,
    typer.Option("--merge/--no-merge", help="Submit a job that merges the reports.", rich_help_panel=SHARING),
]
ArchiveFolder = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="The folder -o of `cluster submit`.", show_default=False)
]


def directives(given: Mapping[str, Any]) -> dict[str, str]:
    """Return the options of sbatch among a command's parameters, by their long names.

    `--gres` requests GPUs on any cluster; `--gpus` only where the scheduler has the plugin for it.
    """
    long_names = {"cpus": "cpus-per-task", "gpus": "gres"}
    return {
        long_names.get(name, name): f"gpu:{given[name]}" if name == "gpus" else str(given[name])
        for name in ("partition", "account", "qos", "time", "mem", "cpus", "gpus", "constraint")
        if given[name] is not None
    }


def task_count(scenes: int, array_size: int | None, scenes_per_task: int | None) -> int:
    """Return how many tasks share the scenes.

    Raises:
        UsageError: If both numbers are given.
    """
    from landsat_fill.errors import UsageError

    if array_size is not None and scenes_per_task is not None:
        raise UsageError("expected --array-size or --scenes-per-task, but got both")
    if array_size is not None:
        return min(array_size, scenes)
    return -(-scenes // (scenes_per_task or 16))
