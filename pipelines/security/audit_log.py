"""Hash-chained audit log of refusals, reports and consents. It contains no names, prompts or pictures.

A line's `link` is a keyed hash of the line before it and of the line itself. It reveals changed, removed, inserted or
moved entries. A log that was cut short is revealed to whoever noted the last link.
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
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

try:
    import fcntl
except ImportError:  # Windows: only threads of one process are synchronised
    fcntl = None

AuditVerdict = Literal["words", "input", "result", "report"]
MAX_LINE_BYTES = 65_536  # Longest line. A job has at most a few dozen pictures, with 64 characters each.

_thread_lock = threading.Lock()

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AuditLogState:
    """Result of a check: valid entries, number of the first invalid line (from 1, None if all are valid), last link."""

    entry_count: int
    broken_line: int | None
    last_link: str


class AuditLog:
    """`audit.log` in the data folder, readable by its owner only. Safe for several threads and processes."""

    def __init__(self, root: Path) -> None:
        self._path = root / "audit.log"
        self._key = root / "audit.secret"

    def record_refusal(self, verdict: AuditVerdict, owner: str, inputs: Sequence[str]) -> None:
        """Record a refusal because of words, input or result. `inputs` are the SHA-256 of the input pictures."""
        self._append_entry(owner, {"sha256": list(inputs), "verdict": verdict})
        log.info("refused: %s", verdict)

    def record_report(self, reason: str, subject: str, owner: str, sha256: Sequence[str]) -> None:
        """Record an abuse report. `subject` is the id of the reported object, `sha256` the hashes of its pixels."""
        self._append_entry(owner, {"sha256": list(sha256), "verdict": "report", "reason": reason, "subject": subject})
        log.warning("reported: %s", reason)

    def record_consent(self, member: str, owner: str, sha256: Sequence[str]) -> None:
        """Record that whoever has the id `member` agreed to the use of pictures with these hashes."""
        self._append_entry(owner, {"sha256": list(sha256), "verdict": "consent", "subject": member})

    def verify_chain(self) -> AuditLogState:
        """Verify the hash chain of the whole log."""
        previous_line, entries = b"", 0
        key = read_or_create_secret(self._key)
        for number, line in enumerate(self._read_lines(), 1):
            row = _parse_audit_line(line)
            if row is None or not hmac.compare_digest(str(row.pop("link", "")), _link_hash(key, previous_line, row)):
                return AuditLogState(entries, number, _stored_link_hash(previous_line))
            previous_line, entries = line, entries + 1
        return AuditLogState(entries, None, _stored_link_hash(previous_line))

    def read_entries(self) -> Iterator[dict[str, Any]]:
        """Return every line that can be parsed."""
        return (row for row in map(_parse_audit_line, self._read_lines()) if row is not None)

    def _read_lines(self) -> Iterator[bytes]:
        if self._path.exists():
            with self._path.open("rb") as file:
                yield from (line.rstrip(b"\n") for line in file)

    def _append_entry(self, owner: str, fields: dict[str, Any]) -> None:
        key = read_or_create_secret(self._key)
        # Keyed, because a plain hash of one of few names can be guessed.
        owner_hash = hmac.new(key, owner.encode(), hashlib.sha256).hexdigest()[:16]
        row = {"time": round(time.time(), 3), "owner": owner_hash, **fields}
        with (
            open(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "r+b") as file,
            _exclusive_lock(file),
        ):
            line = {**row, "link": _link_hash(key, _last_line(file), row)}
            file.seek(0, os.SEEK_END)
            file.write(json.dumps(line).encode() + b"\n")
            file.flush()


def read_or_create_secret(path: Path) -> bytes:
    """Return the 32 random bytes in a file, created on first use and readable by its owner only."""
    with _thread_lock:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with suppress(FileExistsError), open(os.open(path, flags, 0o600), "wb") as file:
            file.write(secrets.token_bytes(32))
        return path.read_bytes()


@contextmanager
def _exclusive_lock(file: BinaryIO) -> Iterator[None]:
    """Lock the file against other processes (such as the batch command) until it is closed."""
    with _thread_lock:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _last_line(file: BinaryIO) -> bytes:
    """Return the last line without its newline."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - MAX_LINE_BYTES))
    return file.read().rstrip(b"\n").rpartition(b"\n")[2]


def _link_hash(key: bytes, previous_line: bytes, row: dict[str, Any]) -> str:
    return hmac.new(key, previous_line + b"\n" + json.dumps(row, sort_keys=True).encode(), hashlib.sha256).hexdigest()


def _stored_link_hash(line: bytes) -> str:
    return str((_parse_audit_line(line) or {}).get("link", ""))


def _parse_audit_line(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None
