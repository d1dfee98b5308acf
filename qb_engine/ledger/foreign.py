"""what other tools recorded in the target, read from their own tables and never written"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from psycopg import sql

from qb_engine.errors import InputError

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Record:
    """One migration as another tool recorded it.

    `version` is what the tool calls it by; `whole` is False for one that did not end well. `kind`
    is `head` when everything that comes before it counts as applied, too.
    """

    version: str
    name: str = ""
    at: datetime | None = None
    who: str = ""
    seconds: float | None = None
    whole: bool = True
    kind: str = ""
    checksum: int | None = None


@dataclass(frozen=True, slots=True)
class Tool:
    """How a tool records what it applied: its table, the columns that prove it, how rows read."""

    name: str
    table: str
    columns: tuple[str, ...]
    query: str
    read: Callable[[Sequence[Row]], tuple[Record, ...]]
    without: str = ""  # a column that only another tool's table of that name has


def _plain(rows: Sequence[Row]) -> tuple[Record, ...]:
    return tuple(Record(str(version), at=at) for version, at in rows)


def _head(rows: Sequence[Row]) -> tuple[Record, ...]:
    return tuple(Record(str(version), whole=not dirty, kind="head") for version, dirty in rows)


def _heads(rows: Sequence[Row]) -> tuple[Record, ...]:
    return tuple(Record(version, kind="head") for (version,) in rows)


def _goose(rows: Sequence[Row]) -> tuple[Record, ...]:
    """The last row of a version says how it stands; version 0 stands for the table itself."""
    last = {version: (applied, at) for version, applied, at in rows if version}
    return tuple(Record(str(v), at=at) for v, (applied, at) in sorted(last.items()) if applied)


def _flyway(rows: Sequence[Row]) -> tuple[Record, ...]:
    """The last row of a version, or of a script that has none, says how it stands."""
    last: dict[str, Record | None] = {}
    for version, description, kind, script, checksum, who, at, milliseconds, success in rows:
        if kind == "SCHEMA":
            continue
        key = version if version is not None else script
        if kind.startswith("UNDO") or kind == "DELETE":
            last[key] = None
            continue
        how = "head" if kind == "BASELINE" else "repeatable" if version is None else ""
        last[key] = Record(
            key, description, at, who, milliseconds / 1000, success, how, checksum
        )  # fmt: skip
    return tuple(record for record in last.values() if record is not None)


def _sqitch(rows: Sequence[Row]) -> tuple[Record, ...]:
    return tuple(Record(planned, change, at, who) for change, planned, at, who in rows)


def _typeorm(rows: Sequence[Row]) -> tuple[Record, ...]:
    return tuple(Record(str(stamp), name) for stamp, name in rows)


TOOLS = {
    tool.name: tool
    for tool in (
        Tool("alembic", "alembic_version", ("version_num",), "SELECT version_num FROM {}", _heads),
        Tool(
            "flyway",
            "flyway_schema_history",
            ("installed_rank", "script", "success"),
            "SELECT version, description, type, script, checksum, installed_by,"
            " installed_on::timestamptz, execution_time, success FROM {} ORDER BY installed_rank",
            _flyway,
        ),
        Tool(
            "dbmate",
            "schema_migrations",
            ("version",),
            "SELECT version, NULL::timestamptz FROM {} ORDER BY version",
            _plain,
            without="dirty",
        ),
        Tool(
            "golang-migrate",
            "schema_migrations",
            ("version", "dirty"),
            "SELECT version, dirty FROM {}",
            _head,
        ),
        Tool(
            "diesel",
            "__diesel_schema_migrations",
            ("version", "run_on"),
            "SELECT version, run_on::timestamptz FROM {} ORDER BY version",
            _plain,
        ),
        Tool(
            "goose",
            "goose_db_version",
            ("version_id", "is_applied"),
            "SELECT version_id, is_applied, tstamp::timestamptz FROM {} ORDER BY id",
            _goose,
        ),
        Tool(
            "sqitch",
            "sqitch.changes",
            ("change", "planned_at", "committed_at"),
            "SELECT change, pg_catalog.to_char(planned_at AT TIME ZONE 'UTC',"
            ' \'YYYY-MM-DD"T"HH24:MI:SS"Z"\'), committed_at,'
            " committer_name || ' <' || committer_email || '>' FROM {} ORDER BY committed_at",
            _sqitch,
        ),
        Tool(
            "typeorm",
            "migrations",
            ("timestamp", "name"),
            'SELECT "timestamp", name FROM {} ORDER BY id',
            _typeorm,
        ),
    )
}


def read(conn: Connection, tool: Tool, table: str | None = None) -> tuple[Record, ...]:
    """What a tool recorded here. Raise InputError when its table is not there, or another's."""
    name = table or tool.table
    parts = name.split(".")
    identifier = sql.Identifier(*parts)
    quoted = identifier.as_string(conn)
    columns = conn.execute(
        "SELECT attname::text FROM pg_catalog.pg_attribute"
        " WHERE attrelid = pg_catalog.to_regclass(%s) AND attnum > 0 AND NOT attisdropped",
        [quoted],
    ).fetchall()
    found = {column for (column,) in columns}
    if not found:
        raise InputError(
            f"there is no table {name}",
            where=tool.name,
            why=f"{tool.name} keeps what it applied there, and nothing was ever applied by it here",
            todo="name another table or schema with --table; or adopt by hand: qb baseline ID",
            code="foreign-history",
        )
    if not set(tool.columns) <= found or tool.without in found:
        raise InputError(
            f"{name} is not the table of {tool.name}",
            where=tool.name,
            why=f"its columns are {', '.join(sorted(found))}",
            todo="name the tool that made it with --from, or another table with --table",
            code="foreign-history",
        )
    with conn.transaction():
        conn.execute("SET TRANSACTION READ ONLY")
        rows = conn.execute(sql.SQL(tool.query).format(identifier)).fetchall()
    return tool.read(rows)
