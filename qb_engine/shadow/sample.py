"""some rows of a target in a shadow, chosen so that every foreign key among them holds"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from qb_engine.sql import qualified

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.shadow.shadow import Shadow

KEYS_AT_ONCE = 500  # parents that are fetched by one query
ROUNDS = 100  # of fetching the parents of parents; a longer chain of references is cut, and said
READ_S = 60  # of one query on the target
SEED = 7  # the same rows for everybody, as long as the table is the same

# tables whose rows can be copied, with their columns and how many rows the planner expects
TABLES = """
SELECT n.nspname::text, c.relname::text, greatest(coalesce(nullif(
         (SELECT sum(p.reltuples) FROM pg_catalog.pg_partition_tree(c.oid) t
            JOIN pg_catalog.pg_class p ON p.oid = t.relid WHERE t.isleaf), 0), c.reltuples), 0),
       ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
              WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                AND a.attgenerated = '' ORDER BY a.attnum)
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
   AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'qb')
 ORDER BY 1, 2
"""

# foreign keys of whole tables, a partition's own left out: its parent's says the same
KEYS = """
SELECT cn.nspname::text, c.relname::text, pn.nspname::text, p.relname::text,
       ARRAY(SELECT a.attname::text FROM pg_catalog.unnest(k.conkey) WITH ORDINALITY u(number, at)
               JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.number
              ORDER BY u.at),
       ARRAY(SELECT a.attname::text FROM pg_catalog.unnest(k.confkey) WITH ORDINALITY u(number, at)
               JOIN pg_catalog.pg_attribute a ON a.attrelid = p.oid AND a.attnum = u.number
              ORDER BY u.at)
  FROM pg_catalog.pg_constraint k
  JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
  JOIN pg_catalog.pg_namespace cn ON cn.oid = c.relnamespace
  JOIN pg_catalog.pg_class p ON p.oid = k.confrelid
  JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
 WHERE k.contype = 'f' AND k.conparentid = 0 AND NOT c.relispartition AND NOT p.relispartition
"""

SEQUENCES = """
SELECT schemaname::text, sequencename::text, last_value FROM pg_catalog.pg_sequences
 WHERE last_value IS NOT NULL AND schemaname <> 'qb'
"""


@dataclass(frozen=True, slots=True)
class TableRef:
    """A table whose rows are copied: its columns without generated ones."""

    schema: str
    name: str
    rows: float
    columns: tuple[str, ...]

    @property
    def whole(self) -> str:
        """`schema.name`, unquoted."""
        return f"{self.schema}.{self.name}"

    @property
    def sql(self) -> sql.Composed:
        return sql.Identifier(self.schema, self.name) + sql.SQL("")


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key between two tables, by `schema.name` and columns."""

    child: str
    parent: str
    columns: tuple[str, ...]
    parent_columns: tuple[str, ...]


@dataclass(frozen=True)
class Sampled:
    """How many rows of each table were copied, and what could not be, as sentences."""

    rows: dict[str, int]
    missing: tuple[str, ...] = ()


