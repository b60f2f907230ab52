"""The sbatch scripts, as text that can be read, edited and submitted by hand."""

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
"""How much earlier than asked for Slurm may send a signal. Source: sbatch(1), `--signal`."""

MARGIN_S = 30
"""Between the end of the grace and the time limit: to clean up, and to put the task back into the queue."""

LEAST_GRACE_S = 15


@dataclass(frozen=True, slots=True)
class ArraySettings:
    """How the tasks of an array run.

    Attributes:
        directives: Options of sbatch by their long names: partition, account, qos, time, mem, cpus-per-task,
            gres, constraint. Those left out are as the cluster has them.
        extra: Further options of sbatch, as they are.
        throttle: Tasks that run at once, or None for as many as there is room for.
        requeues: How often a task that runs out of time puts itself back into the queue.
        lead_s: How long before the time limit a task is told to stop.
        setup: Shell lines that go before the work: module loads, activation of an environment.
        command: How landsat-fill is called.
    """

    directives: dict[str, str]
    extra: tuple[str, ...] = ()
    throttle: int | None = None
    requeues: int = 5
    lead_s: int = 300
    setup: str = ""
    command: str = "landsat-fill"

    def __post_init__(self) -> None:
        """Refuse a warning that leaves no time to work, or none to finish.

        Raises:
            UsageError: If it does.
        """
        if self.lead_s < MARGIN_S + LEAST_GRACE_S:
            raise UsageError(
                f"expected --lead to be at least {MARGIN_S + LEAST_GRACE_S} s, but got {self.lead_s}"
            )
        limit_s = seconds_of(self.directives["time"]) if "time" in self.directives else None
        if limit_s is not None and limit_s <= self.lead_s + EARLY_S:
            raise UsageError(
                f"expected --time to be longer than --lead and a minute, but got "
                f"{self.directives['time']} and {self.lead_s} s: every task would be "
                "told to stop as soon as it begins",
                hint=f"Slurm may send the signal {EARLY_S} s early; give more --time, or less --lead",
            )

    @property
    def grace_s(self) -> int:
        """Seconds that running scenes have to be finished once the signal has come."""
        return self.lead_s - MARGIN_S


def seconds_of(text: str) -> int | None:
    """Return the seconds of a time limit as sbatch has it, or None for no limit.

    Raises:
        UsageError: If it is none. The forms are minutes, minutes:seconds, hours:minutes:seconds, days-hours,
            days-hours:minutes and days-hours:minutes:seconds. Source: sbatch(1), `--time`.
    """
    if text.upper() in ("UNLIMITED", "INFINITE", "0"):
        return None
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", text)
    if match is None:
        raise UsageError(
            f"expected --time to be a time limit, but got {text!r}",
            hint="2:00:00 is two hours, 1-12 a day and a half",
        )
    days, first, second, third = match.groups()
    rest = [int(part or 0) for part in (second, third)]
    if days is not None:
        return 86400 * int(days) + 3600 * int(first) + 60 * rest[0] + rest[1]
    if third is not None:
        return 3600 * int(first) + 60 * rest[0] + rest[1]
    return 60 * int(first) + rest[0]


KILLED_BY_USR1 = 138
"""What bash makes of a child that SIGUSR1 killed: it came before the child had begun to listen."""


