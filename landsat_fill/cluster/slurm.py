"""Slurm: the sbatch scripts, which users can read and edit, and the commands that submit and query jobs."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from landsat_fill.cluster.archive import Array, log_name
from landsat_fill.errors import EXIT_STOPPED, LandsatFillError, UsageError
from landsat_fill.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from landsat_fill.cluster.archive import Round, RoundFacts


EARLY_S = 60
"""Slurm may send a signal this much earlier than requested. Source: sbatch(1), `--signal`."""

MARGIN_S = 30
"""Time between the grace period and the time limit, to clean up and requeue the task."""

LEAST_GRACE_S = 15


@dataclass(frozen=True, slots=True)
class ArraySettings:
    """How the tasks of an array run.

    Attributes:
        directives: Options of sbatch by long names: partition, account, qos, time, mem, cpus-per-task, gres,
            constraint. The cluster's defaults apply to others.
        extra: Further options of sbatch, verbatim.
        throttle: Largest number of tasks that run at once, or None for no limit.
        requeues: How often a task that runs out of time requeues itself.
        lead_s: Seconds before the time limit at which a task gets the signal to stop.
        setup: Shell lines to run first: module loads, activation of an environment.
        command: The command that runs landsat-fill.
    """

    directives: dict[str, str]
    extra: tuple[str, ...] = ()
    throttle: int | None = None
    requeues: int = 5
    lead_s: int = 300
    setup: str = ""
    command: str = "landsat-fill"

    def __post_init__(self) -> None:
        """Raise UsageError if the signal leaves no time to work or to finish."""
        if self.lead_s < MARGIN_S + LEAST_GRACE_S:
            raise UsageError(f"expected --lead to be at least {MARGIN_S + LEAST_GRACE_S} s, but got {self.lead_s}")
        limit_s = seconds_of(self.directives["time"]) if "time" in self.directives else None
        if limit_s is not None and limit_s <= self.lead_s + EARLY_S:
            raise UsageError(
                f"expected --time to be longer than --lead and a minute, but got "
                f"{self.directives['time']} and {self.lead_s} s: every task would stop as soon as it begins",
                hint=f"Slurm may send the signal {EARLY_S} s early: give more --time, or less --lead.",
            )

    @property
    def grace_s(self) -> int:
        """Seconds that running scenes have to finish after the signal."""
        return self.lead_s - MARGIN_S


def seconds_of(text: str) -> int | None:
    """Return the seconds of a time limit in sbatch's notation, or None for no limit.

    The forms are minutes, minutes:seconds, hours:minutes:seconds, days-hours, days-hours:minutes and
    days-hours:minutes:seconds. Source: sbatch(1), `--time`.

    Raises:
        UsageError: If it isn't a time limit.
    """
    if text.upper() in ("UNLIMITED", "INFINITE", "0"):
        return None
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", text)
    if match is None:
        raise UsageError(
            f"expected --time to be a time limit, but got {text!r}",
            hint="Write 2:00:00 for two hours, or 1-12 for a day and a half.",
        )
    days, first, second, third = match.groups()
    rest = [int(part or 0) for part in (second, third)]
    if days is not None:
        return 86400 * int(days) + 3600 * int(first) + 60 * rest[0] + rest[1]
    if third is not None:
        return 3600 * int(first) + 60 * rest[0] + rest[1]
    return 60 * int(first) + rest[0]


KILLED_BY_USR1 = 138
"""Exit code in bash of a child killed by SIGUSR1 before it installs its handler."""


def array_script(settings: ArraySettings, folder: Path, tasks: int, scenes: int, fill_arguments: Sequence[str]) -> str:
    """Return the script of an array whose tasks fill the scenes of a round.

    Args:
        settings: How tasks run.
        folder: The folder of the round, with manifest, logs and reports.
        tasks: Number of tasks that share the scenes.
        scenes: Number of scenes to fill, for a comment.
        fill_arguments: Options of `fill`, one word each.
    """
    options = "".join(f" {shlex.quote(word)}" for word in fill_arguments)
    return f"""\
