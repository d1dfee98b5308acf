"""writing what a transform returned: sent by COPY, and only into rows that are what they were"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from qb_engine.backfill.frames.columns import Column
from qb_engine.backfill.frames.copying import binary
from qb_engine.backfill.frames.reading import Version
from qb_engine.backfill.frames.result import Field, Result
from qb_engine.backfill.walk import statements

if TYPE_CHECKING:
    from qb_engine.backfill.spec import Spec
    from qb_engine.backfill.walk.statements import Key

Connection = psycopg.Connection[Any]

STAYS = Column("", "boolean", "boolean", "bool")


@dataclass(frozen=True, slots=True)
class Transformed:
    """Rows that were read by one query and transformed together. `result` is of some of them."""

    versions: list[Version]
    result: Result

    @property
    def writes(self) -> bool:
        """True when something of it is to be written."""
        return bool(self.result.places and self.result.fields)

    def still(self, there: set[Version]) -> Transformed:
        """The same, of the rows only that are still what they were."""
        keep = [i for i, place in enumerate(self.result.places) if self.versions[place] in there]
        return replace(self, result=self.result.of(keep))


@contextmanager
def savepoint(conn: Connection) -> Iterator[Callable[[], None]]:
    """A part of the open transaction that is undone, its locks with it, when that is called for."""
    undone = []
    with conn.transaction() as transaction:
        yield lambda: undone.append(True)
        if undone:
            raise psycopg.Rollback(transaction)


def _sent(result: Result) -> list[tuple[str, Column, list[Any]]]:
    """The columns of the table that results travel in: values, and which of them stay."""
    found: list[tuple[str, Column, list[Any]]] = []
    for i, field in enumerate(result.fields):
        found.append((f"qb_{i}", field.column, field.values))
        if field.same is not None:
            found.append((f"qb_{i}_same", STAYS, field.same))
    return found


def _value(spec: Spec, field: Field, number: int) -> sql.Composable:
    """What a column is set to."""
    value = field.column.written(sql.Identifier("qb_rows", f"qb_{number}"))
    if field.same is None:
        return value
    return sql.SQL("CASE WHEN {} THEN {} ELSE {} END").format(
        sql.Identifier("qb_rows", f"qb_{number}_same"),
        sql.Identifier(_called_as(spec), field.column.name),
        value,
    )


def _loaded(conn: Connection, part: Transformed, number: int) -> sql.Composed:
    """Send the results into a table that ends with the transaction; its name."""
    name = sql.Composed([sql.Identifier("pg_temp", f"qb_rows_{number}")])
    result = part.result
    made = [
        sql.SQL(", {} {}").format(sql.Identifier(name), sql.SQL(column.carried))
        for name, column, _ in _sent(result)
    ]
    conn.execute(
        sql.SQL(
            "CREATE TEMP TABLE {} (qb_part oid, qb_at tid, qb_version xid{}) ON COMMIT DROP"
        ).format(sql.Identifier(f"qb_rows_{number}"), sql.SQL("").join(made))
    )
    versions = [part.versions[place] for place in result.places]
    with (
        conn.cursor() as cursor,
        cursor.copy(sql.SQL("COPY {} FROM STDIN (FORMAT binary)").format(name)) as copy,
    ):
        sent = _sent(result)
        for chunk in binary(versions, [each[1] for each in sent], [each[2] for each in sent]):
            copy.write(chunk)
    return name


def written(
    conn: Connection,
    spec: Spec,
    lo: Key,
    hi: Key,
    part: Transformed,
    number: int,
    *,
    late: bool,
    loaded: bool = False,
) -> tuple[int, int]:
    """Write results into the rows that are what they were; how many, and how many need it still.

    With `late` rows that would not change are left out.
    """
    result = part.result
    source = sql.Composed([sql.Identifier("pg_temp", f"qb_rows_{number}")])
    if not loaded:
        source = _loaded(conn, part, number)
    values = [(field.column, _value(spec, field, i)) for i, field in enumerate(result.fields)]
    update = sql.SQL("UPDATE {} AS {} SET {} FROM {} AS qb_rows WHERE {}").format(
        statements.table(spec),
        sql.Identifier(_called_as(spec)),
        sql.SQL(", ").join(
            sql.SQL("{} = {}").format(sql.Identifier(column.name), value)
            for column, value in values
        ),
        source,
        _same_version(spec, lo, hi),
    )
    if late:
        differs = [
            sql.SQL("{}::text IS DISTINCT FROM {}::{}::text").format(
                sql.Identifier(_called_as(spec), column.name), value, sql.SQL(column.type)
            )
            for column, value in values
        ]
        update += sql.SQL(" AND ({})").format(sql.SQL(" OR ").join(differs))
    if not spec.where:
        return conn.execute(update).rowcount, 0
    done = conn.execute(update + sql.SQL(" RETURNING ") + statements.expression(spec.where))
    return done.rowcount, sum(bool(row[0]) for row in done)


def held(
    conn: Connection, spec: Spec, lo: Key, hi: Key, part: Transformed, number: int
) -> set[Version]:
    """Send the results, and lock those rows that are still what they were; their versions."""
    source = _loaded(conn, part, number)
    query = sql.SQL(
        "SELECT qb_part, qb_at, qb_version FROM {} AS {} JOIN {} AS qb_rows ON {}"
        " FOR NO KEY UPDATE OF {}"
    ).format(
        statements.table(spec),
        sql.Identifier(_called_as(spec)),
        source,
        _same_version(spec, lo, hi),
        sql.Identifier(_called_as(spec)),
    )
    with conn.cursor(binary=True) as cursor:
        return set(cursor.execute(query).fetchall())


def _called_as(spec: Spec) -> str:
    """What the table is called in a statement, so that `where` may name it."""
    return spec.whole[1] if spec.whole else spec.table


def _same_version(spec: Spec, lo: Key, hi: Key) -> sql.Composed:
    """The rows of the range that nobody changed since they were read.

    The range is what finds them. An update makes another version at another place; a place that
    was freed and taken again has another transaction; freezing keeps the transaction's number.
    """
    name = _called_as(spec)
    return sql.SQL(
        "{} AND {}.tableoid = qb_part AND {}.ctid = qb_at AND {}.xmin = qb_version"
    ).format(
        statements.within(replace(spec, called=name), lo, hi),
        *[sql.Identifier(name)] * 3,
    )
