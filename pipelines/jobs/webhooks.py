"""Webhooks: signed POST requests when a job or a batch has ended, with retries.

Headers and signature follow Standard Webhooks (https://www.standardwebhooks.com).
"""

from __future__ import annotations

import base64
import json
import logging
import random
import secrets
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import bindparam, delete, exists, insert, not_, or_, select, update
from standardwebhooks import Webhook

from pipelines.core.errors import BadInput, NotFound
from pipelines.jobs.table import JobTable
from pipelines.security.ssrf_guard import post_guarded, resolve_target
from pipelines.storage.database import DatabaseUnavailable, Row
from pipelines.storage.schema import JOBS, WEBHOOK_OWNERS, WEBHOOKS, select_page

log = logging.getLogger(__name__)

MAX_TRY_COUNT = 10
MAX_RETRY_SECONDS = 6 * 3600.0
FIRST_RETRY_SECONDS = 5.0
"""Seconds before the second try. Each further delay is three times longer, up to `MAX_RETRY_SECONDS`."""
LEASE_SECONDS = 60.0  # seconds for which a delivery in progress is leased; after a crash it is made again
POLL_SECONDS = 1.0
HISTORY_SECONDS = 30 * 24 * 3600.0
MAX_WORKER_COUNT = 2

_IS_WAITING = WEBHOOKS.c.state == "waiting"
_IS_UNFINISHED_JOB = exists().where(JOBS.c.id == WEBHOOKS.c.subject, JOBS.c.finished.is_(None))
_IS_READY = or_(WEBHOOKS.c.body.is_not(None), WEBHOOKS.c.subject.startswith("batch-"), ~_IS_UNFINISHED_JOB)
# Both are asked again and again by each worker thread, so they are built once.
_HAS_WAITING = select(WEBHOOKS.c.id).where(_IS_WAITING).limit(1)
_NEXT_DELIVERY = (
    select(WEBHOOKS.c.id)
    .where(_IS_WAITING, WEBHOOKS.c.due <= bindparam("now"), _IS_READY)
    .order_by(WEBHOOKS.c.due)
    .limit(1)
    .with_for_update(skip_locked=True)
)
_CLAIM_DELIVERY = (
    update(WEBHOOKS)
    .where(WEBHOOKS.c.id == _NEXT_DELIVERY.scalar_subquery())
    .values(due=bindparam("until"))
    .returning(WEBHOOKS)
)

DescribeEnd = Callable[[str, str], "dict[str, Any] | None"]
"""(owner, subject) -> `type` and `data` of the ended job or batch, None while it goes on. Raises `NotFound`."""


