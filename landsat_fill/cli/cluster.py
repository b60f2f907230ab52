"""`landsat-fill cluster`: archives on a Slurm cluster."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from landsat_fill.cli.fill import FillOptions
from landsat_fill.cli.options import CommandGroup, Json, MethodFlags, Verbose, add, arg, command, command_line, opt
from landsat_fill.errors import EXIT_FAILED, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from typer import Context

    from landsat_fill.cluster.archive import Archive, RoundFacts
    from landsat_fill.cluster.reports import SceneState
    from landsat_fill.io import Input
    from landsat_fill.methods import MethodInfo


SLURM = "Slurm"
SHARING = "Sharing the work"

ArchiveFolder = Annotated[Path, arg("FOLDER", "The folder -o of `cluster submit`.")]


@dataclass(frozen=True)
class SlurmOptions:
    """The options that `cluster submit` and `cluster resubmit` share.

    Attributes:
        partition: Partition.
        account: Account to charge.
        qos: Quality of service.
        time: Time limit of a task, for example 2:00:00.
        mem: Memory of a task.
        cpus: Cores of a task.
        gpus: GPUs of a task.
        constraint: Features that nodes must have.
        array_size: Number of tasks that share the scenes.
        scenes_per_task: Scenes per task. Default, without --array-size: 16.
        throttle: Largest number of tasks that run at once.
        merge: Submit a job that merges the reports.
    """

    partition: Annotated[str | None, opt("-p, --partition NAME", SLURM)] = None
    account: Annotated[str | None, opt("-A, --account NAME", SLURM)] = None
    qos: Annotated[str | None, opt("--qos NAME", SLURM)] = None
    time: Annotated[str | None, opt("-t, --time LIMIT", SLURM)] = None
    mem: Annotated[str | None, opt("--mem SIZE", SLURM)] = None
    cpus: Annotated[int | None, opt("-c, --cpus N", SLURM, min=1)] = None
    gpus: Annotated[str | None, opt("--gpus [TYPE:]N", SLURM)] = None
    constraint: Annotated[str | None, opt("-C, --constraint FEATURES", SLURM)] = None
    array_size: Annotated[int | None, opt("--array-size TASKS", SHARING, min=1)] = None
    scenes_per_task: Annotated[int | None, opt("--scenes-per-task N", SHARING, min=1)] = None
    throttle: Annotated[int | None, opt("--throttle N", SHARING, min=1)] = None
    merge: Annotated[bool, opt("--merge/--no-merge", SHARING)] = True

    def directives(self) -> dict[str, str]:
        """Return the options of sbatch that were given, by their long names.

        `--gres` requests GPUs on any cluster; `--gpus` only where the scheduler has the plugin for it.
        """
        given = {
            "partition": self.partition,
            "account": self.account,
            "qos": self.qos,
            "time": self.time,
            "mem": self.mem,
            "cpus-per-task": self.cpus,
            "gres": self.gpus and f"gpu:{self.gpus}",
            "constraint": self.constraint,
        }
        return {name: str(value) for name, value in given.items() if value is not None}

    def task_count(self, scenes: int) -> int:
        """Return how many tasks share the scenes.

        Raises:
            UsageError: If both numbers are given.
        """
        from landsat_fill.errors import UsageError

        if self.array_size is not None and self.scenes_per_task is not None:
            raise UsageError("expected --array-size or --scenes-per-task, but got both", hint="Give one of them only.")
        if self.array_size is not None:
            return min(self.array_size, scenes)
        return -(-scenes // (self.scenes_per_task or 16))


@dataclass(frozen=True)
class SubmitOptions(SlurmOptions):
    """The options of `cluster submit`.

    Attributes:
        sbatch_arg: Another option of sbatch: --sbatch-arg=--mail-type=FAIL.
        setup: File of shell lines that run before the work: module load …, source …/activate.
        command: How a task calls landsat-fill. Default: with the Python that runs this command.
        requeues: Largest number of times that a task is requeued when it runs out of time.
        lead: Seconds before its time limit at which a task stops starting scenes. It finishes those that run.
        merge_arg: An option of sbatch for the merging job: --merge-arg partition=cpu.
    """

    mem: Annotated[str | None, opt("--mem SIZE", SLURM)] = "4G"
    cpus: Annotated[int | None, opt("-c, --cpus N", SLURM, min=1)] = 2
    sbatch_arg: Annotated[list[str] | None, opt("--sbatch-arg ARGUMENT", SLURM)] = None
    setup: Annotated[Path | None, opt("--setup FILE", SLURM)] = None
    command: Annotated[str | None, opt("--command TEXT", SLURM)] = None
    requeues: Annotated[int, opt("--requeues N", SHARING, min=0)] = 5
    lead: Annotated[int, opt("--lead SECONDS", SHARING)] = 300
    merge_arg: Annotated[list[str] | None, opt("--merge-arg NAME=VALUE", SLURM)] = None


FILL_OPTIONS = frozenset(one.name for one in fields(FillOptions))
NOT_HANDED_ON = frozenset({"inputs", "from_file", "output"})
"""Options of `fill` that the manifest replaces in a task."""


class WithFillOptions(MethodFlags):
    """A command that takes the options of `fill` beside its own; its help shows its own only."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        for one in self.params:
            one.hidden = one.name in FILL_OPTIONS  # type: ignore[attr-defined]

    def collect_usage_pieces(self, ctx: Context) -> list[str]:  # type: ignore[override]
        """Return what the usage line shows after the command."""
        return ["SCENE…", "-o FOLDER", "[OPTIONS]", "[OPTIONS of fill]"]