#!/bin/bash
# Written by landsat-fill {__version__} to fill {counted(scenes, "scene")} in {counted(tasks, "task")}.
# Edit it as you like: `landsat-fill cluster resubmit` copies it, and gives --array, --output and the three
# arguments on sbatch's command line: folder of the round, number of tasks, number of tasks before this array.
{_header(settings, "landsat-fill")}
#SBATCH --array={array_range(tasks, settings.throttle)}
#SBATCH --output={_log_name(folder, "task-%a.log")}
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:USR1@{settings.lead_s}
{_extra(settings)}
round=${{1:-{shlex.quote(str(folder))}}}
tasks=${{2:-{tasks}}}
requeues={settings.requeues}
# An archive larger than the cluster's MaxArraySize is several arrays.
task=$((SLURM_ARRAY_TASK_ID + ${{3:-0}}))

# Slurm warns before the time limit. bash runs a trap only while it waits, so the work is in the background.
warned=0
work=
trap 'warned=$((warned + 1)); [ -z "$work" ] || kill -USR1 "$work" 2>/dev/null' USR1
{_environment(settings)}
threads=${{SLURM_CPUS_PER_TASK:-$SLURM_CPUS_ON_NODE}}
export GDAL_NUM_THREADS=$threads OMP_NUM_THREADS=$threads
echo "task $task of $tasks: job ${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}} on $(hostname)," \\
  "start $((${{SLURM_RESTART_COUNT:-0}} + 1)), GPUs ${{CUDA_VISIBLE_DEVICES:-none}}"

{settings.command} fill \\
  --manifest "$round/manifest.tsv" --shard "$task/$tasks" --report "$round/reports/$task.jsonl" \\
  --grace {settings.grace_s}{options} &
work=$!
[ "$warned" = 0 ] || kill -USR1 "$work" 2>/dev/null
heard=-1
while [ "$heard" != "$warned" ]; do  # a trap ends the wait early: wait again
  heard=$warned
  wait "$work"
  code=$?
done

# {EXIT_STOPPED}: stopped with scenes left; {KILLED_BY_USR1}: warned before it had begun. An error ends it.
case $code in
  {EXIT_STOPPED} | {KILLED_BY_USR1})
    if [ "${{SLURM_RESTART_COUNT:-0}}" -lt "$requeues" ]; then
      echo "task $task: out of time with scenes left, back into the queue"
      scontrol requeue "$SLURM_JOB_ID" && exit 0
    fi
    echo "task $task: out of time with scenes left, after $((${{SLURM_RESTART_COUNT:-0}} + 1)) starts"
    ;;
esac
exit "$code"
"""


def merge_script(settings: ArraySettings, folder: Path, archive: Path, options: Mapping[str, str]) -> str:
    """Return the script of the job that merges the tasks' reports.

    Args:
        settings: How tasks run; partition, account and quality of service are used here too.
        folder: The folder of the round.
        archive: The folder of the outputs.
        options: Options of sbatch that replace those of `settings`.
    """
    kept = ("chdir", "partition", "account", "qos")
    directives = {name: value for name, value in settings.directives.items() if name in kept}
    directives |= {"cpus-per-task": "1", "mem": "2G", "time": "1:00:00"} | dict(options)
    lines = "\n".join(f"#SBATCH --{name}={value}" for name, value in directives.items())
    return f"""\
#!/bin/bash
# Written by landsat-fill {__version__}: merges the tasks' reports once they have ended, however they ended.
#SBATCH --job-name=landsat-fill-merge
{lines}
#SBATCH --output={_log_name(folder, "merge.log")}
#SBATCH --open-mode=append
{_environment(settings)}
exec {settings.command} cluster merge {shlex.quote(str(archive))}
"""


def array_range(tasks: int, throttle: int | None) -> str:
    """Return the value of sbatch's `--array` for a number of tasks, counted from 1."""
    return f"1-{tasks}" + (f"%{throttle}" if throttle else "")


def throttle_of(script: str) -> int | None:
    """Return the largest number of tasks of a script's array at once, or None for no limit."""
    match = re.search(r"^#SBATCH --array=.*%(\d+)", script, re.MULTILINE)
    return int(match[1]) if match else None


