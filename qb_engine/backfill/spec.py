"""what a backfill does, settled against the catalog: the table, its key, the columns, the checks"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import psycopg

from qb_engine.backfill import pace
from qb_engine.backfill.options import Options, declared_options
from qb_engine.backfill.walk import keys, parts
from qb_engine.backfill.walk.keys import KeyColumn
from qb_engine.errors import InputError, RefusedError
from qb_engine.migrations import filling
from qb_engine.migrations.declaration import Backfill
from qb_engine.migrations.filling import Kind, checksum

if TYPE_CHECKING:
    from qb_engine.migrations import LoadedMigration

__all__ = ["SetColumn", "Spec", "batch_limit", "checksum", "describe"]

# A table by its bare name, by schema and name, and as SQL writes it, in that order.
FIND = """
SELECT c.oid, n.nspname, c.relname, c.relkind
FROM (VALUES (1, quote_ident(%(name)s)), (2, %(parts)s), (3, %(sql)s)) AS w (place, text)
JOIN pg_class AS c ON c.oid = to_regclass(w.text)
JOIN pg_namespace AS n ON n.oid = c.relnamespace
ORDER BY w.place LIMIT 1
"""

COLUMNS = """
SELECT attname, format_type(atttypid, atttypmod),
    attnotnull AND NOT EXISTS (SELECT FROM pg_constraint AS c
        WHERE c.conrelid = attrelid AND contype = 'n' AND conkey = ARRAY[attnum]
            AND NOT convalidated),
    attgenerated <> ''
FROM pg_attribute WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped
"""

# Whether policies decide which rows this role sees; a superuser and the owner see all.
POLICIES = "SELECT pg_catalog.row_security_active(%s::oid)"

HIDDEN = (
    "; row-level security applies to this role: rows that its policies hide are not counted, and "
    "not written"
)

PARTS = "SELECT format('%%I.%%I', %s::text, %s::text)"

# A name as SQL writes it, with an optional schema; anything else would be a syntax error.
_SQL_NAME = re.compile(r'(?:\w+|"(?:[^"]|"")+")(?:\.(?:\w+|"(?:[^"]|"")+"))?')


FRAME = 20_000  # rows of a DataFrame; more of them are hardly faster


@dataclass(frozen=True, slots=True)
class SetColumn:
    """A column that is written: its type, and the expression over the row."""

    name: str
    type: str
    sql: str


@dataclass(frozen=True, slots=True)
class Spec:
    """A backfill with nothing left to find out. Rows and keys are not in it."""

    id: str
    checksum: str
    schema: str
    table: str
    key: tuple[KeyColumn, ...]
    set: tuple[SetColumn, ...]
    where: str = ""
    validate: str = ""
    batch_size: int = 5_000
    batch_limit: int = pace.LARGEST  # keys; the batch size, where the declaration gives one
    parallel: int = 1
    kind: Kind = "set"
    statement: str = ""  # of the kind sql, with {batch} where the range goes
    reads: tuple[str, ...] = ()  # the columns that a transform is given, the key's among them
    options: Options = field(default_factory=Options)
    only: tuple[tuple[str, ...], ...] = ()  # just the rows of these keys; none: all of a range
    without: tuple[tuple[str, ...], ...] = ()  # not the rows of these keys
    called: str = ""  # what the table is called in a statement where others stand beside it
    whole: tuple[str, str] | None = None  # schema and name of the table that this is a part of
    key_said: str = ""  # which key it walks by and why
    alone: bool = False  # the table without those that inherit from it (ONLY)

    @property
    def calls(self) -> bool:
        """True when the user's Python takes part, so that a worker needs the declaration."""
        of = self.options
        return self.kind == "transform" or of.on_error == "call" or of.retry_calls

    @property
    def by_place(self) -> bool:
        """True when rows are walked by their place on disk: the table has no key."""
        return self.key == (keys.CTID,)

    @property
    def unseen(self) -> str:
        """What is said of rows that come while it runs, where nothing would find them; or empty."""
        if self.where or self.options.keep_in_sync:
            return ""
        sync = ", with keep_in_sync = True a trigger fills them" if self.kind == "set" else ""
        return (
            "rows that are inserted while it runs may be left out: nothing tells them from written "
            "ones. Have the application write them in the new form, or declare `where` (then "
            f"sweeps find them{sync})"
        )

    def part(self, schema: str | None, table: str | None) -> Spec:
        """The same for one partition of the table."""
        if not schema or not table:
            return self
        whole = self.whole or (self.schema, self.table)
        return replace(self, schema=schema, table=table, alone=True, whole=whole)


def _with_backfill(migration: LoadedMigration) -> str:
    """How a migration gets one: only a folder may hold a backfill.py."""
    path = migration.path
    folder = path if path.is_dir() else path.with_suffix("")
    first = "" if path.is_dir() else f"move it to {folder.name}/migration{path.suffix}, then "
    return f"{first}write {folder.name}/backfill.py; or name another migration"


