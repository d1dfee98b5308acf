"""the key that a backfill walks by: unique, never null, in the order of an index

How the best one is chosen, first what weighs most: its order is that of the rows on disk (the
correlation of its first column is 0.9 or more; not known comes second), its columns are numbers or
times (then: of fixed length, then: the rest), it has few columns, it is the primary key, it is
narrow. The sentence that says so is kept with the backfill.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import psycopg

from qb_engine.errors import InputError

# Every B-tree index of a table, a row per column, with all that decides whether `key > ...` can use
# it: the operator of its class must be the one that `>` means, and the flags (1: descending, 2:
# nulls first) must be the same for all columns. A type is that below a domain, and says its schema.
INDEXES = """
SELECT c.relname, i.indisprimary, i.indisunique, i.indisvalid,
    i.indpred IS NOT NULL, i.indexprs IS NOT NULL,
    coalesce(a.attname::text, ''),
    CASE WHEN t.oid IS NULL THEN ''
        WHEN t.namespace = 'pg_catalog'::regnamespace
        THEN format_type(t.oid, CASE WHEN t.depth = 0 THEN a.atttypmod ELSE -1 END)
        ELSE format('%%s.%%I', t.namespace::regnamespace, t.typname) END,
    a.attnotnull AND NOT EXISTS (SELECT FROM pg_constraint
        WHERE conrelid = i.indrelid AND contype = 'n' AND conkey = ARRAY[a.attnum]
            AND NOT convalidated),
    i.indoption[k.place - 1],
    CASE WHEN i.indcollation[k.place - 1] NOT IN (0, a.attcollation) THEN (
        SELECT format('%%s.%%I', collnamespace::regnamespace, collname)
        FROM pg_collation WHERE oid = i.indcollation[k.place - 1]) ELSE '' END,
    EXISTS (SELECT FROM pg_amop
        JOIN pg_operator ON pg_operator.oid = amopopr AND oprname = '>'
        JOIN pg_opclass AS usual ON usual.opcfamily = o.opcfamily
            AND usual.opcintype = o.opcintype AND usual.opcdefault
        WHERE amopfamily = o.opcfamily AND amopstrategy = 5 AND amoplefttype = o.opcintype
            AND amoprighttype = o.opcintype AND pg_operator_is_visible(amopopr)),
    t.oid IN ('float4'::regtype, 'float8'::regtype)
        AND current_setting('extra_float_digits')::int < 1,
    t.typlen, t.typcategory::text, s.avg_width, s.correlation
FROM pg_index AS i
JOIN pg_class AS c ON c.oid = i.indexrelid
JOIN pg_class AS of_table ON of_table.oid = i.indrelid
JOIN pg_am ON pg_am.oid = c.relam AND pg_am.amname = 'btree'
CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place)
JOIN pg_opclass AS o ON o.oid = i.indclass[k.place - 1]
LEFT JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
LEFT JOIN LATERAL (
    WITH RECURSIVE below AS (
        SELECT oid, 0 AS depth FROM pg_type WHERE oid = a.atttypid
        UNION ALL
        SELECT typbasetype, depth + 1 FROM below JOIN pg_type USING (oid) WHERE typtype = 'd')
    SELECT oid, depth, typname, typnamespace AS namespace, typlen, typcategory
    FROM below JOIN pg_type USING (oid) ORDER BY depth DESC LIMIT 1) AS t ON true
LEFT JOIN LATERAL (
    SELECT avg_width, correlation FROM pg_stats
    WHERE schemaname = of_table.relnamespace::regnamespace::name
        AND tablename = of_table.relname AND attname = a.attname
    ORDER BY inherited LIMIT 1) AS s ON true
