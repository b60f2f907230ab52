"""Holds the claim on a job's output, so that of two runs that meet on a scene only one fills it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from landsat_fill.errors import OutputError
from landsat_fill.io import Claim
from landsat_fill.pipeline.plan import Action, action_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from landsat_fill.pipeline.plan import Job
    from landsat_fill.pipeline.request import OutputRequest


@contextmanager
def claimed(job: Job, outputs: OutputRequest) -> Iterator[bool]:
    """Yield whether the job is still to be done, holding the claim on its output all the while.

    Raises:
        TakenError: If a living process fills it.
        OutputError: If its folder can't be made, or a file that isn't ours has come in the way.
    """
    try:
        job.target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_make(job.folder, error) from error
    with Claim(job.target):
        action = action_for(job.target, outputs)  # it may have been done since the plan was made
        if action is Action.REFUSE:
            raise job.refusal()
        yield action is Action.FILL


def cannot_make(folder: Path, error: OSError) -> OutputError:
    """Return the error of a folder that can't be made or moved into place."""
    return OutputError(
        f"expected to write into {folder}, but got: {error.strerror}", hint="choose another folder with -o"
    )
