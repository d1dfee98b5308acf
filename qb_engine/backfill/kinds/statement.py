"""a statement of the user's own over the rows of a range: UPDATE, DELETE or INSERT ... SELECT"""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from psycopg import sql

from qb_engine.backfill.kinds.kind import Kind, Wrote
from qb_engine.backfill.walk import statements
from qb_engine.errors import InputError
from qb_engine.migrations.bounded import Bounded, bounded
from qb_engine.sql import ident, qualified

if TYPE_CHECKING:
    from qb_engine.backfill.kinds.kind import Connection
    from qb_engine.backfill.spec import Spec
    from qb_engine.backfill.walk.statements import Key

# What the statement sees: the transactions that had ended when it began.
SEEN = "SELECT set_config('qb.seen', pg_current_snapshot()::text, true)"

# Rows of the range that the statement saw, and that still need it. A row tells only half of the
# number of its transaction; `age` counts from our own.
AGAIN = sql.SQL(
    "SELECT count(*) FROM {} WHERE {} AND {} AND pg_visible_in_snapshot("
    "greatest(pg_current_xact_id()::text::numeric - age(xmin), 3)::text::xid8,"
    " current_setting('qb.seen')::pg_snapshot)"
)


class Own(Kind):
    """`sql`, with `{batch}`; and `where`, which a row that was dealt with no longer fulfils.

    Rows are counted as the server counts them: those updated, deleted or inserted.
    """

    def queries(self, spec: Spec) -> list[tuple[str, sql.Composed]]:
        key = [column.name for column in spec.key]
        own = read(spec)
        if own.grows and not spec.where:
            raise InputError(
                f"it inserts into {spec.schema}.{spec.table}, the table that it walks",
                where="sql in backfill.py",
                why="a batch would read what an earlier one inserted, and insert that again",
                todo="declare `where`, which a row that was inserted does not fulfil",
                code="bad-backfill",
            )
        if moved := [name for name in own.sets if name in key]:
            raise InputError(
                f"{', '.join(moved)} of {spec.schema}.{spec.table} is part of the key",
                where="sql in backfill.py",
                why="a row that is moved within the key may be met again, and written twice",
                todo="walk by another key: key = ..., or leave the column as it is",
                code="bad-backfill",
            )
        asked = [("sql", self.plan(spec, None, None))]
        if spec.where:
            asked.append(("where", statements.needing(spec)))
        return asked

    def plan(self, spec: Spec, lo: Key, hi: Key) -> sql.Composed:
        return _composed(_filled(spec, lo, hi))

    def write(
        self, conn: Connection, spec: Spec, lo: Key, hi: Key, *, late: bool, prepared: Any
    ) -> Wrote:
        text = _filled(spec, lo, hi)
        if not spec.where:
            return Wrote(conn.execute(_composed(text)).rowcount)
        own = read(spec)
        if own.writes and own.verb == "delete":
            return Wrote(conn.execute(_composed(text)).rowcount)
        if own.writes and own.verb == "update":
            done = conn.execute(_composed(f"{text}\nRETURNING {_needs(spec, own)}"))
            return Wrote(done.rowcount, sum(bool(row[0]) for row in done))
        again = AGAIN.format(
            statements.named(spec),
            statements.within(spec, lo, hi),
            statements.expression(spec.where),
        )
        done = conn.execute(_composed(f"{SEEN};\n{text}\n;\n") + again)
        done.nextset()
        rows = done.rowcount
        done.nextset()
        return Wrote(rows, done.fetchall()[0][0])


def read(spec: Spec) -> Bounded:
    """The statement as it was read, with the walked table named as the catalog has it."""
    return _read(spec.statement, qualified(*(spec.whole or (spec.schema, spec.table))))


def returning(spec: Spec) -> str:
    """The statement over all rows of a spec, with the rows that it writes as its result."""
    return f"{_filled(spec, None, None)}\nRETURNING *"


@functools.lru_cache(maxsize=64)
def _read(text: str, table: str) -> Bounded:
    return bounded(text, table)


def _filled(spec: Spec, lo: Key, hi: Key) -> str:
    """The statement over the rows of a range that need it, of the spec's own table."""
    own = read(spec)
    condition = statements.within(replace(spec, called=own.walked), lo, hi).as_string(None)
    if spec.where:
        condition += f" AND {_needs(spec, own)}"
    return own.filled(condition, spec.schema, spec.table, only=spec.alone)


def _needs(spec: Spec, own: Bounded) -> str:
    """`where` inside the statement: its names are the walked table's, whatever stands beside it."""
    said = f"({spec.where}\n)" if "--" in spec.where else f"({spec.where})"
    if own.alone and not own.aliased:
        return said
    name = spec.whole[1] if spec.whole else spec.table
    return f"EXISTS (SELECT FROM (SELECT {ident(own.walked)}.*) AS {ident(name)} WHERE {said})"


def _composed(text: str) -> sql.Composed:
    # nothing here is executed with parameters, so a percent sign means itself
    return sql.Composed([sql.SQL(text)])


KIND = Own()