WHERE i.indrelid = %s AND k.place <= i.indnkeyatts
ORDER BY c.relname, k.place
"""

FOLLOWS = 0.9  # from this correlation on, key order reads the table almost from front to back
TEXT_WIDTH = 32  # bytes, of a value whose width nobody has measured


@dataclass(frozen=True, slots=True)
class KeyColumn:
    """A column of the key, with its type as the server writes it.

    `collation` is that of the index, as SQL, where it is not the column's own; with `nulls_first`
    the index can only be read in this order, though the column has no NULL.
    """

    name: str
    type: str
    collation: str = ""
    nulls_first: bool = False


CTID = KeyColumn("ctid", "tid")
"""The place of a row, for a table that has no key."""


@dataclass(frozen=True, slots=True)
class Index:
    """An index of a table, as far as a walk is concerned.

    `why_not` says why it cannot be walked. `kind` is 0 for numbers and times, 1 for other values
    of fixed length, 2 for the rest; `width` in bytes; `correlation` of the first column with the
    order on disk, -1 to 1, None when never analyzed.
    """

    name: str
    primary: bool
    unique: bool
    columns: tuple[KeyColumn, ...]
    not_null: bool
    walkable: bool
    why_not: str = ""
    kind: int = 0
    width: int = 8
    correlation: float | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def usable(self) -> bool:
        """True when every row has one place in it, of its own."""
        return self.unique and self.not_null and self.walkable

    @property
    def rank(self) -> tuple[Any, ...]:
        """The lowest is the best to walk by; the rule is this module's docstring."""
        follows = 1 if self.correlation is None else 0 if abs(self.correlation) >= FOLLOWS else 2
        return (follows, self.kind, len(self.columns), not self.primary, self.width, self.name)


@dataclass(frozen=True, slots=True)
class Choice:
    """The columns to walk by, and the sentence that says why."""

    columns: tuple[KeyColumn, ...]
    said: str


def indexes(conn: psycopg.Connection[Any], table: int) -> tuple[Index, ...]:
    """The B-tree indexes of a table, the best to walk by first."""
    rows = conn.execute(INDEXES, [table]).fetchall()
    found = [_index(list(group)) for _, group in groupby(rows, key=lambda row: row[0])]
    return tuple(sorted(found, key=lambda index: index.rank))


def _index(rows: Sequence[Sequence[Any]]) -> Index:
    name, primary, unique, valid, partial, computed = rows[0][:6]
    columns = [row[6:] for row in rows]
    flags = {column[3] for column in columns}
    not_null = all(column[2] for column in columns)
    if not valid:
        why_not = "it is not valid"
    elif partial:
        why_not = "it leaves rows out (WHERE)"
    elif computed:
        why_not = "it is on an expression"
    elif not all(column[5] for column in columns):
        why_not = "its order is not that of >, by its operator class"
    elif any(column[6] for column in columns):
        why_not = "its numbers are rounded when they are written down (extra_float_digits below 1)"
    elif len(flags) > 1:
        why_not = "its columns are in different orders (ASC and DESC), which no range of rows is"
    else:
        why_not = ""
    nulls_first = flags <= {1} or flags <= {2}  # read backward where it is descending
    return Index(
        name,
        primary,
        unique,
        tuple(
            KeyColumn(column[0] or "", column[1] or "", column[4] or "", nulls_first)
            for column in columns
        ),
        not_null,
        not why_not,
        why_not,
        kind=max(_kind(length, category) for *_, length, category, _, _ in columns),
        width=sum(_width(length, average) for *_, length, _, average, _ in columns),
        correlation=columns[0][-1],
    )


def _kind(length: int | None, category: str | None) -> int:
    if length in (2, 4, 8) and category in ("N", "D"):
        return 0
    return 1 if length is not None and length > 0 else 2


def _width(length: int | None, average: int | None) -> int:
    return length if length is not None and length > 0 else average or TEXT_WIDTH


def shared(of_members: Sequence[Sequence[Index]]) -> tuple[Index, ...]:
    """The indexes of the first table that each of the others has as well, under any name."""
    if not of_members:
        return ()
    first, *others = of_members

    def everywhere(index: Index) -> bool:
        return all(
            any(
                other.columns == index.columns
                and other.walkable
                and other.not_null >= index.not_null
                and other.unique >= index.unique
                for other in found
            )
            for found in others
        )

    return tuple(index for index in first if everywhere(index))


