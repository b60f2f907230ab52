"""From a request to finished files: planning, filling strip by strip, composing, reporting.

Names are imported when they are first asked for: who plans or waits needs little of what fills a scene.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from landsat_fill.pipeline.arrays import fill_array
    from landsat_fill.pipeline.batch import Reports, Resources, failed_input, run_jobs
    from landsat_fill.pipeline.compose import FillCode
    from landsat_fill.pipeline.fill_scene import run_job
    from landsat_fill.pipeline.outcome import Outcome, Status, Tally
    from landsat_fill.pipeline.plan import (
        WHOLE,
        Action,
        Job,
        Plan,
        Shard,
        plan_jobs,
        read_shard,
        with_actions,
    )
    from landsat_fill.pipeline.request import FillLayer, FillRequest, Flag, OutputRequest, wants_deviation
    from landsat_fill.pipeline.resources import available_bytes, choose_device, choose_devices, usable_cores
    from landsat_fill.pipeline.workers import SpareProcesses, Stop, stopping_on_signals


__all__ = [
    "WHOLE",
    "Action",
    "FillCode",
    "FillLayer",
    "FillRequest",
    "Flag",
    "Job",
    "Outcome",
    "OutputRequest",
    "Plan",
    "Reports",
    "Resources",
    "Shard",
    "SpareProcesses",
    "Status",
    "Stop",
    "Tally",
    "available_bytes",
    "choose_device",
    "choose_devices",
    "failed_input",
    "fill_array",
    "plan_jobs",
    "read_shard",
    "run_job",
    "run_jobs",
    "stopping_on_signals",
    "usable_cores",
    "wants_deviation",
    "with_actions",
]

_HOMES = {
    "fill_array": "arrays",
    "Resources": "batch",
    "failed_input": "batch",
    "Reports": "batch",
    "run_jobs": "batch",
    "usable_cores": "resources",
    "choose_device": "resources",
    "choose_devices": "resources",
    "run_job": "fill_scene",
    "FillCode": "compose",
    "available_bytes": "resources",
    "Outcome": "outcome",
    "Status": "outcome",
    "Tally": "outcome",
    "Action": "plan",
    "Job": "plan",
    "Plan": "plan",
    "plan_jobs": "plan",
    "with_actions": "plan",
    "FillLayer": "request",
    "FillRequest": "request",
    "Flag": "request",
    "OutputRequest": "request",
    "wants_deviation": "request",
    "WHOLE": "plan",
    "Shard": "plan",
    "read_shard": "plan",
    "SpareProcesses": "workers",
    "Stop": "workers",
    "stopping_on_signals": "workers",
}
"""Where each name lives: a module of this package."""


def __getattr__(name: str) -> object:
    """Return a public name of one of the modules."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
