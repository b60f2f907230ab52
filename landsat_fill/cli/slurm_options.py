"""The options of Slurm that `cluster submit` and `cluster resubmit` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

SLURM = "Slurm"
SHARING = "Sharing the work"

Partition = Annotated[
    str | None,
    typer.Option("--partition", "-p", metavar="NAME", help="Partition.", rich_help_panel=SLURM),
]
Account = Annotated[
    str | None,
    typer.Option("--account", "-A", metavar="NAME", help="Account to charge.", rich_help_panel=SLURM),
]
Qos = Annotated[
    str | None,
    typer.Option("--qos", metavar="NAME", help="Quality of service.", rich_help_panel=SLURM),
]
Time = Annotated[
    str | None,
    typer.Option(
        "--time", "-t", metavar="LIMIT", help="Time limit of a task, 2:00:00 say.", rich_help_panel=SLURM
    ),
]
Memory = Annotated[
    str | None,
    typer.Option("--mem", metavar="SIZE", help="Memory of a task.", rich_help_panel=SLURM),
]
Cpus = Annotated[
    int | None,
    typer.Option("--cpus", "-c", metavar="N", min=1, help="Cores of a task.", rich_help_panel=SLURM),
]
Gpus = Annotated[
    str | None,
    typer.Option("--gpus", metavar="[TYPE:]N", help="Graphics processors of a task.", rich_help_panel=SLURM),
]
Constraint = Annotated[
    str | None,
    typer.Option(
        "--constraint", "-C", metavar="FEATURES", help="What nodes must have.", rich_help_panel=SLURM
    ),
]
ArraySize = Annotated[
    int | None,
    typer.Option(
        "--array-size",
        metavar="TASKS",
        min=1,
        help="Tasks the scenes are shared among.",
        rich_help_panel=SHARING,
    ),
]
ScenesPerTask = Annotated[
    int | None,
    typer.Option(
        "--scenes-per-task",
        metavar="N",
        min=1,
        help="Scenes of a task, which pays for its start once; 16 where neither this nor --array-size is given.",
        rich_help_panel=SHARING,
    ),
]
Throttle = Annotated[
    int | None,
    typer.Option(
        "--throttle", metavar="N", min=1, help="Tasks that run at once, at most.", rich_help_panel=SHARING
    ),
]
Setup = Annotated[
    Path | None,
    typer.Option(
        "--setup",
        metavar="FILE",
        help="Shell lines that go before the work: module load …, source …/activate.",
        rich_help_panel=SLURM,
    ),
]
SbatchArguments = Annotated[
    list[str] | None,
    typer.Option(
        "--sbatch-arg",
        metavar="ARGUMENT",
        help="Any other option of sbatch: --sbatch-arg=--mail-type=FAIL.",
        rich_help_panel=SLURM,
    ),
]
Merge = Annotated[
    bool,
    typer.Option(
        "--merge/--no-merge", help="Hand in the job that merges the reports.", rich_help_panel=SHARING
    ),
]
ArchiveFolder = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="The folder that `cluster submit` fills.", show_default=False)
]


def directives(
    *,
    partition: str | None,
    account: str | None,
    qos: str | None,
    time: str | None,
    mem: str | None,
    cpus: int | None,
    gpus: str | None,
    constraint: str | None,
) -> dict[str, str]:
    """Return the options of sbatch that are given, by their long names.

    `--gres` asks for graphics processors on any cluster; `--gpus` does on those with one certain plugin only.
    """
    given = {
        "partition": partition,
        "account": account,
        "qos": qos,
        "time": time,
        "mem": mem,
        "cpus-per-task": None if cpus is None else str(cpus),
        "gres": None if gpus is None else f"gpu:{gpus}",
        "constraint": constraint,
    }
    return {name: value for name, value in given.items() if value is not None}


def task_count(scenes: int, array_size: int | None, scenes_per_task: int | None) -> int:
    """Return how many tasks share so many scenes.

    Raises:
        UsageError: If both numbers are given.
    """
    from landsat_fill.errors import UsageError

    if array_size is not None and scenes_per_task is not None:
        raise UsageError("expected --array-size or --scenes-per-task, but got both")
    if array_size is not None:
        return min(array_size, scenes)
    return -(-scenes // (scenes_per_task or 16))
