"""`Idempotency-Key`: the same call sent twice is one job or batch; knows a call's fingerprint, not what it asks for."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from weakref import WeakValueDictionary

from pipelines.core.errors import InvalidParams
from ui.api.auth.database import Ledger

HEADER = "Idempotency-Key"
KEPT_SECONDS = 24 * 3600.0
_SHAPE = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)
_SCHEMA = """
CREATE TABLE IF NOT EXISTS repeated (
  owner TEXT NOT NULL, key TEXT NOT NULL, call TEXT NOT NULL, job_id TEXT NOT NULL, created REAL NOT NULL,
  PRIMARY KEY (owner, key)
)
"""
_OTHER = f"This {HEADER} was sent with another request before. Send a new one for a new request."


def fingerprint(tool: str, values: Mapping[str, object]) -> str:
    """Of what a call asks for. Pictures count by their content, since they are file ids by now."""
    told = json.dumps([tool, dict(values)], sort_keys=True, default=list)
    return hashlib.sha256(told.encode()).hexdigest()


class Once:
    """Which job or batch a call of an owner became, for a day."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.turn = threading.Lock()
        """Held from the claim until the job stands in line, so that two of the same at once are one."""
        ledger.table(_SCHEMA, "repeated")
        self._turns: WeakValueDictionary[tuple[str, str], threading.Lock] = WeakValueDictionary()

    @contextmanager
    def alone(self, owner: str, key: str) -> Iterator[None]:
        """No second call of the owner's with this key meanwhile; for what takes too long to keep everybody waiting."""
        with self._ledger.lock:
            turn = self._turns.setdefault((owner, key), threading.Lock())
        with turn:
            yield

    def claim(self, owner: str, key: str, call: str, job_id: str) -> str:
        """The id of the job this call became; `job_id` itself where it is new.

        Raises `InvalidParams` when the key came with another call before, or is none.
        """
        if not _SHAPE.fullmatch(key):
            raise InvalidParams(f"{HEADER} is 1 to 255 characters without spaces.", param=HEADER)
        now = time.time()
        with self._ledger.lock:
            self._ledger.change("DELETE FROM repeated WHERE created < ?", now - KEPT_SECONDS)
            self._ledger.change(
                "INSERT INTO repeated VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", owner, key, call, job_id, now
            )
            (row,) = self._ledger.rows("SELECT call, job_id FROM repeated WHERE owner = ? AND key = ?", owner, key)
        if row["call"] != call:
            raise InvalidParams(_OTHER, param=HEADER)
        return row["job_id"]

    def replace(self, owner: str, key: str, job_id: str) -> None:
        """What the call became came to nothing: from now on it is this job."""
        self._ledger.change("UPDATE repeated SET job_id = ? WHERE owner = ? AND key = ?", job_id, owner, key)

    def forget(self, owner: str, key: str) -> None:
        """The call became nothing after all: the queue was full, say."""
        self._ledger.change("DELETE FROM repeated WHERE owner = ? AND key = ?", owner, key)
