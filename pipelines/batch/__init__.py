"""Many rows, one tool, one set of rules: read, checked, fed to the queue, gathered; knows no door."""

from __future__ import annotations

from pipelines.batch.batch_service import FULL, Batches, Jobsfile, Progress, new_id, open_jobs
from pipelines.batch.batch_table import Batch, RowState
from pipelines.batch.bulk_runner import TakesMany, work_off
from pipelines.batch.csv_template import template
from pipelines.batch.dry_run import Report, dry_run
from pipelines.batch.jobs_file import TABLES, Fault, Line
from pipelines.batch.manifest import MANIFEST, lay_out, save_manifest, save_zip
from pipelines.batch.row_values import Plan, asked

__all__ = [
    "FULL", "MANIFEST", "TABLES", "Batch", "Batches", "Fault", "Jobsfile", "Line", "Plan", "Progress", "Report",
    "RowState", "TakesMany", "asked", "dry_run", "lay_out", "new_id", "open_jobs", "save_manifest", "save_zip",
    "template", "work_off",
]  # fmt: skip
