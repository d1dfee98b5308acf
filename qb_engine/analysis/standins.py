"""what a file names and the shadow lacks, made up from what the statements say of it

PostgreSQL is asked: the statements are tried, taken back, and whatever the server misses is made,
until it misses nothing more that can be made up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import psycopg

from qb_engine.analysis import guess
from qb_engine.analysis.outside import reaches_outside
from qb_engine.database.connect import lost
from qb_engine.sql import deparse, ident, literal, qualified
from qb_engine.sql.relations import Place
from qb_engine.sql.tree import only, pb, relation, strings, walk

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.execution.blocks import Step
    from qb_engine.sql import Statement

ROUNDS = 8  # a table, its column, the type of that: each is missed only when the last is there
MISSING = ("42P01", "42703", "42704", "42883", "3F000", "42830")  # SQLSTATEs of what is not there
TRY_S = 10
ALL = "FROM (MINVALUE) TO (MAXVALUE)"
FLUSH = b"SELECT pg_catalog.pg_stat_force_next_flush()"  # else making it counts as the file's work

_OF_TABLE = re.compile(
    r'^(column|constraint|trigger|policy|rule|index) "(.+?)"'
    r' (?:of relation|for (?:table|relation)) "(.+?)"'
)
_NAMED = re.compile(
    r'^(relation|table|view|materialized view|sequence|index|schema|type|role|domain) "([^"]+)"'
    r" does not exist"
)
_COLUMN = re.compile(
    r'^column "?([^"]+?)"? (?:does not exist|named in key does not exist'
    r"|referenced in foreign key constraint does not exist)"
)
_FUNCTION = re.compile(r"^(?:function|procedure) (.+?)\((.*)\) does not exist")
_UNMATCHED = re.compile(r'^there is no unique constraint matching given keys for .*table "(.+)"')


@dataclass(frozen=True, slots=True)
class StandIn:
    """Something that was made up: what, for which step, and the relation it is (`schema.name`)."""

    what: str
    number: int
    relation: str = ""


@dataclass(frozen=True, slots=True)
class _Missed:
    step: Step
    sqlstate: str
    text: str


@dataclass(frozen=True, slots=True)
class _Making:
    what: str
    sql: str
    place: Place | None = None
    drop: str = ""


class StandIns:
    """Makes what is missed on `conn`, for the steps of one file; `remove` takes it away again.

    `gently` leaves alone what a statement itself expects may be missing (IF EXISTS).
    """

    def __init__(self, conn: Connection, steps: Sequence[Step], *, gently: bool) -> None:
        self._conn = conn
        self._steps = [s for s in steps if not reaches_outside(s.statement)]
        self._gently = gently
        self._all = steps
        self._drops: list[str] = []
        self._tried: set[str] = set()
        self.made: tuple[StandIn, ...] = ()

    @cached_property
    def _columns(self) -> guess.Columns:
        return guess.columns(step.statement for step in self._all)

    def make(self) -> tuple[StandIn, ...]:
        """Make what is missed, as far as that can be made up."""
        for _ in range(ROUNDS):
            before = len(self._tried)
            for missed in self._try():
                for making in self._answer(missed):
                    self._do(making, missed.step.number)
            if len(self._tried) == before:
                break
        if self.made:
            self._conn.execute(FLUSH)
        return self.made

    def remove(self, conn: Connection) -> None:
        """Drop what was made, as far as the file has left it."""
        for drop in reversed(self._drops):
            try:
                conn.execute(drop.encode())
            except psycopg.Error as error:
                if lost(error):
                    raise
        self._drops.clear()

    # -- asking --------------------------------------------------------------------------------

    def _try(self) -> list[_Missed]:
        """Run everything in a transaction that is rolled back; what the server misses."""
        conn, found = self._conn, []
        heard: list[str] = []
        step = None

        def hear(diagnostic: psycopg.errors.Diagnostic) -> None:
            heard.append(diagnostic.message_primary or "")

        conn.add_notice_handler(hear)
        conn.execute(f"BEGIN; SET LOCAL statement_timeout = '{TRY_S}s'")
        try:
            for step in self._steps:
                heard.clear()
                sql = _inside(step.statement)
                if sql is None:
                    continue
                single = step.statement.refuses_savepoint
                try:
                    conn.execute(b"SAVEPOINT qb_try")
                    conn.execute(sql.encode())
                    if single:
                        conn.execute(b"RELEASE SAVEPOINT qb_try")
                except psycopg.Error as error:
                    if lost(error):
                        raise
                    text = error.diag.message_primary or str(error)
                    found.append(_Missed(step, error.sqlstate or "", text))
                    conn.execute(b"ROLLBACK TO SAVEPOINT qb_try")
                for text in heard if not self._gently else ():
                    if text.endswith("does not exist, skipping"):
                        found.append(_Missed(step, "42P01", text.removesuffix(", skipping")))
        finally:
            if not conn.closed:
                conn.execute(b"ROLLBACK")
            conn.remove_notice_handler(hear)
        return found

    def _do(self, making: _Making, number: int) -> None:
        if making.sql in self._tried:
            return
        self._tried.add(making.sql)
        try:
            self._conn.execute(making.sql.encode())
        except psycopg.Error as error:
            if lost(error):
                raise
            return  # it stays missing, and is said to be
        if making.drop:
            self._drops.append(making.drop)
        name = f"{making.place[0] or 'public'}.{making.place[1]}" if making.place else ""
        self.made += (StandIn(making.what, number, name),)

    # -- answering -----------------------------------------------------------------------------

    def _answer(self, missed: _Missed) -> Iterator[_Making]:
        """What to make so that this is missed no more."""
        statement, text = missed.step.statement, missed.text
        if statement.node is None or (
            missed.sqlstate not in MISSING and not _UNMATCHED.match(text)
        ):
            return
        if found := _OF_TABLE.match(text):
            yield from self._of_table(found[1], found[2], found[3], statement)
        elif found := _NAMED.match(text):
            yield from self._named(found[1], _place(found[2]), missed)
        elif found := _COLUMN.match(text):
            yield from self._column(found[1], statement)
        elif found := _FUNCTION.match(text):
            yield _function(found[1], found[2], statement)
        elif found := _UNMATCHED.match(text):
            for each in walk(statement.node):
                if isinstance(each, pb.Constraint) and each.contype == pb.CONSTR_FOREIGN:
                    keys = ", ".join(map(ident, strings(each.pk_attrs) or ("id",)))
                    place = relation(each.pktable)
                    if place[1] == found[1]:
                        yield _Making(
                            f"a key of {found[1]}",
                            f"ALTER TABLE {qualified(*place)} ADD PRIMARY KEY ({keys})",
                        )

    def _of_table(
        self, kind: str, name: str, table: str, statement: Statement
    ) -> Iterator[_Making]:
        place = _same(table, statement)
        on = qualified(*place)
        what = f"{kind} {name} of {table}"
        if kind == "column":
            yield self._add_column(place, name)
        elif kind == "constraint":
            column = next(iter(self._columns.get(place, {})), "id")
            yield self._add_column(place, column)
            check = f"CHECK ({ident(column)} IS NOT NULL) NOT VALID"
            yield _Making(what, f"ALTER TABLE {on} ADD CONSTRAINT {ident(name)} {check}")
        elif kind == "trigger":
            yield _trigger_function("qb_stand_in")
            yield _Making(
                what,
                f"CREATE TRIGGER {ident(name)} BEFORE UPDATE ON {on}"
                " FOR EACH ROW EXECUTE FUNCTION qb_stand_in()",
            )
        elif kind == "index":
            yield from _index_on(place, name)
        elif kind == "policy":
            yield _Making(what, f"CREATE POLICY {ident(name)} ON {on}")

    def _named(self, kind: str, place: Place, missed: _Missed) -> Iterator[_Making]:
        name, statement = qualified(*place), missed.step.statement
        what = f"{kind} {name}" if kind != "relation" else f"table {name}"
        if kind == "schema":
            drop = f"DROP SCHEMA IF EXISTS {name} CASCADE"
            yield _Making(what, f"CREATE SCHEMA {name}", drop=drop)
        elif kind in ("type", "domain"):
            yield from self._type(place, statement)
        elif kind == "index" or _is_index(statement, place):
            yield from _index(place, statement)
        elif kind == "sequence" or statement.kind == "alter_seq":
            drop = f"DROP SEQUENCE IF EXISTS {name} CASCADE"
            yield _Making(f"sequence {name}", f"CREATE SEQUENCE {name}", place, drop)
        elif kind == "view" or _object_type(statement) == pb.OBJECT_VIEW:
            drop = f"DROP VIEW IF EXISTS {name} CASCADE"
            yield _Making(f"view {name}", f"CREATE VIEW {name} AS SELECT 1 AS id", place, drop)
        elif (
            kind == "materialized view"
            or statement.kind == "refresh_mat_view"
            or _object_type(statement) == pb.OBJECT_MATVIEW
        ):
            drop = f"DROP MATERIALIZED VIEW IF EXISTS {name} CASCADE"
            view = f"CREATE MATERIALIZED VIEW {name} AS SELECT 1 AS id"
            yield _Making(f"materialized view {name}", view, place, drop)
            if getattr(statement.node, "concurrent", False):
                yield _Making(f"a key of {name}", f"CREATE UNIQUE INDEX ON {name} (id)")
        elif kind in ("relation", "table") and not self._made_before(place, missed.step):
            yield self._table(place)

    def _made_before(self, place: Place, step: Step) -> bool:
        """True for what an earlier statement of the file makes, if it does not fail."""
        for each in self._steps:
            if each.number >= step.number:
                return False
            node = each.statement.node
            if isinstance(node, pb.CreateStmt) and relation(node.relation) == place:
                return True
        return False

    def _table(self, place: Place) -> _Making:
        columns = self._columns.get(place) or {"id": "bigint"}
        name = qualified(*place)
        of = ", ".join(f"{ident(column)} {type}" for column, type in columns.items())
        drop = f"DROP TABLE IF EXISTS {name} CASCADE"
        attached = _partitioning(place, self._steps)
        if attached is not None:
            parent, key, by = attached
            if parent == place:
                by = by or f"RANGE ({ident(key)})"
                if key not in columns:
                    of += f", {ident(key)} {guess.type_of(key)}"
                sql = f"CREATE TABLE {name} ({of}) PARTITION BY {by}"
                return _Making(f"table {name}", sql, place, drop)
            sql = f"CREATE TABLE {name} (LIKE {qualified(*parent)})"
            if not by:
                sql = f"CREATE TABLE {name} PARTITION OF {qualified(*parent)} FOR VALUES {ALL}"
            return _Making(f"table {name}", sql, place, drop)
        return _Making(f"table {name}", f"CREATE TABLE {name} ({of})", place, drop)

    def _column(self, name: str, statement: Statement) -> Iterator[_Making]:
        """A column that is missed without its table: of the table that the statement is about."""
        qualifier, _, column = name.rpartition(".")
        places = [
            (schema or None, table)
            for schema, table in statement.relations
            if qualifier in ("", table) or len(statement.relations) == 1
        ]
        for place in places[:1]:
            yield self._add_column(place, column)

    def _add_column(self, place: Place, column: str) -> _Making:
        type = self._columns.get(place, {}).get(column) or guess.type_of(column)
        name = qualified(*place)
        return _Making(
            f"column {column} of {name}",
            f"ALTER TABLE {name} ADD COLUMN IF NOT EXISTS {ident(column)} {type}",
            place,
            f"ALTER TABLE IF EXISTS {name} DROP COLUMN IF EXISTS {ident(column)} CASCADE",
        )

    def _type(self, place: Place, statement: Statement) -> Iterator[_Making]:
        name = qualified(*place)
        if statement.kind == "alter_domain":
            drop = f"DROP DOMAIN IF EXISTS {name} CASCADE"
            yield _Making(f"domain {name}", f"CREATE DOMAIN {name} AS text", drop=drop)
            return
        labels: dict[str, None] = {}
        for step in self._steps:
            node = step.statement.node
            if isinstance(node, pb.AlterEnumStmt) and relation_of(node.type_name) == place:
                labels |= dict.fromkeys(
                    label for label in (node.old_val, node.new_val_neighbor) if label
                )
        values = ", ".join(map(literal, labels or ("stand-in",)))
        drop = f"DROP TYPE IF EXISTS {name} CASCADE"
        yield _Making(f"type {name}", f"CREATE TYPE {name} AS ENUM ({values})", drop=drop)


def relation_of(names: Iterable[Any]) -> Place:
    """Schema and name of a list of names."""
    found = strings(names)
    return (found[-2] if len(found) > 1 else None), found[-1]


def is_missing(sqlstate: str, text: str) -> bool:
    """True for an error that says that something is not there."""
    return sqlstate in MISSING or bool(re.search(r"extension .* is not available", text))


def _inside(statement: Statement) -> str | None:
    """The statement as it can be tried in a transaction; None when it cannot."""
    node = statement.node
    if statement.kind == "copy" and not node.filename:
        return None  # it would wait for data
    if not statement.refuses_transaction:
        return statement.sql
    if isinstance(node, pb.IndexStmt | pb.DropStmt) and node.concurrent:
        plain = type(node)()
        plain.CopyFrom(node)
        plain.concurrent = False
        return deparse(plain)
    places = [qualified(schema or None, name) for schema, name in statement.relations]
    if isinstance(node, pb.ReindexStmt) and places:
        return f"REINDEX {'INDEX' if _is_index(statement, None) else 'TABLE'} {places[0]}"
    if isinstance(node, pb.AlterTableStmt | pb.VacuumStmt | pb.ClusterStmt) and places:
        names = (f"{literal(place)}::pg_catalog.regclass" for place in places)
        return f"SELECT {', '.join(names)}"
    return None


def _place(text: str) -> Place:
    schema, _, name = text.rpartition(".")
    return schema or None, name


def _same(table: str, statement: Statement) -> Place:
    """The table that a message names without its schema, as the statement names it."""
    for schema, name in statement.relations:
        if name == table:
            return schema or None, name
    return None, table


def _object_type(statement: Statement) -> int:
    node = statement.node
    for name in ("objtype", "remove_type", "rename_type", "object_type"):
        if hasattr(node, name):
            return int(getattr(node, name))
    return 0


def _is_index(statement: Statement, place: Place | None) -> bool:
    node = statement.node
    if isinstance(node, pb.ReindexStmt):
        return bool(node.kind == pb.REINDEX_OBJECT_INDEX)
    return bool(_object_type(statement) == pb.OBJECT_INDEX)


def _index(place: Place, statement: Statement) -> Iterator[_Making]:
    """An index by its name: on the table that is altered, or on one made for it."""
    name = ident(place[1])
    if isinstance(statement.node, pb.AlterTableStmt) and not _is_index(statement, place):
        yield from _index_on(relation(statement.node.relation), place[1])
        return
    table = (place[0], f"table_of_{place[1]}"[:63])
    on = qualified(*table)
    yield _Making(
        f"table {on}", f"CREATE TABLE {on} (id bigint)", table, f"DROP TABLE IF EXISTS {on} CASCADE"
    )
    yield _Making(f"index {qualified(*place)}", f"CREATE INDEX {name} ON {on} (id)", place)


def _index_on(table: Place, index: str) -> Iterator[_Making]:
    """An index that takes the place of a key."""
    on = qualified(*table)
    yield _Making(
        f"column id of {on}", f"ALTER TABLE {on} ADD COLUMN IF NOT EXISTS id bigint", table
    )
    yield _Making(f"index {index}", f"CREATE UNIQUE INDEX {ident(index)} ON {on} (id)")


def _function(name: str, arguments: str, statement: Statement) -> _Making:
    if isinstance(statement.node, pb.CreateTrigStmt):
        return _trigger_function(name)
    types = ", ".join(each.replace("unknown", "text") for each in arguments.split(", "))
    result = "uuid" if "uuid" in name else "text"
    body = f"BEGIN RETURN NULL::{result}; END"
    return _Making(
        f"function {name}",
        f"CREATE FUNCTION {name}({types}) RETURNS {result} LANGUAGE plpgsql AS '{body}'",
        drop=f"DROP FUNCTION IF EXISTS {name}({types}) CASCADE",
    )


def _trigger_function(name: str) -> _Making:
    return _Making(
        f"function {name}",
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        drop=f"DROP FUNCTION IF EXISTS {name}() CASCADE",
    )


def _partitioning(place: Place, steps: Iterable[Step]) -> tuple[Place, str, str] | None:
    """The parent, its key and how it is partitioned, where a statement makes that plain.

    How is empty for a partition that is detached: any way will do.
    """
    for step in steps:
        node = step.statement.node
        bound: Any = None
        parent = child = None
        if isinstance(node, pb.AlterTableStmt):
            for command in map(only, node.cmds):
                if command.subtype in (pb.AT_AttachPartition, pb.AT_DetachPartition):
                    part = only(getattr(command, "def"))
                    attached = command.subtype == pb.AT_AttachPartition
                    bound = part.bound if attached else None
                    parent = relation(node.relation)
                    child = relation(part.name)
        elif isinstance(node, pb.CreateStmt) and node.HasField("partbound"):
            bound, parent = node.partbound, relation(only(node.inh_relations[0]))
        if parent is None or place not in (parent, child):
            continue
        return parent, *(_key(bound) if bound is not None else ("id", ""))
    return None


def _key(bound: Any) -> tuple[str, str]:
    """A key that takes the bound of a partition, and PARTITION BY for it."""
    datums = [only(d) for d in (*bound.lowerdatums, *bound.upperdatums, *bound.listdatums)]
    number = any(isinstance(d, pb.A_Const) and d.HasField("ival") for d in datums)
    if bound.strategy == "h":
        return "id", "HASH (id)"
    if bound.strategy == "l":
        return ("id", "LIST (id)") if number else ("kind", "LIST (kind)")
    return ("id", "RANGE (id)") if number else ("made_at", "RANGE (made_at)")
