"""Writing without waiting for the disk: no test cuts the power, and what a killed process wrote is kept without it.

Postgres has the same setting in `tests/support/postgres.py`. Processes that a test starts wait as they do elsewhere.
"""

from __future__ import annotations

import os

from pipelines.storage.database import Database

_LEVEL_STATEMENT = "PRAGMA synchronous="
_sync_file, _run_statement = os.fsync, Database.run


def sync_to_disk(is_wanted: bool) -> None:
    """From now on in this process: let files and SQLite wait for the disk, or not."""
    os.fsync = _sync_file if is_wanted else _skip_file
    Database.run = _run_statement if is_wanted else _run_unsynced


def _skip_file(fd: object) -> None:
    os.fstat(fd.fileno() if hasattr(fd, "fileno") else fd)  # a closed file is still an error  # pyrefly: ignore[bad-argument-type]


def _run_unsynced(self: Database, statement: str) -> None:
    is_level = statement.startswith(_LEVEL_STATEMENT)
    _run_statement(self, f"{_LEVEL_STATEMENT}OFF" if is_level else statement)
