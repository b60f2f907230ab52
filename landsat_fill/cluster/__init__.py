"""Slurm job arrays: scripts, submission, status, and merging the reports of the tasks."""

from landsat_fill.cluster.archive import (
    Archive,
    ManifestLine,
    Round,
    RoundFacts,
    jobs_of,
    lines_of,
    manifest_text,
    read_manifest,
)
from landsat_fill.cluster.merging import merge
from landsat_fill.cluster.script import ArraySettings, array_script, merge_script
from landsat_fill.cluster.slurm import Part, Slurm, parts_of, submit_round
from landsat_fill.cluster.status import SceneState, State, busy_targets, scene_states

__all__ = [
    "Archive",
    "ArraySettings",
    "ManifestLine",
    "Part",
    "Round",
    "RoundFacts",
    "SceneState",
    "Slurm",
    "State",
    "array_script",
    "busy_targets",
    "jobs_of",
    "lines_of",
    "manifest_text",
    "merge",
    "merge_script",
    "parts_of",
    "read_manifest",
    "scene_states",
    "submit_round",
]
