"""What the commands of `cluster` print."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from landsat_fill.cluster import Archive, Part, Round, SceneState
    from landsat_fill.cluster.round import Array


NAMED = 3
"""Of scenes that stand alike, how many are named where details aren't asked for."""


def dry_run_text(
    one: Round, parts: Sequence[Part], throttle: int | None, script: str, manifest: str, merging: str | None
) -> str:
    """Return all that would be written and handed in."""
    from landsat_fill.cluster.submission import part_options

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
