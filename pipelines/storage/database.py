"""The studio's database, through SQLAlchemy Core: an SQLite file, or a Postgres server that several studios share."""

from __future__ import annotations

import re
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeAlias

import sqlalchemy
from sqlalchemy import Connection, Executable, Table
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.schema import CreateIndex, CreateSchema, CreateTable

UNAVAILABLE_MESSAGE = "The studio's database does not answer. Nothing was lost; please try again in a moment."
IDLE_CHECK_SECONDS = 1.0  # seconds without use after which a connection to a server is tested before it is used
_SCHEMA_LOCK_ID = 0x44425820  # id of the advisory lock for schema changes, since two studios may start at once
# SQLSTATE classes and codes after which another try may succeed: no connection, no resources, a conflict with another
# transaction, the server is stopping or starting.
_TRANSIENT_SQLSTATE = re.compile(r"08|53|40001|40P01|55P03|57P0[1-4]")
_DISK_FULL_SQLSTATE = "53100"

Row: TypeAlias = "sqlalchemy.Row[*tuple[Any, ...]]"
Values = Mapping[str, Any] | Sequence[Mapping[str, Any]]
"""Values of a statement by name; several of them run it once for each."""


class DatabaseUnavailable(Exception):
    """The database cannot be used now, and another try may succeed. `full`: its disk is full."""

    def __init__(self, message: str, *, full: bool = False) -> None:
        super().__init__(message)
        self.full = full


