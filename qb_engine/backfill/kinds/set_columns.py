"""SQL expressions over the row: one UPDATE per batch"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg import sql

from qb_engine.backfill.kinds.kind import Kind, Wrote
from qb_engine.backfill.walk import statements

if TYPE_CHECKING:
    from qb_engine.backfill.kinds.kind import Connection
    from qb_engine.backfill.spec import Spec
    from qb_engine.backfill.walk.statements import Key


class SetColumns(Kind):
    """`set`, with `where`."""

    def queries(self, spec: Spec) -> list[tuple[str, sql.Composed]]:
        return [("set or where", statements.write(spec, None, None))]

    def plan(self, spec: Spec, lo: Key, hi: Key) -> sql.Composed:
        return statements.write(spec, lo, hi)

    def write(
        self, conn: Connection, spec: Spec, lo: Key, hi: Key, *, late: bool, prepared: Any
    ) -> Wrote:
        done = conn.execute(statements.write(spec, lo, hi, late=late))
        if not spec.where:
            return Wrote(done.rowcount, seen=done.rowcount)
        rows, again = done.fetchall()[0]
        return Wrote(rows, again)


KIND = SetColumns()
