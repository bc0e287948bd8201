"""Opens the database that the settings name: an SQLite file, or a Postgres URL."""

from __future__ import annotations

from pathlib import Path

from pipelines.storage.database import Database
from pipelines.storage.sqlite import SqliteDatabase


def open_database(path: Path, url: str = "", *, read_only: bool = False) -> Database:
    """Open the SQLite file at `path`, or Postgres at `url`; `read_only`: the file exists and is not changed."""
    if not url:
        return SqliteDatabase(path, read_only=read_only)
    from pipelines.storage.postgres import PostgresDatabase

    return PostgresDatabase(url)