def sample(
    target: Connection,
    shadow: Shadow,
    *,
    rows: int = 1_000,
    percent: float | None = None,
    only: Iterable[str] | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> Sampled:
    """Copy up to `rows` rows of each table, or `percent` of them, and all that they reference.

    `only` names the tables to begin with (`schema.name`); those that they reference follow, and
    those that reference them. The target is read in one read-only snapshot.
    """
    missing: list[str] = []
    copied: dict[str, int] = {}
    into = shadow.scratch.connect(shadow.dbname)
    try:
        here = {ref.whole: ref for ref in _tables(into)}
        references = [r for r in _references(into) if r.child in here and r.parent in here]
        with _snapshot(target), _unchecked(into):
            there = {ref.whole: ref for ref in _tables(target)}
            wanted = _around(here, references, only)
            for name in wanted:
                if name not in there:
                    continue
                tell(f"rows of {name}")
                query = _chosen(here[name], there[name].rows, rows, percent)
                copied[name] = _copy(target, into, here[name], query, missing)
            _parents(target, into, here, references, copied, missing)
            _sequences(target, into)
        into.execute("ANALYZE")
    finally:
        into.close()
    return Sampled({name: count for name, count in copied.items() if count}, tuple(missing))


def _tables(conn: Connection) -> Iterator[TableRef]:
    for schema, name, rows, columns in conn.execute(TABLES).fetchall():
        yield TableRef(schema, name, float(rows), tuple(columns))


def _references(conn: Connection) -> Iterator[Reference]:
    for cs, c, ps, p, columns, parents in conn.execute(KEYS).fetchall():
        yield Reference(f"{cs}.{c}", f"{ps}.{p}", tuple(columns), tuple(parents))


def _around(
    here: dict[str, TableRef], references: Sequence[Reference], only: Iterable[str] | None
) -> list[str]:
    """The tables to begin with: those named, and those that reference them."""
    if only is None:
        return list(here)
    named = [name for name in dict.fromkeys(only) if name in here]
    near = [r.child for r in references if r.parent in named]
    return list(dict.fromkeys([*named, *near]))


def _chosen(table: TableRef, expected: float, rows: int, percent: float | None) -> sql.Composed:
    """The query for some rows of a table: blocks at random, all of a small one."""
    columns = sql.SQL(", ").join(map(sql.Identifier, table.columns))
    query = sql.SQL("SELECT {} FROM {}").format(columns, table.sql)
    if percent is not None:
        return query + _blocks(percent)
    if expected > 4 * rows:
        return query + _blocks(min(100.0, 200.0 * rows / expected)) + _limit(rows)
    return query + _limit(rows)


def _blocks(percent: float) -> sql.Composed:
    return sql.SQL(" TABLESAMPLE SYSTEM ({}) REPEATABLE ({})").format(
        sql.Literal(percent), sql.Literal(SEED)
    )


def _limit(rows: int) -> sql.Composed:
    return sql.SQL(" LIMIT {}").format(sql.Literal(rows))


def _copy(
    target: Connection,
    into: Connection,
    table: TableRef,
    query: sql.Composed,
    missing: list[str],
) -> int:
    """Copy what a query gives into a table; a table that refuses the rows is named, and left."""
    columns = sql.SQL(", ").join(map(sql.Identifier, table.columns))
    taking = sql.SQL("COPY {} ({}) FROM STDIN").format(table.sql, columns)
    giving = sql.SQL("COPY ({}) TO STDOUT").format(query)
    try:
        with (
            target.transaction(),
            into.transaction(),
            target.cursor() as source,
            into.cursor() as sink,
            source.copy(giving) as out,
        ):
            with sink.copy(taking) as given:
                for chunk in out:
                    given.write(chunk)
            return sink.rowcount
    except (psycopg.errors.IntegrityError, psycopg.errors.DataError, psycopg.ProgrammingError,
            psycopg.errors.QueryCanceled) as error:  # fmt: skip
        text = error.diag.message_primary or str(error)
        missing.append(f"rows of {table.whole}: {text}")
        return 0


def _parents(
    target: Connection,
    into: Connection,
    here: dict[str, TableRef],
    references: Sequence[Reference],
    copied: dict[str, int],
    missing: list[str],
) -> None:
    """Fetch what rows reference and is not there yet, until nothing is missing."""
    given_up: set[tuple[Reference, tuple[str, ...]]] = set()
    for _ in range(ROUNDS):
        fetched = 0
        for each in references:
            if each.child not in copied and each.child not in here:
                continue
            keys = [k for k in _orphans(into, here, each) if (each, k) not in given_up]
            for start in range(0, len(keys), KEYS_AT_ONCE):
                some = keys[start : start + KEYS_AT_ONCE]
                given_up.update((each, k) for k in some)  # what is not there now never comes
                query = _by_key(here[each.parent], each, some)
                count = _copy(target, into, here[each.parent], query, missing)
                copied[each.parent] = copied.get(each.parent, 0) + count
                fetched += count
        if not fetched:
            return
    missing.append(f"rows that are referenced over more than {ROUNDS} steps")


def _orphans(into: Connection, here: dict[str, TableRef], each: Reference) -> list[tuple[str, ...]]:
    """The keys that rows reference and that are not there, as text."""
    child, parent = here[each.child], here[each.parent]
    pairs = list(zip(each.columns, each.parent_columns))
    query = sql.SQL(
        "SELECT DISTINCT {keys} FROM {child} c WHERE {given} AND NOT EXISTS"
        " (SELECT FROM {parent} p WHERE {same})"
    ).format(
        keys=sql.SQL(", ").join(sql.SQL("c.{}::text").format(sql.Identifier(a)) for a, _ in pairs),
        child=child.sql,
        given=sql.SQL(" AND ").join(
            sql.SQL("c.{} IS NOT NULL").format(sql.Identifier(a)) for a, _ in pairs
        ),
        parent=parent.sql,
        same=sql.SQL(" AND ").join(
            sql.SQL("p.{} = c.{}").format(sql.Identifier(b), sql.Identifier(a)) for a, b in pairs
        ),
    )
    return [tuple(row) for row in into.execute(query).fetchall()]


def _by_key(parent: TableRef, each: Reference, keys: Sequence[tuple[str, ...]]) -> sql.Composed:
    """The rows of the parent that have one of these keys."""
    return sql.SQL("SELECT {} FROM {} WHERE ({}) IN ({})").format(
        sql.SQL(", ").join(map(sql.Identifier, parent.columns)),
        parent.sql,
        sql.SQL(", ").join(map(sql.Identifier, each.parent_columns)),
        sql.SQL(", ").join(
            sql.SQL("({})").format(sql.SQL(", ").join(map(sql.Literal, key))) for key in keys
        ),
    )


def _sequences(target: Connection, into: Connection) -> None:
    """Have sequences stand where the target's do, so that new rows meet no old ones."""
    for schema, name, last in target.execute(SEQUENCES).fetchall():
        into.execute(
            "SELECT pg_catalog.setval(pg_catalog.to_regclass(%s), %s)"
            " WHERE pg_catalog.to_regclass(%s) IS NOT NULL",
            [qualified(schema, name), last, qualified(schema, name)],
        )


@contextmanager
def _snapshot(target: Connection) -> Iterator[None]:
    """One read-only view of the target for all that is read."""
    with target.transaction(force_rollback=True):
        target.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        target.execute(f"SET LOCAL statement_timeout = '{READ_S}s'".encode())
        target.execute("SET LOCAL lock_timeout = '2s'")
        yield


@contextmanager
def _unchecked(into: Connection) -> Iterator[None]:
    """Let rows come in any order: foreign keys are met in the end, and no trigger fires.

    A role that may not say so has its foreign keys taken off, and made again afterwards.
    """
    try:
        into.execute("SET session_replication_role = replica")
    except psycopg.errors.InsufficientPrivilege:
        with _without_keys(into):
            yield
        return
    yield
    into.execute("RESET session_replication_role")


DEFINITIONS = """
SELECT n.nspname::text, c.relname::text, k.conname::text, pg_catalog.pg_get_constraintdef(k.oid)
  FROM pg_catalog.pg_constraint k
  JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE k.contype = 'f' AND k.conparentid = 0
"""


@contextmanager
def _without_keys(into: Connection) -> Iterator[None]:
    keys = into.execute(DEFINITIONS).fetchall()
    tables = list(_tables(into))
    for schema, table, name, _ in keys:
        alter = sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}")
        into.execute(alter.format(sql.Identifier(schema, table), sql.Identifier(name)))
    for ref in tables:
        into.execute(sql.SQL("ALTER TABLE {} DISABLE TRIGGER USER").format(ref.sql))
    yield
    for ref in tables:
        into.execute(sql.SQL("ALTER TABLE {} ENABLE TRIGGER USER").format(ref.sql))
    for schema, table, name, definition in keys:
        add = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} ").format(
            sql.Identifier(schema, table), sql.Identifier(name)
        )
        into.execute(add.as_bytes(into) + definition.encode())
