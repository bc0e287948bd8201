"""Many rows, one tool, one set of rules: read, checked, fed to the queue, gathered; knows no door."""

from __future__ import annotations

from pipelines.batch.batch_service import (
    DISK_FULL_NOTE,
    BatchProgress,
    BatchService,
    JobsSource,
    new_batch_id,
    open_jobs_source,
)
from pipelines.batch.batch_table import Batch, RowState
from pipelines.batch.bulk_runner import BulkEngine, run_in_bulk
from pipelines.batch.dry_run import DryRunReport, dry_run
from pipelines.batch.jobs_file import TABLE_SUFFIXES, ParsedRow, RowFault, csv_template
from pipelines.batch.manifest import MANIFEST_NAME, export_pictures, save_manifest, save_zip
from pipelines.batch.row_values import BatchPlan, check_rows

__all__ = [
    "DISK_FULL_NOTE", "MANIFEST_NAME", "TABLE_SUFFIXES", "Batch", "BatchService", "RowFault", "JobsSource", "ParsedRow", "BatchPlan", "BatchProgress", "DryRunReport",
    "RowState", "BulkEngine", "check_rows", "dry_run", "export_pictures", "new_batch_id", "open_jobs_source", "save_manifest", "save_zip",
    "csv_template", "run_in_bulk",
]  # fmt: skip
