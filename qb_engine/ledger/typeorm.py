"""TypeORM's own record of what it applied: read, locked, and written as TypeORM would write it"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg

from qb_engine.errors import RefusedError
from qb_engine.sql import ident, literal, qualified

if TYPE_CHECKING:
    from qb_engine._config import TypeOrm
    from qb_engine.database.connect import Connection

GUARD = "UQ_qb_guard"  # what the constraint is called by which qb knows what it added

COLUMNS = """
SELECT a.attname::text FROM pg_catalog.pg_attribute a
 WHERE a.attrelid = pg_catalog.to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped
"""

GUARDED = """
SELECT EXISTS (SELECT FROM pg_catalog.pg_constraint
                WHERE conrelid = pg_catalog.to_regclass(%s) AND conname = %s)
"""

ONCE = """
SELECT EXISTS (
  SELECT FROM pg_catalog.pg_index i
    JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attname = 'name'
   WHERE i.indrelid = pg_catalog.to_regclass(%s) AND i.indisunique AND i.indisvalid
     AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum AND i.indpred IS NULL)
"""

OIDS = """
SELECT pg_catalog.to_regclass(%(table)s)::oid::bigint
 UNION SELECT indexrelid::bigint FROM pg_catalog.pg_index
        WHERE indrelid = pg_catalog.to_regclass(%(table)s)
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One migration that TypeORM counts as applied; `stamp` is what its row says."""

    id: int
    stamp: int
    name: str


@dataclass(frozen=True, slots=True)
class History:
    """TypeORM's table on one database, by its schema and name."""

    schema: str
    table: str

    @property
    def sql(self) -> str:
        return qualified(self.schema, self.table)

    def __str__(self) -> str:
        return f"{self.schema}.{self.table}"


def history_of(conn: Connection, settings: TypeOrm) -> History:
    """Where TypeORM keeps its record: as qb.toml says, else in the first schema of the path.

    Raise RefusedError when there is no such schema.
    """
    schema, table = named(settings)
    if schema:
        return History(schema, table)
    row = conn.execute("SELECT pg_catalog.current_schema()::text").fetchone()
    if row is None or row[0] is None:
        raise RefusedError(
            "there is no schema for TypeORM's history",
            where=f"database {conn.info.dbname}",
            why="no schema of the search path exists, or this role may use none",
            todo='name it in qb.toml: [typeorm] schema = "public"',
            code="typeorm-history",
        )
    return History(str(row[0]), table)


def named(settings: TypeOrm) -> tuple[str, str]:
    """The schema, if it is said, and the table: `audit.log` is a table in a schema to TypeORM."""
    schema, _, table = settings.table.rpartition(".")
    return schema or settings.in_schema or "", table


def there(conn: Connection, history: History) -> bool:
    """True when the table is there. Raise RefusedError when it is another tool's."""
    found = {name for (name,) in conn.execute(COLUMNS, [history.sql]).fetchall()}
    if not found:
        return False
    lacks = {"id", "timestamp", "name"} - found
    if lacks:
        raise RefusedError(
            f"{history} is not TypeORM's history",
            where=f"database {conn.info.dbname}",
            why=f"it has no column {', '.join(sorted(lacks))}: something else keeps its own in it",
            todo='say where TypeORM records what it applied: [typeorm] table = "..." in qb.toml',
            code="typeorm-history",
        )
    return True


def relations(conn: Connection, history: History) -> frozenset[int]:
    """The table and its indexes, by their oids."""
    found = conn.execute(OIDS, {"table": history.sql}).fetchall()
    return frozenset(oid for (oid,) in found if oid is not None)


def rows(conn: Connection, history: History, *, wait: bool = True) -> tuple[Row, ...]:
    """What TypeORM counts as applied, in the order in which it was; nothing without a table.

    Without `wait`, raise LockNotAvailable when a run holds the table.
    """
    if not there(conn, history):
        return ()
    with conn.transaction():
        if not wait:
            conn.execute(f"LOCK TABLE {history.sql} IN ACCESS SHARE MODE NOWAIT".encode())
        found = conn.execute(
            f'SELECT id, "timestamp", name FROM {history.sql} ORDER BY id'.encode()
        ).fetchall()
    return tuple(Row(int(id), int(stamp), str(name)) for id, stamp, name in found)


def create(conn: Connection, history: History) -> None:
    """Make the table as TypeORM makes it, if nobody has. Raise RefusedError when it may not be."""
    if there(conn, history):
        return
    try:
        with conn.transaction():
            conn.execute(ddl(history).encode())
    except (psycopg.errors.DuplicateTable, psycopg.errors.UniqueViolation):
        there(conn, history)  # TypeORM was faster
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidSchemaName) as error:
        raise RefusedError(
            f"TypeORM's history {history} cannot be made",
            where=f"database {conn.info.dbname}",
            why=f"{error.diag.message_primary}; every migration of TypeORM is recorded there",
            todo=f"create the schema, or GRANT CREATE ON SCHEMA {ident(history.schema)} TO "
            f"{ident(conn.info.user)}",
            code="missing-privilege",
        ) from None


