"""Opens the database that the settings name: an SQLite file, or a Postgres URL."""

from __future__ import annotations

import importlib.util
import re
import sqlite3
import ssl
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import NullPool

from pipelines.storage.database import UNAVAILABLE_MESSAGE, Database, DatabaseUnavailable, read_postgres_error_field

_URL_FORM = "must be postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
MISSING_PACKAGE = "needs pg8000: pip install -r requirements-postgres.txt"
LOCK_TIMEOUT_SECONDS = 30.0  # seconds for which a statement waits for another process that writes to the SQLite file
TIMEOUT_SECONDS = 30.0  # seconds without an answer after which the server counts as unreachable


def open_database(path: Path, tables: Sequence[Table], url: str = "", *, read_only: bool = False) -> Database:
    """Open the SQLite file at `path`, or Postgres at `url`, with `tables`; `read_only`: the file is not changed."""
    database = open_postgres(url) if url else open_sqlite(path, read_only=read_only)
    if database.is_shared or not read_only:
        database.create_tables(tables)
    return database


def open_sqlite(path: Path, *, read_only: bool = False) -> Database:
    """Open an SQLite file, by default for reading and writing."""
    if not read_only:
        path.parent.mkdir(parents=True, exist_ok=True)
    name = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
    connect = partial(
        sqlite3.connect, name, timeout=LOCK_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False, uri=True
    )
    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool, hide_parameters=True)
    database = Database(engine.connect)
    if not read_only:
        database.run("PRAGMA journal_mode=WAL")
        database.run("PRAGMA synchronous=FULL")
    return database


def open_postgres(url: str) -> Database:
    """Open a schema of a Postgres database; the connection is opened when it is needed and again after it broke.

    The URL is `postgresql://USER:PASSWORD@HOST:PORT/DATABASE`. `?sslmode=verify-full` (or `require`, `disable`; usually
    encrypted where the server can) is libpq's; `schema=NAME` keeps studios that share nothing apart in one database.
    """
    arguments, schema = _parse_url(url)
    engine = create_engine(
        "postgresql+pg8000://",
        connect_args={**arguments, "timeout": TIMEOUT_SECONDS, "application_name": "designerbox"},
        isolation_level="AUTOCOMMIT",
        poolclass=NullPool,
        hide_parameters=True,
    )
    event.listen(engine, "before_cursor_execute", _replace_nul, retval=True)
    return Database(partial(_connect_to_server, engine, schema), schema)


def _connect_to_server(engine: Engine, schema: str) -> Connection:
    try:
        connection = engine.connect()
        connection.exec_driver_sql(f'SET search_path TO "{schema}"')
    except (DBAPIError, OSError) as error:  # the server's own words never have a password in them
        reason = read_postgres_error_field(error, "M")
        message = f"The database refused the studio: {reason}." if reason else UNAVAILABLE_MESSAGE
        raise DatabaseUnavailable(message) from error
    return connection


def _replace_nul(
    _connection: Connection, _cursor: object, statement: str, rows: Any, _context: object, executemany: bool
) -> tuple[str, Any]:
    """Replace NUL in texts, which Postgres refuses."""

    def clean(row: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(value.replace("\0", "\ufffd") if isinstance(value, str) else value for value in row)

    return statement, list(map(clean, rows)) if executemany else clean(rows)


def _parse_url(url: str) -> tuple[dict[str, Any], str]:
    """Return the arguments of `connect`, and the schema. Raises `ValueError` with a message without the URL."""
    try:
        parts = make_url(url)
    except (ArgumentError, ValueError):  # their words may repeat the password
        raise ValueError(_URL_FORM) from None
    options = {name: values[-1] for name, values in parts.normalized_query.items()}
    mode, schema = options.pop("sslmode", "prefer"), options.pop("schema", "designerbox")
    is_complete = parts.username and parts.database and url.isascii()  # other signs are written in per cent
    if parts.drivername not in ("postgres", "postgresql") or not is_complete:
        raise ValueError(_URL_FORM)
    if options:
        raise ValueError(f"knows sslmode and schema, not {', '.join(sorted(options))}")
    if mode not in ("disable", "prefer", "require", "verify-full"):
        raise ValueError("sslmode is disable, prefer, require or verify-full")
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", schema):
        raise ValueError("a schema's name is small letters, digits and _")
    return {
        "host": "localhost",
        "ssl_context": _ssl_context(mode),
        **parts.translate_connect_args(username="user"),
    }, schema


def _ssl_context(mode: str) -> ssl.SSLContext | bool | None:
    """Return pg8000's value for a libpq mode: None encrypts where the server can, False never."""
    if mode in ("disable", "prefer"):
        return None if mode == "prefer" else False
    context = ssl.create_default_context()
    if mode == "require":  # encrypts without checking who answers
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def check_url(url: str) -> str:
    """Return the URL unchanged if it is valid. Raises `ValueError` with a message for the user."""
    if url:
        _parse_url(url)
        if importlib.util.find_spec("pg8000") is None:
            raise ValueError(MISSING_PACKAGE)
    return url
