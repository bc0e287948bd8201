"""Many rows, one tool, one set of rules: read, checked, fed to the queue, gathered; knows no door."""

from __future__ import annotations

from pipelines.batch.batches import FULL, Batches, Jobsfile, Progress, new_id, open_jobs
from pipelines.batch.filling import Plan, asked
from pipelines.batch.manifest import MANIFEST, lay_out, save_manifest, save_zip
from pipelines.batch.reading import TABLES, Fault, Line
from pipelines.batch.store import Batch, RowState
from pipelines.batch.template import template
from pipelines.batch.trial import Report, dry_run
from pipelines.batch.wide import TakesMany, work_off

__all__ = [
    "FULL", "MANIFEST", "TABLES", "Batch", "Batches", "Fault", "Jobsfile", "Line", "Plan", "Progress", "Report",
    "RowState", "TakesMany", "asked", "dry_run", "lay_out", "new_id", "open_jobs", "save_manifest", "save_zip",
    "template", "work_off",
]  # fmt: skip
