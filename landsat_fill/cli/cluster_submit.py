"""`landsat-fill cluster submit`: hand in an archive as a Slurm job array."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from landsat_fill.cli.cluster_screen import dry_run_text, submitted_lines
from landsat_fill.cli.errors import EXIT_FAILED, reports_errors
from landsat_fill.cli.fill_words import WithFillOptions, fill_options
from landsat_fill.cli.options import Debug
from landsat_fill.cli.slurm_options import (
    SHARING,
    SLURM,
    Account,
    ArraySize,
    Constraint,
    Cpus,
    Gpus,
    Memory,
    Merge,
    Partition,
    Qos,
    SbatchArguments,
    ScenesPerTask,
    Setup,
    Throttle,
    Time,
    directives,
    task_count,
)

if TYPE_CHECKING:
    from landsat_fill.cli.fill_words import FillOptions
    from landsat_fill.io import Input
    from landsat_fill.methods import MethodInfo

EPILOG = """
Every option of [bold]fill[/bold] may be given, too: -m, --uncertainty, --from-file, … -o is needed.

[bold]Examples[/bold]

landsat-fill cluster submit scenes/ -o filled/ --partition gpu --gpus 1 --time 2:00:00

landsat-fill cluster submit scenes/ -o filled/ --time 4:00:00 --throttle 50 --setup modules.sh -m harmonic

