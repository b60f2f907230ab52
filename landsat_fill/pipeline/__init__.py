"""From a request to finished files: planning, filling strip by strip, composing, reporting."""

from landsat_fill.pipeline.arrays import fill_array
from landsat_fill.pipeline.batch import Resources, append_report, failed_input, report_path, run_jobs
from landsat_fill.pipeline.cores import usable_cores
from landsat_fill.pipeline.devices import choose_device, choose_devices
from landsat_fill.pipeline.fill import run_job
from landsat_fill.pipeline.fill_layer import FillCode
from landsat_fill.pipeline.memory import available_bytes
from landsat_fill.pipeline.outcome import Outcome, Status, Tally
from landsat_fill.pipeline.plan import Action, Job, plan_jobs, with_actions
from landsat_fill.pipeline.provenance import is_ours
from landsat_fill.pipeline.request import FillLayer, FillRequest, Flag, OutputRequest
from landsat_fill.pipeline.shard import WHOLE, Shard, read_shard
from landsat_fill.pipeline.stopping import Stop, stopping_on_signals

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
    "Resources",
    "Shard",
    "Status",
    "Stop",
    "Tally",
    "append_report",
    "available_bytes",
    "choose_device",
    "choose_devices",
    "failed_input",
    "fill_array",
    "is_ours",
    "plan_jobs",
    "read_shard",
    "report_path",
    "run_job",
    "run_jobs",
    "stopping_on_signals",
    "usable_cores",
    "with_actions",
]