class Webhooks:
    """Deliveries in the database of the queue, so that no restart loses one. Each is made at least once.

    Deliveries may be added at once; they are made after `start`. Threads run only while there is something to deliver,
    and end when `is_closing` returns True.
    """

    def __init__(self, table: JobTable, is_closing: Callable[[], bool], *, allow_private: bool = False) -> None:
        self._db = table.db
        self._describe_end: DescribeEnd | None = None
        self._is_closing = is_closing
        self._allow_private = allow_private
        self._work_available = threading.Condition(table.lock)
        self._worker_count = 0
        now = time.time()
        with self._work_available:
            is_old = WEBHOOKS.c.created < now - HISTORY_SECONDS
            self._db.execute(delete(WEBHOOKS).where(not_(_IS_WAITING), is_old))
            # A delivery that was in progress when the studio died is due at once.
            self._db.execute(update(WEBHOOKS).where(WEBHOOKS.c.tries == 0, WEBHOOKS.c.due > now).values(due=now))

    def start(self, describe_end: DescribeEnd) -> None:
        """Begin to deliver, with what `describe_end` says of each job or batch that ended."""
        with self._work_available:
            self._describe_end = describe_end
            self._start_workers()

    def check_url(self, url: str) -> str:
        """Resolve the address and return it. Raises `BadInput` when it may not be called."""
        return resolve_target(url, private=self._allow_private).url

    def add_delivery(self, owner: str, subject: str, url: str) -> str:
        """Deliver to `url` when the job or batch `subject` has ended; return the delivery's id."""
        hook = f"msg_{uuid.uuid4().hex}"
        now = time.time()
        with self._work_available:
            values = {"id": hook, "owner": owner, "subject": subject, "url": url, "due": now, "created": now}
            self._db.execute(insert(WEBHOOKS).values(state="waiting", **values))
            self._start_workers()
        return hook

    def add_default_delivery(self, owner: str, subject: str) -> None:
        """Deliver to the owner's default address, where there is one."""
        url = self.default_url(owner)
        if url is not None:
            self.add_delivery(owner, subject, url)

    def signing_secret(self, owner: str) -> str:
        """Return the owner's signing secret, `whsec_…`; it is made at the first call."""
        new_secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
        with self._work_available:
            insertion = self._db.insert(WEBHOOK_OWNERS).values(owner=owner, secret=new_secret)
            self._db.execute(insertion.on_conflict_do_nothing())
            (row,) = self._db.fetch_rows(select(WEBHOOK_OWNERS.c.secret).where(WEBHOOK_OWNERS.c.owner == owner))
        return row.secret

    def default_url(self, owner: str) -> str | None:
        """Return the address for jobs and batches without one of their own, or None."""
        row = self._db.fetch_row(select(WEBHOOK_OWNERS.c.url).where(WEBHOOK_OWNERS.c.owner == owner))
        return None if row is None else row.url

    def set_default_url(self, owner: str, url: str | None) -> None:
        """Set the default address, or remove it with None."""
        self.signing_secret(owner)
        self._db.execute(update(WEBHOOK_OWNERS).where(WEBHOOK_OWNERS.c.owner == owner).values(url=url))

    def list_deliveries(self, owner: str, limit: int = 20) -> list[dict[str, Any]]:
        """Return the owner's last deliveries, newest first."""
        columns = [WEBHOOKS.c[name] for name in ("id", "subject", "url", "state", "tries", "due", "answer", "created")]
        page = select_page(WEBHOOKS, owner, limit).with_only_columns(*columns)
        return [dict(row._mapping) for row in self._db.fetch_rows(page)]

    def _start_workers(self) -> None:
        if self._describe_end is None:
            return
        waiting = self._db.fetch_row(_HAS_WAITING) is not None
        while waiting and self._worker_count < MAX_WORKER_COUNT:
            self._worker_count += 1
            threading.Thread(target=self._run_worker, name=f"webhook-{self._worker_count}", daemon=True).start()
        self._work_available.notify()

    def _run_worker(self) -> None:
        while (hook := self._wait_for_delivery()) is not None:
            try:
                self._attempt_delivery(hook)
            except DatabaseUnavailable as error:
                # Nothing is lost: the delivery is made again under the same id, when its lease ends or after a restart.
                if not self._is_closing():
                    log.error("webhook %s cannot be kept: %s", hook.id, error)

    def _wait_for_delivery(self) -> Row | None:
        """Wait for a due delivery and lease it; None when none is left, which ends the thread."""
        with self._work_available:
            while not self._is_closing():
                try:
                    now = time.time()
                    hook = self._db.fetch_row(_CLAIM_DELIVERY, {"now": now, "until": now + LEASE_SECONDS})
                    if hook is not None:
                        return hook
                    if self._db.fetch_row(_HAS_WAITING) is None:
                        break
                except DatabaseUnavailable as error:  # a full disk: the delivery is tried again later
                    log.error("webhooks cannot be kept: %s", error)
                self._work_available.wait(POLL_SECONDS)
            self._worker_count -= 1
        return None

    def _attempt_delivery(self, hook: Row) -> None:
        try:
            body = hook.body or self._event_body(hook)
        except NotFound:
            self._record_outcome(hook, "gone", "what it was to tell of was deleted")
            return
        if body is None:
            self._record_outcome(hook, "waiting", "", due=time.time() + POLL_SECONDS)
            return
        self._record_outcome(hook, "waiting", hook.answer, body=body)
        try:
            status = post_guarded(
                hook.url, body.encode(), self._signed_headers(hook, body), private=self._allow_private
            )
            answer = str(status)
        except (OSError, BadInput) as error:
            status, answer = 0, str(error)
        if 200 <= status < 300 or status == 410:
            self._record_outcome(hook, "sent" if status < 300 else "gone", answer, tries=hook.tries + 1)
        else:
            self._schedule_retry(hook, answer)

    def _event_body(self, hook: Row) -> str | None:
        assert self._describe_end is not None
        event = self._describe_end(hook.owner, hook.subject)
        if event is None:
            return None
        timestamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        return json.dumps({"type": event["type"], "timestamp": timestamp, "data": event["data"]}, ensure_ascii=False)

    def _signed_headers(self, hook: Row, body: str) -> dict[str, str]:
        now = datetime.now(UTC)
        return {
            "Content-Type": "application/json",
            "User-Agent": "DesignerBox",
            "webhook-id": hook.id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Webhook(self.signing_secret(hook.owner)).sign(hook.id, now, body),
        }

    def _schedule_retry(self, hook: Row, answer: str) -> None:
        tries = hook.tries + 1
        if tries >= MAX_TRY_COUNT:
            log.warning("webhook %s was given up after %d tries: %s", hook.id, tries, answer)
            self._record_outcome(hook, "failed", answer, tries=tries)
        else:
            self._record_outcome(hook, "waiting", answer, tries=tries, due=time.time() + retry_delay(tries))

    def _record_outcome(self, hook: Row, state: str, answer: str, **more: object) -> None:
        """Write the state of a delivery. Nothing is written during shutdown; it is then repeated under the same id."""
        with self._work_available:
            if not self._is_closing():
                values = {"state": state, "answer": answer[:200], **more}
                self._db.execute(update(WEBHOOKS).where(WEBHOOKS.c.id == hook.id).values(**values))


def retry_delay(tries: int) -> float:
    """Return the seconds until the next try after `tries`: exponential backoff with jitter."""
    return min(MAX_RETRY_SECONDS, FIRST_RETRY_SECONDS * 3 ** (tries - 1)) * random.uniform(0.5, 1.0)
