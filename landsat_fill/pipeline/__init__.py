"""From a request to finished files: planning, filling strip by strip, composing, reporting."""

from landsat_fill.pipeline.arrays import fill_array
from landsat_fill.pipeline.batch import append_report, failed_input, report_path, run_jobs
from landsat_fill.pipeline.devices import choose_device
from landsat_fill.pipeline.fill import run_job
from landsat_fill.pipeline.fill_layer import FillCode
from landsat_fill.pipeline.outcome import Outcome, Status, Tally
from landsat_fill.pipeline.plan import Action, Job, plan_jobs
from landsat_fill.pipeline.request import FillLayer, FillRequest, Flag, OutputRequest

__all__ = [
    "Action",
    "FillCode",
    "FillLayer",
    "FillRequest",
    "Flag",
    "Job",
    "Outcome",
    "OutputRequest",
    "Status",
    "Tally",
    "append_report",
    "choose_device",
    "failed_input",
    "fill_array",
    "plan_jobs",
    "report_path",
    "run_job",
    "run_jobs",
]
