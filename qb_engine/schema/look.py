"""a few tables looked at, where a whole snapshot would be too much: their columns, keys, indexes"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from qb_engine.schema.blockers import locked
from qb_engine.schema.tables import ColumnInfo, ConstraintInfo, IndexInfo, Table

PATIENCE_MS = 3_000  # how long a lock may be in the way before we say whose it is

# by name in `public`, or by `schema.name`, as a snapshot is asked for them
TABLES = """
SELECT n.nspname::text, c.relname::text,
       ARRAY(SELECT pg_catalog.jsonb_build_object(
                    'name', a.attname, 'type', pg_catalog.format_type(a.atttypid, a.atttypmod),
                    'nullable', NOT a.attnotnull, 'generated', a.attgenerated,
                    'default', pg_catalog.pg_get_expr(d.adbin, d.adrelid))
               FROM pg_catalog.pg_attribute a
               LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
              WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
              ORDER BY a.attnum),
       ARRAY(SELECT pg_catalog.jsonb_build_object(
                    'name', x.relname, 'valid', i.indisvalid, 'primary', i.indisprimary,
                    'columns', ARRAY(SELECT a.attname::text
                                       FROM pg_catalog.unnest(i.indkey[0:i.indnkeyatts - 1])
                                            WITH ORDINALITY AS k(attnum, at)
                                       JOIN pg_catalog.pg_attribute a
                                         ON a.attrelid = c.oid AND a.attnum = k.attnum
                                      ORDER BY k.at))
               FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
              WHERE i.indrelid = c.oid ORDER BY x.relname)
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relname = ANY (%(names)s) AND c.relkind IN ('r', 'p', 'f', 'v', 'm')
   AND (n.nspname = 'public' OR n.nspname || '.' || c.relname = ANY (%(whole)s))
"""

INDEXES = """
SELECT n.nspname::text, c.relname::text
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('i', 'I') AND c.relname = ANY (%s)
"""


class Look:
    """Some tables as they are now. Asked as a Snapshot is, for these tables only."""

    def __init__(self, tables: Mapping[tuple[str, str], Table], indexes: frozenset[Any]) -> None:
        self._tables = tables
        self._indexes = indexes

    def __repr__(self) -> str:
        return f"<{len(self._tables)} tables looked at>"

    def table(self, name: str, schema: str = "public") -> Table | None:
        """The table or view of that name, or None; `name` may be `schema.name`."""
        found = self._tables.get((schema, name))
        if found is None and "." in name:
            return next((t for t in self._tables.values() if t.qualified == name), None)
        return found

    def has_index(self, schema: str, name: str) -> bool:
        """True when an index of that name is in a schema, on whatever table."""
        return (schema, name) in self._indexes


def look(conn: psycopg.Connection[Any], tables: Iterable[str], indexes: Iterable[str] = ()) -> Look:
    """Read tables by name or `schema.name`, and which of some names of indexes are taken.

    Works inside a transaction as well, under its timeouts, and leaves nothing of it behind. Raise
    ServerError when somebody's lock is in the way for too long.
    """
    idle = conn.info.transaction_status == TransactionStatus.IDLE
    try:
        return _look(conn, tables, indexes, f"SET LOCAL lock_timeout = {PATIENCE_MS}" * idle)
    except psycopg.errors.LockNotAvailable as error:
        if not idle:
            raise
        raise locked(conn, PATIENCE_MS / 1000) from error


def _look(
    conn: psycopg.Connection[Any], tables: Iterable[str], indexes: Iterable[str], limit: str
) -> Look:
    whole = list(tables)
    parts = [name.split(".", at)[-1] for name in whole for at in range(1, name.count(".") + 1)]
    names = [*whole, *parts]
    found: dict[tuple[str, str], Table] = {}
    taken: list[Any] = []
    with conn.transaction() as transaction:
        # types and expressions as a snapshot has them
        conn.execute(f"SET LOCAL search_path = ''; {limit}".encode())
        rows = conn.execute(TABLES, {"names": names, "whole": whole}).fetchall()
        if wanted := list(indexes):
            taken = conn.execute(INDEXES, [wanted]).fetchall()
        for schema, name, columns, listed in rows:
            found[schema, name] = _table(schema, name, columns, listed)
        raise psycopg.Rollback(transaction)  # the search path as well, where a savepoint held it
    return Look(MappingProxyType(found), frozenset(taken))


def _table(
    schema: str, name: str, columns: list[dict[str, Any]], indexes: list[dict[str, Any]]
) -> Table:
    keys = [i for i in indexes if i["primary"]]
    return Table(
        schema,
        name,
        "table",
        "",
        columns={
            c["name"]: ColumnInfo(
                c["name"],
                c["type"],
                c["nullable"],
                c["default"],
                generated=c["generated"],
                position=at,
            )
            for at, c in enumerate(columns, 1)
        },
        constraints={
            i["name"]: ConstraintInfo(i["name"], "primary key", "", tuple(i["columns"]))
            for i in keys
        },
        indexes={
            i["name"]: IndexInfo(
                i["name"], "", tuple(i["columns"]), primary=i["primary"], valid=i["valid"]
            )
            for i in indexes
        },
    )
