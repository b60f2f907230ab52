"""`landsat-fill cluster`: archives on a Slurm cluster."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

import typer

from landsat_fill.cli.cluster_screen import dry_run_text, state_lines, submitted_lines
from landsat_fill.cli.cluster_submit import register_submit
from landsat_fill.cli.errors import EXIT_FAILED, reports_errors
from landsat_fill.cli.options import Debug, Json, Verbose
from landsat_fill.cli.slurm_options import (
    Account,
    Archive,
    ArraySize,
    Constraint,
    Cpus,
    Gpus,
    Memory,
    Merge,
    Partition,
    Qos,
    ScenesPerTask,
    Throttle,
    Time,
    directives,
    task_count,
)

if TYPE_CHECKING:
    from landsat_fill.cluster import SceneState


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    commands = typer.Typer(
        help="Fill an archive on a Slurm cluster: hand it in, see how it stands, hand in again what is missing.",
        short_help="Archives on a Slurm cluster: submit, status, resubmit, merge.",
        no_args_is_help=True,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
    )
    register_submit(commands)
    commands.command("status", no_args_is_help=True, short_help="How each scene stands.")(status)
    commands.command("resubmit", no_args_is_help=True, short_help="Hand in again what is missing or failed.")(
        resubmit
    )
    commands.command("merge", no_args_is_help=True, short_help="One report, one summary and STAC items.")(
        merge
    )
    app.add_typer(commands, name="cluster")


@reports_errors
def status(folder: Archive, verbose: Verbose = False, as_json: Json = False, debug: Debug = False) -> None:
    """Tell how many scenes are done, running, waiting, failed and missing, and why.

    Output files decide; squeue tells what waits, and sacct, where there is one, how a task ended that is silent.
    Exits with 1 if anything failed or is missing.
    """
    from landsat_fill import cluster

    states = cluster.scene_states(cluster.Archive(folder), cluster.Slurm())
    if as_json:
        for one in states:
            typer.echo(json.dumps(_json_row(one)))
    else:
        for line in state_lines(states, verbose=verbose):
            typer.echo(line)
    if any(one.state in (cluster.State.FAILED, cluster.State.MISSING) for one in states):
        raise typer.Exit(EXIT_FAILED)


@reports_errors
def resubmit(
    folder: Archive,
    partition: Partition = None,
    account: Account = None,
    qos: Qos = None,
    time: Time = None,
    mem: Memory = None,
    cpus: Cpus = None,
    gpus: Gpus = None,
    constraint: Constraint = None,
    array_size: ArraySize = None,
    scenes_per_task: ScenesPerTask = None,
    throttle: Throttle = None,
    merge: Merge = True,
    dry_run: bool = typer.Option(False, "--dry-run", "-n", help="Print what would be handed in."),
    debug: Debug = False,
) -> None:
    """Hand in again the scenes that are missing or failed, by the script of the last time, edits included.

    Options given here replace those in the script.
    """
    from landsat_fill import cluster
    from landsat_fill.cluster.script import throttle_of, with_merge_log
    from landsat_fill.version import __version__

    slurm = cluster.Slurm()
    archive = cluster.Archive(folder)
    states = cluster.scene_states(archive, slurm)
    again = [one for one in states if one.state in (cluster.State.FAILED, cluster.State.MISSING)]
    if not again:
        typer.echo("nothing to hand in: no scene is missing or failed")
        return
    last, one = archive.rounds[-1], archive.next_round()
    tasks = task_count(len(again), array_size, scenes_per_task)
    script = cluster.with_directives(
        cluster.with_round(last.script.read_text(encoding="utf-8"), one.folder, tasks, throttle),
        directives(
            partition=partition, account=account, qos=qos, time=time, mem=mem, cpus=cpus, gpus=gpus,
            constraint=constraint,
        ),
    )  # fmt: skip
    merging = with_merge_log(last.merge_script.read_text(encoding="utf-8"), one.folder)
    manifest = cluster.manifest_text(state.listed.line for state in again)
    parts = cluster.parts_of(tasks, slurm.max_array_size())
    if dry_run:
        typer.echo(
            dry_run_text(one, parts, throttle_of(script), script, manifest, merging if merge else None)
        )
        return
    command = shlex.join(["landsat-fill", "cluster", "resubmit", str(folder)])
    one.create(
        cluster.RoundFacts(command, tasks, last.facts.overwrite, __version__), manifest, script, merging
    )
    arrays, merge_job = cluster.submit_round(one, parts, throttle_of(script), slurm, merge=merge)
    for line in submitted_lines(archive, one, len(again), tasks, arrays, merge_job):
        typer.echo(line)


@reports_errors
def merge(folder: Archive, debug: Debug = False) -> None:
    """Write report.jsonl, summary.json and items.json (a STAC item collection) of the whole archive.

    Exits with 1 if anything isn't done.
    """
    from landsat_fill import cluster

    archive = cluster.Archive(folder)
    states = cluster.scene_states(archive, cluster.Slurm())
    cluster.merge(archive, states)
    for line in state_lines(states, verbose=False):
        typer.echo(line)
    typer.echo(f"report.jsonl, summary.json and items.json: {archive.folder}")
    if any(one.state is not cluster.State.DONE for one in states):
        raise typer.Exit(EXIT_FAILED)


def _json_row(one: SceneState) -> dict[str, object]:
    line = one.listed.line
    return {
        "source": line.source,
        "product": line.product,
        "target": str(line.target),
        "state": one.state.value,
        "reason": one.reason or None,
    }