def choose(
    found: Sequence[Index],
    wanted: str | Sequence[str] | None,
    *,
    table: str,
    nullable: Sequence[str] = (),
    not_by_place: str = "a backfill without `where` cannot tell a written row from one that is not",
) -> Choice:
    """The columns to walk by: those that the declaration names, or the best unique key.

    Without a key rows are walked by their place on disk, where nothing speaks against it
    (`not_by_place` is what does). Raise InputError that says what is missing, and what to do.
    """
    if wanted and wanted not in ("ctid", ("ctid",), ["ctid"]):
        return _named(found, wanted, table, nullable)
    usable = sorted((index for index in found if index.usable), key=lambda index: index.rank)
    if usable and not wanted:
        return _best(usable)
    told = [f"{each.name} is none: {each.why_not or _NULLS}" for each in found if each.unique]
    if not_by_place:
        raise InputError(
            f"{table} has no key to walk by",
            where=f"table {table}",
            why="; ".join(
                (
                    "a backfill goes through the rows in the order of a primary key, or of a unique"
                    " index whose columns are all NOT NULL, so that each is written exactly once",
                    *told,
                    f"and not by place on disk: {not_by_place}",
                )
            ),
            todo="add a primary key, or name NOT NULL columns with a B-tree index: key = ...; or "
            "say with `where` which rows still need it, so that a written row no longer does",
            code="no-key",
        )
    why = "as declared" if wanted else "; ".join(("it has no key", *told))
    return Choice(
        (CTID,),
        f"walked by place on disk (ctid), {why}: a row that moves is known by `where`, "
        "which a written row must not fulfil",
    )


_NULLS = "its columns may be NULL"


def _best(usable: Sequence[Index]) -> Choice:
    chosen = usable[0]
    what = "the primary key" if chosen.primary else f"the unique index {chosen.name}"
    said = f"walked by {_listed(chosen.columns)}, {what}"
    if len(usable) > 1:
        said += f", the best of {len(usable)} keys: {_better(chosen, usable[1])}"
    return Choice(chosen.columns, said)


def _named(
    found: Sequence[Index], wanted: str | Sequence[str], table: str, nullable: Sequence[str]
) -> Choice:
    names = (wanted,) if isinstance(wanted, str) else tuple(wanted)
    why = "no valid B-tree index of the table begins with these columns in this order"
    todo = "create one (CREATE INDEX CONCURRENTLY), or leave `key` out to use the best key"
    if empty := [name for name in names if name in nullable]:
        why = f"{', '.join(empty)} may be NULL, and rows with NULL there would be left out"
        todo = "name a key whose columns are all NOT NULL"
        begin = []
    else:
        begin = [index for index in found if index.names[: len(names)] == names]
    for index in sorted(begin, key=lambda each: (each.names != names, each.rank)):
        if index.walkable:
            columns = index.columns[: len(names)]
            said = f"walked by {_listed(columns)}, as declared, with the index {index.name}"
            return Choice(columns, said)
    if begin:
        why = "; ".join(f"{index.name} cannot be used: {index.why_not}" for index in begin)
    raise InputError(
        f"{table} cannot be walked by {', '.join(names)}",
        where=f"key of the backfill of {table}",
        why=why,
        todo=todo,
        code="no-key",
    )


def _listed(columns: Sequence[KeyColumn]) -> str:
    return ", ".join(f"{column.name} ({column.type})" for column in columns)


def _better(chosen: Index, second: Index) -> str:
    """What the best one is better in than the next."""
    last = len(chosen.rank) - 1
    differ = (i for i in range(last) if chosen.rank[i] != second.rank[i])
    place = next(differ, last)
    how = "not known" if chosen.correlation is None else f"{chosen.correlation:.2f}"
    return (
        f"its order is the most like that of the rows on disk (correlation {how})",
        "its values are the quickest to compare",
        "it has the fewest columns",
        "the primary key goes before what is as good",
        "it is the narrowest",
        "of equal ones the first by name",
    )[place]