def describe(conn: psycopg.Connection[Any], migration: LoadedMigration) -> Spec:
    """Settle a migration's backfill against the target.

    Raise InputError when the migration has none, or it does not fit the table.
    """
    declared = migration.backfill
    if declared is None:
        raise InputError(
            f"{migration.id} has no backfill",
            where=str(migration.path),
            why="only a migration in a folder with a backfill.py fills rows",
            todo=_with_backfill(migration),
            code="no-backfill",
        )
    oid, schema, table = _table(conn, declared.table, str(migration.path))
    shown = f"{schema}.{table}"
    columns = {
        name: (kind, not_null, generated)
        for name, kind, not_null, generated in conn.execute(COLUMNS, [oid])
    }
    (kind,) = filling.kinds(declared)
    choice = _key(conn, declared, kind, oid, schema, table, columns)
    key = choice.columns
    written = []
    for name, expression in declared.set.items():
        if name not in columns or columns[name][2] or name in {k.name for k in key}:
            raise _unfit(name, shown, columns, generated=name in columns and columns[name][2])
        written.append(SetColumn(name, columns[name][0], str(expression)))
    spec = Spec(
        id=migration.id,
        checksum=checksum(declared),
        schema=schema,
        table=table,
        key=key,
        set=tuple(written),
        where=(declared.where or "").strip(),
        validate="" if callable(declared.validate) else (declared.validate or "").strip(" \n;"),
        batch_size=declared.batch_size,
        batch_limit=batch_limit(declared),
        parallel=declared.parallel,
        kind=kind,
        statement=declared.sql.strip(" \n;"),
        reads=tuple(dict.fromkeys((*(k.name for k in key), *(declared.columns or columns)))),
        options=declared_options(declared),
        key_said=choice.said,
    )
    hidden = HIDDEN if conn.execute(POLICIES, [oid]).fetchall()[0][0] else ""
    return replace(spec, key_said=choice.said + parts.said(conn, spec) + hidden)


def _key(
    conn: psycopg.Connection[Any],
    declared: Backfill,
    kind: Kind,
    oid: int,
    schema: str,
    table: str,
    columns: dict[str, Any],
) -> keys.Choice:
    """The key to walk by, that each of the table's parts has."""
    shown = f"{schema}.{table}"
    tree = parts.members(conn, schema, table)
    parts.no_foreign(tree, shown)
    found = keys.indexes(conn, oid)
    if parts.is_tree(tree, schema, table):
        if any(member.oid == oid for member in tree):
            found = ()  # its indexes do not cover its heirs
        if declared.key or not any(index.usable for index in found):
            below = keys.shared([keys.indexes(conn, member.oid) for member in tree])
            there = {index.columns for index in found}
            found += tuple(index for index in below if index.columns not in there)
    moved = parts.moving(declared.set, declared.sql, parts.partitioned_by(conn, schema, table))
    not_by_place = ""
    if not declared.where:
        not_by_place = "without `where` a written row cannot be told from one that is not"
    elif kind == "transform":
        not_by_place = "until what `transform` made is written, another row may be in that place"
    elif moved:
        not_by_place = f"it writes {', '.join(moved)}, by which rows change partition"
    return keys.choose(
        found,
        declared.key,
        table=shown,
        nullable=[name for name, (_, not_null, _) in columns.items() if not not_null],
        not_by_place=not_by_place,
    )


def batch_limit(declared: Backfill) -> int:
    """The most keys of a batch: as declared; where nothing is, time alone decides.

    Rows that Python computes are all in memory at once, so there are fewer of them.
    """
    given = any("batch_size" in vars(cls) for cls in type(declared).__mro__ if cls is not Backfill)
    if given:
        return declared.batch_size
    return FRAME if declared.transform else pace.LARGEST


def _table(conn: psycopg.Connection[Any], text: str, where: str) -> tuple[int, str, str]:
    schema, dot, name = text.partition(".")
    row = conn.execute(
        FIND,
        {
            "name": text,
            "parts": conn.execute(PARTS, [schema, name]).fetchall()[0][0] if dot and name else None,
            "sql": text if _SQL_NAME.fullmatch(text) else None,
        },
    ).fetchone()
    if row is None:
        raise InputError(
            f"there is no table {text}",
            where=where,
            why="the backfill fills it, and the target does not have it",
            todo="mend the name in backfill.py, or run the migration first: qb run",
            code="bad-backfill",
        )
    oid, schema, table, kind = row
    if kind not in ("r", "p"):
        raise RefusedError(
            f"{text} is not a table",
            where=where,
            why="a backfill writes the rows of a table",
            todo="name the table behind it",
            code="bad-backfill",
        )
    return oid, schema, table


def _unfit(name: str, table: str, columns: dict[str, Any], *, generated: bool) -> InputError:
    where = f"set of the backfill of {table}"
    if name not in columns:
        return InputError(
            f"{table} has no column {name}",
            where=where,
            why=f"its columns are {', '.join(columns)}",
            todo="mend the name, or run the migration that adds it: qb run",
            code="bad-backfill",
        )
    if generated:
        return InputError(
            f"{name} of {table} is generated",
            where=where,
            todo="leave it out of `set`",
            code="bad-backfill",
        )
    return InputError(
        f"{name} of {table} is part of the key that is walked by",
        where=where,
        why="a row whose key changes moves in the order, and could be written twice or not at all",
        todo="walk by another key: key = ...",
        code="bad-backfill",
    )