def typed_options(ctx: Context, options: FillOptions) -> dict[str, list[str]]:
    """Return the options of `fill` that were typed, by name, each as words of a command line."""
    typed: dict[str, list[str]] = {}
    for one in ctx.command.params:
        name, source = str(one.name), ctx.get_parameter_source(str(one.name))
        if name not in FILL_OPTIONS - NOT_HANDED_ON or source is None or source.name != "COMMANDLINE":
            continue
        value = getattr(options, name)
        flag = max(one.secondary_opts if value is False else one.opts, key=len)
        values = value if isinstance(value, list) else [value]
        typed[name] = [flag] if isinstance(value, bool) else [word for v in values for word in (flag, str(v))]
    return typed


NAMED = 3
"""How many scenes of a status are named without --verbose."""


def hand_in(
    archive: Archive, facts: RoundFacts, texts: tuple[str, str, str], scenes: int, *, merge: bool, dry_run: bool
) -> None:
    """Create the next round of an archive and submit it, or print it.

    Args:
        texts: The manifest, the script and the script of the merging job.
        scenes: Number of scenes to fill.
    """
    from landsat_fill.cluster import slurm

    scheduler = slurm.Slurm()
    try:
        most = scheduler.max_array_size()
    except slurm.SlurmError:
        if not dry_run:
            raise
        most = slurm.DEFAULT_MAX_ARRAY_SIZE
    parts, one = slurm.parts_of(facts.tasks, most), archive.next_round()
    if dry_run:
        paths = [one.manifest, one.script, *([one.merge_script] if merge else [])]
        for path, text in zip(paths, texts, strict=False):
            typer.echo(f"==> {path}\n{text}")
        calls = [slurm.array_call(one, part, facts) for part in parts]
        calls += [slurm.merge_call(one, ["JOBS"])] if merge else []
        typer.echo("\n".join(["==> submitted by", *map(shlex.join, calls)]))
        return
    one.create(facts, *texts)
    arrays, merge_job = slurm.submit_round(one, parts, scheduler, merge=merge)
    jobs = ", ".join(array.job for array in arrays)
    plural = "s" * (len(arrays) != 1)
    typer.echo(f"{slurm.counted(scenes, 'scene')} in {slurm.counted(facts.tasks, 'task')}: job{plural} {jobs}")
    if merge_job is not None:
        typer.echo(f"merging job, once they end: {merge_job}")
    typer.echo(f"scripts, manifest and logs: {one.folder}")
    typer.echo(f"status: landsat-fill cluster status {shlex.quote(str(archive.folder))}")


def state_lines(states: Sequence[SceneState], *, verbose: bool) -> Iterator[str]:
    """Yield the status of an archive: a line of counts, and lines on the scenes that aren't done or waiting."""
    from landsat_fill.cluster.reports import State
    from landsat_fill.cluster.slurm import counted

    counts = {state: sum(one.state is state for one in states) for state in State}
    numbers = " · ".join(f"{number} {state.value}" for state, number in counts.items() if number)
    yield f"{counted(len(states), 'scene')}: {numbers}"
    alike: dict[tuple[State, str], list[str]] = {}
    for one in states:
        if verbose or one.state not in (State.DONE, State.WAITING):
            name = one.listed.line.product or Path(one.listed.line.source).name
            alike.setdefault((one.state, one.reason), []).append(name)
    for (state, reason), names in alike.items():
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        for text in names if verbose else [", ".join(names[:NAMED]) + more]:
            yield printable(f"{state.value:8} {text}" + (f": {reason}" if reason else ""))
    reasons = {one.reason for one in states if one.state is State.WAITING}
    waits = {reason for reason in reasons if not reason.startswith("its task")}
    if waits and not verbose:
        yield printable(f"waiting  for Slurm: {'; '.join(sorted(waits)[:3])}")
    if any("BeginTime" in reason for reason in waits):
        yield "         (Slurm starts a requeued task after two minutes at the earliest)"


