"""The log of what was refused and reported: each line vouches for all before it; holds no name, word or picture.

A line's `link` is a keyed hash of the line before it and of the line itself. So an entry that was changed, taken out,
put in or moved is seen, and so is a log that was cut short, by whoever wrote down the last link.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

try:
    import fcntl
except ImportError:  # Windows: there only the threads of one process take turns
    fcntl = None

AuditVerdict = Literal["words", "input", "result", "report"]
MAX_LINE_BYTES = 65_536
"""Bytes of a line: a job has at most a few dozen pictures, 64 letters each."""

_thread_lock = threading.Lock()

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AuditLogState:
    """How a log stands: entries that can be checked, the first line (1-based) that does not follow, the last link."""

    entry_count: int
    broken_line: int | None
    last_link: str


class AuditLog:
    """`audit.log` in the data folder, readable by its owner alone. Safe from any thread and process."""

    def __init__(self, root: Path) -> None:
        self._path = root / "audit.log"
        self._key = root / "audit.secret"

    def record_refusal(self, what: AuditVerdict, owner: str, inputs: Sequence[str]) -> None:
        """`what` is words, input or result; `inputs` are the SHA-256 of the pictures that came in."""
        self._append_entry(owner, {"sha256": list(inputs), "verdict": what})
        log.info("refused: %s", what)

    def record_report(self, reason: str, subject: str, owner: str, sha256: Sequence[str]) -> None:
        """`reason` is one of a few, `subject` the id of what somebody points at, `sha256` that of its pixels."""
        self._append_entry(owner, {"sha256": list(sha256), "verdict": "report", "reason": reason, "subject": subject})
        log.warning("reported: %s", reason)

    def verify_chain(self) -> AuditLogState:
        """Read the log from its first line to its last."""
        before, entries = b"", 0
        key = read_or_create_secret(self._key)
        for number, line in enumerate(self._read_lines(), 1):
            row = _parse_line(line)
            if row is None or not hmac.compare_digest(str(row.pop("link", "")), _link_hash(key, before, row)):
                return AuditLogState(entries, number, _stored_link(before))
            before, entries = line, entries + 1
        return AuditLogState(entries, None, _stored_link(before))

    def read_entries(self) -> Iterator[dict[str, Any]]:
        """Every line that can be read."""
        return (row for row in map(_parse_line, self._read_lines()) if row is not None)

    def _read_lines(self) -> Iterator[bytes]:
        if self._path.exists():
            with self._path.open("rb") as file:
                yield from (line.rstrip(b"\n") for line in file)

    def _append_entry(self, owner: str, about: dict[str, Any]) -> None:
        key = read_or_create_secret(self._key)
        row = {"time": round(time.time(), 3), "owner": _hash_owner(key, owner), **about}
        with (
            open(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "r+b") as file,
            _exclusive_lock(file),
        ):
            line = {**row, "link": _link_hash(key, _last_line(file), row)}
            file.seek(0, os.SEEK_END)
            file.write(json.dumps(line).encode() + b"\n")
            file.flush()


def read_or_create_secret(path: Path) -> bytes:
    """32 random bytes, made once and readable by their owner alone."""
    with _thread_lock:
        try:
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(secrets.token_bytes(32))
        except FileExistsError:
            pass
        return path.read_bytes()


@contextmanager
def _exclusive_lock(file: BinaryIO) -> Iterator[None]:
    """The batch of the command line may write at the same time; its lock ends with the file."""
    with _thread_lock:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _last_line(file: BinaryIO) -> bytes:
    """The last line, without its end."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - MAX_LINE_BYTES))
    return file.read().rstrip(b"\n").rpartition(b"\n")[2]


def _link_hash(key: bytes, before: bytes, row: dict[str, Any]) -> str:
    return hmac.new(key, before + b"\n" + json.dumps(row, sort_keys=True).encode(), hashlib.sha256).hexdigest()


def _stored_link(line: bytes) -> str:
    return str((_parse_line(line) or {}).get("link", ""))


def _parse_line(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _hash_owner(key: bytes, owner: str) -> str:
    # Keyed, since the few names of an office are soon guessed from a plain hash.
    return hmac.new(key, owner.encode(), hashlib.sha256).hexdigest()[:16]