def with_arguments(script: str) -> str:
    """Return the script of a round, changed to take the folder and the tasks of another round as arguments.

    New scripts do so already; earlier versions of landsat-fill wrote fixed values.
    """
    script = re.sub(r"^round=(?!\$\{)(.*)$", r"round=${1:-\1}", script, count=1, flags=re.MULTILINE)
    script = re.sub(r"^tasks=(\d+)$", r"tasks=${2:-\1}", script, count=1, flags=re.MULTILINE)
    return script.replace("${1:-0}", "${3:-0}", 1)


def counted(count: int, noun: str) -> str:
    """Return a number with its noun: 1 scene, 2 scenes."""
    return f"{count} {noun}{'s' * (count != 1)}"


def _header(settings: ArraySettings, name: str) -> str:
    directives = {"job-name": name} | settings.directives
    return "\n".join(f"#SBATCH --{option}={value}" for option, value in directives.items())


def _extra(settings: ArraySettings) -> str:
    return "".join(f"#SBATCH {argument}\n" for argument in settings.extra)


def _environment(settings: ArraySettings) -> str:
    """Return the lines that set up the environment of the work."""
    setup = settings.setup.strip("\n")
    return "\n# Under --export=NONE an srun below would start without PATH.\nexport SLURM_EXPORT_ENV=ALL\n" + (
        f"{setup}\n" if setup else ""
    )


def _log_name(folder: Path, name: str) -> str:
    """Return the name of a log in sbatch's notation: a percent sign in the folder's name is doubled."""
    path = str(folder).replace("%", "%%") + f"/logs/{name}"
    return f'"{path}"' if re.search(r"\s", path) else path


PATIENCE_S = 60
"""Timeout for an answer from a busy Slurm controller."""

DEFAULT_MAX_ARRAY_SIZE = 1001
"""Source: slurm.conf(5), MaxArraySize."""

NOT_ENDED = frozenset({"PENDING", "RUNNING", "REQUEUED", "RESIZING", "SUSPENDED"})
"""States of tasks that haven't ended. Source: sacct(1), "Job State Codes"."""


class SlurmError(LandsatFillError):
    """A command of Slurm is missing or fails."""


@dataclass(frozen=True, slots=True)
class QueuedTask:
    """A task in the queue: its state, Slurm's reason for waiting, and its expected start."""

    state: str
    reason: str
    start: str

    @property
    def waits(self) -> bool:
        """Whether it has not started."""
        return self.state in ("PENDING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT", "CONFIGURING")


class Slurm:
    """The cluster, accessed through Slurm's commands on the search path."""

    def submit(self, call: Sequence[str]) -> str:
        """Submit a job with a command line of sbatch, and return its number.

        Raises:
            SlurmError: If Slurm rejects it.
        """
        output = _run([call[0], "--parsable", *call[1:]])
        return output.strip().split(";")[0]  # the cluster's name may follow

    def max_array_size(self) -> int:
        """Return MaxArraySize: the largest index of a task in an array plus 1.

        Raises:
            SlurmError: If the cluster doesn't answer.
        """
        match = re.search(r"^MaxArraySize\s*=\s*(\d+)", _run(["scontrol", "show", "config"]), re.MULTILINE)
        return int(match[1]) if match else DEFAULT_MAX_ARRAY_SIZE

    def queue(self, jobs: Iterable[str]) -> dict[tuple[str, int], QueuedTask] | None:
        """Return the queued and running tasks of arrays by job and index, or None if squeue fails.

        All jobs of the user are listed, because squeue fails for a job that ended some minutes ago.
        """
        wanted = set(jobs)
        try:
            output = _run(["squeue", "--noheader", "--array", "--me", "--format=%F|%K|%T|%r|%S"])
        except SlurmError:
            return None
        tasks = {}
        for line in output.splitlines():
            job, index, *facts = line.strip().split("|")
            if job in wanted and index.isdecimal() and len(facts) == 3:
                tasks[job, int(index)] = QueuedTask(*facts)
        return tasks

    def ended(self, jobs: Iterable[str]) -> dict[tuple[str, int], str]:
        """Return the final states of tasks by job and index; empty without accounting on the cluster."""
        listed = ",".join(jobs)
        if not listed or shutil.which("sacct") is None:
            return {}
        try:
            output = _run(["sacct", "--noheader", "-X", "-P", "--jobs", listed, "--format=JobID,State,ExitCode"])
        except SlurmError:
            return {}
        states = {}
        for line in output.splitlines():
            name, state, codes = [*line.split("|"), "", ""][:3]
            job, _, index = name.partition("_")
            if index.isdecimal() and state.partition(" ")[0] not in NOT_ENDED:
                states[job, int(index)] = f"{state}, {_exit_words(codes)}" if state == "FAILED" else state
        return states