EPILOG = """\
Options of fill:
All of them work here, too: -m, --uncertainty, --from-file, … -o is required.
Examples:
landsat-fill cluster submit scenes/ -o filled/ -p gpu --gpus 1 -t 2:00:00
landsat-fill cluster submit scenes/ -o filled/ -t 4:00:00 --setup modules.sh
landsat-fill cluster submit scenes/ -o filled/ -m harmonic --throttle 50
landsat-fill cluster submit scenes/ -o filled/ --dry-run     prints scripts
"""


@command
def submit(
    ctx: typer.Context,
    options: FillOptions,
    slurm: SubmitOptions,
    dry_run: Annotated[bool, opt("-n, --dry-run")] = False,
) -> None:
    """Submit a Slurm job array that fills scenes into the folder -o, and a job that merges the reports.

    Scripts, manifest, logs and reports are in FOLDER/cluster/1 (for the next submission 2, and so on).

    Args:
        dry_run: Print scripts and manifest, and submit nothing.
    """
    from landsat_fill.cli.fill import fill_requests
    from landsat_fill.cli.options import pairs
    from landsat_fill.cluster.archive import Archive, RoundFacts, lines_of, manifest_text
    from landsat_fill.cluster.reports import busy_targets
    from landsat_fill.cluster.slurm import ArraySettings, Slurm, array_script, merge_script
    from landsat_fill.errors import UsageError
    from landsat_fill.pipeline.plan import Action, plan_jobs
    from landsat_fill.version import __version__

    request, outputs = fill_requests(options)
    if outputs.target is None or outputs.target.suffix.lower() in (".tif", ".tiff"):
        raise UsageError(
            f"expected -o to be a folder for the outputs, but got {outputs.target or 'none'}",
            hint="For example: -o filled/.",
        )
    settings = ArraySettings(
        directives={"chdir": str(Path.cwd())} | slurm.directives(),
        extra=tuple(slurm.sbatch_arg or ()),
        throttle=slurm.throttle,
        requeues=slurm.requeues,
        lead_s=slurm.lead,
        setup=setup_text(slurm.setup),
        command=slurm.command or f"{shlex.quote(sys.executable)} -m landsat_fill",
    )
    archive = Archive(outputs.target)
    busy = busy_targets(archive, Slurm())
    planned = plan_jobs(_scenes(options), outputs, request=request)
    to_do = [job for job in planned if job.action is not Action.SKIP and job.target.absolute() not in busy]
    done = [job for job in planned if job.action is Action.SKIP]
    if not to_do:
        typer.echo(f"nothing to submit: {len(done)} scenes are done, {len(busy)} run or wait")
        return
    tasks = slurm.task_count(len(to_do))
    folder = archive.next_round().folder
    words = task_words(typed_options(ctx, options), request.method.info, slurm.gpus)
    texts = (
        manifest_text(lines_of([*to_do, *done])),  # tasks share the first ones evenly
        array_script(settings, folder, tasks, len(to_do), words),
        merge_script(settings, folder, archive.folder, pairs("--merge-arg", slurm.merge_arg)),
    )
    facts = RoundFacts(command_line(ctx), tasks, outputs.overwrite, __version__, slurm.throttle)
    hand_in(archive, facts, texts, len(to_do), merge=slurm.merge, dry_run=dry_run)


def _scenes(options: FillOptions) -> list[Input]:
    """Return the scenes that are named; if one is wrong, print all errors and exit, so that nothing is submitted."""
    from landsat_fill.cli.console import print_error
    from landsat_fill.errors import UsageError
    from landsat_fill.io import find_inputs

    found, bad = find_inputs(options.inputs or [], options.from_file or [])
    for _, error in bad:
        print_error(error.message, error.hint)
    if bad:
        raise typer.Exit(EXIT_FAILED)
    if not found:
        raise UsageError("expected scenes, but got none", hint="See `landsat-fill cluster submit --help`.")
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


