"""A Postgres server of the tests' own, and every database of a module's tests in it instead of in a file.

`each_database`, used by a module, runs each of its tests twice: on SQLite and on Postgres. Debian's package
`postgresql` and `pip install -r requirements-postgres.txt` bring what the second needs; it is skipped without.
"""

from __future__ import annotations

import atexit
import hashlib
import importlib.util
import os
import shutil
import socket
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

import pipelines.storage.connect
from pipelines.storage.connect import open_postgres
from pipelines.storage.database import Database

POSTGRES_FOLDERS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1:]
POSTGRES_IS_MISSING = not POSTGRES_FOLDERS or importlib.util.find_spec("pg8000") is None
needs_postgres = pytest.mark.skipif(POSTGRES_IS_MISSING, reason="no Postgres server, or no pg8000")
SQLITE_ONLY_REASON = "a test of the file itself"


@dataclass(frozen=True)
class PostgresServer:
    """A Postgres server of our own, that may be stopped as a crash stops it, and started again."""

    folder: Path
    as_user: list[str]
    options: str
    url: str

    def start(self) -> None:
        """Returns when it answers."""
        self._control("-w", "-o", self.options, "-l", "log", "start")

    def stop(self) -> None:
        """At once, whatever it does."""
        self._control("-m", "immediate", "stop")

    def _control(self, *words: str) -> None:
        command = [*self.as_user, str(POSTGRES_FOLDERS[0] / "pg_ctl"), "-D", "data", *words]
        subprocess.run(command, cwd=self.folder, check=True, stdout=subprocess.DEVNULL)


@cache
def start_shared_server() -> PostgresServer:
    """A server that lives as long as the tests do."""
    folder = Path(tempfile.mkdtemp(prefix="dbx-postgres-"))
    as_user: list[str] = []
    if os.geteuid() == 0:  # as which it refuses to run
        shutil.chown(folder, "postgres")
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "password").write_text("of-the-tests", "utf-8")
    made = [
        str(POSTGRES_FOLDERS[0] / "initdb"),
        "-D",
        "data",
        "-U",
        "studio",
        "-A",
        "scram-sha-256",
        "--pwfile=password",
        "-N",
    ]
    subprocess.run([*as_user, *made], cwd=folder, check=True, capture_output=True)
    # Nothing of it has to outlive the tests, so nothing waits for the disk.
    options = f"-c listen_addresses=127.0.0.1 -p {port} -k {folder} -c fsync=off -c max_connections=300"
    made = PostgresServer(folder, as_user, options, f"postgresql://studio:of-the-tests@127.0.0.1:{port}/postgres")
    made.start()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(made.stop)
    return made


def make_database_url(folder: Path) -> str:
    """A schema for what a studio would keep in `folder`."""
    return f"{start_shared_server().url}?schema=t{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:20]}"


def _open_in_postgres(path: Path, *, read_only: bool = False) -> Database:
    return open_postgres(make_database_url(path.parent))


def find_sqlite_connection(database: Database) -> sqlite3.Connection:
    """The connection of the driver itself."""
    connection = database._open[0].connection.dbapi_connection
    assert isinstance(connection, sqlite3.Connection)
    return connection


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=needs_postgres)])
def each_database(request: pytest.FixtureRequest) -> Iterator[str]:
    """Which of both is used."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "postgres":
            patch.setattr(pipelines.storage.connect, "open_sqlite", _open_in_postgres)
        yield request.param


@pytest.fixture
def only_in_a_file(each_database: str) -> None:
    """Skip on Postgres what is about the file."""
    if each_database != "sqlite":
        pytest.skip(SQLITE_ONLY_REASON)
