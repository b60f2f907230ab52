"""`landsat-fill cluster`: archives on a Slurm cluster."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from landsat_fill.cli.exits import reports_errors
from landsat_fill.cli.fill import register as register_fill
from landsat_fill.cli.options import Debug, Json, Verbose
from landsat_fill.cli.slurm_options import (
    SHARING,
    SLURM,
    Account,
    ArchiveFolder,
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
from landsat_fill.errors import EXIT_FAILED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from typer import Context

    from landsat_fill.cluster import Archive, Part, Round, SceneState
    from landsat_fill.cluster.archive import Array
    from landsat_fill.io import Input
    from landsat_fill.methods import MethodInfo


_FILL = "landsat_fill.fill"
_OF_EACH_TASK = ("--manifest", "--shard", "--report", "--grace", "--json")
"""Options of `fill` that the script of an array sets."""
_NOT_HANDED_ON = ("inputs", "from_file", "output", "dry_run")


@dataclass(frozen=True, slots=True)
class FillOptions:
    """What was given of `fill`.

    Attributes:
        command: The whole command line, as it can be typed again.
        given: All its parameters by name.
        words: The options that were typed, as words of a command line; without scenes and -o.
        typed: Names of the parameters that were typed.
    """

    command: str
    given: Mapping[str, Any]
    words: tuple[str, ...]
    typed: frozenset[str]


class WithFillOptions(TyperCommand):
    """A command whose arguments are its own options and, for the rest, those of `fill`."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Return the arguments left over, after reading those of `fill`."""
        own, others = self._parted(ctx, args)
        foreign = next((word for word in others if word.partition("=")[0] in _OF_EACH_TASK), None)
        if foreign is not None:
            ctx.fail(f"No such option: {foreign}. Each task has its own.")
        self.no_args_is_help = not args  # all may be those of `fill`
        left = super().parse_args(ctx, own)
        ctx.meta[_FILL] = _read(ctx, args, others)
        return left

    def collect_usage_pieces(self, ctx: Context) -> list[str]:  # type: ignore[override]
        """Return what the usage line shows after the command."""
        return ["SCENE…", "-o FOLDER", "[OPTIONS]", "[OPTIONS of fill]"]

    def _parted(self, ctx: Context, args: list[str]) -> tuple[list[str], list[str]]:
        """Return the arguments that are this command's, and the others, both in their order."""
        values = {
            flag: 0 if getattr(parameter, "is_flag", False) else parameter.nargs
            for parameter in self.get_params(ctx)
            for flag in (*parameter.opts, *parameter.secondary_opts)
        }
        own: list[str] = []
        others: list[str] = []
        waiting = iter(args)
        for word in waiting:
            if word == "--":
                others += [word, *waiting]
            flag, equals, _ = word.partition("=")
            if flag not in values:
                others.append(word)
                continue
            own.append(word)
            if not equals:
                own += [value for _ in range(values[flag]) if (value := next(waiting, None)) is not None]
        return own, others


def fill_options(ctx: Context) -> FillOptions:
    """Return what was given of `fill` to a command of this kind."""
    options: FillOptions = ctx.meta[_FILL]
    return options


def _read(ctx: Context, typed_words: list[str], args: list[str]) -> FillOptions:
    """Return arguments as `fill` reads them; end with its usage error where it can't.

    Args:
        ctx: Of the command.
        typed_words: All its arguments.
        args: Those that are of `fill`.
    """
    app = typer.Typer()
    register_fill(app)
    command = typer.main.get_command(app)
    command.no_args_is_help = False
    fill = command.make_context(str(ctx.info_name), list(args), parent=ctx.parent)
    words: list[str] = []
    typed = set()
    for parameter in command.params:
        name = str(parameter.name)
        source = fill.get_parameter_source(name)
        if source is None or source.name != "COMMANDLINE":
            continue
        typed.add(name)
        if name in _NOT_HANDED_ON:
            continue
        flag, value = max(parameter.opts, key=len), fill.params[name]
        if isinstance(value, bool):
            words += [flag] if value else []
        else:
            values = value if isinstance(value, list | tuple) else [value]
            words += [word for one in values for word in (flag, str(one))]
    return FillOptions(
        shlex.join([ctx.command_path, *typed_words]), fill.params, tuple(words), frozenset(typed)
    )