def ddl(history: History) -> str:
    """The statement with which TypeORM makes its table."""
    return (
        f'CREATE TABLE {history.sql} ("id" SERIAL NOT NULL, "timestamp" bigint NOT NULL, '
        f'"name" character varying NOT NULL, CONSTRAINT "{primary_key(history.table)}" '
        'PRIMARY KEY ("id"))'
    )


def primary_key(table: str) -> str:
    """What TypeORM calls the primary key of its table."""
    return "PK_" + hashlib.sha1(f"{table}_id".encode()).hexdigest()[:27]


def locking(history: History) -> str:
    """SQL that keeps TypeORM out from here to the end of the transaction: it reads this first."""
    return f"LOCK TABLE {history.sql} IN ACCESS EXCLUSIVE MODE"


def appending(history: History, name: str) -> str:
    """SQL that adds a migration as TypeORM would, unless it is there."""
    text, stamp = literal(name), int(name[-13:])
    return (
        f'INSERT INTO {history.sql} ("timestamp", "name") SELECT {stamp}, {text} '
        f"WHERE NOT EXISTS (SELECT FROM {history.sql} WHERE name = {text})"
    )


def removing(history: History, name: str) -> str:
    """SQL that takes a migration out, as TypeORM would.

    By its name, which is all that TypeORM knows a migration by: a row whose stamp is not that of
    the class would be left there by TypeORM itself, and the migration count as applied for ever.
    """
    return f"DELETE FROM {history.sql} WHERE name = {literal(name)}"


def applied(history: History, names: Iterable[str]) -> str:
    """SQL that tells which of these names TypeORM counts as applied."""
    listed = ", ".join(literal(name) for name in names)
    return f"SELECT DISTINCT name::text FROM {history.sql} WHERE name IN ({listed}) ORDER BY 1"


def duplicates(found: Sequence[Row]) -> dict[str, tuple[Row, ...]]:
    """The names that stand in the history more than once, each with its rows."""
    by_name: dict[str, list[Row]] = {}
    for row in found:
        by_name.setdefault(row.name, []).append(row)
    return {name: tuple(each) for name, each in by_name.items() if len(each) > 1}


def once(conn: Connection, history: History) -> bool:
    """True when the server refuses a second row of one name: by the guard, or an index like it."""
    row = conn.execute(ONCE, [history.sql]).fetchone()
    return bool(row and row[0])


def guarded(conn: Connection, history: History) -> bool:
    """True when the table has the guard that `guard` adds."""
    row = conn.execute(GUARDED, [history.sql, guard_of(history)]).fetchone()
    return bool(row and row[0])


def guard_of(history: History) -> str:
    """What the guard of a table is called: its index shares the schema with those of others."""
    if history.table == "migrations":
        return GUARD
    return f"{GUARD}_{hashlib.sha1(history.table.encode()).hexdigest()[:8]}"


def guard(conn: Connection, history: History) -> bool:
    """Have the server refuse a second row of one name; False when it does so already.

    A run of TypeORM that began before qb's then fails and takes back what it did, in its modes
    `all` and `each`. Raise RefusedError over rows that are there twice.
    """
    if once(conn, history):
        return False
    twice = duplicates(rows(conn, history))
    if twice:
        said = [f"{name}: rows {_ids(each)}" for name, each in twice.items()]
        delete = "; ".join(
            f"DELETE FROM {history.sql} WHERE id IN ({_ids(each[1:])})" for each in twice.values()
        )
        raise RefusedError(
            f"{len(twice)} migrations stand in {history} more than once",
            where=f"database {conn.info.dbname}",
            why="\n".join([*said, "they ran more than once, so the guard cannot be added"]),
            todo=f"see what they did twice; then keep the first row of each: {delete}",
            code="typeorm-history",
        )
    with conn.transaction():
        conn.execute(
            f'ALTER TABLE {history.sql} ADD CONSTRAINT "{guard_of(history)}" UNIQUE (name)'.encode()
        )
    return True


def unguard(conn: Connection, history: History) -> bool:
    """Take the guard off; False when it is not there."""
    if not guarded(conn, history):
        return False
    with conn.transaction():
        conn.execute(f'ALTER TABLE {history.sql} DROP CONSTRAINT "{guard_of(history)}"'.encode())
    return True


def _ids(found: Iterable[Row]) -> str:
    return ", ".join(str(each.id) for each in found)
