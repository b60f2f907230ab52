"""The sbatch scripts, which users can read, edit and submit themselves."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from landsat_fill.errors import EXIT_STOPPED, UsageError
from landsat_fill.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


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