def array_script(
    settings: ArraySettings, folder: Path, tasks: int, scenes: int, fill_arguments: Sequence[str]
) -> str:
    """Return the script of an array whose tasks fill the scenes of a round.

    Args:
        settings: How tasks run.
        folder: The folder of the round: manifest, logs, reports.
        tasks: How many tasks share the scenes.
        scenes: How many there are to fill, for the comment.
        fill_arguments: Options of `fill`, one word each.
    """
    options = "".join(f" {shlex.quote(word)}" for word in fill_arguments)
    return f"""\
#!/bin/bash
# Written by landsat-fill {__version__}: fills {_number(scenes, "scene")} in {_number(tasks, "task")}.
# Edit it as you like; `landsat-fill cluster resubmit` keeps what you change.
{_header(settings, "landsat-fill")}
#SBATCH --array={array_range(tasks, settings.throttle)}
#SBATCH --output={_log_name(folder, "task-%a.log")}
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:USR1@{settings.lead_s}
{_extra(settings)}
round={shlex.quote(str(folder))}
tasks={tasks}
requeues={settings.requeues}
# An archive larger than the cluster's MaxArraySize is several arrays: $1 tasks come before this one.
task=$((SLURM_ARRAY_TASK_ID + ${{1:-0}}))

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
    """Return the script of the job that merges what the tasks report.

    Args:
        settings: How tasks run; partition, account and quality of service are taken from there.
        folder: The folder of the round.
        archive: The folder of the outputs.
        options: Options of sbatch that win over those.
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
    """Return the value of sbatch's `--array` for so many tasks, counted from 1."""
    return f"1-{tasks}" + (f"%{throttle}" if throttle else "")


def with_round(script: str, folder: Path, tasks: int, throttle: int | None = None) -> str:
    """Return the script of an earlier round for the tasks of another, with all edits kept.

    Args:
        script: The earlier one.
        folder: The folder of the new round.
        tasks: Its tasks.
        throttle: Tasks that run at once; None for as many as the earlier one had.
    """
    changes = {
        r"#SBATCH --array=.*": f"#SBATCH --array={array_range(tasks, throttle or throttle_of(script))}",
        r"#SBATCH --output=.*": f"#SBATCH --output={_log_name(folder, 'task-%a.log')}",
        r"round=.*": f"round={shlex.quote(str(folder))}",
        r"tasks=\d+": f"tasks={tasks}",
        r"# Written by .*": f"# Written by landsat-fill {__version__}: fills what is left in "
        f"{_number(tasks, 'task')}.",
    }
    for pattern, line in changes.items():
        script, _ = _with_line(script, pattern, line)
    return script


def throttle_of(script: str) -> int | None:
    """Return how many tasks of a script's array run at once, or None for any number."""
    match = re.search(r"^#SBATCH --array=.*%(\d+)", script, re.MULTILINE)
    return int(match[1]) if match else None


def with_merge_log(script: str, folder: Path) -> str:
    """Return the script of the merging job of an earlier round for another."""
    line = f"#SBATCH --output={_log_name(folder, 'merge.log')}"
    return _with_line(script, r"#SBATCH --output=.*", line)[0]


def with_directives(script: str, directives: Mapping[str, str]) -> str:
    """Return the script with options of sbatch set anew, where they are or below the others."""
    for name, value in directives.items():
        line = f"#SBATCH --{name}={value}"
        script, count = _with_line(script, rf"#SBATCH --{re.escape(name)}=.*", line)
        if not count:
            script = script.replace("#SBATCH --array=", f"{line}\n#SBATCH --array=", 1)
    return script


def _with_line(script: str, pattern: str, line: str) -> tuple[str, int]:
    """Return the script with the first line that the pattern matches replaced, and how many were: 1 or 0."""
    replaced = line.replace("\\", r"\\")
    return re.subn(f"^{pattern}$", replaced, script, count=1, flags=re.MULTILINE)


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"


def _header(settings: ArraySettings, name: str) -> str:
    directives = {"job-name": name} | settings.directives
    return "\n".join(f"#SBATCH --{option}={value}" for option, value in directives.items())


def _extra(settings: ArraySettings) -> str:
    return "".join(f"#SBATCH {argument}\n" for argument in settings.extra)


def _environment(settings: ArraySettings) -> str:
    """Return the lines that make the environment of the work."""
    setup = settings.setup.strip("\n")
    return (
        "\n# Under --export=NONE an srun below would start without PATH.\n"
        "export SLURM_EXPORT_ENV=ALL\n" + (f"{setup}\n" if setup else "")
    )


def _log_name(folder: Path, name: str) -> str:
    """Return the name of a log as sbatch reads it: a percent sign of the folder stands doubled."""
    path = str(folder).replace("%", "%%") + f"/logs/{name}"
    return f'"{path}"' if re.search(r"\s", path) else path