NAMED = 3
"""Of scenes that stand alike, how many are named where details aren't asked for."""


def dry_run_text(
    one: Round, parts: Sequence[Part], throttle: int | None, script: str, manifest: str, merging: str | None
) -> str:
    """Return all that would be written and handed in."""
    from landsat_fill.cluster.slurm import part_options

    calls = []
    for part in parts:
        options = part_options(one, part, throttle) if len(parts) > 1 else []
        calls.append(["sbatch", *options, str(one.script), *([str(part.offset)] if part.offset else [])])
    pieces = [f"==> {one.script}", script, f"==> {one.manifest}", manifest]
    if merging is not None:
        pieces += [f"==> {one.merge_script}", merging]
        calls.append(["sbatch", "--dependency=afterany:JOBS", str(one.merge_script)])
    return "\n".join([*pieces, "==> handed in by", *map(shlex.join, calls)])


def submitted_lines(
    archive: Archive, one: Round, scenes: int, tasks: int, arrays: Sequence[Array], merge_job: str | None
) -> Iterator[str]:
    """Yield what to say after handing in."""
    jobs = ", ".join(array.job for array in arrays)
    yield f"{count(scenes, 'scene')} in {count(tasks, 'task')}: job{'s' * (len(arrays) != 1)} {jobs}"
    if merge_job is not None:
        yield f"merged by job {merge_job} once they have ended"
    yield f"scripts, manifest and logs: {one.folder}"
    yield f"how it stands: landsat-fill cluster status {shlex.quote(str(archive.folder))}"


def state_lines(states: Sequence[SceneState], *, verbose: bool) -> Iterator[str]:
    """Yield how an archive stands: a line of counts, and one for each scene that is neither done nor waiting."""
    from landsat_fill.cluster import State

    counts = {state: sum(one.state is state for one in states) for state in State}
    told = " · ".join(f"{number} {state.value}" for state, number in counts.items() if number)
    yield f"{count(len(states), 'scene')}: {told}"
    alike: dict[tuple[State, str], list[str]] = {}
    for one in states:
        if verbose or one.state not in (State.DONE, State.WAITING):
            name = one.listed.line.product or Path(one.listed.line.source).name
            alike.setdefault((one.state, one.reason), []).append(name)
    for (state, reason), names in alike.items():
        if verbose:
            yield from (f"{state.value:8} {name}" + (f": {reason}" if reason else "") for name in names)
            continue
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        yield f"{state.value:8} {', '.join(names[:NAMED])}{more}" + (f": {reason}" if reason else "")
    waits = {
        one.reason for one in states if one.state is State.WAITING and not one.reason.startswith("its task")
    }
    if waits and not verbose:
        yield f"waiting  for Slurm: {'; '.join(sorted(waits)[:3])}"
    if any("BeginTime" in reason for reason in waits):
        yield "         (a task that went back into the queue may start after two minutes, as Slurm has it)"


def count(number: int, noun: str) -> str:
    """Return a number of things in words: 1 scene, 2 scenes."""
    return f"{number} {noun}{'s' * (number != 1)}"


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
        str | None,
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
        list[str] | None,
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
    from landsat_fill.cli.fill import fill_requests
    from landsat_fill.cli.options import pairs
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
    from landsat_fill.cli.console import print_error
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
def status(
    folder: ArchiveFolder, verbose: Verbose = False, as_json: Json = False, debug: Debug = False
) -> None:
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
    folder: ArchiveFolder,
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
def merge(folder: ArchiveFolder, debug: Debug = False) -> None:
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
