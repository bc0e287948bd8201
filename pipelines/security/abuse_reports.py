"""What people report about pictures and refusals: one of a few reasons, written down once; knows no page."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence

from pipelines.core.errors import InvalidParams, QueueFull
from pipelines.security.audit_log import AuditLog

REASONS: Mapping[str, str] = {
    "without_permission": "It shows me, or somebody, without permission",
    "nudity": "It shows nudity or sex",
    "minor": "It shows somebody who may be under 18",
    "hurtful": "It is made to hurt, to mock or to deceive",
    "wrongly_refused": "It was refused, and there is nothing wrong with it",
}
MAX_REPORTS_PER_HOUR = 60
"""Reports of all people together; more than that is a flood, and the log is read by a person."""


class AbuseReports:
    """The door to the audit log for whoever sees something. Safe from any thread."""

    def __init__(self, audit: AuditLog) -> None:
        self._audit = audit
        self._lock = threading.Lock()
        self._recent: deque[tuple[float, tuple[str, str, str]]] = deque()

    def submit_report(self, reason: str, subject: str, owner: str, sha256: Sequence[str] = ()) -> None:
        """Write it down, once an hour for the same reason, subject and owner. Raises `InvalidParams`, `Busy`."""
        if reason not in REASONS:
            raise InvalidParams(f"'reason' is one of: {', '.join(REASONS)}.", param="reason")
        said = (reason, subject, owner)
        with self._lock:
            while self._recent and self._recent[0][0] < time.monotonic() - 3600:
                self._recent.popleft()
            if any(said == other for _, other in self._recent):
                return
            if len(self._recent) >= MAX_REPORTS_PER_HOUR:
                raise QueueFull("Many reports came within the last hour. Please try again later.")
            self._recent.append((time.monotonic(), said))
        self._audit.record_report(reason, subject, owner, sha256)
