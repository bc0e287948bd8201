"""`Idempotency-Key` header: the same call sent twice makes one job or batch."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from weakref import WeakValueDictionary

from sqlalchemy import ColumnElement, and_, delete, select, update

from pipelines.core.errors import InvalidParams
from pipelines.storage.database import Database
from pipelines.storage.schema import REPEATED_CALLS

IDEMPOTENCY_HEADER = "Idempotency-Key"
RETENTION_SECONDS = 24 * 3600.0
_KEY_PATTERN = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)
_C = REPEATED_CALLS.c
_OTHER_CALL_MESSAGE = (
    f"This {IDEMPOTENCY_HEADER} was sent with another request before. Send a new one for a new request."
)


def fingerprint_call(tool: str, values: Mapping[str, object]) -> str:
    """Hash a call's tool and form (SHA-256, hex). Pictures are file ids here, so equal pictures make equal calls."""
    text = json.dumps([tool, dict(values)], sort_keys=True, default=list)
    return hashlib.sha256(text.encode()).hexdigest()


class IdempotencyStore:
    """Remembers for a day which job or batch each call of an owner made."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.submit_lock = threading.Lock()
        """Held from the claim until the job is queued, so that two equal calls at once make one job."""
        self._key_locks: WeakValueDictionary[tuple[str, str], threading.Lock] = WeakValueDictionary()

    @contextmanager
    def hold_key(self, owner: str, key: str) -> Iterator[None]:
        """Block other calls of the owner with this key; for long work that must not hold `submit_lock`."""
        with self._database.lock:
            turn = self._key_locks.setdefault((owner, key), threading.Lock())
        with turn:
            yield

    def claim_key(self, owner: str, key: str, call: str, job_id: str) -> str:
        """Claim the key for a call; returns the id of the job that the call made before, or `job_id` for a new call.

        `call` is the call's fingerprint. Raises `InvalidParams` when the key was sent with another call, or is invalid.
        """
        if not _KEY_PATTERN.fullmatch(key):
            raise InvalidParams(
                f"{IDEMPOTENCY_HEADER} is 1 to 255 characters without spaces.", param=IDEMPOTENCY_HEADER
            )
        now = time.time()
        insertion = self._database.insert(REPEATED_CALLS).values(
            owner=owner, key=key, call=call, job_id=job_id, created=now
        )
        with self._database.lock:
            self._database.execute(delete(REPEATED_CALLS).where(_C.created < now - RETENTION_SECONDS))
            self._database.execute(insertion.on_conflict_do_nothing())
            (row,) = self._database.fetch_rows(select(_C.call, _C.job_id).where(_is_key(owner, key)))
        if row.call != call:
            raise InvalidParams(_OTHER_CALL_MESSAGE, param=IDEMPOTENCY_HEADER)
        return row.job_id

    def replace_job(self, owner: str, key: str, job_id: str) -> None:
        """Let the key stand for another job, because the first one failed or was cancelled."""
        self._database.execute(update(REPEATED_CALLS).where(_is_key(owner, key)).values(job_id=job_id))

    def forget_key(self, owner: str, key: str) -> None:
        """Free the key, because the call made no job: the queue was full, for example."""
        self._database.execute(delete(REPEATED_CALLS).where(_is_key(owner, key)))


def _is_key(owner: str, key: str) -> ColumnElement[bool]:
    return and_(_C.owner == owner, _C.key == key)
