"""Record abuse reports about pictures and refusals in the audit log, rate limited."""

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
MAX_REPORTS_PER_HOUR = 60  # Reports of all people together. A person reads the log, so that a flood must be refused.


class AbuseReports:
    """Accepts reports and writes them to the audit log. Thread-safe."""

    def __init__(self, audit: AuditLog) -> None:
        self._audit = audit
        self._lock = threading.Lock()
        self._recent: deque[tuple[float, tuple[str, str, str]]] = deque()

    def submit_report(self, reason: str, subject: str, owner: str, sha256: Sequence[str] = ()) -> None:
        """Record a report, once an hour for the same reason, subject and owner. Raises `InvalidParams`, `QueueFull`."""
        if reason not in REASONS:
            raise InvalidParams(f"'reason' is one of: {', '.join(REASONS)}.", param="reason")
        report = (reason, subject, owner)
        with self._lock:
            while self._recent and self._recent[0][0] < time.monotonic() - 3600:
                self._recent.popleft()
            if any(report == other for _, other in self._recent):
                return
            if len(self._recent) >= MAX_REPORTS_PER_HOUR:
                raise QueueFull("Many reports came within the last hour. Please try again later.")
            self._recent.append((time.monotonic(), report))
        self._audit.record_report(reason, subject, owner, sha256)
