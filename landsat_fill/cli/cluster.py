"""`landsat-fill cluster`: archives on a Slurm cluster."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from landsat_fill.cli.exits import reports_errors
from landsat_fill.cli.fill import register as register_fill
from landsat_fill.cli.method_flags import MethodFlags
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

    from landsat_fill.cluster import Archive, RoundFacts, SceneState, Slurm
    from landsat_fill.io import Input
    from landsat_fill.methods import MethodInfo


_FILL = "landsat_fill.fill"
_SET_BY_THE_SCRIPT = frozenset({"manifest", "shard", "report", "grace", "as_json"})
"""Parameters of `fill` that the script of an array sets."""
_NOT_HANDED_ON = frozenset({"inputs", "from_file", "output"})


@dataclass(frozen=True, slots=True)
class FillOptions:
    """What was given of `fill`.

    Attributes:
        command: The whole command line, as it can be typed again.
        given: All parameters of `fill` by name.
        words: The options that were typed, as words of a command line, without scenes and -o.
        typed: Names of the parameters that were typed.
    """

    command: str
    given: Mapping[str, Any]
    words: tuple[str, ...]
    typed: frozenset[str]


class WithFillOptions(MethodFlags):
    """A command that takes the options of `fill` beside its own; its help shows its own only."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Return the arguments left over, after setting apart those of `fill`."""
        fill, own = _parameters_of_fill(), {parameter.name for parameter in self.params}
        added = [one for one in fill if one.name not in own | _SET_BY_THE_SCRIPT]
        self.params = [*self.params, *added]
        left = super().parse_args(ctx, args)
        given = {str(one.name): one.default for one in fill}
        given |= {str(one.name): ctx.params.pop(str(one.name)) for one in added}
        sources = {str(one.name): ctx.get_parameter_source(str(one.name)) for one in added}
        typed = frozenset(name for name, source in sources.items() if source and source.name == "COMMANDLINE")
        words = [word for one in added if one.name in typed for word in _words(one, given[str(one.name)])]
        command = shlex.join([ctx.command_path, *args])
        ctx.meta[_FILL] = FillOptions(command, given, tuple(words), typed)
        return left

    def collect_usage_pieces(self, ctx: Context) -> list[str]:  # type: ignore[override]
        """Return what the usage line shows after the command."""
        return ["SCENE…", "-o FOLDER", "[OPTIONS]", "[OPTIONS of fill]"]


def _parameters_of_fill() -> list[Any]:
    """Return the parameters of `fill`, hidden from help."""
    app = typer.Typer(add_completion=False)
    register_fill(app)
    parameters = typer.main.get_command(app).params
    for one in parameters:
        one.hidden = True  # type: ignore[attr-defined]
    return list(parameters)


def _words(parameter: Any, value: object) -> list[str]:
    """Return a parameter that was typed as words of a command line."""
    if parameter.name in _NOT_HANDED_ON or value is False:
        return []
    flag = max(parameter.opts, key=len)
    if value is True:
        return [flag]
    values = value if isinstance(value, list | tuple) else [value]
    return [word for one in values for word in (flag, str(one))]


NAMED = 3
"""How many scenes of the same status are named without --verbose."""


