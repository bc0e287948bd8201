"""The tables of the studio's three databases: the queue's, the files', and the keys'."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Select,
    Table,
    Text,
    UniqueConstraint,
    select,
    tuple_,
)
from sqlalchemy.types import TypeEngine

_JOBS_DATABASE, _FILES_DATABASE, _KEYS_DATABASE = MetaData(), MetaData(), MetaData()


def _columns(
    kind: type[TypeEngine[Any]], names: str, *, nullable: bool = False, default: str | None = None
) -> list[Column[Any]]:
    return [Column(name, kind, nullable=nullable, server_default=default) for name in names.split()]


# ------------------------------------------------------------ jobs.sqlite3

JOBS = Table(
    "jobs",
    _JOBS_DATABASE,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    *_columns(Text, "owner job status tool profile said"),
    *_columns(Text, "result error worker batch_id", nullable=True),
    *_columns(BigInteger, "draft batch helper"),
    *_columns(BigInteger, "attempts deaths starred stop", default="0"),
    *_columns(BigInteger, "batch_row", nullable=True),
    *_columns(Float, "created"),
    *_columns(Float, "started finished lease", nullable=True),
    sqlite_autoincrement=True,
)
"""`said` is what a search looks in, `stop` asks the process that runs the job. A `helper` of 1 is the page's own job; a
larger number is the Unix second at which its owner deleted the job, which can be undone for a minute. Only jobs with 0
are in a list."""
Index("jobs_by_status", JOBS.c.status, JOBS.c.batch, JOBS.c.seq)
Index("jobs_by_owner", JOBS.c.owner, JOBS.c.seq)
Index("jobs_of_tool", JOBS.c.owner, JOBS.c.tool, JOBS.c.seq)
Index("jobs_by_time", JOBS.c.owner, JOBS.c.created)
JOB_HAS_ROW = JOBS.c.batch_id.is_not(None)
Index(
    "jobs_by_row",
    JOBS.c.batch_id,
    JOBS.c.batch_row,
    unique=True,
    sqlite_where=JOB_HAS_ROW,
    postgresql_where=JOB_HAS_ROW,
)

BATCHES = Table(
    "batches",
    _JOBS_DATABASE,
    Column("id", Text, primary_key=True),
    *_columns(Text, "owner tool name state shared seeds about"),
    *_columns(Text, "note home", default=""),
    *_columns(Text, "source", nullable=True),
    *_columns(BigInteger, "seed"),
    *_columns(Float, "created"),
    *_columns(Float, "started finished", nullable=True),
)
BATCH_ROWS = Table(
    "batch_rows",
    _JOBS_DATABASE,
    *_columns(Text, "batch"),
    *_columns(BigInteger, "row"),
    *_columns(Text, "key tool cells state"),
    *_columns(BigInteger, "tries", default="0"),
    *_columns(Text, "error", nullable=True),
    *_columns(Text, "notices", default="[]"),
    *_columns(Text, "taken", default="{}"),
    PrimaryKeyConstraint("batch", "row"),
    sqlite_with_rowid=False,
)
Index("batch_rows_by_state", BATCH_ROWS.c.state, BATCH_ROWS.c.batch, BATCH_ROWS.c.tries, BATCH_ROWS.c.row)

ROW_REPLACEMENTS = Table(
    "row_replacements",
    _JOBS_DATABASE,
    *_columns(Text, "batch job"),
    *_columns(BigInteger, "row"),
    *_columns(Float, "replaced"),
    PrimaryKeyConstraint("batch", "row", "job"),
)
"""The jobs that stood in a row of a batch before, each with the Unix time at which another took its place."""

ROW_APPROVALS = Table(
    "row_approvals",
    _JOBS_DATABASE,
    *_columns(Text, "batch"),
    *_columns(BigInteger, "row"),
    *_columns(Float, "approved"),
    PrimaryKeyConstraint("batch", "row"),
)
"""The rows whose picture somebody looked at and found right, each with the Unix time."""

WEBHOOKS = Table(
    "webhooks",
    _JOBS_DATABASE,
    Column("id", Text, primary_key=True),
    *_columns(Text, "owner subject url state"),
    *_columns(Text, "body", nullable=True),
    *_columns(BigInteger, "tries", default="0"),
    *_columns(Text, "answer", default=""),
    *_columns(Float, "due created"),
)
Index("webhooks_by_due", WEBHOOKS.c.state, WEBHOOKS.c.due)
WEBHOOK_OWNERS = Table(
    "webhook_owners",
    _JOBS_DATABASE,
    Column("owner", Text, primary_key=True),
    *_columns(Text, "secret"),
    *_columns(Text, "url", nullable=True),
)

SAVED_ITEMS = Table(
    "kept",
    _JOBS_DATABASE,
    Column("id", Text, primary_key=True),
    *_columns(Text, "owner what name value"),
    *_columns(Float, "created"),
    UniqueConstraint("owner", "what", "name"),
)

TEAMS = Table(
    "teams",
    _JOBS_DATABASE,
    Column("id", Text, primary_key=True),
    *_columns(Text, "owner name settings"),
    *_columns(Text, "brand invite", nullable=True),
    *_columns(Float, "created"),
    *_columns(BigInteger, "expires"),
)
TEAM_MEMBERS = Table(
    "team_members",
    _JOBS_DATABASE,
    Column("id", Text, primary_key=True),
    *_columns(Text, "team owner name role state consent photo own_link"),
    *_columns(Text, "note", default=""),
    *_columns(Text, "invite", nullable=True),
    *_columns(BigInteger, "expires", nullable=True),
    *_columns(Float, "created consented"),
)
Index("team_members_of_team", TEAM_MEMBERS.c.team, TEAM_MEMBERS.c.created)
"""`invite` is what a link carries: of a team for everybody, of a member who was asked again for that member once.
`own_link` is that of the page where a member sees and deletes what was sent. `photo` is empty for who was refused."""
JOB_TABLES = tuple(_JOBS_DATABASE.tables.values())

# ------------------------------------------------------------ files.sqlite3

FILES = Table(
    "files",
    _FILES_DATABASE,
    *_columns(Text, "id owner role format path sha256"),
    *_columns(BigInteger, "width height bytes"),
    *_columns(Float, "created"),
    PrimaryKeyConstraint("id", "owner"),
)

UPLOAD_LABELS = Table(
    "upload_labels",
    _FILES_DATABASE,
    *_columns(Text, "id owner label"),
    PrimaryKeyConstraint("id", "owner"),
)
"""What an owner called a picture: the same pixels may have another name for somebody else."""
FILE_TABLES = tuple(_FILES_DATABASE.tables.values())

# ------------------------------------------------------------ keys.sqlite3

API_KEYS = Table(
    "api_keys",
    _KEYS_DATABASE,
    Column("id", Text, primary_key=True),
    *_columns(Text, "name sha256 scopes"),
    *_columns(Float, "created"),
    *_columns(Float, "revoked used", nullable=True),
    *_columns(BigInteger, "per_minute per_day at_once", nullable=True),
)
KEY_USAGE = Table(
    "key_usage",
    _KEYS_DATABASE,
    *_columns(Text, "key_id tool day"),
    *_columns(BigInteger, "jobs pictures"),
    PrimaryKeyConstraint("key_id", "tool", "day"),
)
REPEATED_CALLS = Table(
    "repeated",
    _KEYS_DATABASE,
    *_columns(Text, "owner key call job_id"),
    *_columns(Float, "created"),
    PrimaryKeyConstraint("owner", "key"),
)
SHARES = Table(
    "shares",
    _KEYS_DATABASE,
    Column("id", Text, primary_key=True),
    *_columns(Text, "owner file_id"),
    *_columns(Float, "created"),
    *_columns(BigInteger, "expires"),
)
KEY_TABLES = tuple(_KEYS_DATABASE.tables.values())


def select_page(table: Table, owner: str, limit: int, after: str | None = None) -> Select[*tuple[Any, ...]]:
    """Select an owner's rows, newest first, from the one after the id `after`."""
    query = select(table).where(table.c.owner == owner).order_by(table.c.created.desc(), table.c.id.desc()).limit(limit)
    if after is None:
        return query
    last = select(table.c.created, table.c.id).where(table.c.id == after, table.c.owner == owner).limit(1)
    return query.where(tuple_(table.c.created, table.c.id) < last.scalar_subquery())