class Database:
    """One connection behind one lock, which may be held over several statements. Each statement commits by itself.

    It may be used from any thread and beside other processes. `connect` opens a connection whose driver commits each
    statement; it is called again after a server closed one. `schema` is that of a Postgres server, empty for SQLite.
    `is_shared`: other machines may change the same rows.
    """

    def __init__(self, connect: Callable[[], Connection], schema: str = "") -> None:
        self.lock = threading.RLock()
        self.is_shared = bool(schema)
        self._schema = schema
        self._connect = connect
        self._open: list[Connection] = []
        self._used_at = 0.0
        self._in_transaction = False
        self._is_closed = False
        weakref.finalize(self, _close_all, self._open)

    def fetch_rows(self, statement: Executable, values: Values | None = None) -> Sequence[Row]:
        """Run a statement and return its rows. Raises `DatabaseUnavailable`."""
        with self._connected() as connection:
            return connection.execute(statement, values).all()

    def fetch_row(self, statement: Executable, values: Values | None = None) -> Row | None:
        """Run a statement and return its first row, or None. Raises `DatabaseUnavailable`."""
        with self._connected() as connection:
            return connection.execute(statement, values).first()

    def execute(self, statement: Executable, values: Values | None = None) -> int:
        """Run a statement and return how many rows it changed.

        Raises `DatabaseUnavailable`, also when it is unknown whether a change was made.
        """
        with self._connected() as connection:
            return connection.execute(statement, values).rowcount

    def insert(self, table: Table) -> sqlite.Insert:
        """Return an INSERT with `on_conflict_do_…`, which SQLAlchemy has for each dialect apart."""
        if not self.is_shared:
            return sqlite.insert(table)
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table)  # pyrefly: ignore[bad-return]

    def create_tables(self, tables: Sequence[Table]) -> None:
        """Create tables and indexes that do not exist yet."""
        with self.transaction():
            if self.is_shared:
                self.run(f"SELECT pg_advisory_xact_lock({_SCHEMA_LOCK_ID})")
                self.execute(CreateSchema(self._schema, if_not_exists=True))
            statements = _compile_tables(tuple(tables), is_shared=self.is_shared)
            if self.is_shared:
                self.run(";".join(statements))  # in one question to the server, which SQLite's driver does not take
                return
            for statement in statements:
                self.run(statement)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make all changes of the block or none; inside another transaction it is a part of that one."""
        with self.lock:
            if self._in_transaction:
                yield
                return
            self.run("BEGIN" if self.is_shared else "BEGIN IMMEDIATE")
            self._in_transaction, succeeded = True, False
            try:
                yield
                self._end_transaction("COMMIT")
                succeeded = True
            finally:
                if not succeeded:
                    self._end_transaction("ROLLBACK")
                self._in_transaction = False

    def _end_transaction(self, statement: str) -> None:
        # A broken connection has rolled back already, and so has SQLite when the disk is full.
        if self._open and (self.is_shared or self._open[0].connection.in_transaction):
            self.run(statement)

    @contextmanager
    def relaxed_durability(self) -> Iterator[None]:
        """Make changes that do not wait for the disk: a power cut may undo them, a killed process does not.

        On a server they stay durable, since other machines may have seen them.
        """
        with self.lock:
            if self.is_shared:
                yield
                return
            self.run("PRAGMA synchronous=NORMAL")
            try:
                yield
            finally:
                self.run("PRAGMA synchronous=FULL")

    def close(self) -> None:
        """Close the connection; a second call does nothing."""
        with self.lock:
            self._is_closed = True
            _close_all(self._open)

    def run(self, statement: str) -> None:
        """Run a statement of the database itself, as it stands. Raises `DatabaseUnavailable`."""
        with self._connected() as connection:
            connection.exec_driver_sql(statement)

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        with self.lock:
            try:
                yield self._get_connection()
            except (DBAPIError, OSError) as error:
                if self.is_shared:
                    self._raise_if_transient(error)
                elif isinstance(error, OperationalError):
                    raise DatabaseUnavailable(str(error.orig), full="disk is full" in str(error.orig)) from error
                raise

    def _get_connection(self) -> Connection:
        is_idle = self.is_shared and time.monotonic() - self._used_at > IDLE_CHECK_SECONDS
        if self._open and is_idle and not self._in_transaction:
            try:
                self._open[0].exec_driver_sql("SELECT 1")
            except (DBAPIError, OSError):
                _close_all(self._open)
        if not self._open:
            # The first statements of a transaction were rolled back with its connection.
            if self._in_transaction or self._is_closed:
                raise DatabaseUnavailable(UNAVAILABLE_MESSAGE)
            self._open.append(self._connect())
        self._used_at = time.monotonic()
        return self._open[0]

    def _raise_if_transient(self, error: DBAPIError | OSError) -> None:
        sqlstate = read_postgres_error_field(error, "C")
        is_broken = isinstance(error, (InterfaceError, OSError)) or sqlstate.startswith(("08", "57P"))
        if is_broken:
            _close_all(self._open)
        if is_broken or _TRANSIENT_SQLSTATE.match(sqlstate):
            raise DatabaseUnavailable(UNAVAILABLE_MESSAGE, full=sqlstate == _DISK_FULL_SQLSTATE) from error


@cache
def _compile_tables(tables: tuple[Table, ...], *, is_shared: bool) -> tuple[str, ...]:
    """Return the statements that create tables and their indexes; to write them takes longer than to run them."""
    if is_shared:
        from sqlalchemy.dialects import postgresql as dialects
    else:
        from sqlalchemy.dialects import sqlite as dialects
    statements = [
        statement
        for table in tables
        for statement in (
            CreateTable(table, if_not_exists=True),
            *(CreateIndex(index, if_not_exists=True) for index in table.indexes),
        )
    ]
    return tuple(str(statement.compile(dialect=dialects.dialect())) for statement in statements)


def read_postgres_error_field(error: DBAPIError | OSError, field: str) -> str:
    """Return a field of a Postgres server's answer, such as `C` (SQLSTATE) or `M` (message); empty without one."""
    arguments = error.orig.args if isinstance(error, DBAPIError) and error.orig is not None else ()
    return str(arguments[0].get(field, "")) if arguments and isinstance(arguments[0], dict) else ""


def _close_all(connections: list[Connection]) -> None:
    while connections:
        connection = connections.pop()
        connection.invalidate()  # so that nothing is sent on one that broke
        connection.close()