def hand_in(
    archive: Archive,
    facts: RoundFacts,
    texts: tuple[str, str, str],
    slurm: Slurm,
    *,
    scenes: int,
    merge: bool,
    dry_run: bool,
) -> None:
    """Create the next round of an archive and submit it, or print what that would be.

    Args:
        archive: The archive.
        facts: What is recorded about the round.
        texts: Manifest, script and script of the merging job.
        slurm: The cluster.
        scenes: How many scenes there are to fill.
        merge: Whether to submit the merging job.
        dry_run: Whether to print only.
    """
    from landsat_fill.cluster.slurm import (
        DEFAULT_MAX_ARRAY_SIZE,
        SlurmError,
        array_call,
        merge_call,
        parts_of,
        submit_round,
    )

    try:
        most = slurm.max_array_size()
    except SlurmError:
        if not dry_run:
            raise
        most = DEFAULT_MAX_ARRAY_SIZE
    parts, one = parts_of(facts.tasks, most), archive.next_round()
    if dry_run:
        paths = [one.manifest, one.script, *([one.merge_script] if merge else [])]
        for path, text in zip(paths, texts, strict=False):
            typer.echo(f"==> {path}\n{text}")
        calls = [array_call(one, part, facts) for part in parts]
        calls += [merge_call(one, ["JOBS"])] if merge else []
        typer.echo("\n".join(["==> submitted by", *map(shlex.join, calls)]))
        return
    one.create(facts, *texts)
    arrays, merge_job = submit_round(one, parts, slurm, merge=merge)
    jobs = ", ".join(array.job for array in arrays)
    plural = "s" * (len(arrays) != 1)
    typer.echo(f"{count(scenes, 'scene')} in {count(facts.tasks, 'task')}: job{plural} {jobs}")
    if merge_job is not None:
        typer.echo(f"merging job, once they end: {merge_job}")
    typer.echo(f"scripts, manifest and logs: {one.folder}")
    typer.echo(f"status: landsat-fill cluster status {shlex.quote(str(archive.folder))}")


def state_lines(states: Sequence[SceneState], *, verbose: bool) -> Iterator[str]:
    """Yield the status of an archive: a line of counts, and lines on the scenes that aren't done or waiting."""
    from landsat_fill.cluster import State

    counts = {state: sum(one.state is state for one in states) for state in State}
    numbers = " · ".join(f"{number} {state.value}" for state, number in counts.items() if number)
    yield f"{count(len(states), 'scene')}: {numbers}"
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
        yield "         (Slurm starts a requeued task after two minutes at the earliest)"


def count(number: int, noun: str) -> str:
    """Return a number with its noun: 1 scene, 2 scenes."""
    return f"{number} {noun}{'s' * (number != 1)}"


EPILOG = """
All options of [bold]fill[/bold] work here, too: -m, --uncertainty, --from-file, … -o is required.

[bold]Examples[/bold]

landsat-fill cluster submit scenes/ -o filled/ --partition gpu --gpus 1 --time 2:00:00

landsat-fill cluster submit scenes/ -o filled/ --time 4:00:00 --throttle 50 --setup modules.sh -m harmonic

landsat-fill cluster submit scenes/ -o filled/ --dry-run      prints the scripts and the manifest
"""


