"""One job, and whatever becomes of it: an error is an outcome, too."""

from __future__ import annotations

import time
import traceback
from typing import TYPE_CHECKING

from landsat_fill.errors import LandsatFillError
from landsat_fill.io import TakenError
from landsat_fill.pipeline.fill import run_job
from landsat_fill.pipeline.outcome import Outcome, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from landsat_fill.pipeline.plan import Job
    from landsat_fill.pipeline.request import FillRequest, OutputRequest
    from landsat_fill.scene import Scene


def attempt(
    job: Job,
    request: FillRequest,
    outputs: OutputRequest,
    on_progress: Callable[[float, str], None],
    admit: Callable[[Sequence[Scene]], None] = lambda _scenes: None,
) -> Outcome | None:
    """Return what became of a job, also of one that went wrong; None where another run has it."""
    began = time.perf_counter()
    try:
        return run_job(job, request, outputs, on_progress, admit)
    except TakenError:
        return None
    except Exception as error:
        message, hint = explained(error)
        trace = traceback.format_exc()
    return Outcome(
        name=job.input.name,
        source=job.input.source,
        target=job.target,
        status=Status.FAILED,
        seconds=time.perf_counter() - began,
        method=request.method.info.name,
        error=message,
        hint=hint,
        trace=trace,
    )


def explained(error: Exception) -> tuple[str, str | None]:
    """Return what to tell a user of an error, and what to do about it."""
    if isinstance(error, LandsatFillError):
        return error.message, error.hint
    if isinstance(error, MemoryError):
        return "expected more memory than there is", "use fewer --jobs, or fewer bands with --bands"
    return (
        f"unexpected {type(error).__name__}: {error}",
        "this is a defect of landsat-fill; --debug shows where it happened",
    )