landsat-fill cluster submit scenes/ -o filled/ --dry-run      the scripts and the manifest, to read
"""


def register_submit(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command(
        "submit",
        cls=WithFillOptions,
        epilog=EPILOG,
        no_args_is_help=True,
        short_help="Hand in scenes as a job array.",
    )(submit)


@reports_errors
def submit(
    ctx: typer.Context,
    partition: Partition = None,
    account: Account = None,
    qos: Qos = None,
    time: Time = None,
    mem: Memory = "4G",
    cpus: Cpus = 2,
    gpus: Gpus = None,
    constraint: Constraint = None,
    sbatch_arg: SbatchArguments = None,
    setup: Setup = None,
    command: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--command",
            metavar="TEXT",
            help="How a task calls landsat-fill. Without it, with the Python that runs now.",
            rich_help_panel=SLURM,
        ),
    ] = None,
    array_size: ArraySize = None,
    scenes_per_task: ScenesPerTask = None,
    throttle: Throttle = None,
    requeues: Annotated[
        int,
        typer.Option(
            "--requeues",
            metavar="N",
            min=0,
            help="How often a task that runs out of time goes back into the queue.",
            rich_help_panel=SHARING,
        ),
    ] = 5,
    lead: Annotated[
        int,
        typer.Option(
            "--lead",
            metavar="SECONDS",
            help="How long before the time limit a task is told to stop: it finishes the scenes that run.",
            rich_help_panel=SHARING,
        ),
    ] = 300,
    merge: Merge = True,
    merge_arg: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            "--merge-arg",
            metavar="NAME=VALUE",
            help="An option of sbatch for the merging job: --merge-arg partition=cpu.",
            rich_help_panel=SLURM,
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", "-n", help="Print scripts and manifest, and hand in nothing."),
    ] = False,
    debug: Debug = False,
) -> None:
    """Hand in scenes as a Slurm job array that fills them into -o, with a job that merges the reports.

    Scripts, manifest, logs and the tasks' reports lie in FOLDER/cluster/1 (the next time 2, and so on).
    """
    from landsat_fill.cli.choices import pairs
    from landsat_fill.cli.fill_requests import fill_requests
    from landsat_fill.cluster import (
        Archive,
        ArraySettings,
        RoundFacts,
        Slurm,
        array_script,
        busy_targets,
        lines_of,
        manifest_text,
        merge_script,
        parts_of,
        submit_round,
    )
    from landsat_fill.cluster.slurm import DEFAULT_MAX_ARRAY_SIZE, SlurmError
    from landsat_fill.errors import UsageError
    from landsat_fill.pipeline import Action, plan_jobs
    from landsat_fill.version import __version__

    options = fill_options(ctx)
    request, outputs = fill_requests(options.given)
    if outputs.target is None or outputs.target.suffix.lower() in (".tif", ".tiff"):
        raise UsageError(f"expected -o to be a folder for the outputs, but got {outputs.target or 'none'}")
    settings = ArraySettings(
        directives={"chdir": str(Path.cwd())}
        | directives(
            partition=partition, account=account, qos=qos, time=time, mem=mem, cpus=cpus, gpus=gpus,
            constraint=constraint,
        ),
        extra=tuple(sbatch_arg or ()),
        throttle=throttle,
        requeues=requeues,
        lead_s=lead,
        setup=setup_text(setup),
        command=command or f"{shlex.quote(sys.executable)} -m landsat_fill",
    )  # fmt: skip
    slurm = Slurm()
    archive = Archive(outputs.target)
    busy = busy_targets(archive, slurm)
    planned = plan_jobs(_scenes(options), outputs)
    to_do = [job for job in planned if job.action is not Action.SKIP and job.target.absolute() not in busy]
    done = [job for job in planned if job.action is Action.SKIP]
    if not to_do:
        typer.echo(f"nothing to hand in: {len(done)} scenes are done, {len(busy)} run or wait")
        return
    tasks = task_count(len(to_do), array_size, scenes_per_task)
    one = archive.next_round()
    script = array_script(
        settings, one.folder, tasks, len(to_do), task_words(options, request.method.info, gpus)
    )
    merging = merge_script(settings, one.folder, archive.folder, pairs("--merge-arg", merge_arg))
    manifest = manifest_text(lines_of([*to_do, *done]))  # the others first, so that tasks share them evenly
    try:
        most = slurm.max_array_size()
    except SlurmError:
        if not dry_run:
            raise
        most = DEFAULT_MAX_ARRAY_SIZE
    parts = parts_of(tasks, most)
    if dry_run:
        typer.echo(dry_run_text(one, parts, throttle, script, manifest, merging if merge else None))
        return
    one.create(RoundFacts(options.command, tasks, outputs.overwrite, __version__), manifest, script, merging)
    arrays, merge_job = submit_round(one, parts, throttle, slurm, merge=merge)
    for line in submitted_lines(archive, one, len(to_do), tasks, arrays, merge_job):
        typer.echo(line)


def _scenes(options: FillOptions) -> list[Input]:
    """Return the scenes that are named, or end with all that is wrong with them: nothing is handed in by half.

    Raises:
        UsageError: If none is named.
    """
    from landsat_fill.cli.terminal import print_error
    from landsat_fill.errors import UsageError
    from landsat_fill.io import find_inputs

    lists = [Path(name) for name in options.given["from_file"] or []]
    found, bad = find_inputs(options.given["inputs"] or [], lists)
    for _, error in bad:
        print_error(error.message, error.hint)
    if bad:
        raise typer.Exit(EXIT_FAILED)
    if not found:
        raise UsageError("expected scenes, but got none", hint="landsat-fill cluster submit --help")
    return found


def setup_text(setup: Path | None) -> str:
    """Return the shell lines of a file, nothing for None.

    Raises:
        InputError: If it can't be read.
    """
    from landsat_fill.errors import InputError

    if setup is None:
        return ""
    try:
        return setup.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"expected shell lines in {setup}, but got: {error}") from error


def task_words(options: FillOptions, info: MethodInfo, gpus: str | None) -> list[str]:
    """Return the options of `fill` in a task: those typed and, with graphics processors, those that use them all.

    A task that was given a graphics processor must not fall back to the cores unseen.
    """
    words = list(options.words)
    count = int(gpus.rpartition(":")[2]) if gpus and gpus.rpartition(":")[2].isdecimal() else 0
    if count and "cuda" in info.devices and "device" not in options.typed:
        words += ["--device", "cuda"]
    if count > 1 and "jobs" not in options.typed:
        words += ["--jobs", str(count)]
    return words