def register_submit(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command(
        "submit",
        cls=WithFillOptions,
        epilog=EPILOG,
        no_args_is_help=True,
        short_help="Submit scenes as a job array.",
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
            help="How a task calls landsat-fill. Default: with the Python that runs this command.",
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
            help="How often a task that runs out of time is requeued.",
            rich_help_panel=SHARING,
        ),
    ] = 5,
    lead: Annotated[
        int,
        typer.Option(
            "--lead",
            metavar="SECONDS",
            help="How long before the time limit a task stops starting scenes. It finishes those that run.",
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
        bool, typer.Option("--dry-run", "-n", help="Print scripts and manifest, and submit nothing.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Submit a Slurm job array that fills scenes into the folder -o, and a job that merges the reports.

    Scripts, manifest, logs and reports are in FOLDER/cluster/1 (for the next submission 2, and so on).
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
    )
    from landsat_fill.errors import UsageError
    from landsat_fill.pipeline.plan import Action, plan_jobs
    from landsat_fill.version import __version__

    options: FillOptions = ctx.meta[_FILL]
    request, outputs = fill_requests(options.given)
    if outputs.target is None or outputs.target.suffix.lower() in (".tif", ".tiff"):
        raise UsageError(f"expected -o to be a folder for the outputs, but got {outputs.target or 'none'}")
    settings = ArraySettings(
        directives={"chdir": str(Path.cwd())} | directives(ctx.params),
        extra=tuple(sbatch_arg or ()),
        throttle=throttle,
        requeues=requeues,
        lead_s=lead,
        setup=setup_text(setup),
        command=command or f"{shlex.quote(sys.executable)} -m landsat_fill",
    )
    slurm = Slurm()
    archive = Archive(outputs.target)
    busy = busy_targets(archive, slurm)
    planned = plan_jobs(_scenes(options), outputs, request=request)
    to_do = [job for job in planned if job.action is not Action.SKIP and job.target.absolute() not in busy]
    done = [job for job in planned if job.action is Action.SKIP]
    if not to_do:
        typer.echo(f"nothing to submit: {len(done)} scenes are done, {len(busy)} run or wait")
        return
    tasks = task_count(len(to_do), array_size, scenes_per_task)
    folder = archive.next_round().folder
    words = task_words(options, request.method.info, gpus)
    texts = (
        manifest_text(lines_of([*to_do, *done])),  # the others first, so that tasks share them evenly
        array_script(settings, folder, tasks, len(to_do), words),
        merge_script(settings, folder, archive.folder, pairs("--merge-arg", merge_arg)),
    )
    facts = RoundFacts(options.command, tasks, outputs.overwrite, __version__, throttle)
    hand_in(archive, facts, texts, slurm, scenes=len(to_do), merge=merge, dry_run=dry_run)


def _scenes(options: FillOptions) -> list[Input]:
    """Return the scenes that are named, or end with all that is wrong with them: nothing is submitted then.

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
        raise UsageError("expected scenes, but got none", hint="See landsat-fill cluster submit --help.")
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
    """Return the options of `fill` in a task: those typed and, with GPUs, those that use all of them.

    A task with a GPU must not fall back to the CPU silently.
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
        help="Fill an archive on a Slurm cluster: submit it, see its status, resubmit what is missing.",
        short_help="Archives on a Slurm cluster: submit, status, resubmit, merge.",
        no_args_is_help=True,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
    )
    register_submit(commands)
    commands.command("status", no_args_is_help=True, short_help="The status of the scenes.")(status)
    commands.command("resubmit", no_args_is_help=True, short_help="Submit what is missing or failed again.")(
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
    """Print how many scenes are done, running, waiting, failed and missing, and why.

    The output files decide. squeue says what waits, and sacct, if available, how a task without a report ended.
    The exit code is 1 if a scene failed or is missing.
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
    ctx: typer.Context,
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
    dry_run: bool = typer.Option(False, "--dry-run", "-n", help="Print what would be submitted."),
    debug: Debug = False,
) -> None:
    """Submit the scenes that are missing or failed again, with the last script, your edits included.

    Options given here replace those in the script, also when you resubmit again.
    """
    from landsat_fill import cluster
    from landsat_fill.cluster.script import throttle_of, with_arguments
    from landsat_fill.version import __version__

    slurm = cluster.Slurm()
    archive = cluster.Archive(folder)
    states = cluster.scene_states(archive, slurm)
    again = [one for one in states if one.state in (cluster.State.FAILED, cluster.State.MISSING)]
    if not again:
        typer.echo("nothing to submit: no scene is missing or failed")
        return
    last = archive.rounds[-1]
    script = with_arguments(last.script.read_text(encoding="utf-8"))
    given = directives(ctx.params)
    facts = cluster.RoundFacts(
        command=shlex.join(["landsat-fill", "cluster", "resubmit", str(folder)]),
        tasks=task_count(len(again), array_size, scenes_per_task),
        overwrite=last.facts.overwrite,
        version=__version__,
        throttle=throttle or last.facts.throttle or throttle_of(script),
        options={**last.facts.options, **given},
    )
    manifest = cluster.manifest_text(state.listed.line for state in again)
    texts = (manifest, script, last.merge_script.read_text(encoding="utf-8"))
    hand_in(archive, facts, texts, slurm, scenes=len(again), merge=merge, dry_run=dry_run)


@reports_errors
def merge(folder: ArchiveFolder, debug: Debug = False) -> None:
    """Write report.jsonl, summary.json and items.json (a STAC item collection) of the whole archive.

    The exit code is 1 if a scene isn't done.
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