def _exit_words(codes: str) -> str:
    """Return `0:9` or `1:0` (exit code and signal) in words. Source: sacct(1)."""
    code, _, number = codes.partition(":")
    return f"killed by signal {number}" if number.isdecimal() and int(number) else f"exit code {code}"


def _run(command: list[str]) -> str:
    """Run a command, and return its output.

    Raises:
        SlurmError: If it is missing, fails or doesn't answer.
    """
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    except FileNotFoundError as error:
        raise SlurmError(
            f"expected Slurm's command {command[0]}, but there is none",
            hint="Log in to a machine of the cluster, or load Slurm's module. "
            "`landsat-fill fill --shard I/N` works without Slurm.",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise SlurmError(f"expected {command[0]} to answer within {PATIENCE_S} s, but it didn't") from error
    if ended.returncode:
        reason = ended.stderr.strip() or f"exit code {ended.returncode}"
        raise SlurmError(
            f"expected {command[0]} to succeed, but got: {reason}",
            hint="Check that this machine belongs to the cluster and that `sinfo` works.",
        )
    return ended.stdout


@dataclass(frozen=True, slots=True)
class Part:
    """The tasks of a round in one array: the number of tasks before them, and their number."""

    offset: int
    tasks: int


def parts_of(tasks: int, max_array_size: int) -> list[Part]:
    """Return the arrays for the tasks of a round, given MaxArraySize. Source: slurm.conf(5)."""
    most = max(max_array_size - 1, 1)  # tasks count from 1
    return [Part(offset, min(most, tasks - offset)) for offset in range(0, tasks, most)]


def array_call(one: Round, part: Part, facts: RoundFacts) -> list[str]:
    """Return the command line that submits one part of a round; its options override the script's."""
    folder = str(one.folder).replace("%", "%%")
    options = {
        "array": array_range(part.tasks, facts.throttle),
        "output": f"{folder}/logs/{log_name(part.offset)}",
        **facts.options,
    }
    arguments = [str(one.folder), str(facts.tasks), str(part.offset)]
    return ["sbatch", *(f"--{name}={value}" for name, value in options.items()), str(one.script), *arguments]


def merge_call(one: Round, jobs: Sequence[str]) -> list[str]:
    """Return the command line that submits the merging job.

    The job uses `afterany`, because `afterok` would wait forever for an array with a failed task.
    """
    output = str(one.folder / "logs" / "merge.log").replace("%", "%%")
    dependency = ":".join(["afterany", *jobs])
    return ["sbatch", f"--dependency={dependency}", f"--output={output}", str(one.merge_script)]


def submit_round(one: Round, parts: Sequence[Part], slurm: Slurm, *, merge: bool) -> tuple[list[Array], str | None]:
    """Submit the arrays and the merging job of a round, record each at once, and return them.

    Raises:
        SlurmError: If Slurm rejects one; those before it are submitted and recorded.
    """
    arrays: list[Array] = []
    for part in parts:
        arrays.append(Array(slurm.submit(array_call(one, part, one.facts)), part.offset))
        one.note_jobs(arrays, None)
    if not merge:
        return arrays, None
    merge_job = slurm.submit(merge_call(one, [array.job for array in arrays]))
    one.note_jobs(arrays, merge_job)
    return arrays, merge_job
