"""How a failed job, or a batch's row, comes to the sentence that a person reads, and its cause to the log.

Every row that ran comes through here. A row that could not be submitted keeps its error's sentence
(`BatchService._fail_row_or_pause`). The sentence of a `StudioError` stands where it is raised.
"""

from __future__ import annotations

import logging

from pipelines.core.errors import BUG_MESSAGE, JobCancelled, StudioError
from pipelines.core.job import JobStatus, Result
from pipelines.storage.database import UNAVAILABLE_MESSAGE, DatabaseUnavailable

log = logging.getLogger(__name__)


def describe_outcome(
    job_id: str, result: Result | None, error: BaseException | None
) -> tuple[JobStatus, BaseException | None]:
    """Return the status and the error that a person reads; a bug becomes a sentence, its trace goes to the log."""
    if isinstance(error, JobCancelled):
        return "cancelled", error
    if isinstance(error, StudioError):
        return "failed", error
    if isinstance(error, DatabaseUnavailable):
        log.error("job %s: %s", job_id, error)
        return "failed", StudioError(UNAVAILABLE_MESSAGE, code="storage_unavailable")
    if error is not None or result is None:
        log.error("job %s failed", job_id, exc_info=error)
        return "failed", StudioError(BUG_MESSAGE)
    return "done", None
