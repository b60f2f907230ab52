"""Slurm job arrays: scripts, submission, status, and merging the reports of the tasks."""
