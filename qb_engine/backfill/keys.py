"""the key that a backfill walks by: unique, never null, in the order of an index"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from qb_engine.errors import InputError

# The B-tree indexes of a table that an ascending walk can use, column by column. An index in
# another order or collation than the columns' own cannot serve `key > ...`.
INDEXES = """
SELECT c.relname, i.indisprimary, i.indisunique,
    array_agg(a.attname::text ORDER BY k.place),
    array_agg(format_type(a.atttypid, a.atttypmod) ORDER BY k.place),
    bool_and(a.attnotnull),
    bool_and(o.opcdefault AND coll.same)
        AND (bool_and(direction.flags = 0) OR bool_and(direction.flags = 3))
FROM pg_index AS i
JOIN pg_class AS c ON c.oid = i.indexrelid
JOIN pg_am ON pg_am.oid = c.relam AND pg_am.amname = 'btree'
CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place)
JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
CROSS JOIN LATERAL (SELECT i.indoption[k.place - 1] AS flags) AS direction
CROSS JOIN LATERAL (SELECT i.indcollation[k.place - 1] = a.attcollation AS same) AS coll
JOIN pg_opclass AS o ON o.oid = i.indclass[k.place - 1]
WHERE i.indrelid = %s AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
    AND k.place <= i.indnkeyatts
GROUP BY i.indexrelid, c.relname, i.indisprimary, i.indisunique
ORDER BY i.indisprimary DESC, count(*), c.relname
"""


@dataclass(frozen=True, slots=True)
class KeyColumn:
    """A column of the key, with its type as the server writes it."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Index:
    """An index of a table, as far as a walk is concerned."""

    name: str
    primary: bool
    unique: bool
    columns: tuple[KeyColumn, ...]
    not_null: bool
    walkable: bool

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)


def indexes(conn: psycopg.Connection[Any], table: int) -> tuple[Index, ...]:
    """The indexes of a table, the primary key first, then those with the fewest columns."""
    return tuple(
        Index(name, primary, unique, tuple(map(KeyColumn, names, types)), not_null, walkable)
        for name, primary, unique, names, types, not_null, walkable in conn.execute(
            INDEXES, [table]
        )
    )


def choose(
    found: Sequence[Index],
    wanted: str | Sequence[str] | None,
    *,
    table: str,
    nullable: Sequence[str] = (),
) -> tuple[KeyColumn, ...]:
    """The columns to walk by: those that the declaration names, the primary key, or a unique key.

    Raise InputError that says what is missing, and what to do about it.
    """
    if wanted:
        names = (wanted,) if isinstance(wanted, str) else tuple(wanted)
        return _named(found, names, table, nullable)
    for index in found:
        if index.unique and index.not_null and index.walkable:
            return index.columns
    raise InputError(
        f"{table} has no key to walk by",
        where=f"table {table}",
        why="a backfill goes through the rows in the order of a primary key, or of a unique index "
        "whose columns are all NOT NULL, so that each row is written exactly once",
        todo="add a primary key, or name NOT NULL columns with a B-tree index: key = ...",
        code="no-key",
    )


def _named(
    found: Sequence[Index], names: tuple[str, ...], table: str, nullable: Sequence[str]
) -> tuple[KeyColumn, ...]:
    if empty := [name for name in names if name in nullable]:
        raise InputError(
            f"{table} cannot be walked by {', '.join(names)}",
            where=f"key of the backfill of {table}",
            why=f"{', '.join(empty)} may be NULL, and rows with NULL there would be left out",
            todo="name a key whose columns are all NOT NULL",
            code="no-key",
        )
    for index in found:
        if index.walkable and index.names[: len(names)] == names:
            return index.columns[: len(names)]
    raise InputError(
        f"{table} cannot be walked by {', '.join(names)}",
        where=f"key of the backfill of {table}",
        why="no valid B-tree index of the table begins with these columns in this order",
        todo="create one (CREATE INDEX CONCURRENTLY), or leave `key` out to use the primary key",
        code="no-key",
    )