def task_words(typed: dict[str, list[str]], info: MethodInfo, gpus: str | None) -> list[str]:
    """Return the options of `fill` in a task: those typed and, with GPUs, those that use all of them.

    A task with a GPU must not fall back to the CPU silently.
    """
    words = [word for one in typed.values() for word in one]
    number = (gpus or "").rpartition(":")[2]
    count = int(number) if number.isdecimal() else 0
    if count and "cuda" in info.devices and "device" not in typed:
        words += ["--device", "cuda"]
    if count > 1 and "jobs" not in typed:
        words += ["--jobs", str(count)]
    return words


@command
def status(folder: ArchiveFolder, verbose: Verbose = False, as_json: Json = False) -> None:
    """Print how many scenes are done, running, waiting, failed and missing, and why.

    The output files decide whether a scene is done. squeue shows what waits; sacct, if available, shows how a task without a
    report ended. The exit code is 1 if a scene failed or is missing. Without Slurm, for example after `fill --shard`,
    the status covers only scenes that a run has begun.
    """
    from landsat_fill.cluster.archive import Archive
    from landsat_fill.cluster.reports import State

    states = _states(Archive(folder))
    if as_json:
        for one in states:
            line = one.listed.line
            row = {"source": line.source, "product": line.product, "target": str(line.target)}
            typer.echo(json.dumps(row | {"state": one.state.value, "reason": one.reason or None}))
    else:
        typer.echo("\n".join(state_lines(states, verbose=verbose)))
    if any(one.state in (State.FAILED, State.MISSING) for one in states):
        raise typer.Exit(EXIT_FAILED)


@command
def resubmit(
    ctx: typer.Context,
    folder: ArchiveFolder,
    slurm: SlurmOptions,
    dry_run: Annotated[bool, opt("-n, --dry-run")] = False,
) -> None:
    """Submit again the scenes that are missing or failed, with the last script and your edits in it.

    Options given here replace those in the script, also for later resubmissions.

    Args:
        dry_run: Print what would be submitted.
    """
    from landsat_fill.cluster.archive import Archive, RoundFacts, manifest_text
    from landsat_fill.cluster.reports import State, scene_states
    from landsat_fill.cluster.slurm import Slurm, throttle_of, with_arguments
    from landsat_fill.version import __version__

    archive = Archive(folder)
    states = scene_states(archive, Slurm())
    again = [one for one in states if one.state in (State.FAILED, State.MISSING)]
    if not again:
        typer.echo("nothing to submit: no scene is missing or failed")
        return
    last = archive.rounds[-1]
    script, merge_script = last.scripts
    script = with_arguments(script)
    facts = RoundFacts(
        command=command_line(ctx),
        tasks=slurm.task_count(len(again)),
        overwrite=last.facts.overwrite,
        version=__version__,
        throttle=slurm.throttle or last.facts.throttle or throttle_of(script),
        options={**last.facts.options, **slurm.directives()},
    )
    manifest = manifest_text(state.listed.line for state in again)
    texts = (manifest, script, merge_script)
    hand_in(archive, facts, texts, len(again), merge=slurm.merge, dry_run=dry_run)


def _states(archive: Archive, reports: Sequence[Path] = ()) -> list[SceneState]:
    """Return the status of each scene of a submitted archive, or of one that runs without Slurm have filled."""
    from landsat_fill.cluster.reports import scene_states, shard_states
    from landsat_fill.cluster.slurm import Slurm

    return scene_states(archive, Slurm()) if archive.has_rounds else shard_states(archive, reports)


@command
def merge(folder: ArchiveFolder, report: Annotated[list[Path] | None, opt("--report FILE")] = None) -> None:
    """Write report.jsonl, summary.json and items.json (a STAC item collection) of the whole archive.

    FOLDER is the folder -o of `cluster submit`, or of `fill`, for example of several runs with --shard. The exit code
    is 1 if a scene isn't done.

    Args:
        report: A report that a run without Slurm wrote to another folder; may be repeated.
    """
    from landsat_fill.cluster.archive import Archive
    from landsat_fill.cluster.reports import State, merge

    archive = Archive(folder)
    states = _states(archive, report or ())
    merge(archive, states)
    typer.echo("\n".join(state_lines(states, verbose=False)))
    typer.echo(f"report.jsonl, summary.json and items.json: {archive.folder}")
    if any(one.state is not State.DONE for one in states):
        raise typer.Exit(EXIT_FAILED)


cluster = typer.Typer(
    cls=CommandGroup,
    help="Fill an archive on a Slurm cluster: submit it, see its status, resubmit what is missing.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
add(cluster, submit, "Submit scenes as a job array.", cls=WithFillOptions, epilog=EPILOG)
add(cluster, status, "Show the status of the scenes.")
add(cluster, resubmit, "Submit again what is missing or failed.")
add(cluster, merge, "Write one report, one summary and STAC items.")
